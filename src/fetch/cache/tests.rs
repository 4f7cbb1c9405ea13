use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;

use super::*;
use crate::request::StepRef;

fn cache_of(folder: &Path, mode: CacheMode, owner: &str) -> Cache {
    let settings = Settings {
        cache: mode,
        cache_folder: Some(folder.display().to_string()),
        ..Settings::default()
    };
    Cache::new(&settings, &[owner], None).unwrap().unwrap()
}

fn get(path: &str) -> Request {
    let url = format!("http://e.x{path}").parse().unwrap();
    Request::new(url, StepRef::named("page"))
}

fn with(mut request: Request, name: &'static str, value: &str) -> Request {
    request.headers.insert(name, value.parse().unwrap());
    request
}

/// A server that numbers its answers, and says with each what `headers` say.
fn server(
    status: u16,
    headers: &'static [(&'static str, &'static str)],
) -> (Next, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let next = Next::stage(move |request: Request, _: Next| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut response = Response::new(request.url.clone(), format!("answer {number}"));
        response.status = StatusCode::from_u16(status).unwrap();
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            response.headers.append(*name, value);
        }
        if request.headers.contains_key("if-none-match") && status == 200 {
            response.status = StatusCode::NOT_MODIFIED;
            response.body = bytes::Bytes::new();
        }
        async move { Ok(response) }
    });
    (next, asked)
}

/// What a request gets: its body, and where from.
async fn ask(cache: &Cache, request: &Request, next: &Next) -> String {
    let response = cache.handle(request, next.clone()).await.unwrap();
    let body = String::from_utf8_lossy(&response.body).into_owned();
    match response.source {
        Source::Network => body,
        Source::Cache => format!("{body}, cached"),
        Source::Revalidated => format!("{body}, same"),
    }
}

#[tokio::test]
async fn dev_fetches_once_and_replays_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let headers = &[
        ("cache-control", "no-store"),
        ("set-cookie", "a=b"),
        ("x-odd", "caf\u{e9}"),
    ];
    let (next, asked) = server(200, headers);
    let cache = cache_of(folder.path(), CacheMode::Dev, "books");
    assert_eq!(ask(&cache, &get("/a"), &next).await, "answer 1");
    let again = cache_of(folder.path(), CacheMode::Dev, "books");
    assert_eq!(
        ask(&again, &get("/a#part"), &next).await,
        "answer 1, cached"
    );
    assert_eq!(ask(&again, &get("/b"), &next).await, "answer 2");
    let replayed = again.handle(&get("/a"), next.clone()).await.unwrap();
    assert_eq!(replayed.headers.get("set-cookie"), None);
    assert_eq!(replayed.headers["x-odd"].as_bytes(), "caf\u{e9}".as_bytes());
    assert_eq!(replayed.wire_bytes, 0);
    let mut post = get("/a");
    post.method = Method::POST;
    post.body = Some("1".into());
    assert_eq!(ask(&again, &post, &next).await, "answer 3");
    post.body = Some("2".into());
    assert_eq!(ask(&again, &post, &next).await, "answer 4");
    assert_eq!(ask(&again, &post, &next).await, "answer 4, cached");
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn dev_keeps_no_errors() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache_of(folder.path(), CacheMode::Dev, "books");
    for status in [404, 429, 500] {
        let (next, _) = server(status, &[]);
        assert_eq!(ask(&cache, &get("/a"), &next).await, "answer 1");
        assert_eq!(ask(&cache, &get("/a"), &next).await, "answer 2");
        let mut robots = get(&format!("/{status}/robots.txt"));
        robots.step = StepRef::robots();
        ask(&cache, &robots, &next).await;
        let again = ask(&cache, &robots, &next).await;
        assert_eq!(again.ends_with("cached"), status < 500, "{status}: {again}");
    }
    let fails = Next::stage(|_: Request, _: Next| async { Err(FetchError::refused("no")) });
    assert!(cache.handle(&get("/c"), fails).await.is_err());
    let (next, _) = server(301, &[("location", "/b")]);
    ask(&cache, &get("/moved"), &next).await;
    assert_eq!(ask(&cache, &get("/moved"), &next).await, "answer 1, cached");
}

/// Two requests for one page in the mode `http`; what the second one gets.
async fn check(headers: &'static [(&'static str, &'static str)], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache_of(folder.path(), CacheMode::Http, "books");
    let (next, _) = server(200, headers);
    assert_eq!(ask(&cache, &get("/a"), &next).await, "answer 1");
    assert_eq!(
        ask(&cache, &get("/a"), &next).await,
        expected,
        "{headers:?}"
    );
}

