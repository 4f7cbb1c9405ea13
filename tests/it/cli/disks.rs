//! Disks that get full, or can't be written: what is said, and that nothing is lost.

use nephila::site::Options;

use super::{Folder, Ran, site_with};

/// Runs a script with a file system of its own, whose options are the first line, in the folder `disk`; none
/// where no file system may be mounted. `$0` is the program, `$1` a site.
fn on_a_disk(folder: &Folder, site: &str, options: &str, script: &str) -> Option<Ran> {
    std::fs::create_dir(folder.path("disk")).unwrap();
    let script = format!("mount -t tmpfs -o {options} none disk || exit 99\ncd disk\n{script}");
    let shell = ["--user", "--map-root-user", "--mount", "bash", "-c"];
    let mut command = folder.command("unshare", &shell);
    let nephila = env!("CARGO_BIN_EXE_nephila");
    let Ok(output) = command.args([&script, nephila, site]).output() else {
        crate::skipped("unshare is not here, for a disk of its own");
        return None;
    };
    let ran = Ran::from(&output);
    let refused = ["unshare failed", "not permitted"];
    if ran.code == 99 || refused.iter().any(|words| ran.stderr.contains(words)) {
        crate::skipped("no file system may be mounted here, for a disk of its own");
        return None;
    }
    Some(ran)
}

/// A crawl has room for a hundred pages, and gets more once the disk is full.
#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn a_full_disk() {
    const SCRIPT: &str = r#"
        "$0" crawl books -a "site=$1" --db crawl.db 2>../said &
        until grep -q 'disk full' ../said; do kill -0 $! || break; sleep 0.05; done
        mount -o remount,size=64m none .
        wait $!
        code=$?
        "$0" query --db crawl.db 'select count(*) as n from books'
        exit $code
    "#;
    let site = site_with(Options::default()).await;
    let folder = Folder::new();
    let Some(ran) = on_a_disk(&folder, site.url().as_str(), "size=400k", SCRIPT) else {
        return;
    };
    assert_eq!(
        (ran.code, &*ran.stdout),
        (0, "{\"n\":1000}\n"),
        "{}",
        ran.stderr
    );
    let said = folder.read("said");
    let warning = "disk full while writing crawl.db; trying again for 60 s";
    assert_eq!(said.matches(warning).count(), 1, "{said}");
}

/// Nothing is fetched that could not be stored; what is there can be read, and gone on with.
#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn a_read_only_folder() {
    const SCRIPT: &str = r#"
        "$0" crawl books -a "site=$1" --limit 20 --db crawl.db 2>/dev/null
        echo "limit $?"
        mount -o remount,ro none .
        "$0" crawl books -a "site=$1" --db crawl.db
        echo "crawl $?"
        "$0" crawl books -a "site=$1" --db other.db
        echo "other $?"
        "$0" retry last --db crawl.db 2>/dev/null
        echo "retry $?"
        "$0" query --db crawl.db 'select sum(done) > 0 as some from run'
        mount -o remount,rw none .
        "$0" crawl books -a "site=$1" --db crawl.db 2>/dev/null
        echo "rest $?"
        "$0" query --db crawl.db 'select count(*) as n, count(distinct upc) as other from books'
    "#;
    let site = site_with(Options::default()).await;
    let folder = Folder::new();
    let Some(ran) = on_a_disk(&folder, site.url().as_str(), "size=64m", SCRIPT) else {
        return;
    };
    let expected =
        "limit 3\ncrawl 2\nother 2\nretry 2\n{\"some\":1}\nrest 0\n{\"n\":1000,\"other\":1000}\n";
    assert_eq!(ran.stdout, expected, "{}", ran.stderr);
    insta::assert_snapshot!(ran.stderr, @r"
    error: can't open the database crawl.db: Read-only file system (os error 30)
         nothing was fetched; name a file in a folder where you may write: --db PATH
    error: can't open the database other.db: Read-only file system (os error 30)
         nothing was fetched; name a file in a folder where you may write: --db PATH
    ");
}
