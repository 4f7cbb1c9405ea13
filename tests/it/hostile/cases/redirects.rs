//! Redirects to where nobody should go.

use super::{Cases, answer, html};
use crate::raw::Act;

fn to(location: &str) -> Vec<u8> {
    answer(
        "302 Found",
        &format!("Location: {location}\r\nContent-Length: 0\r\n"),
        "",
    )
}

pub(super) fn add(cases: &mut Cases) {
    elsewhere(cases);
    addresses(cases);
    around(cases);
}

fn elsewhere(cases: &mut Cases) {
    for (name, location) in [
        ("file", "file:///etc/passwd"),
        ("file-host", "file://127.0.0.1/etc/passwd"),
        ("data", "data:text/html,<title>x</title>"),
        ("javascript", "javascript:alert(1)"),
        ("ftp", "ftp://127.0.0.1/x"),
        ("mailto", "mailto:a@b.example"),
        ("about", "about:blank"),
        ("gopher", "gopher://127.0.0.1:70/x"),
        ("websocket", "ws://127.0.0.1/"),
        ("view-source", "view-source:http://127.0.0.1/"),
        ("blob", "blob:http://127.0.0.1/x"),
        ("jar", "jar:http://127.0.0.1/x!/y"),
        ("file-mixed-case", "FiLe:///etc/passwd"),
        ("empty-host", "http://"),
        ("no-host", "http:///"),
        ("bad-port", "http://127.0.0.1:99999/"),
        ("bad-address", "http://[::1/"),
        ("bad-address-4", "http://256.256.256.256/"),
        ("bad-host", "http://a b/"),
        ("bad-percent", "http://%00/"),
        ("too-many-colons", "http://127.0.0.1:80:80/"),
    ] {
        cases.send(&format!("to-{name}"), "failed redirect", to(location));
    }
    cases.send(
        "to-nowhere",
        "failed redirect",
        answer("302 Found", "Content-Length: 0\r\n", ""),
    );
    cases.send(
        "to-bytes",
        "failed redirect|redirect",
        [
            b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe\x80/\r\nContent-Length: 0\r\n\r\n"
                .as_slice(),
        ]
        .concat(),
    );
    cases.send(
        "to-two-places",
        "redirect",
        answer(
            "302 Found",
            "Location: /plain/1\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n",
            "",
        ),
    );
    cases.send(
        "to-long",
        "skipped length",
        to(&format!("/x?{}", "x".repeat(20_000))),
    );
    cases.send(
        "to-300-kb",
        "failed too_large",
        to(&format!("/x?{}", "x".repeat(300_000))),
    );
    cases.send(
        "to-plain-with-broken-body",
        "redirect",
        answer(
            "302 Found",
            "Location: /plain/2\r\nContent-Encoding: gzip\r\nContent-Length: 500\r\n",
            "this is no gzip",
        ),
    );
    cases.add("to-plain-with-endless-body", "redirect", |_| {
        vec![
            Act::Send(answer("301 Moved", "Location: /plain/3\r\n", "")),
            Act::Flood(b"x".repeat(4096)),
        ]
    });
    cases.add("to-plain-and-hang", "redirect", |_| {
        vec![
            Act::Send(answer(
                "301 Moved",
                "Location: /plain/4\r\nContent-Length: 10\r\n",
                "",
            )),
            Act::Hang,
        ]
    });
    cases.send(
        "to-backslashes",
        "skipped scope|failed redirect|redirect",
        to("\\\\127.0.0.1\\x"),
    );
    cases.send(
        "to-line-break",
        "redirect",
        to("/plain/5%0d%0aSet-Cookie:%20a=b"),
    );
    for status in [300, 304, 305, 306] {
        let bytes = answer(
            &format!("{status} X"),
            "Location: /plain/6\r\nContent-Length: 0\r\n",
            "",
        );
        cases.send(&format!("to-by-{status}"), "failed status|redirect", bytes);
    }
}

/// Private addresses in every spelling. All are refused before a connection is made.
fn addresses(cases: &mut Cases) {
    for (number, host) in [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "127.0.0.2",
        "127.1.2.3",
        "255.255.255.255",
        "224.0.0.1",
        "0x0a000001",
        "0x0a.0.0.1",
        "012.0.0.1",
        "167772161",
        "10.1",
        "[::1]",
        "[::]",
        "[::ffff:10.0.0.1]",
        "[::ffff:a00:1]",
        "[0:0:0:0:0:ffff:0a00:0001]",
        "[64:ff9b::a00:1]",
        "[2002:a00:1::]",
        "[fd00::1]",
        "[fe80::1]",
        "[ff02::1]",
        "[fec0::1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "%31%30.0.0.1",
        "\u{ff11}\u{ff10}.0.0.1",
        "10\u{3002}0\u{3002}0\u{3002}1",
    ]
    .into_iter()
    .enumerate()
    {
        let link = format!("http://{host}:PORT/private-{number}");
        cases.add(
            &format!("to-address-{number}"),
            "redirect|skipped scope",
            move |asked| {
                vec![Act::Send(
                    to(&link.replace("PORT", &asked.port.to_string())),
                )]
            },
        );
    }
}

fn around(cases: &mut Cases) {
    cases.add("to-itself", "failed redirect|redirect", |asked| {
        vec![Act::Send(to(asked.path))]
    });
    cases.add(
        "to-itself-with-fragment",
        "failed redirect|redirect",
        |asked| vec![Act::Send(to(&format!("{}#{}", asked.path, asked.before)))],
    );
    cases.add("loop-of-two-a", "redirect|failed redirect", |_| {
        vec![Act::Send(to("/case/loop-of-two-b"))]
    });
    cases.add("loop-of-two-b", "redirect|failed redirect", |_| {
        vec![Act::Send(to("/case/loop-of-two-a"))]
    });
    cases.add("to-endless", "redirect", |asked| {
        vec![Act::Send(to(&format!(
            "/case/to-endless?{}",
            asked.path.len()
        )))]
    });
    cases.add("to-itself-with-cookie", "page", |asked| {
        vec![Act::Send(if asked.head.contains("passed=1") {
            html("to-itself-with-cookie", "")
        } else {
            answer("302 Found", "Set-Cookie: passed=1\r\nLocation: /case/to-itself-with-cookie\r\nContent-Length: 0\r\n", "")
        })]
    });
    cases.add(
        "to-itself-with-cookies",
        "redirect|failed redirect",
        |asked| {
            let fields = format!(
                "Set-Cookie: n={}\r\nLocation: {}\r\nContent-Length: 0\r\n",
                asked.before, asked.path
            );
            vec![Act::Send(answer("302 Found", &fields, ""))]
        },
    );
}