#[tokio::test]
async fn http_goes_by_the_rules() {
    check(&[("cache-control", "max-age=60")], "answer 1, cached").await;
    check(
        &[("cache-control", "private, max-age=60")],
        "answer 1, cached",
    )
    .await;
    check(
        &[("cache-control", "max-age=60"), ("age", "70")],
        "answer 2",
    )
    .await;
    check(&[("cache-control", "no-store, max-age=60")], "answer 2").await;
    check(
        &[("cache-control", "no-cache"), ("etag", "\"1\"")],
        "answer 1, same",
    )
    .await;
    check(&[("etag", "\"1\"")], "answer 1, same").await;
    check(
        &[("cache-control", "max-age=60"), ("vary", "*")],
        "answer 2",
    )
    .await;
    check(&[("expires", "0")], "answer 2").await;
    check(&[], "answer 2").await;
    check(
        &[
            ("cache-control", "max-age=60"),
            ("age", "18446744073709551615"),
        ],
        "answer 2",
    )
    .await;
    check(
        &[("cache-control", "max-age=18446744073709551615")],
        "answer 1, cached",
    )
    .await;
}

#[tokio::test]
async fn what_a_server_renews_is_fresh_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache_of(folder.path(), CacheMode::Http, "books");
    let (first, _) = server(200, &[("etag", "\"1\""), ("cache-control", "max-age=0")]);
    ask(&cache, &get("/a"), &first).await;
    let (renewing, _) = server(200, &[("etag", "\"1\""), ("cache-control", "max-age=60")]);
    assert_eq!(ask(&cache, &get("/a"), &renewing).await, "answer 1, same");
    assert_eq!(ask(&cache, &get("/a"), &renewing).await, "answer 1, cached");
    // Of another version there is nothing to be renewed: it is asked for as a whole.
    ask(&cache, &get("/b"), &first).await;
    let other = Next::stage(|request: Request, _: Next| async move {
        let mut response = Response::new(request.url.clone(), "");
        response
            .headers
            .insert("etag", HeaderValue::from_static("\"2\""));
        if request.headers.contains_key("if-none-match") {
            response.status = StatusCode::NOT_MODIFIED;
        } else {
            response.body = "whole".into();
        }
        Ok::<_, FetchError>(response)
    });
    assert_eq!(ask(&cache, &get("/b"), &other).await, "whole");
    // Who asks for changes only, gets the server's own answer.
    let conditional = with(get("/a"), "if-none-match", "\"1\"");
    let response = cache.handle(&conditional, renewing.clone()).await.unwrap();
    assert_eq!(response.status, StatusCode::NOT_MODIFIED);
    assert_eq!(response.source, Source::Network);
}

