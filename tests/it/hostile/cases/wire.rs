//! Below HTTP, and in its heads: connections that break, lengths, chunks, lines, fields.

use std::time::Duration;

use super::{Cases, answer, document, head, html, http};
use crate::raw::Act;

pub(super) fn add(cases: &mut Cases) {
    breaks(cases);
    lengths(cases);
    chunks(cases);
    status_lines(cases);
    fields(cases);
    times(cases);
}

/// Everywhere that a connection can break: closed and reset.
fn breaks(cases: &mut Cases) {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let points: [(&str, Vec<u8>); 11] = [
        ("at-once", Vec::new()),
        ("in-status", b"HTTP/1.1 20".to_vec()),
        ("before-fields", b"HTTP/1.1 200 OK\r\n".to_vec()),
        ("in-field", b"HTTP/1.1 200 OK\r\nContent-Ty".to_vec()),
        (
            "after-field",
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n".to_vec(),
        ),
        ("before-body", head("Content-Length: 50\r\n", "")),
        ("in-body", head("Content-Length: 5000\r\n", "<title>half")),
        ("before-chunks", head(chunked, "")),
        ("in-size", head(chunked, "1")),
        ("in-chunk", head(chunked, "50\r\n<title>half")),
        ("before-last-chunk", head(chunked, "5\r\nabcde\r\n")),
    ];
    for (name, bytes) in points {
        let reset = bytes.clone();
        cases.send(&format!("close-{name}"), "failed reset", bytes);
        cases.add(&format!("reset-{name}"), "failed reset", move |_| {
            let pause = Act::Pause(Duration::from_millis(30));
            vec![Act::Send(reset.clone()), pause, Act::Reset]
        });
    }
    cases.add("reset-without-length", "failed reset", |_| {
        let pause = Act::Pause(Duration::from_millis(30));
        vec![Act::Send(head("", "<title>half")), pause, Act::Reset]
    });
    cases.send(
        "close-in-trailer",
        "failed reset",
        head(chunked, "0\r\nX: y"),
    );
    cases.send(
        "close-is-the-end",
        "page",
        head("", document("close-is-the-end", "")),
    );
    // The next request on the same connection meets the reset, whichever that is.
    cases.add("reset-on-reuse", "page", |_| {
        vec![Act::Send(html("reset-on-reuse", "")), Act::Read, Act::Reset]
    });
    cases.add("garbage-on-reuse", "page", |_| {
        vec![
            Act::Send(html("garbage-on-reuse", "")),
            Act::Read,
            Act::Send(b"\0\0garbage\r\n\r\n".to_vec()),
        ]
    });
    cases.add("close-on-reuse", "page", |_| {
        vec![Act::Send(html("close-on-reuse", "")), Act::Read]
    });
    cases.add("bytes-behind-the-answer", "page", |_| {
        let bytes = [
            html("bytes-behind-the-answer", ""),
            b"more than was said".to_vec(),
        ];
        vec![Act::Send(bytes.concat())]
    });
    cases.add("two-answers-to-one-request", "page", |_| {
        let bytes = [html("two-answers-to-one-request", ""), html("smuggled", "")];
        vec![Act::Send(bytes.concat()), Act::Read]
    });
}

fn lengths(cases: &mut Cases) {
    let long = "<title>length-short</title>";
    let short = format!("Content-Length: {}\r\n", long.len());
    cases.send(
        "length-short",
        "page",
        head(&short, format!("{long}<p>more</p>")),
    );
    cases.send(
        "length-long",
        "failed reset",
        head("Content-Length: 999\r\n", long),
    );
    let twice = format!("Content-Length: {0}\r\nContent-Length: {0}\r\n", 27);
    cases.send(
        "length-twice",
        "page",
        head(&twice, "<title>length-twice</title>"),
    );
    let differ = "Content-Length: 5\r\nContent-Length: 9\r\n";
    cases.send(
        "lengths-differ",
        "failed protocol",
        head(differ, "<p>123456"),
    );
    for (name, length, expected) in [
        ("length-list", "5, 5", "untitled|failed protocol"),
        ("length-list-differs", "5, 6", "failed protocol"),
        ("length-negative", "-1", "failed protocol"),
        ("length-no-number", "many", "failed protocol"),
        ("length-hex", "0x10", "failed protocol"),
        ("length-plus", "+5", "failed protocol|untitled"),
        ("length-empty", "", "failed protocol"),
        (
            "length-over-u64",
            "99999999999999999999999",
            "failed protocol",
        ),
        (
            "length-u64",
            "18446744073709551615",
            "failed protocol|failed too_large",
        ),
        ("length-a-terabyte", "1099511627776", "failed too_large"),
        ("length-zero", "0", "untitled"),
    ] {
        let field = format!("Content-Length: {length}\r\n");
        cases.send(name, expected, head(&field, "<p>12"));
    }
    let both = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n";
    let body = "23\r\n<title>length-and-chunks</title>!!!\r\n0\r\n\r\n";
    cases.send("length-and-chunks", "page", head(both, body));
}

