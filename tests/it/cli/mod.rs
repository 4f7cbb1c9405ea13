//! The commands as people type them: the real binary in a folder of its own, against servers in this
//! process.

mod again;
mod away;
mod bench;
mod cache;
mod copy;
mod crawl;
mod fixtures;
mod generate;
mod lists;
#[cfg(feature = "s3")]
mod object;
#[cfg(feature = "parquet")]
mod parquet;
mod polite;
mod postgres;
mod doctor;
mod fetch;
mod project;
mod reparse;
mod results;
pub(crate) mod server;
mod shell;
mod disks;
mod situations;
mod together;
mod toml;
mod trial;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nephila::site::{Options, Site};
use regex::Regex;

/// A folder where commands are run, with nothing of this machine's settings in it.
struct Folder {
    dir: tempfile::TempDir,
}

/// What a command left behind.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Folder {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap()
    }

    fn command(&self, program: impl AsRef<Path>, args: &[&str]) -> Command {
        let mut command = Command::new(program.as_ref());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            // Cargo tells this test of its package; a build inside of it must not know.
            let cargo = text.starts_with("CARGO_") && text != "CARGO_HOME" || text == "OUT_DIR";
            let proxy = text.to_ascii_uppercase().ends_with("_PROXY");
            if cargo || proxy || text.starts_with("NEPHILA_") {
                command.env_remove(&name);
            }
        }
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_remove("DATABASE_URL")
            .env_remove("CLICOLOR_FORCE")
            .env("XDG_CONFIG_HOME", self.path("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn nephila(&self, args: &[&str]) -> Command {
        self.command(env!("CARGO_BIN_EXE_nephila"), args)
    }

    /// Runs a command line to its end.
    fn run(&self, line: &str) -> Ran {
        let args: Vec<&str> = line.split_whitespace().collect();
        self.run_args(&args)
    }

    fn run_args(&self, args: &[&str]) -> Ran {
        Ran::from(&self.nephila(args).output().unwrap())
    }
}

impl Ran {
    fn from(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Standard error and the code, without what differs from time to time.
    fn said(&self) -> String {
        format!("{}exit {}", normalised(&self.stderr), self.code)
    }
}

/// Text without what differs from time to time.
fn normalised(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, name) in [
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"in \d+(\.\d+)? (ms|s)( \(\d+ pages/s\))?", "in TIME"),
        (r", \d+ ms, [\d ]+ bytes", ", MS, BYTES"),
        (r" \(\d+(\.\d+)? [kM]?B\)", " (SIZE)"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "DATE"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "DATE"),
        (r"\d\d:\d\d(:\d\d)? UTC", "TIME"),
        (r"by process \d+", "by process PID"),
        (r"localhost:\d+", "localhost:PORT"),
    ] {
        let pattern = Regex::new(pattern).unwrap();
        text = pattern.replace_all(&text, name).into_owned();
    }
    text
}

async fn site() -> Site {
    site_with(Options {
        products: 60,
        ..Options::default()
    })
    .await
}

async fn site_with(options: Options) -> Site {
    Site::start_with("127.0.0.1:0", options).await.unwrap()
}
