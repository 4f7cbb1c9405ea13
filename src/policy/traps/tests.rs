use super::*;

fn traps(change: impl FnOnce(&mut Settings)) -> Traps {
    let mut settings = Settings::default();
    change(&mut settings);
    Traps::new(&settings, 2026, [7; 16])
}

fn url(path: &str) -> Url {
    format!("http://shop.example{path}").parse().unwrap()
}

/// A path of different segments.
fn steps(number: usize) -> String {
    let names: Vec<_> = (0..number).map(|n| format!("/a{n}")).collect();
    names.concat()
}

#[test]
fn paths() {
    let check = |path: &str, expected: &str| {
        let trap = refuse_path(&url(path), &Settings::default());
        let reason = trap.map_or("", |trap| trap.reason);
        assert_eq!(reason, expected, "{path}");
    };
    check("/", "");
    check(&"/x1/y1".repeat(2), "");
    check(&steps(20), "");
    check(&steps(21), "path_depth");
    check("/a/b/a/b/a/b", "path_repeats");
    check("/a/b/a/b/a", "");
    check("/x/a/b/a/b/a/b/y", "path_repeats");
    check("/a/a/a", "path_repeats");
    check("/a/a", "");
    check("/a/b/a/c/a/d", "");
    check("/a/b/c/d/e/a/b/c/d/e/a/b/c/d/e", "path_repeats");
    check("/0/0/0/0/1.jpg", "");
    check("/2011/11/11/11", "");
    check("/a/1/a/1/a/1", "path_repeats");
    check("//////", "");
    check("/a?b=/c/c/c/c", "");
}

#[test]
fn limits_of_paths_are_settings() {
    let check = |depth, repeats, path: &str, expected: &str| {
        let settings = Settings {
            max_path_depth: depth,
            max_path_repeats: repeats,
            ..Settings::default()
        };
        let reason = refuse_path(&url(path), &settings).map_or("", |trap| trap.reason);
        assert_eq!(reason, expected, "{path}");
    };
    check(2, 2, "/a/b/c", "path_depth");
    check(2, 2, "/a/b", "");
    check(0, 0, &"/a".repeat(100), "");
    check(0, 1, "/a/a", "path_repeats");
    check(0, 4, "/a/a/a/a", "");
    check(0, 4, "/a/a/a/a/a", "path_repeats");
}

/// A long path is looked at for its parts in linear time.
#[test]
fn a_megabyte_of_path() {
    let settings = Settings {
        max_path_depth: 0,
        ..Settings::default()
    };
    let traps = traps(|_| ());
    let check = |piece: &str, length: usize| {
        let mut url = url(&format!("/?x=1&y=2&{}", piece.repeat(length / piece.len())));
        let _ = traps.refuse(&url);
        let path = url.query().unwrap().to_owned();
        url.set_path(&path);
        let _ = (refuse_path(&url, &settings), traps.refuse(&url));
        traps.read(&url, b"");
    };
    check("/a/2035/0&year=2026", 1 << 20);
    for piece in ["/", "/aa/b", "1", "/2035/0", "&", "&a=b", "&year=2026", "%"] {
        check(piece, 1 << 17);
    }
}

/// How many of `count` URLs are refused, and why at first.
fn refused(traps: &Traps, count: u32, path: impl Fn(u32) -> String) -> (u32, Option<Trap>) {
    let mut refused = 0;
    let mut first = None;
    for number in 0..count {
        if let Some(trap) = traps.refuse(&url(&path(number))) {
            refused += 1;
            first.get_or_insert(trap);
        }
    }
    (refused, first)
}

