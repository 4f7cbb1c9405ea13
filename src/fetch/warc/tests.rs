use super::*;

fn at() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn response(url: &str, body: &str) -> Response {
    let mut response = Response::new(url.parse().unwrap(), body.to_owned());
    for (name, value) in [
        ("content-type", "text/html"),
        ("content-encoding", "br"),
        ("set-cookie", "id=secret"),
    ] {
        let value = HeaderValue::from_static(value);
        response
            .headers
            .insert(HeaderName::from_static(name), value);
    }
    response
}

fn read(bytes: &[u8]) -> Vec<std::result::Result<(String, u16, String), String>> {
    let reader = WarcReader::new(bytes, 100_000).unwrap();
    let told = |read: io::Result<WarcPage>| {
        let response = read.map_err(|error| error.to_string())?.response;
        let body = String::from_utf8(response.body.to_vec()).unwrap();
        Ok((response.url.to_string(), response.status.as_u16(), body))
    };
    reader.map(told).collect()
}

#[test]
fn what_is_written_is_read() {
    for packed in [false, true] {
        let mut writer = WarcWriter::new(Vec::new(), packed, at()).unwrap();
        writer
            .add(&response("http://e.x/a#x", "<h1>A</h1>"), at())
            .unwrap();
        writer
            .add_of(
                &response("http://e.x/b", "\r\n\r\nWARC/1.1\r\n"),
                at(),
                "b\u{fc}cher",
                Some("{\"at\":1}"),
            )
            .unwrap();
        let bytes = writer.end().unwrap();
        let found: Vec<_> = read(&bytes).into_iter().map(Result::unwrap).collect();
        assert_eq!(found[0], ("http://e.x/a".into(), 200, "<h1>A</h1>".into()));
        assert_eq!(found[1].2, "\r\n\r\nWARC/1.1\r\n");
        assert_eq!(found.len(), 2);
        let mut all = WarcReader::new(&bytes[..], 100_000).unwrap();
        let page = all.next().unwrap().unwrap();
        assert_eq!((page.at, page.step), (Some(at()), None));
        let own = all.next().unwrap().unwrap();
        assert_eq!(own.step.as_deref(), Some("b\u{fc}cher"));
        assert_eq!(own.args.as_deref(), Some("{\"at\":1}"));
        let first = page.response;
        assert_eq!(first.header("content-type"), Some("text/html"));
        assert!(first.header("set-cookie").is_none() && first.header("content-encoding").is_none());
    }
}

fn record(kind: &str, head: &str, body: &[u8]) -> Vec<u8> {
    let mut block = head.replace('\n', "\r\n").into_bytes();
    block.extend_from_slice(body);
    let mut all = format!(
        "WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: <http://e.x/>\r\n\
         Content-Type: application/http; msgtype=response\r\nContent-Length: {}\r\n\r\n",
        block.len()
    )
    .into_bytes();
    all.extend_from_slice(&block);
    all.extend_from_slice(b"\r\n\r\n");
    all
}

#[test]
fn archives_of_others() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(b"packed").unwrap();
    let packed = packed.finish().unwrap();
    let chunked = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n";
    let gzip = "HTTP/1.1 404 Not Found\nContent-Encoding: gzip\n\n";
    let mut all = record("request", "GET / HTTP/1.1\n\n", b"");
    all.extend(record(
        "response",
        chunked,
        b"3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n",
    ));
    all.extend(record("response", chunked, b"whole"));
    all.extend(record("response", gzip, &packed));
    all.extend(record(
        "response",
        "HTTP/1.1 200 OK\nContent-Encoding: zz\n\n",
        b"?",
    ));
    let found: Vec<_> = read(&all).into_iter().map(Result::unwrap).collect();
    let bodies: Vec<_> = found
        .iter()
        .map(|(_, status, body)| (*status, &**body))
        .collect();
    assert_eq!(bodies, [(200, "abcde"), (200, "whole"), (404, "packed")]);
}

#[test]
fn what_is_none_says_so() {
    let check = |bytes: &[u8], why: &str| {
        let last = read(bytes).pop().unwrap();
        assert_eq!(last.unwrap_err(), why);
    };
    check(b"<html>", "no WARC: `<html>` begins no record");
    check(b"WARC/1.0\r\n\r\n", "no WARC: a record without a length");
    let mut cut = record("response", "HTTP/1.1 200 OK\n\n", b"body");
    cut.truncate(cut.len() - 6);
    check(&cut, "failed to fill whole buffer");
    assert!(read(b"").is_empty());
}