fn chunks(cases: &mut Cases) {
    let chunked = |body: &[u8]| head("Transfer-Encoding: chunked\r\n", body);
    let one_byte = |text: &str| {
        let chunks = text.chars().map(|c| format!("1\r\n{c}\r\n"));
        chunks.collect::<String>() + "0\r\n\r\n"
    };
    let text = document("chunks-of-one-byte", &"<p>x".repeat(5_000));
    cases.send(
        "chunks-of-one-byte",
        "page",
        chunked(one_byte(&text).as_bytes()),
    );
    cases.add("bytes-one-by-one", "page", |_| {
        vec![Act::Trickle(html("bytes-one-by-one", &"<p>x".repeat(300)))]
    });
    for (name, body) in [
        ("chunk-size-no-number", "xyz\r\nabc\r\n0\r\n\r\n"),
        ("chunk-size-negative", "-3\r\nabc\r\n0\r\n\r\n"),
        (
            "chunk-size-overflows",
            "fffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        ),
        ("chunk-size-empty", "\r\nabc\r\n0\r\n\r\n"),
        ("chunk-longer-than-said", "3\r\nabcdef\r\n0\r\n\r\n"),
        ("chunk-without-end", "3\r\nabc3\r\nabc\r\n0\r\n\r\n"),
        ("chunks-that-are-none", "<title>no chunks</title>"),
    ] {
        cases.send(name, "failed protocol", chunked(body.as_bytes()));
    }
    cases.send(
        "chunk-size-huge",
        "failed reset|failed protocol|failed too_large",
        chunked(b"7fffffffffffffff\r\nabc\r\n0\r\n\r\n"),
    );
    cases.add(
        "chunk-size-endless",
        "failed protocol|failed timeout",
        move |_| {
            vec![
                Act::Send(head("Transfer-Encoding: chunked\r\n", "")),
                Act::Flood(b"0".repeat(4096)),
            ]
        },
    );
    cases.add(
        "chunk-extension-endless",
        "failed protocol|failed timeout",
        move |_| {
            vec![
                Act::Send(head("Transfer-Encoding: chunked\r\n", "5;")),
                Act::Flood(b"x".repeat(4096)),
            ]
        },
    );
    cases.add(
        "trailers-endless",
        "failed protocol|failed timeout|failed too_large",
        move |_| {
            vec![
                Act::Send(head("Transfer-Encoding: chunked\r\n", "0\r\n")),
                Act::Flood(b"X: y\r\n".repeat(500)),
            ]
        },
    );
    let body = b"21;name=value\r\n<title>chunk-extension</title>!!!\r\n0\r\nX: y\r\n\r\n";
    cases.send("chunk-extension", "page", chunked(body));
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    cases.send(
        "chunked-twice",
        "untitled|failed protocol|page",
        head(twice, "3\r\nabc\r\n0\r\n\r\n"),
    );
    cases.send(
        "transfer-unknown",
        "failed protocol|page|untitled",
        head("Transfer-Encoding: foo\r\n", "abc"),
    );
    cases.send(
        "transfer-gzip",
        "failed protocol|untitled|failed encoding",
        head(
            "Transfer-Encoding: gzip, chunked\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
        ),
    );
    cases.add("chunks-endless", "failed too_large", |_| {
        let chunk = [b"1000\r\n".as_slice(), &b"x".repeat(4096), b"\r\n"].concat();
        vec![
            Act::Send(head("Transfer-Encoding: chunked\r\n", "")),
            Act::Flood(chunk),
        ]
    });
    cases.add(
        "chunks-of-one-byte-endless",
        "failed too_large|failed timeout|failed slow",
        |_| {
            let chunk = b"1\r\nx\r\n".repeat(1000);
            vec![
                Act::Send(head("Transfer-Encoding: chunked\r\n", "")),
                Act::Flood(chunk),
            ]
        },
    );
}

fn status_lines(cases: &mut Cases) {
    for (name, line, expected) in [
        ("status-without-reason", "HTTP/1.1 200", "page"),
        (
            "status-reason-escapes",
            "HTTP/1.1 200 \x1b[31mOK\x07",
            "page|failed protocol",
        ),
        (
            "status-reason-utf8",
            "HTTP/1.1 200 \u{e4}\u{20ac}",
            "page|failed protocol",
        ),
        (
            "status-reason-long",
            &format!("HTTP/1.1 200 {}", "x".repeat(5_000)),
            "page",
        ),
        (
            "status-099",
            "HTTP/1.1 099 Low",
            "failed protocol|failed status",
        ),
        (
            "status-000",
            "HTTP/1.1 000 None",
            "failed protocol|failed status",
        ),
        ("status-999", "HTTP/1.1 999 High", "failed status"),
        ("status-600", "HTTP/1.1 600 High", "failed status"),
        ("status-2000", "HTTP/1.1 2000 OK", "failed protocol"),
        ("status-20", "HTTP/1.1 20 OK", "failed protocol"),
        ("status-negative", "HTTP/1.1 -200 OK", "failed protocol"),
        ("status-words", "HTTP/1.1 OK", "failed protocol"),
        ("version-1.0", "HTTP/1.0 200 OK", "page"),
        ("version-1.2", "HTTP/1.2 200 OK", "failed protocol|page"),
        ("version-2.0", "HTTP/2.0 200 OK", "failed protocol"),
        ("version-9.9", "HTTP/9.9 200 OK", "failed protocol"),
        ("version-lower-case", "http/1.1 200 ok", "failed protocol"),
        ("version-none", "HTTP 200 OK", "failed protocol"),
        ("icecast", "ICY 200 OK", "failed protocol"),
        ("rtsp", "RTSP/1.0 200 OK", "failed protocol"),
    ] {
        let body = document(name, "");
        let length = body.len();
        let rest = format!("\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n{body}");
        cases.send(name, expected, format!("{line}{rest}"));
    }
    for (name, bytes) in [
        ("http-0.9", b"<title>http-0.9</title>".as_slice()),
        ("garbage-text", b"what is this?\r\n\r\n"),
        ("garbage-bytes", b"\xff\xfe\0\x01\x80\x90\r\n\r\n\0"),
        ("garbage-zeros", &[0; 2000]),
        ("smtp", b"220 mail.example ESMTP\r\n"),
        ("ssh", b"SSH-2.0-OpenSSH_9.9\r\n"),
        ("tls-alert", b"\x15\x03\x03\0\x02\x02\x28"),
        ("http2-settings", b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64"),
        ("request-for-answer", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ] {
        cases.send(name, "failed protocol", bytes);
    }
    cases.add(
        "garbage-endless",
        "failed protocol|failed too_large",
        |_| vec![Act::Flood((1..=255).rev().collect())],
    );
    cases.add(
        "line-breaks-endless",
        "failed protocol|failed too_large|failed timeout",
        |_| vec![Act::Flood(b"\r\n".repeat(2000))],
    );
    cases.send(
        "line-breaks-first",
        "page",
        [b"\r\n\r\n".to_vec(), html("line-breaks-first", "")].concat(),
    );
    let lines = String::from_utf8(html("lines-end-in-lf", ""))
        .unwrap()
        .replace("\r\n", "\n");
    cases.send("lines-end-in-lf", "page", lines);
    let interim = |count: usize| b"HTTP/1.1 100 Continue\r\n\r\n".repeat(count);
    cases.send(
        "interim-some",
        "page",
        [interim(20), html("interim-some", "")].concat(),
    );
    cases.add(
        "interim-endless",
        "failed timeout|failed protocol|failed too_large",
        move |_| vec![Act::Flood(interim(500))],
    );
    let hints = answer("103 Early Hints", "Link: </x>; rel=preload\r\n", "");
    cases.send(
        "interim-hints",
        "page",
        [hints, html("interim-hints", "")].concat(),
    );
    cases.add(
        "interim-hints-endless",
        "failed timeout|failed protocol|failed too_large",
        |_| {
            vec![Act::Flood(
                answer("103 Early Hints", "Link: </x>; rel=preload\r\n", "").repeat(100),
            )]
        },
    );
    cases.send(
        "switching-protocols",
        "failed protocol|failed status",
        answer("101 Switching Protocols", "Upgrade: websocket\r\n", ""),
    );
}

fn fields(cases: &mut Cases) {
    let field = |name: &'static str, field: &[u8]| {
        let body = document(name, "");
        let start = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Type: text/html\r\n",
            body.len()
        );
        [start.as_bytes(), field, b"\r\n\r\n", body.as_bytes()].concat()
    };
    for (name, bytes, expected) in [
        ("field-nul", b"X: a\0b".as_slice(), "page|failed protocol"),
        (
            "field-controls",
            b"X: \x01\x02\x7f\x1b[2J",
            "page|failed protocol",
        ),
        ("field-latin1", b"X: caf\xe9", "page"),
        ("field-utf8", "X: \u{1f577}".as_bytes(), "page"),
        ("field-name-with-space", b"X Y: z", "page|failed protocol"),
        (
            "field-name-with-bytes",
            b"X\xff\xfe: z",
            "page|failed protocol",
        ),
        ("field-name-empty", b": z", "page|failed protocol"),
        (
            "field-without-colon",
            b"no colon here",
            "page|failed protocol",
        ),
        ("field-folded", b"X: a\r\n b\r\n\tc", "page"),
        ("field-bare-cr", b"X: a\rb", "page|failed protocol"),
        ("field-space-before-colon", b"X : a", "page"),
        (
            "field-of-100-kb",
            &[b"X: ".as_slice(), &b"x".repeat(100_000)].concat(),
            "page",
        ),
        (
            "field-of-300-kb",
            &[b"X: ".as_slice(), &b"x".repeat(300_000)].concat(),
            "failed too_large",
        ),
        (
            "field-of-10-mb",
            &[b"X: ".as_slice(), &b"x".repeat(10_000_000)].concat(),
            "failed too_large",
        ),
        (
            "field-name-of-200-kb",
            &[&b"x".repeat(200_000), b": y".as_slice()].concat(),
            "page|failed too_large|failed protocol",
        ),
        ("fields-200", &b"X: y\r\n".repeat(200)[..1198], "page"),
        (
            "fields-10000",
            &b"X: y\r\n".repeat(10_000)[..59_998],
            "failed too_large",
        ),
        (
            "link-field-of-200-kb",
            &[b"Link: ".as_slice(), &b"<".repeat(200_000)].concat(),
            "page",
        ),
    ] {
        cases.send(name, expected, field(name, bytes));
    }
    cases.add("fields-endless", "failed too_large", |_| {
        vec![
            Act::Send(b"HTTP/1.1 200 OK\r\n".to_vec()),
            Act::Flood(b"X: y\r\n".repeat(100)),
        ]
    });
    cases.add("field-of-100-mb", "failed too_large", |_| {
        let start = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
        let piece = vec![b'x'; 1 << 20];
        let mut acts = vec![Act::Send(start)];
        acts.extend((0..100).map(|_| Act::Send(piece.clone())));
        acts
    });
}

fn times(cases: &mut Cases) {
    for number in 0..12 {
        cases.add(&format!("hang-{number}"), "failed timeout", |_| {
            vec![Act::Hang]
        });
    }
    cases.add("hang-in-head", "failed timeout", |_| {
        vec![
            Act::Send(b"HTTP/1.1 200 OK\r\nContent-".to_vec()),
            Act::Hang,
        ]
    });
    cases.add("hang-in-body", "failed timeout", |_| {
        vec![
            Act::Send(head("Content-Length: 9999\r\n", "<title>half")),
            Act::Hang,
        ]
    });
    cases.add("hang-in-chunk", "failed timeout", |_| {
        vec![
            Act::Send(head("Transfer-Encoding: chunked\r\n", "ff\r\n<title>")),
            Act::Hang,
        ]
    });
    cases.add("drip-head", "failed timeout|failed too_large", |_| {
        vec![
            Act::Send(b"HTTP/1.1 200 OK\r\nX: ".to_vec()),
            Act::Drip(b'x'),
        ]
    });
    cases.add("drip-body", "failed timeout", |_| {
        vec![Act::Send(head("", "<title>drip</title>")), Act::Drip(b'x')]
    });
    cases.add("drip-body-with-length", "failed timeout", |_| {
        vec![
            Act::Send(head("Content-Length: 100000\r\n", "<title>")),
            Act::Drip(b'x'),
        ]
    });
    cases.add("body-endless", "failed too_large", |_| {
        vec![
            Act::Send(head("", "<title>x</title>")),
            Act::Flood(b"<p>x".repeat(1000)),
        ]
    });
    cases.add("late", "page", |_| {
        vec![
            Act::Pause(Duration::from_secs(1)),
            Act::Send(html("late", "")),
        ]
    });
    cases.add("late-body", "page", |_| {
        let body = document("late-body", "");
        let length = format!("Content-Length: {}\r\n", body.len());
        vec![
            Act::Send(head(&length, &body[..20])),
            Act::Pause(Duration::from_secs(1)),
            Act::Send(body.as_bytes()[20..].to_vec()),
        ]
    });
    cases.send(
        "body-of-16-mb",
        "page",
        http("", document("body-of-16-mb", &"x".repeat(16_000_000))),
    );
    cases.send(
        "body-of-17-mb",
        "failed too_large",
        http("", document("x", &"x".repeat(17_000_000))),
    );
}
