use super::*;

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn set(jar: &Jar, from: &str, fields: &[&str]) {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(header::SET_COOKIE, HeaderValue::from_str(field).unwrap());
    }
    jar.store(&url(from), &headers);
}

fn sent(jar: &Jar, to: &str) -> String {
    jar.cookie_header(&url(to))
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default()
}

/// What `to` gets of one cookie set by `from`.
fn check(from: &str, field: &str, to: &str, expected: &str) {
    let jar = Jar::new();
    set(&jar, from, &[field]);
    assert_eq!(sent(&jar, to), expected, "{field} from {from} to {to}");
}

#[test]
fn own_hosts_and_no_others() {
    check("http://a.example/", "k=v", "http://a.example/x", "k=v");
    check("http://a.example/", "k=v", "http://b.a.example/", "");
    check("http://a.example/", "k=v", "http://example/", "");
    check(
        "http://a.example/",
        "k=v; Domain=a.example",
        "http://b.a.example/",
        "k=v",
    );
    check(
        "http://b.a.example/",
        "k=v; Domain=.a.example",
        "http://c.a.example/",
        "k=v",
    );
    check(
        "http://a.example/",
        "k=v; Domain=other.example",
        "http://other.example/",
        "",
    );
    check(
        "http://a.example/",
        "k=v; Domain=b.a.example",
        "http://b.a.example/",
        "",
    );
    check(
        "http://ba.example/",
        "k=v; Domain=a.example",
        "http://a.example/",
        "",
    );
    check("http://a.example:81/", "k=v", "http://a.example:82/", "k=v");
}

#[test]
fn addresses_and_localhost() {
    check("http://127.0.0.1:81/", "k=v", "http://127.0.0.1:82/", "k=v");
    check(
        "http://127.0.0.1/",
        "k=v; Domain=127.0.0.1",
        "http://127.0.0.1/",
        "k=v",
    );
    check(
        "http://127.0.0.1/",
        "k=v; Domain=0.0.1",
        "http://2.0.0.1/",
        "",
    );
    check("http://[::1]/", "k=v", "http://[::1]/", "k=v");
    check("http://localhost/", "k=v", "http://localhost/", "k=v");
    check(
        "http://localhost/",
        "k=v; Domain=localhost",
        "http://localhost/",
        "k=v",
    );
    check(
        "http://localhost/",
        "k=v; Domain=localhost",
        "http://a.localhost/",
        "",
    );
    check(
        "http://localhost/",
        "k=v; Secure",
        "http://localhost/",
        "k=v",
    );
}

#[test]
fn public_suffixes() {
    check(
        "http://a.co.uk/",
        "k=v; Domain=co.uk",
        "http://b.co.uk/",
        "",
    );
    check(
        "http://a.co.uk/",
        "k=v; Domain=co.uk",
        "http://a.co.uk/",
        "",
    );
    check("http://a.com/", "k=v; Domain=com", "http://a.com/", "");
    check(
        "http://a.github.io/",
        "k=v; Domain=github.io",
        "http://b.github.io/",
        "",
    );
    check(
        "http://a.intern/",
        "k=v; Domain=intern",
        "http://a.intern/",
        "",
    );
    check(
        "http://github.io/",
        "k=v; Domain=github.io",
        "http://github.io/",
        "k=v",
    );
    check(
        "http://github.io/",
        "k=v; Domain=github.io",
        "http://a.github.io/",
        "",
    );
    check(
        "http://w.a.co.uk/",
        "k=v; Domain=a.co.uk",
        "http://x.a.co.uk/",
        "k=v",
    );
}

#[test]
fn paths() {
    check("http://a.example/x/y", "k=v", "http://a.example/x/z", "k=v");
    check("http://a.example/x/y", "k=v", "http://a.example/", "");
    check(
        "http://a.example/x/y",
        "k=v; Path=/",
        "http://a.example/z",
        "k=v",
    );
    check(
        "http://a.example/",
        "k=v; Path=/x",
        "http://a.example/xy",
        "",
    );
    check(
        "http://a.example/",
        "k=v; Path=/x",
        "http://a.example/x/y",
        "k=v",
    );
}

#[test]
fn secrets_need_tls() {
    check("https://a.example/", "k=v; Secure", "http://a.example/", "");
    check(
        "https://a.example/",
        "k=v; Secure",
        "https://a.example/",
        "k=v",
    );
    check("http://a.example/", "k=v; Secure", "https://a.example/", "");
    check(
        "https://a.example/",
        "__Secure-k=v",
        "https://a.example/",
        "",
    );
    check(
        "https://a.example/",
        "__Secure-k=v; Secure",
        "https://a.example/",
        "__Secure-k=v",
    );
    check(
        "https://a.example/",
        "__Host-k=v; Secure; Path=/x",
        "https://a.example/x",
        "",
    );
    let wide = "__Host-k=v; Secure; Path=/; Domain=a.example";
    check("https://a.example/", wide, "https://a.example/x", "");
    let bound = "__Host-k=v; Secure; Path=/";
    check(
        "https://a.example/",
        bound,
        "https://a.example/x",
        "__Host-k=v",
    );
}

#[test]
fn lifetimes() {
    check(
        "http://a.example/",
        "k=v; Max-Age=60",
        "http://a.example/",
        "k=v",
    );
    check(
        "http://a.example/",
        "k=v; Max-Age=0",
        "http://a.example/",
        "",
    );
    check(
        "http://a.example/",
        "k=v; Expires=Wed, 21 Oct 2015 07:28:00 GMT",
        "http://a.example/",
        "",
    );
    let jar = Jar::new();
    set(&jar, "http://a.example/", &["k=v", "l=w", "k=; Max-Age=0"]);
    assert_eq!(sent(&jar, "http://a.example/"), "l=w");
}

