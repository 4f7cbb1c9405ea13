//! `nephila new DIR`.

use std::fs;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::output;

/// Make a project of your own: a folder with an example spider
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// The folder; its name is the project's
    dir: PathBuf,
}

const FILES: [(&str, &str); 7] = [
    ("Cargo.toml", include_str!("Cargo.toml.txt")),
    ("build.rs", include_str!("build.rs.txt")),
    ("nephila.toml", include_str!("nephila.toml.txt")),
    (".gitignore", include_str!("gitignore.txt")),
    ("README.md", include_str!("README.md.txt")),
    ("spiders/main.rs", include_str!("main.rs.txt")),
    ("spiders/books.rs", include_str!("books.rs.txt")),
];

impl New {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let name = package_name(&self.dir)?;
        let shown = self.dir.display();
        if fs::read_dir(&self.dir).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Failure::usage(format!(
                "{shown} is there already, and not empty"
            )));
        }
        let can = |error| Failure::usage(format!("can't write to {shown}: {error}"));
        fs::create_dir_all(self.dir.join("spiders")).map_err(can)?;
        let dependency = dependency(Path::new(env!("CARGO_MANIFEST_DIR")));
        let workspace = if self.is_in_package() {
            "\n[workspace]\n"
        } else {
            ""
        };
        for (file, template) in FILES {
            let text = template
                .replace("{{name}}", &name)
                .replace("{{dependency}}", &dependency)
                .replace("{{workspace}}", workspace);
            fs::write(self.dir.join(file), text).map_err(can)?;
        }
        output::say(&format!(
            "made {shown}: nephila.toml, spiders/books.rs and what Cargo needs"
        ));
        output::say("next:");
        output::say("     nephila demo --serve             a shop to try it on (leave it running)");
        output::say(&format!("     cd {shown} && nephila crawl books"));
        output::say("     nephila query");
        Ok(0)
    }

    /// Whether the folder lies in another package, whose workspace it must not be taken for.
    fn is_in_package(&self) -> bool {
        let folder = fs::canonicalize(&self.dir).unwrap_or_default();
        folder
            .ancestors()
            .skip(1)
            .any(|above| above.join("Cargo.toml").is_file())
    }
}

/// The folder's name as a package's.
fn package_name(dir: &Path) -> Result<String, Failure> {
    let name = dir
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let fits = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    // A package of these names could not depend on ours, or would hide the standard library.
    let taken = [
        "nephila",
        "nephila-macros",
        "std",
        "core",
        "alloc",
        "test",
        "proc_macro",
    ];
    if fits && !taken.contains(&name) {
        Ok(name.to_owned())
    } else {
        Err(Failure::usage(format!("`{name}` is no name for a project"))
            .more("a letter, then letters, digits, - or _:  nephila new shop"))
    }
}

/// The source checkout that this program was built from, if it is there; else the published version.
fn dependency(checkout: &Path) -> String {
    let manifest = fs::read_to_string(checkout.join("Cargo.toml")).unwrap_or_default();
    let is_ours = manifest.parse::<toml::Table>().is_ok_and(|table| {
        let package = table.get("package");
        package.and_then(|package| package.get("name")?.as_str()) == Some("nephila")
    });
    if is_ours {
        format!(
            "{{ path = {} }}",
            toml::Value::from(checkout.display().to_string())
        )
    } else {
        format!("\"{}\"", env!("CARGO_PKG_VERSION"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |dir: &str, expected: Option<&str>| {
            assert_eq!(
                package_name(Path::new(dir)).ok().as_deref(),
                expected,
                "{dir}"
            );
        };
        check("shop", Some("shop"));
        check("/a/b/my-shop_2/", Some("my-shop_2"));
        check("2shops", None);
        check("my shop", None);
        check("nephila", None);
        check("..", None);
    }

    #[test]
    fn dependencies() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(
            dependency(here),
            format!("{{ path = \"{}\" }}", here.display())
        );
        assert_eq!(dependency(Path::new("no/such/folder")), "\"0.1.0\"");
    }
}
