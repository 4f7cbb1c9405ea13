//! Redirects, and what goes wrong with them; and an echo to see what arrives behind one.

use hyper::StatusCode;
use hyper::header::{LOCATION, SET_COOKIE};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::html::Html;
use super::reply::Reply;

/// The longest chain.
const MAX_CHAIN: u32 = 1000;

/// `/redirect/KIND`:
///
/// * `301`, `302`, `303`, `307`, `308` with `?to=URL`;
/// * `chain/N`: N redirects, then a page;
/// * `loop/a`: to `loop/b` and back;
/// * `cookie`: to itself until the cookie that it sets comes back;
/// * `bad`, `bytes`, `none`, `empty`, `scheme`: a `Location` that is no URL, is not UTF-8, is not
///   there, has nothing in it, is not HTTP.
pub(super) fn reply(call: &Call, rest: &str) -> Reply {
    let found = |location: &str| Reply::redirect(StatusCode::FOUND, location);
    match rest {
        "301" | "302" | "303" | "307" | "308" => to(call, rest),
        "loop/a" => found("/redirect/loop/b"),
        "loop/b" => found("/redirect/loop/a"),
        "cookie" if call.cookie("wall").is_some() => arrived("Behind the wall"),
        "cookie" => found("/redirect/cookie").with(SET_COOKIE, "wall=passed; Path=/"),
        "bad" => found("http://[bad"),
        "bytes" => Reply::status(StatusCode::FOUND).with_bytes(LOCATION, b"/caf\xe9"),
        "none" => Reply::status(StatusCode::FOUND),
        "empty" => found(""),
        "scheme" => found("file:///etc/passwd"),
        _ => match rest
            .strip_prefix("chain/")
            .and_then(|left| left.parse::<u32>().ok())
        {
            Some(0) => arrived("The end of the chain"),
            Some(left) if left <= MAX_CHAIN => found(&format!("/redirect/chain/{}", left - 1)),
            _ => Reply::not_found(),
        },
    }
}

fn to(call: &Call, code: &str) -> Reply {
    let status = code
        .parse()
        .ok()
        .and_then(|code| StatusCode::from_u16(code).ok());
    let target = call.param("to").unwrap_or_else(|| "/".to_owned());
    Reply::redirect(status.unwrap_or(StatusCode::FOUND), &target)
}

fn arrived(title: &str) -> Reply {
    let mut html = Html::small(title);
    writeln!(html, "<h1>{title}</h1>");
    Reply::html(html.end())
}

/// `/echo`: the request as JSON: `method`, `path`, `host`, `headers` (lower case, the last of each
/// name), `body`.
pub(super) fn echo(call: &Call) -> Reply {
    let headers: Map<String, Value> = call
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into(),
            )
        })
        .collect();
    Reply::json(&json!({
        "method": call.method.as_str(),
        "path": call.target(),
        "host": call.host,
        "headers": headers,
        "body": String::from_utf8_lossy(&call.body),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::client::{ask, get, site};

    #[tokio::test]
    async fn each_kind_goes_where_it_should() {
        let site = site().await;
        let check = async |path: &str, status: u16, location: Option<&str>| {
            let answer = get(&site, path).await;
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(answer.header("location"), location, "{path}");
        };
        for code in [301, 302, 303, 307, 308] {
            check(
                &format!("/redirect/{code}?to=/book/1"),
                code,
                Some("/book/1"),
            )
            .await;
        }
        check(
            "/redirect/302?to=http%3A%2F%2Fa.test%2F%3Fb",
            302,
            Some("http://a.test/?b"),
        )
        .await;
        check("/redirect/302", 302, Some("/")).await;
        check("/redirect/304", 404, None).await;
        check("/redirect/chain/2", 302, Some("/redirect/chain/1")).await;
        check("/redirect/chain/1", 302, Some("/redirect/chain/0")).await;
        check("/redirect/chain/0", 200, None).await;
        check("/redirect/chain/9999999", 404, None).await;
        check("/redirect/loop/a", 302, Some("/redirect/loop/b")).await;
        check("/redirect/loop/b", 302, Some("/redirect/loop/a")).await;
        check("/redirect/bad", 302, Some("http://[bad")).await;
        check("/redirect/bytes", 302, Some("/caf\u{fffd}")).await;
        check("/redirect/none", 302, None).await;
        check("/redirect/scheme", 302, Some("file:///etc/passwd")).await;
    }

    #[tokio::test]
    async fn the_wall_opens_to_its_cookie() {
        let site = site().await;
        let closed = get(&site, "/redirect/cookie").await;
        assert_eq!(
            (closed.status, closed.header("location")),
            (302, Some("/redirect/cookie"))
        );
        assert_eq!(closed.header("set-cookie"), Some("wall=passed; Path=/"));
        let cookie = [("Cookie", "wall=passed")];
        let open = ask(&site, "GET", "/redirect/cookie", &cookie, "")
            .await
            .expect("an answer");
        assert_eq!(open.status, 200);
    }

    #[tokio::test]
    async fn the_echo_has_the_request() {
        let site = site().await;
        let headers = [("X-Api-Key", "k")];
        let answer = ask(&site, "PUT", "/echo?a=1", &headers, "body")
            .await
            .expect("an answer");
        let answer: serde_json::Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert_eq!(answer["method"], "PUT");
        assert_eq!(answer["path"], "/echo?a=1");
        assert_eq!(answer["host"], "shop.test");
        assert_eq!(answer["headers"]["x-api-key"], "k");
        assert_eq!(answer["body"], "body");
    }
}
