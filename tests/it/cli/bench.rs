//! `nephila bench`: figures that count only if the rows are the truth.

use std::fmt::Write as _;

use nephila::site::Product;

use super::Folder;

#[test]
fn it_measures_and_says_that_the_rows_are_true() {
    let folder = Folder::new();
    let ran = folder.run("bench --books 60");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    let line = regex::Regex::new(
        r"^nephila [\d.]+: \d+ pages in [\d.]+ s, [\d ]+ pages/s, \d+ µs CPU per page(, \d+ MB at most)?, 60 of 60 rows true\n$",
    );
    assert!(line.unwrap().is_match(&ran.stdout), "{}", ran.stdout);
    // Nothing is left behind.
    assert_eq!(std::fs::read_dir(folder.path("")).unwrap().count(), 0);
}

#[test]
fn rows_of_others_are_void_if_they_are_not_the_truth() {
    let folder = Folder::new();
    let mut rows = "url,title,price,stars\n".to_owned();
    for id in 1..=30 {
        let book = Product::of(id, 0);
        let price = f64::from(book.pence) / 100.0;
        let stars = book.stars.map(|stars| stars.to_string());
        let stars = stars.unwrap_or_default();
        writeln!(rows, "http://x/book/{id},{},{price},{stars}", book.title).unwrap();
    }
    let check = |rows: &str, code, said: &str| {
        folder.write("rows.csv", rows);
        let ran = folder.run("bench --books 30 --check rows.csv");
        assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.starts_with(said), "{}", ran.stdout);
    };
    check(&rows, 0, "30 of 30 rows true\n");
    let fewer = rows.trim_end().rsplit_once('\n').unwrap().0;
    check(fewer, 1, "VOID: 29 of 30 rows true, 0 wrong\n");
    let wrong = rows.replacen("/book/7,", "/book/7,Not ", 1);
    check(
        &wrong,
        1,
        "VOID: 29 of 30 rows true, 1 wrong, one of them Row",
    );
    folder.write("rows.csv", "a,b\n1,2\n");
    let ran = folder.run("bench --check rows.csv");
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("can't read rows.csv"), "{}", ran.stderr);
}
