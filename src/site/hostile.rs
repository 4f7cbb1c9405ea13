//! Pages that attack their reader.

use hyper::header::CONTENT_ENCODING;

use super::call::Call;
use super::encodings;
use super::html::Html;
use super::reply::Reply;

/// The largest `?n=` of a page that is made in memory.
const MAX_COUNT: usize = 1_000_000;
const MAX_MEGABYTES: u64 = 256;

/// `/hostile/KIND`:
///
/// * `deep?n=`: so many `div` in each other (40 000 take a careless parser 12 seconds);
/// * `fonts?n=`: so many unclosed `font`;
/// * `attributes?n=`: so many attributes on one tag;
/// * `bomb?mb=`: so many megabytes of spaces, as a small gzip;
/// * `endless`: a body without an end;
/// * `trap/…`: a calendar, each page of which links to two deeper ones.
pub(super) fn reply(call: &Call, rest: &str) -> Reply {
    let count = |default| call.number("n").unwrap_or(default).min(MAX_COUNT as u64) as usize;
    match rest {
        "deep" => repeated("Deep", "<div>", count(40_000)),
        "fonts" => repeated("Fonts", "<font color=red>", count(10_000)),
        "attributes" => attributes(count(100_000)),
        "bomb" => bomb(call.number("mb").unwrap_or(32).min(MAX_MEGABYTES) as usize),
        "endless" => Reply::endless(),
        _ if rest == "trap" || rest.starts_with("trap/") => trap(rest),
        _ => Reply::not_found(),
    }
}

fn repeated(title: &str, tag: &str, count: usize) -> Reply {
    let mut html = Html::small(title);
    writeln!(html, "<h1>{title}</h1>");
    html.push(&tag.repeat(count));
    html.push("<p class=\"bottom\">The bottom</p>\n");
    Reply::html(html.end())
}

fn attributes(count: usize) -> Reply {
    let mut html = Html::small("Attributes");
    html.push("<h1>Attributes</h1>\n<p class=\"bottom\"");
    for number in 0..count {
        write!(html, " a{number}=1");
    }
    html.push(">The bottom</p>\n");
    Reply::html(html.end())
}

/// One packed megabyte many times over: a gzip file may have many members.
fn bomb(megabytes: usize) -> Reply {
    let packed = encodings::gzip(&vec![b' '; 1 << 20]).unwrap_or_default();
    Reply::new("text/html", packed.repeat(megabytes)).with(CONTENT_ENCODING, "gzip")
}

fn trap(rest: &str) -> Reply {
    let mut html = Html::small("Calendar");
    html.push("<h1>Calendar</h1>\n");
    for next in ["next", "later"] {
        writeln!(html, "<a href=\"/hostile/{rest}/{next}\">{next}</a>");
    }
    Reply::html(html.end())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::super::client::{get, site};

    #[tokio::test]
    async fn sizes_are_as_asked() {
        let site = site().await;
        let check = async |path: &str, needle: &str, count: usize| {
            let text = get(&site, path).await.text();
            assert_eq!(text.matches(needle).count(), count, "{path}");
            assert!(text.contains(">The bottom</p>"), "{path}");
        };
        check("/hostile/deep?n=500", "<div>", 500).await;
        check("/hostile/fonts?n=7", "<font", 7).await;
        check("/hostile/attributes?n=9", "=1", 9).await;
        assert_eq!(get(&site, "/hostile/none").await.status, 404);
    }

    #[tokio::test]
    async fn the_bomb_is_small_until_it_is_opened() {
        let site = site().await;
        let packed = get(&site, "/hostile/bomb?mb=3").await.body;
        assert!(packed.len() < 10_000, "{}", packed.len());
        let mut bytes = Vec::new();
        MultiGzDecoder::new(&packed[..])
            .read_to_end(&mut bytes)
            .expect("gzip");
        assert_eq!(bytes.len(), 3 << 20);
    }

    #[tokio::test]
    async fn the_trap_goes_deeper() {
        let site = site().await;
        let mut path = "/hostile/trap".to_owned();
        for _ in 0..5 {
            let links = get(&site, &path).await.links();
            assert_eq!(links.len(), 2);
            assert!(
                links.iter().all(|link| link.starts_with(&path)),
                "{links:?}"
            );
            path = links[1].clone();
        }
    }

    #[tokio::test]
    async fn the_endless_body_goes_on() {
        let site = site().await;
        let mut stream = TcpStream::connect(site.address())
            .await
            .expect("a connection");
        stream
            .write_all(b"GET /hostile/endless HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .expect("sent");
        let mut bytes = vec![0; 1 << 20];
        stream
            .read_exact(&mut bytes)
            .await
            .expect("a megabyte, and more where it came from");
    }
}