#[test]
fn nonsense() {
    for field in ["", ";", "=v", "k", "k=v\u{7f}"] {
        if HeaderValue::from_str(field).is_ok() {
            check("http://a.example/", field, "http://a.example/", "");
        }
    }
    check("http://a.example/", "k=", "http://a.example/", "k=");
    check(
        "http://a.example/",
        "k=\"a b\"=c",
        "http://a.example/",
        "k=\"a b\"=c",
    );
}

#[test]
fn order_is_longest_path_then_oldest() {
    let jar = Jar::new();
    let fields = ["b=1; Path=/", "c=2; Path=/x", "a=3; Path=/", "b=4; Path=/"];
    set(&jar, "http://a.example/", &fields);
    assert_eq!(sent(&jar, "http://a.example/x"), "c=2; b=4; a=3");
}

#[test]
fn large_cookies_are_refused() {
    let fits = format!("k={}", "v".repeat(4095));
    check("http://a.example/", &fits, "http://a.example/", &fits);
    check(
        "http://a.example/",
        &format!("{fits}v"),
        "http://a.example/",
        "",
    );
}

#[test]
fn a_site_drops_what_was_set_first() {
    let jar = Jar::new();
    let fields: Vec<String> = (0..200).map(|n| format!("k{n}=v")).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    set(&jar, "http://a.example/", &fields);
    let header = sent(&jar, "http://a.example/");
    assert_eq!(header.split("; ").count(), 180);
    assert!(header.starts_with("k20=v; ") && header.ends_with("; k199=v"));
    assert_eq!(jar.take_changed().len(), 180);
}

#[test]
fn a_header_has_what_servers_take() {
    let jar = Jar::new();
    let big = |n: usize| format!("big{n}={}", "x".repeat(4_000));
    let fields = ["login=1".into(), big(0), big(1), big(2), "small=1".into()];
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    set(&jar, "http://a.example/", &fields);
    let header = sent(&jar, "http://a.example/");
    let names = header
        .split("; ")
        .filter_map(|cookie| cookie.split('=').next());
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["login", "big0", "big1", "small"]
    );
    assert!(header.len() <= 8_190);
}

#[test]
fn the_jar_drops_the_site_used_longest_ago() {
    let jar = Jar::new();
    set(&jar, "http://login.example/", &["session=1"]);
    for n in 0..3_100 {
        sent(&jar, "http://login.example/");
        set(&jar, &format!("http://a{n}.example/"), &["k=v"]);
    }
    assert_eq!(jar.lock().count, 3_000);
    assert_eq!(sent(&jar, "http://login.example/"), "session=1");
    assert_eq!(sent(&jar, "http://a0.example/"), "");
    assert_eq!(sent(&jar, "http://a3099.example/"), "k=v");
    assert_eq!(jar.take_changed().len(), 3_000);
}

/// Keys of what changed, with `-` for removals.
fn changed(jar: &Jar) -> Vec<String> {
    let taken = jar.take_changed().into_iter();
    taken
        .map(|cookie| match cookie.json {
            Some(_) => cookie.key,
            None => format!("-{}", cookie.key),
        })
        .collect()
}

#[test]
fn changes_are_told_once() {
    let jar = Jar::new();
    set(
        &jar,
        "http://a.example/x/",
        &["k=v", "l=w; Path=/; Domain=a.example"],
    );
    assert_eq!(changed(&jar), ["a.example;/;l", "a.example;/x;k"]);
    assert_eq!(changed(&jar), [""; 0]);
    set(&jar, "http://a.example/x/", &["k=v"]);
    assert_eq!(changed(&jar), [""; 0]);
    set(&jar, "http://a.example/x/", &["k=other"]);
    assert_eq!(changed(&jar), ["a.example;/x;k"]);
    set(&jar, "http://a.example/x/", &["k=; Max-Age=0"]);
    assert_eq!(changed(&jar), ["-a.example;/x;k"]);
    set(&jar, "http://a.example/x/", &["n=1", "n=; Max-Age=0"]);
    assert_eq!(changed(&jar), [""; 0]);
}

#[test]
fn a_removal_is_told_even_if_the_cookie_came_and_went_again() {
    let jar = Jar::new();
    set(&jar, "http://a.example/", &["k=v"]);
    changed(&jar);
    set(
        &jar,
        "http://a.example/",
        &["k=; Max-Age=0", "k=w", "k=; Max-Age=0"],
    );
    assert_eq!(changed(&jar), ["-a.example;/;k"]);
}

#[test]
fn what_was_stored_comes_back() {
    let jar = Jar::new();
    let fields = [
        "session=1; HttpOnly",
        "k=v; Max-Age=600; Domain=a.example; Secure",
        "gone=1",
    ];
    set(&jar, "https://a.example/", &fields);
    let mut stored = jar.take_changed();
    stored
        .iter_mut()
        .filter(|cookie| cookie.key.ends_with("gone"))
        .for_each(|cookie| cookie.json = None);
    stored.push(StoredCookie {
        session: String::new(),
        key: "x;/;x".into(),
        json: Some("no JSON".into()),
    });
    let again = Jar::new();
    again.load(stored);
    assert_eq!(again.take_changed(), []);
    assert_eq!(sent(&again, "https://a.example/"), "k=v; session=1");
    assert_eq!(sent(&again, "https://b.a.example/"), "k=v");
    assert_eq!(sent(&again, "http://a.example/"), "session=1");
    set(&again, "https://a.example/", &["session=; Max-Age=0"]);
    assert_eq!(changed(&again), ["-a.example;/;session"]);
}
