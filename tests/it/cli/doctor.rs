//! What `nephila doctor` finds, and that it says what to do.

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

use super::{Folder, Ran, site};
use crate::postgres;

/// The findings about a subject, as `state found -> advice`.
fn about(ran: &Ran, subject: &str) -> Vec<String> {
    let rows = ran.stdout.lines().map(|line| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        (
            text("about"),
            format!(
                "{} {} -> {}",
                text("state"),
                text("found"),
                text("what to do")
            ),
        )
    });
    let of = rows.filter(|(about, _)| about == subject);
    of.map(|(_, said)| said).collect()
}

fn check(ran: &Ran, subject: &str, expected: &str) {
    let said = about(ran, subject);
    assert!(
        said.iter().any(|said| said.contains(expected)),
        "{subject}: {said:#?}\n{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file() {
    let (folder, site) = (Folder::new(), site().await);
    let missing = folder.run("doctor");
    assert_eq!(missing.code, 2, "{}", missing.stderr);
    folder.run(&format!("crawl {} --limit 5", site.url()));
    let well = folder.run("doctor --deep");
    assert_eq!(
        (well.code, well.stderr.trim()),
        (0, "crawl.db: all is well"),
        "{}",
        well.stdout
    );
    check(&well, "integrity", "well whole, all indexes read");
    check(&well, "disk", "free");
    check(&well, "lock", "no process has it open");
    check(&well, "crawls", "1 to go on with");
    let url = format!("sqlite:{}", folder.path("crawl.db").display());
    let mut db = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("DELETE FROM queue")
        .execute(&mut db)
        .await
        .unwrap();
    db.close().await.unwrap();
    let ill = folder.run("doctor --deep");
    assert_eq!((ill.code, ill.stderr.trim()), (1, "crawl.db: 1 trouble"));
    check(&ill, "requests", "-> known = queued + done does not hold");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server() {
    let Some(url) = postgres::database().await else {
        return;
    };
    let (folder, site) = (Folder::new(), site().await);
    let doctor = || folder.run_args(&["doctor", "--deep", "--db", &url]);
    let nothing = doctor();
    assert!(
        nothing.stderr.contains("there is no crawl in it"),
        "{}",
        nothing.stderr
    );
    folder.run_args(&["crawl", site.url().as_str(), "--db", &url]);
    let well = doctor();
    check(&well, "server", "well PostgreSQL 1");
    check(&well, "clock", "agree");
    check(&well, "lease", "no process works on a crawl");
    check(&well, "table", "well seen: ");
    check(&well, "table", "well links: ");
    check(&well, "autovacuum", "on");
    check(&well, "requests", "0 queued");
    // A process that died, one that lives, a step that none knows, and somebody who holds a snapshot.
    let mut db = PgConnection::connect(&url).await.unwrap();
    let now = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let sql = format!(
        "UPDATE crawl SET state = 'open';
         INSERT INTO run (crawl, pid, version, started, beat, lease, steps, settings)
           VALUES (1, 77, '', 0, 1, 30000, '{{page}}', '{{}}'), (1, 78, '', 0, {now}, 30000, '{{page}}', '{{}}');
         INSERT INTO queue SELECT id, 0, 0, 0, 999, 999, 0, 'lost', '/lost' FROM host LIMIT 1"
    );
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut db)
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        .execute(&mut db)
        .await
        .unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut db)
        .await
        .unwrap();
    let ill = doctor();
    assert_eq!(ill.code, 1);
    check(
        &ill,
        "lease",
        "trouble run 2 of links (process 77): 0 hosts",
    );
    check(&ill, "lease", "well run 3 of links (process 78): 0 hosts");
    check(
        &ill,
        "step",
        "requests wait for step `lost` -> no process knows it",
    );
    check(
        &ill,
        "snapshot",
        &format!("process {pid} (unnamed) holds one for "),
    );
    check(&ill, "requests", "trouble ");
    let first: serde_json::Value =
        serde_json::from_str(ill.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(first["state"], "trouble", "the most important comes first");
}
