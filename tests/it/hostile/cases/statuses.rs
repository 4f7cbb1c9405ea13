//! Statuses, bodies where none belong, cookies, and hosts that ask for patience.

use super::{Cases, answer, document, html, http};
use crate::raw::Act;

pub(super) fn add(cases: &mut Cases) {
    statuses(cases);
    patience(cases);
    cookies(cases);
}

fn statuses(cases: &mut Cases) {
    cases.add("204-with-body", "untitled", |_| {
        vec![
            Act::Send(answer(
                "204 No Content",
                "Content-Type: text/html\r\nContent-Length: 5\r\n",
                "<p>x<",
            )),
            Act::Hang,
        ]
    });
    cases.add("204-endless", "untitled", |_| {
        vec![
            Act::Send(answer("204 No Content", "", "")),
            Act::Flood(b"x".repeat(4096)),
        ]
    });
    cases.add("304-with-body", "failed status", |_| {
        vec![
            Act::Send(answer("304 Not Modified", "Content-Length: 5\r\n", "<p>x<")),
            Act::Hang,
        ]
    });
    cases.send(
        "304-without-a-question",
        "failed status",
        answer("304 Not Modified", "", ""),
    );
    cases.send("205-with-body", "page", {
        let body = document("205-with-body", "");
        answer(
            "205 Reset Content",
            &format!(
                "Content-Type: text/html\r\nContent-Length: {}\r\n",
                body.len()
            ),
            body,
        )
    });
    cases.send("206-unasked", "page", {
        let body = document("206-unasked", "");
        let fields = format!(
            "Content-Type: text/html\r\nContent-Range: bytes 0-9/99\r\nContent-Length: {}\r\n",
            body.len()
        );
        answer("206 Partial Content", &fields, body)
    });
    for status in [
        400, 401, 403, 404, 405, 406, 407, 409, 410, 413, 414, 418, 426, 431, 451, 501, 505, 511,
    ] {
        cases.send(
            &format!("status-{status}"),
            "failed status",
            answer(&format!("{status} X"), "Content-Length: 0\r\n", ""),
        );
    }
    for status in [408, 425, 500, 502, 503, 504, 520, 599] {
        cases.send(
            &format!("status-{status}"),
            "failed status",
            answer(&format!("{status} X"), "Content-Length: 0\r\n", ""),
        );
    }
    cases.send(
        "401-with-challenge",
        "failed status",
        answer(
            "401 Unauthorized",
            "WWW-Authenticate: Basic realm=\"\x1b[2Jx\"\r\nContent-Length: 0\r\n",
            "",
        ),
    );
    cases.add(
        "503-with-endless-body",
        "failed status|failed too_large",
        |_| {
            vec![
                Act::Send(answer("404 Not Found", "", "")),
                Act::Flood(b"x".repeat(4096)),
            ]
        },
    );
    cases.add("503-then-page", "page", |asked| {
        vec![Act::Send(if asked.before == 0 {
            answer("503 Service Unavailable", "Content-Length: 0\r\n", "")
        } else {
            html("503-then-page", "")
        })]
    });
    cases.add("reset-then-page", "page", |asked| match asked.before {
        0 => vec![Act::Reset],
        _ => vec![Act::Send(html("reset-then-page", ""))],
    });
}

/// 429 and 503 for ever, with a `Retry-After` that is nobody's to believe.
fn patience(cases: &mut Cases) {
    for (number, value) in [
        "99999999999999999999",
        "4294967296",
        "31536000",
        "86400",
        "-1",
        "1e9",
        "NaN",
        "soon",
        "",
        "0",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Mon, 99 Foo 2099 99:99:99 GMT",
        "\u{1b}[31m",
    ]
    .into_iter()
    .enumerate()
    {
        // Not both: a host that refuses again and again is left alone, and rightly so.
        let status = [429, 503][number % 2];
        let fields = format!("Retry-After: {value}\r\nContent-Length: 0\r\n");
        let bytes = answer(&format!("{status} Not now"), &fields, "");
        cases.send(
            &format!("retry-after-{status}-{number}"),
            "failed status",
            bytes,
        );
    }
    let twice = "Retry-After: 99999999\r\nRetry-After: 1\r\nContent-Length: 0\r\n";
    cases.send(
        "retry-after-twice",
        "failed status",
        answer("429 Not now", twice, ""),
    );
}

fn cookies(cases: &mut Cases) {
    let with = |name: &str, cookies: &[String]| {
        let fields: String = cookies
            .iter()
            .map(|cookie| format!("Set-Cookie: {cookie}\r\n"))
            .collect();
        http(&fields, document(name, ""))
    };
    for (name, cookies) in [
        (
            "cookies-200",
            (0..200).map(|n| format!("many{n}=1")).collect::<Vec<_>>(),
        ),
        ("cookie-big", vec![format!("big={}", "x".repeat(50_000))]),
        (
            "cookies-big",
            (0..40)
                .map(|n| format!("big{n}={}", "x".repeat(4_000)))
                .collect(),
        ),
        (
            "cookie-foreign",
            vec![
                "a=1; Domain=other.example".into(),
                "b=2; Domain=.com".into(),
            ],
        ),
        (
            "cookie-public-suffix",
            vec!["a=1; Domain=co.uk".into(), "b=1; Domain=github.io".into()],
        ),
        (
            "cookie-broken",
            vec![
                "=".into(),
                ";;;".into(),
                "a".into(),
                "a=b; Expires=never; Max-Age=99999999999999999999".into(),
                "\u{e4}=\u{1f577}".into(),
            ],
        ),
        ("cookie-controls", vec!["a=\x01\x1b[2J; Path=/".into()]),
        (
            "cookie-prefix",
            vec!["__Secure-a=1".into(), "__Host-b=1; Domain=127.0.0.1".into()],
        ),
    ] {
        cases.send(name, "page", with(name, &cookies));
    }
    let many: String = (0..10_000)
        .map(|n| format!("Set-Cookie: c{n}=1\r\n"))
        .collect();
    cases.send(
        "cookies-10000",
        "failed too_large",
        http(&many, document("x", "")),
    );
}
