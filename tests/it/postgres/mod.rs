//! A PostgreSQL server for tests: its own binaries in a temporary folder, or the one that `DATABASE_URL`
//! names. Without either, tests that need one are left out and say so; with `REQUIRE_POSTGRES`
//! set they fail.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

/// A server that ends with this process, however that ends.
pub(crate) struct Server {
    pub(crate) url: String,
    data: PathBuf,
    bin: PathBuf,
    /// Its end is the server's.
    keeper: Child,
    _folder: TempDir,
}

/// Starts a server, new or as the standby of another, ends it when the input ends, and says when it can be
/// used.
const KEEP: &str = r#"
if [ -n "$PRIMARY" ]; then
  "$BIN/pg_basebackup" -D "$DATA" -R -X stream -c fast -h 127.0.0.1 -p "$PRIMARY" -U nephila >"$DATA.log" 2>&1
else
  "$BIN/initdb" -D "$DATA" -U nephila -A trust -E UTF8 --locale=C --no-sync >"$DATA.log" 2>&1
fi &&
"$BIN/pg_ctl" -D "$DATA" -w -l "$DATA.log" -o "$OPTIONS" start >>"$DATA.log" 2>&1 && echo ready ||
  { cat "$DATA.log" >&2; echo failed; exit 1; }
cat >/dev/null
"$BIN/pg_ctl" -D "$DATA" -m immediate stop >/dev/null 2>&1
"#;

impl Server {
    /// Starts one of its own; none if PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// The same, with options for `postgres`.
    pub(crate) fn start_with(options: &str) -> Option<Self> {
        let bin = binaries()?;
        for _ in 0..3 {
            if let Some(server) = Self::try_start(&bin, "", options) {
                return Some(server);
            }
        }
        panic!("PostgreSQL in {} does not start", bin.display());
    }

    /// Starts a standby of it, which follows it.
    pub(crate) fn standby(&self) -> Self {
        let port = self.port().to_string();
        Self::try_start(&self.bin, &port, "").expect("a standby starts")
    }

    pub(crate) fn port(&self) -> u16 {
        url::Url::parse(&self.url).unwrap().port().unwrap()
    }

    fn try_start(bin: &Path, primary: &str, options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off \
             -c max_connections=200 -c shared_buffers=64MB -c max_prepared_transactions=0 {options}"
        );
        let mut keeper = as_user(folder.path(), "sh")
            .args(["-c", KEEP])
            .env("BIN", bin)
            .env("PRIMARY", primary)
            .env("DATA", &data)
            .env("OPTIONS", options)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out: ChildStdout = keeper.stdout.take().unwrap();
        let said = BufReader::new(out).lines().next();
        let is_ready = said.is_some_and(|line| line.unwrap() == "ready");
        is_ready.then(|| Self {
            url: format!("postgres://nephila@127.0.0.1:{port}/postgres"),
            data,
            bin: bin.to_owned(),
            keeper,
            _folder: folder,
        })
    }

    /// Has it crash and come back.
    pub(crate) fn restart(&self) {
        self.control(&["-m", "immediate", "-w", "restart"]);
    }

    /// Has it crash.
    pub(crate) fn stop(&self) {
        self.control(&["-m", "immediate", "-w", "stop"]);
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.data.with_extension("log")).unwrap()
    }

    /// Has it read its settings anew.
    pub(crate) fn reload(&self) {
        self.control(&["reload"]);
    }

    /// Makes a standby the primary.
    pub(crate) fn promote(&self) {
        self.control(&["-w", "promote"]);
    }

    fn control(&self, what: &[&str]) {
        let log = self.data.with_extension("log");
        let done = as_user(
            self.data.parent().unwrap(),
            self.bin.join("pg_ctl").to_str().unwrap(),
        )
        .args(what)
        .arg("-D")
        .arg(&self.data)
        .arg("-l")
        .arg(log)
        .current_dir(self.data.parent().unwrap())
        .stdout(Stdio::null())
        .status();
        assert!(done.unwrap().success(), "the server does not {what:?}");
    }

    /// Writes a file into its folder that it alone can read.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let script = format!("umask 077; cat >'{}'", self.data.join(file).display());
        let mut child = as_user(self.data.parent().unwrap(), "sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its folder goes next, without which nobody could end it.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// PostgreSQL refuses to run as root: then it is another user who does, and owns the folder.
fn as_user(folder: &Path, program: &str) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let user = ["postgres", "nobody"]
        .into_iter()
        .find(|user| run("id", &[user]))
        .expect("a user who is not root");
    assert!(run("chown", &[user, folder.to_str().unwrap()]));
    let mut command = Command::new("runuser");
    command.args(["-u", user, "--", program]);
    command
}

fn run(program: &str, args: &[&str]) -> bool {
    let done = Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    done.is_ok_and(|status| status.success())
}

/// The folder of `initdb` and `pg_ctl`: Debian's, of the newest version, or any in the path.
fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut versions = versions
        .flatten()
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse::<u32>().ok()?,
                entry.path(),
            ))
        })
        .collect::<Vec<_>>();
    versions.sort();
    let debian = versions.into_iter().rev().map(|(_, path)| path.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::split_paths(&path).collect::<Vec<_>>();
    debian
        .chain(path)
        .find(|bin| bin.join("initdb").exists() && bin.join("pg_ctl").exists())
}

/// The server that the tests of this process share: the URL of a database that all of them can reach.
fn shared() -> Option<&'static str> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    static GIVEN: OnceLock<Option<String>> = OnceLock::new();
    let given = GIVEN.get_or_init(|| {
        let url = std::env::var("DATABASE_URL").ok();
        url.filter(|url| url.starts_with("postgres"))
    });
    if let Some(url) = given {
        return Some(url);
    }
    SERVER
        .get_or_init(|| Server::start().or_else(missing))
        .as_ref()
        .map(|server| &*server.url)
}

/// What happens where there is no PostgreSQL.
pub(crate) fn missing<T>() -> Option<T> {
    assert!(
        std::env::var_os("REQUIRE_POSTGRES").is_none(),
        "PostgreSQL is required and neither installed nor in DATABASE_URL"
    );
    // Not by `eprintln!`, which is kept from those who look at passing tests.
    let _ = std::io::stderr()
        .write_all(b"SKIPPED: tests on PostgreSQL; install it, or set DATABASE_URL\n");
    None
}

/// An empty database of the shared server; none if there is no server.
pub(crate) async fn database() -> Option<String> {
    Some(database_of(shared()?).await)
}

/// An empty database of a server.
pub(crate) async fn database_of(url: &str) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("nephila_test_{}_{number}", std::process::id());
    let mut db = PgConnection::connect(url).await.unwrap();
    for statement in [
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name}"),
    ] {
        db.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    let mut named = url::Url::parse(url).unwrap();
    named.set_path(&name);
    named.to_string()
}
