//! The way to the server: who it is, who we are, and that no password is told on.

use std::process::Command;

use super::run;
use crate::postgres::{Server, database_of, missing};
use crate::tls::pem;

const PASSWORD: &str = "hunter2!secret";

/// What a command says, and whether it ended well.
fn nephila(db: &str, environment: &[(&str, &str)], args: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_nephila"))
        .args(args)
        .args(["--db", db])
        .current_dir(folder.path())
        .env_remove("DATABASE_URL")
        .env("HOME", folder.path())
        .env("NEPHILA_LOG", "trace")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(!said.contains("hunter2"), "{said}");
    (output.status.success(), said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_stay_where_they_are() {
    let Some(server) = Server::start().or_else(missing) else {
        return;
    };
    let db = database_of(&server.url).await;
    run(
        &server.url,
        &format!("CREATE ROLE ann LOGIN SUPERUSER PASSWORD '{PASSWORD}'"),
    )
    .await;
    server.write(
        "pg_hba.conf",
        "host all ann 127.0.0.1/32 scram-sha-256\nhost all nephila 127.0.0.1/32 trust\n",
    );
    server.reload();
    let ann = db.replace("nephila@", "ann@");
    let crawl = ["crawl", "http://127.0.0.1:9/", "-s", "retries=0"];
    let (_, refused) = nephila(&ann, &[], &crawl);
    assert!(
        refused.contains("can't open the database postgres://127.0.0.1"),
        "{refused}"
    );
    let (_, wrong) = nephila(&ann, &[("PGPASSWORD", "wrong")], &crawl);
    assert!(wrong.contains("password authentication failed"), "{wrong}");
    // By the environment, by a file, in the URL.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("127.0.0.1:*:*:ann:{PASSWORD}\n")).unwrap();
    let file = file.path().to_str().unwrap();
    let in_url = ann.replace("ann@", "ann:hunter2!secret@");
    let in_query = format!("{ann}?password=hunter2!secret");
    for (db, environment) in [
        (&ann, ("PGPASSWORD", PASSWORD)),
        (&ann, ("PGPASSFILE", file)),
        (&in_url, ("LANG", "C")),
        (&in_query, ("LANG", "C")),
    ] {
        // The site is not there: what counts is that the crawl was begun.
        let (_, said) = nephila(db, &[environment], &crawl);
        assert!(said.contains("run "), "{said}");
        let (_, said) = nephila(db, &[environment], &["doctor"]);
        assert!(said.contains("PostgreSQL 1"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_proves_who_it_is() {
    let Some(server) = Server::start().or_else(missing) else {
        return;
    };
    let db = database_of(&server.url).await;
    let (ok, said) = nephila(&format!("{db}?sslmode=require"), &[], &["doctor"]);
    assert!(!ok && said.contains("TLS"), "{said}");
    let names = vec!["127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    server.write("server.crt", &pem("CERTIFICATE", made.cert.der()));
    server.write(
        "server.key",
        &pem("PRIVATE KEY", &made.signing_key.serialize_der()),
    );
    run(&server.url, "ALTER SYSTEM SET ssl = on").await;
    server.reload();
    nephila(
        &db,
        &[],
        &["crawl", "http://127.0.0.1:9/", "-s", "retries=0"],
    );
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let right = file("right.pem", &pem("CERTIFICATE", made.cert.der()));
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let wrong = file("wrong.pem", &pem("CERTIFICATE", other.cert.der()));
    for (mode, is_well) in [
        ("sslmode=require".to_owned(), true),
        (format!("sslmode=verify-full&sslrootcert={right}"), true),
        (format!("sslmode=verify-full&sslrootcert={wrong}"), false),
        ("sslmode=verify-full".to_owned(), false),
    ] {
        let (_, said) = nephila(&format!("{db}?{mode}"), &[], &["doctor"]);
        assert_eq!(said.contains("\"encrypted\""), is_well, "{mode}: {said}");
        assert_eq!(
            said.contains("can't open the database"),
            !is_well,
            "{mode}: {said}"
        );
    }
}
