//! Slow, flaky and broken answers.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::RETRY_AFTER;

use super::call::Call;
use super::html::{Html, Text};
use super::reply::Reply;
use super::state::State;

/// The longest that a page makes its reader wait.
const MAX_DELAY: Duration = Duration::from_mins(1);

/// A parameter in milliseconds.
pub(super) fn millis(call: &Call, name: &str) -> Duration {
    Duration::from_millis(call.number(name).unwrap_or(0)).min(MAX_DELAY)
}

/// `/slow?ms=N`.
pub(super) fn slow(call: &Call) -> Reply {
    page("Slow", call).after(millis(call, "ms"))
}

/// `/flaky/STATUS/TIMES/ID`: the first TIMES requests of this path get STATUS with `Retry-After: 1`,
/// later ones a page. `?times=` and `?after=` say other numbers.
pub(super) fn flaky(state: &State, call: &Call, rest: &str) -> Reply {
    let mut parts = rest.split('/');
    let status = parts
        .next()
        .and_then(|part| part.parse().ok())
        .filter(|code| *code >= 400);
    let Some(status) = status.and_then(|code: u16| StatusCode::from_u16(code).ok()) else {
        return Reply::not_found();
    };
    let named = parts.next().and_then(|part| part.parse().ok());
    let times = call.number("times").or(named).unwrap_or(1);
    if !state.fails(&call.path, times) {
        return page("Recovered", call);
    }
    let after = call.param("after").unwrap_or_else(|| "1".to_owned());
    Reply::status(status).with(RETRY_AFTER, &after)
}

/// `/reset`: the connection is reset before an answer. `/reset/body`: the body is cut short, with a
/// length (by default) or in chunks (`?chunked=1`).
pub(super) fn reset(call: &Call, rest: &str) -> Reply {
    match rest {
        "" => Reply::reset(),
        "body" => {
            let whole = html("Cut", call).end().into_bytes();
            let length = call
                .param("chunked")
                .is_none()
                .then_some(whole.len() as u64 * 2);
            Reply::cut(whole, length)
        }
        _ => Reply::not_found(),
    }
}

/// `/status/NNN`.
pub(super) fn status(rest: &str) -> Reply {
    let code = rest.parse().ok().filter(|code| (200..=999).contains(code));
    let Some(status) = code.and_then(|code| StatusCode::from_u16(code).ok()) else {
        return Reply::not_found();
    };
    let reply = Reply::status(status);
    let bodiless = [
        StatusCode::NO_CONTENT,
        StatusCode::RESET_CONTENT,
        StatusCode::NOT_MODIFIED,
    ];
    if bodiless.contains(&status) {
        reply.empty()
    } else {
        reply
    }
}

fn page(title: &str, call: &Call) -> Reply {
    Reply::html(html(title, call).end())
}

fn html(title: &str, call: &Call) -> Html {
    let mut html = Html::small(title);
    writeln!(
        html,
        "<h1>{title}</h1>\n<p class=\"path\">{}</p>",
        Text(&call.path)
    );
    html
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tokio::time::Instant;

    use super::super::client::{ask, get, site};

    #[tokio::test]
    async fn flaky_pages_recover() {
        let site = site().await;
        let check = async |path: &str, expected: &[u16], after: &str| {
            for (number, status) in expected.iter().enumerate() {
                let answer = get(&site, path).await;
                assert_eq!(answer.status, *status, "{path} {number}");
                let header = (*status >= 429).then_some(after);
                assert_eq!(answer.header("retry-after"), header, "{path} {number}");
            }
        };
        check("/flaky/503/2/a", &[503, 503, 200, 200], "1").await;
        check("/flaky/503/2/b", &[503, 503, 200], "1").await;
        check("/flaky/429/1/a?times=3&after=7", &[429, 429, 429, 200], "7").await;
        check("/flaky/503/x", &[503, 200], "1").await;
        check("/flaky/503/0/x", &[200], "1").await;
        check("/flaky/200/1/x", &[404], "").await;
    }

    #[tokio::test]
    async fn connections_break() {
        let site = site().await;
        let check = async |path: &str, expected: ErrorKind| {
            let error = ask(&site, "GET", path, &[], "").await.expect_err(path);
            assert_eq!(error.kind(), expected, "{path}");
        };
        check("/reset", ErrorKind::ConnectionReset).await;
        check("/reset/body", ErrorKind::UnexpectedEof).await;
        check("/reset/body?chunked=1", ErrorKind::UnexpectedEof).await;
        let statuses: Vec<_> = site.log().into_iter().map(|hit| hit.status).collect();
        assert_eq!(statuses, [0, 200, 200]);
        assert_eq!(get(&site, "/").await.status, 200);
    }

    #[tokio::test]
    async fn any_status_can_be_had() {
        let site = site().await;
        let check = async |path: &str, expected: u16, is_empty: bool| {
            let answer = get(&site, path).await;
            assert_eq!(answer.status, expected, "{path}");
            assert_eq!(answer.body.is_empty(), is_empty, "{path}");
        };
        check("/status/200", 200, false).await;
        check("/status/204", 204, true).await;
        check("/status/304", 304, true).await;
        check("/status/418", 418, false).await;
        check("/status/999", 999, false).await;
        check("/status/100", 404, false).await;
        check("/status/x", 404, false).await;
    }

    #[tokio::test(start_paused = true)]
    async fn slow_pages_wait() {
        let site = site().await;
        let start = Instant::now();
        assert_eq!(get(&site, "/slow?ms=5000").await.status, 200);
        assert!(start.elapsed().as_secs() >= 5);
    }
}
