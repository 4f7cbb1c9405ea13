//! `new`: a project that builds, and the commands inside of it.

use std::path::Path;
use std::process::Command;

use super::{Folder, Ran, site};

/// Whether Cargo can find the dependencies without a network.
fn is_offline_ready(project: &Path) -> bool {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--offline", "--format-version=1", "--quiet"]);
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