#[tokio::test]
async fn nobody_gets_anothers_page() {
    for mode in [CacheMode::Http, CacheMode::Dev] {
        let folder = tempfile::tempdir().unwrap();
        let (next, _) = server(200, &[("cache-control", "max-age=60"), ("vary", "accept")]);
        let cache = cache_of(folder.path(), mode, "ann");
        let ann = with(get("/me"), "authorization", "Bearer ann-secret");
        let eve = with(get("/me"), "authorization", "Bearer eve-secret");
        let cookie = with(get("/me"), "cookie", "id=cookie-secret");
        assert_eq!(ask(&cache, &ann, &next).await, "answer 1");
        assert_eq!(ask(&cache, &eve, &next).await, "answer 2");
        assert_eq!(ask(&cache, &get("/me"), &next).await, "answer 3");
        assert_eq!(ask(&cache, &cookie, &next).await, "answer 4");
        assert_eq!(ask(&cache, &ann, &next).await, "answer 1, cached");
        let named = |name: &str| {
            let mut request = get("/me");
            request.session = name.into();
            request
        };
        let tim = ask(&cache, &named("tim"), &next).await;
        assert!(!tim.ends_with("cached"), "{tim}");
        let tom = ask(&cache, &named("tom"), &next).await;
        assert!(!tom.ends_with("cached"), "{tom}");
        let again = ask(&cache, &named("tim"), &next).await;
        assert_eq!(again, format!("{tim}, cached"));
        let other = cache_of(folder.path(), mode, "bob");
        assert_eq!(ask(&other, &ann, &next).await, "answer 7");
        let varied = with(get("/me"), "accept", "accept-secret");
        if mode == CacheMode::Http {
            assert_eq!(ask(&cache, &varied, &next).await, "answer 8");
            assert_eq!(ask(&cache, &varied, &next).await, "answer 8, cached");
        }
        for file in files(folder.path()) {
            let bytes = std::fs::read(&file).unwrap();
            let bytes = zstd::decode_all(&bytes[..]).unwrap_or(bytes);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(!text.contains("secret"), "{}: {text}", file.display());
        }
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all
}

#[tokio::test]
async fn a_broken_file_is_a_page_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let (next, _) = server(200, &[]);
    let cache = cache_of(folder.path(), CacheMode::Dev, "books");
    let mut number = 1;
    ask(&cache, &get("/a"), &next).await;
    let breaks: [fn(&Path); 4] = [
        |path| std::fs::write(path, "").unwrap(),
        |path| std::fs::write(path, "{\"version\": 1").unwrap(),
        |path| std::fs::remove_file(path).unwrap(),
        |path| {
            let mut bytes = std::fs::read(path).unwrap();
            let last = bytes.len() - 3;
            bytes[last] ^= 1;
            std::fs::write(path, bytes).unwrap();
        },
    ];
    for (at, break_it) in breaks.into_iter().enumerate() {
        let kinds = ["page", "body"]
            .into_iter()
            .take(if at == 3 { 0 } else { 2 });
        for kind in kinds.chain((at == 3).then_some("body")) {
            for file in files(&folder.path().join("dev").join(kind)) {
                break_it(&file);
            }
            number += 1;
            let expected = format!("answer {number}");
            assert_eq!(
                ask(&cache, &get("/a"), &next).await,
                expected,
                "{kind} {at}"
            );
            let expected = format!("answer {number}, cached");
            assert_eq!(
                ask(&cache, &get("/a"), &next).await,
                expected,
                "{kind} {at}"
            );
        }
    }
    assert!(files(&folder.path().join("dev/new")).is_empty());
}

#[tokio::test]
async fn what_is_the_same_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache_of(folder.path(), CacheMode::Dev, "books");
    let same = Next::stage(|request: Request, _: Next| async move {
        Ok::<_, FetchError>(Response::new(request.url, "same ".repeat(10_000)))
    });
    for page in 0..5 {
        ask(&cache, &get(&format!("/{page}")), &same).await;
    }
    assert_eq!(files(&folder.path().join("dev/page")).len(), 5);
    let bodies = files(&folder.path().join("dev/body"));
    assert_eq!(bodies.len(), 1);
    assert!(bodies[0].metadata().unwrap().len() < 1_000);
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path().to_owned(), 100_000, None);
    let key = |number: usize| Key(hex(&Sha256::digest(number.to_le_bytes())));
    let mut random = fastrand::Rng::with_seed(7);
    let response = Response::new("http://e.x/".parse().unwrap(), "");
    for number in 0..100 {
        let body: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
            .take(5_000)
            .collect();
        let mut entry = Entry::of(&response, None);
        entry.body_bytes = body.len();
        disk.store(&key(number), entry, &body).unwrap();
        // The first one is used all the time.
        assert!(disk.load(&key(0), 10_000).is_some(), "{number}");
    }
    let total: u64 = files(folder.path())
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .sum();
    assert!(total <= 100_000, "{total}");
    assert!(disk.load(&key(1), 10_000).is_none());
    assert!(disk.load(&key(99), 10_000).is_some());
    assert!(disk.load(&key(99), 4_999).is_none(), "over max_body");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (next, _) = server(200, &[]);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..64 {
        // Each of these is another process, as far as the folder is concerned.
        let cache = cache_of(folder.path(), CacheMode::Dev, "books");
        let next = next.clone();
        tasks.spawn(async move {
            for round in 0..8 {
                let page = get(&format!("/{}", (number + round) % 8));
                assert!(ask(&cache, &page, &next).await.starts_with("answer"));
            }
        });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome.unwrap();
    }
    assert_eq!(files(&folder.path().join("dev/page")).len(), 8);
    let cache = cache_of(folder.path(), CacheMode::Dev, "books");
    for page in 0..8 {
        let got = ask(&cache, &get(&format!("/{page}")), &next).await;
        assert!(got.ends_with("cached"), "{got}");
    }
}