#[test]
fn large_sites_are_left_alone() {
    let check = |count, path: fn(u32) -> String| {
        let (refused, first) = refused(&traps(|_| ()), count, path);
        assert_eq!((refused, first), (0, None), "{}", path(1));
    };
    check(10_000, |n| format!("/list?page={n}"));
    check(10_000, |n| format!("/list/page/{n}/"));
    check(10_000, |n| format!("/search?q=silk&sort=price&page={n}"));
    check(100_000, |n| format!("/book/{n}"));
    check(100_000, |n| format!("/{}/{}/book-{n}", n % 50, n % 7));
    // Every product under several categories, as some shops do it.
    check(100_000, |n| {
        format!(
            "/index.php?route=product&path={}&product_id={}",
            n % 40,
            n / 4
        )
    });
    // Categories times pages, twice over.
    check(100_000, |n| {
        format!("/list?lang={}&cat={}&page={}", n % 2, n / 2 % 500, n / 1000)
    });
    // Ids that look like years, with variants.
    check(100_000, |n| format!("/p/{}-{}", 1_000 + n / 12, n % 12 + 1));
    // News by day for thirty years, and next year's events.
    check(11_000, |n| {
        format!(
            "/{}/{:02}/{:02}/",
            1997 + n / 366,
            n / 30 % 12 + 1,
            n % 30 + 1
        )
    });
}

#[test]
fn calendars_end() {
    let (refused, first) = refused(&traps(|_| ()), 5_000, |n| {
        format!(
            "/events/{}/{:02}/{:02}",
            2029 + n / 360,
            n / 30 % 12 + 1,
            n % 30 + 1
        )
    });
    assert!((3_800..4_200).contains(&refused), "{refused}");
    let trap = first.unwrap();
    assert_eq!(trap.reason, "far_dates");
    assert_eq!(trap.subject, "shop.example/events/{n}/{n}/{n}");
}

#[test]
fn the_same_url_counts_once() {
    let traps = traps(|settings| settings.max_far_dates = 10);
    for _ in 0..1_000 {
        for month in ["01", "02", "03"] {
            assert_eq!(traps.refuse(&url(&format!("/cal/2040-{month}"))), None);
        }
    }
}

#[test]
fn mixes_of_few_values_end() {
    let filters = |n: u32| {
        format!(
            "/list?color={}&size={}&brand={}&sort={}",
            n % 16,
            n / 16 % 16,
            n / 256 % 16,
            n / 4096
        )
    };
    let (refused, first) = refused(&traps(|_| ()), 60_000, filters);
    assert!((34_000..46_000).contains(&refused), "{refused}");
    assert_eq!(
        first.unwrap().subject,
        "shop.example/list?color&size&brand&sort"
    );
    let (none, _) = self::refused(
        &traps(|settings| settings.max_query_mixes = 0),
        60_000,
        filters,
    );
    assert_eq!(none, 0);
}

#[test]
fn pages_that_are_always_the_same_end_their_pattern() {
    let traps = traps(|settings| settings.max_same_pages = 20);
    let page = |n: u32| url(&format!("/say?number={n}"));
    for number in 0..20 {
        traps.read(&page(number), b"nothing here");
        assert_eq!(traps.refuse(&page(number + 1)), None);
    }
    traps.read(&page(20), b"nothing here");
    let trap = traps.refuse(&page(21)).unwrap();
    assert_eq!(
        (trap.reason, &*trap.subject),
        ("same_pages", "shop.example/say?number")
    );
    assert_eq!(traps.refuse(&url("/other/1")), None);
    // And it is open again once there is something else.
    traps.read(&page(21), b"news");
    assert_eq!(traps.refuse(&page(22)), None);
}

#[test]
fn every_reason_has_a_setting() {
    for reason in [
        "path_depth",
        "path_repeats",
        "far_dates",
        "query_mixes",
        "same_pages",
        "host_pages",
    ] {
        let setting = setting_of(reason).unwrap();
        assert!(
            crate::settings::setting_named(setting).is_some(),
            "{setting}"
        );
    }
    assert_eq!(setting_of("scope"), None);
}

#[test]
fn hosts_have_their_share() {
    let mut pages = HostPages::new(3);
    let host = HostKey(1);
    assert_eq!(
        [1, 2, 3, 4].map(|_| pages.sent(host)),
        [false, false, true, false]
    );
    assert!(pages.is_spent(host) && !pages.is_spent(HostKey(2)));
    for other in 0..3 * HOSTS as i64 {
        pages.sent(HostKey(other));
        assert!(pages.young.len() + pages.old.len() <= 2 * HOSTS);
    }
    let mut none = HostPages::new(0);
    assert!(!none.sent(host) && !none.is_spent(host));
}
