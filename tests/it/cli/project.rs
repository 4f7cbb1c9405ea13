//! `new`: a project that builds, and the commands inside of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Folder, Ran, site};

/// Whether Cargo can find the dependencies without a network.
fn is_offline_ready(project: &Path) -> bool {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--offline", "--format-version=1", "--quiet"]);
    // What other platforms need need not be here.
    cargo.args(["--filter-platform", &host()]);
    cargo
        .current_dir(project)
        .output()
        .is_ok_and(|output| output.status.success())
}

#[test]
fn folders_that_can_not_be_projects() {
    let folder = Folder::new();
    folder.write("file", "");
    insta::assert_snapshot!(folder.run("new .").said(), @r"
    error: `` is no name for a project
         a letter, then letters, digits, - or _:  nephila new shop
    exit 2
    ");
    insta::assert_snapshot!(folder.run("new 2nd").said(), @r"
    error: `2nd` is no name for a project
         a letter, then letters, digits, - or _:  nephila new shop
    exit 2
    ");
    insta::assert_snapshot!(folder.run("new file").said(), @r"
    error: can't write to file: Not a directory (os error 20)
    exit 2
    ");
    std::fs::create_dir(folder.path("full")).unwrap();
    folder.write("full/x", "");
    insta::assert_snapshot!(folder.run("new full").said(), @r"
    error: full is there already, and not empty
    exit 2
    ");
    assert_eq!(folder.read("full/x"), "");
}

/// A project as `nephila new` makes it, whose commands are built with the tests' own dependencies.
pub(super) struct Project {
    folder: Folder,
    dir: PathBuf,
}

impl Project {
    /// None where Cargo can't find the dependencies. Its name is that of its program, and another's in the folder
    /// where all of them are built.
    pub(super) fn new(name: &str) -> Option<Self> {
        let folder = Folder::new();
        let made = folder.run(&format!("new {name}"));
        assert_eq!(made.code, 0, "{}", made.stderr);
        let dir = folder.path(name);
        // The same versions as here, so that nothing is looked up and little is built.
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(checkout.join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
        if !is_offline_ready(&dir) {
            crate::skipped("Cargo's registry is not here, and there may be no network");
            return None;
        }
        Some(Self { folder, dir })
    }

    /// A command line inside of the project.
    pub(super) fn run(&self, line: &str) -> Ran {
        let args: Vec<&str> = line.split_whitespace().collect();
        self.run_args(&args)
    }

    pub(super) fn run_args(&self, args: &[&str]) -> Ran {
        self.inside(self.folder.nephila(args))
    }

    fn inside(&self, mut command: Command) -> Ran {
        command
            .current_dir(&self.dir)
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TARGET_DIR", target());
        Ran::from(&command.output().unwrap())
    }
}

/// The newcomer's path: a project, its tests, a crawl by the command, and by Cargo.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_builds_and_crawls() {
    let Some(project) = Project::new("shop") else {
        return;
    };
    let (folder, shop) = (&project.folder, &project.dir);
    let site = site().await;
    let file = shop.join("spiders/books.rs");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        text.replace("http://127.0.0.1:7788/", site.url().as_str()),
    )
    .unwrap();

    let tested = project.inside(folder.command(env!("CARGO"), &["test", "--quiet"]));
    assert_eq!(tested.code, 0, "{}{}", tested.stdout, tested.stderr);
    assert!(
        tested.stdout.contains("test result: ok. 1 passed"),
        "{}",
        tested.stdout
    );
    let crawled = project.run("crawl books");
    insta::assert_snapshot!(crawled.said(), @r#"
    ✓ books  run 1: 63 pages, 60 items in TIME
      db crawl.db (SIZE)   query: nephila query "select * from books limit 5"
    exit 0
    "#);

    let new = format!(
        "use nephila::prelude::*;\n#[derive(Default)]\nstruct Other;\n\
        #[spider(start = \"{}\")]\nimpl Other {{\n    \
        async fn page(&self, _page: Page) -> Result {{\n        panic!(\"no luck\")\n    }}\n}}\n",
        site.url()
    );
    std::fs::write(shop.join("spiders/other.rs"), new).unwrap();
    let found = project.run("crawl othr");
    insta::assert_snapshot!(found.said(), @r"
    error: no spider `othr`; did you mean `other`?
         nephila list shows all 2
    exit 2
    ");
    let panicked = project.run("crawl other");
    insta::assert_snapshot!(panicked.said(), @r"
    ✗ other  run 2: 0 pages, 0 items in TIME   exit 1
    error: start URL http://127.0.0.1:PORT/ failed: panicked: no luck (spiders/other.rs:7); nothing was crawled
    exit 1
    ");
}

/// The platform that Cargo builds for.
fn host() -> String {
    let version = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.unwrap().to_owned()
}

/// Where the tests' own dependencies are built already.
fn target() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_nephila"));
    binary.ancestors().nth(2).unwrap().to_path_buf()
}
