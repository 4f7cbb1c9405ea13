//! A look at the health of the server, as far as a crawl depends on it.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, Row};
use tokio::time::Instant;

use super::connect::Server;
use super::error::Failure;
use super::report::item_tables;
use super::skew::NOW;
use super::table::quote;
use crate::clock;
use crate::store::Finding;
use crate::store::health::{age, conservation, size};

/// A snapshot that is held for longer keeps dead rows from being removed.
const OLD: f64 = 60.0;
/// A commit costs a few answers: with more than this each a crawl mostly waits.
const FAR: Duration = Duration::from_millis(50);

/// Looks at everything that a crawl depends on. `deep` counts rows.
pub(super) async fn examine(server: &Server, deep: bool) -> Result<Vec<Finding>, Failure> {
    // Each question by itself: none of them must hold a snapshot, as a transaction would.
    let db = &mut server.connect_reader().await?;
    let mut found = server_itself(db).await?;
    found.push(clocks(db).await?);
    found.extend(snapshots(db).await?);
    found.extend(waiting(db).await?);
    found.extend(leases(db).await?);
    found.extend(queued(db).await?);
    found.extend(tables(db).await?);
    found.push(vacuum(db).await?);
    found.push(connections(db).await?);
    found.push(checkpoints(db).await?);
    if deep {
        let sql = "SELECT (SELECT count(*) FROM seen), (SELECT count(*) FROM queue), (SELECT count(*) FROM page)";
        let (seen, queue, page): (i64, i64, i64) = sqlx::query_as(sql).fetch_one(&mut *db).await?;
        found.push(conservation(seen, queue, page));
    }
    found.sort_by_key(|finding| !finding.is_trouble);
    Ok(found)
}

async fn server_itself(db: &mut PgConnection) -> Result<Vec<Finding>, Failure> {
    let started = Instant::now();
    let row = sqlx::query(
        "SELECT current_setting('server_version'), current_setting('server_version_num')::int,
           pg_is_in_recovery(), pg_database_size(current_database()), age(datfrozenxid)::bigint,
           (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())
         FROM pg_database WHERE datname = current_database()",
    )
    .fetch_one(&mut *db)
    .await?;
    let took = started.elapsed();
    let (version, number): (String, i32) = (row.try_get(0)?, row.try_get(1)?);
    let mut found = vec![Finding::of(
        "server",
        format!("PostgreSQL {version}"),
        (number < 130_000).then(|| "take version 13 or newer".to_owned()),
    )];
    if row.try_get(2)? {
        found.push(Finding::trouble(
            "server",
            "it is a standby and can only be read",
            "name the primary in --db; with several hosts in the URL, add target_session_attrs=read-write",
        ));
    }
    found.push(Finding::of(
        "answer",
        format!("in {:.1} ms", took.as_secs_f64() * 1e3),
        (took > FAR).then(|| {
            "the server is far away or busy: crawl nearer to it, or in larger commits (commit_pages)"
                .to_owned()
        }),
    ));
    found.push(Finding::well("database", size(row.try_get(3)?)));
    let ids: i64 = row.try_get(4)?;
    found.push(Finding::of(
        "transaction ids",
        format!("the oldest is {ids} behind"),
        (ids > 1_000_000_000).then(|| {
            "autovacuum does not keep up: end old transactions, then VACUUM FREEZE; at 2 billion the server \
             stops"
                .to_owned()
        }),
    ));
    let is_encrypted: Option<bool> = row.try_get(5)?;
    found.push(Finding::well(
        "connection",
        if is_encrypted == Some(true) {
            "encrypted"
        } else {
            "not encrypted (sslmode=verify-full makes it so)"
        },
    ));
    Ok(found)
}

async fn clocks(db: &mut PgConnection) -> Result<Finding, Failure> {
    let (before, started) = (clock::now_ms(), Instant::now());
    let theirs: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT {NOW}")))
        .fetch_one(db)
        .await?;
    let half = started.elapsed().as_millis() as i64 / 2;
    let ahead = theirs - before - half;
    let found = match ahead {
        -500..=500 => "the server's and this machine's agree".to_owned(),
        ahead if ahead > 0 => format!("the server's is {} ahead", age(ahead as f64 / 1e3)),
        ahead => format!("the server's is {} behind", age(-ahead as f64 / 1e3)),
    };
    // What processes tell each other is told by the server's clock: nothing is to be done.
    Ok(Finding::well("clock", found))
}

/// Who keeps dead rows from being removed.
async fn snapshots(db: &mut PgConnection) -> Result<Vec<Finding>, Failure> {
    let held: Vec<(i32, String, String, f64, String)> = sqlx::query_as(
        "SELECT pid, coalesce(nullif(application_name, ''), 'unnamed'), coalesce(state, 'unknown'),
           extract(epoch FROM clock_timestamp() - coalesce(xact_start, backend_start))::float8,
           left(regexp_replace(coalesce(query, ''), '\\s+', ' ', 'g'), 60)
         FROM pg_stat_activity WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
           AND pid <> pg_backend_pid() AND backend_type <> 'walsender' AND backend_type NOT LIKE 'autovacuum%'
         ORDER BY 4 DESC LIMIT 5",
    )
    .fetch_all(&mut *db)
    .await?;
    let mut found = Vec::new();
    for (pid, name, state, seconds, query) in held {
        let said = format!(
            "process {pid} ({name}) holds one for {}, {state}: {query}",
            age(seconds)
        );
        if seconds > OLD {
            let advice = format!(
                "rows that are dead since stay and slow the queue down; end it: SELECT pg_terminate_backend({pid})"
            );
            found.push(Finding::trouble("snapshot", said, advice));
        } else if found.is_empty() {
            found.push(Finding::well("snapshot", said));
        }
    }
    let others: Vec<(String, String)> = sqlx::query_as(
        "SELECT 'prepared transaction ' || gid, format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts
           WHERE database = current_database() AND prepared < now() - interval '1 minute'
         UNION ALL
         SELECT 'replication slot ' || slot_name, format('SELECT pg_drop_replication_slot(%L)', slot_name)
           FROM pg_replication_slots WHERE NOT active AND (xmin IS NOT NULL OR catalog_xmin IS NOT NULL)",
    )
    .fetch_all(&mut *db)
    .await?;
    for (what, end) in others {
        let advice = format!("if nobody needs it: {end}");
        found.push(Finding::trouble(
            "snapshot",
            format!("{what} holds one"),
            advice,
        ));
    }
    if found.is_empty() {
        found.push(Finding::well("snapshot", "none is held"));
    }
    let sees_all: bool = sqlx::query_scalar(
        "SELECT pg_has_role('pg_read_all_stats', 'USAGE') OR current_setting('is_superuser') = 'on'",
    )
    .fetch_one(db)
    .await?;
    if !sees_all {
        let said = "this user does not see those of other users: GRANT pg_read_all_stats TO it";
        found.push(Finding::well("snapshot", said));
    }
    Ok(found)
}

/// Who waits for whose lock.
async fn waiting(db: &mut PgConnection) -> Result<Vec<Finding>, Failure> {
    let waits: Vec<(i32, Vec<i32>, f64)> = sqlx::query_as(
        "SELECT pid, pg_blocking_pids(pid), extract(epoch FROM clock_timestamp() - query_start)::float8
         FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
           AND query_start < clock_timestamp() - interval '1 second' ORDER BY 3 DESC LIMIT 5",
    )
    .fetch_all(db)
    .await?;
    let told = waits.into_iter().map(|(pid, blockers, seconds)| {
        let blockers: Vec<String> = blockers.iter().map(ToString::to_string).collect();
        let blockers = blockers.join(", ");
        let said = format!("process {pid} waits for {blockers} since {}", age(seconds));
        let advice = format!("look at what {blockers} does in pg_stat_activity, and end it");
        Finding::trouble("lock", said, advice)
    });
    Ok(told.collect())
}

/// Run, process, spider, seconds since its last sign of life and of its lease, hosts, pages and items.
type Holder = (i64, i64, String, f64, f64, i64, i64, i64);

/// Which processes live, and what they hold.
async fn leases(db: &mut PgConnection) -> Result<Vec<Finding>, Failure> {
    let runs: Vec<Holder> = sqlx::query_as(AssertSqlSafe(
        format!(
            "SELECT r.id, r.pid, c.spider, ({NOW} - r.beat) / 1000.0::float8, r.lease / 1000.0::float8,
               (SELECT count(*) FROM host h WHERE h.run = r.id), r.done, r.items
             FROM run r JOIN crawl c ON c.id = r.crawl WHERE r.ended IS NULL ORDER BY r.id LIMIT 100"
        ),
    ))
    .fetch_all(&mut *db)
    .await?;
    let mut found: Vec<Finding> = runs
        .into_iter()
        .map(|(run, pid, spider, beat, lease, hosts, done, items)| {
            let said = format!(
                "run {run} of {spider} (process {pid}): {hosts} hosts, {done} pages, {items} items, \
                 last sign of life {} ago",
                age(beat)
            );
            let advice = (beat > lease).then(|| {
                format!(
                    "it is dead or stands still: its hosts go to the next process that looks; start one: \
                     nephila crawl {spider}"
                )
            });
            Finding::of("lease", said, advice)
        })
        .collect();
    if found.is_empty() {
        found.push(Finding::well("lease", "no process works on a crawl"));
    }
    let strays: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM host h WHERE h.run IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM run r WHERE r.id = h.run AND r.ended IS NULL)",
    )
    .fetch_one(db)
    .await?;
    if strays > 0 {
        let said = format!("{strays} hosts are held by runs that have ended");
        found.push(Finding::well(
            "lease",
            said + "; the next process frees them",
        ));
    }
    Ok(found)
}

/// Crawls that are not over, and steps that no living process knows.
async fn queued(db: &mut PgConnection) -> Result<Vec<Finding>, Failure> {
    let open: Vec<(i64, String, i64, i64)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT c.id, c.spider,
           coalesce(sum(r.known + r.requeued - r.done - r.failed - r.skipped), 0)::bigint,
           count(*) FILTER (WHERE r.ended IS NULL AND r.beat + r.lease > {NOW})
         FROM crawl c JOIN run r ON r.crawl = c.id WHERE c.state = 'open' GROUP BY c.id ORDER BY c.id LIMIT 20"
    )))
    .fetch_all(&mut *db)
    .await?;
    let mut found = Vec::new();
    for (crawl, spider, left, living) in open {
        let said = format!("crawl {crawl} of {spider}: {left} queued, {living} processes");
        let advice = (living == 0 && left > 0)
            .then(|| format!("nobody works on it; go on:  nephila resume {spider}"));
        found.push(Finding::of("crawl", said, advice));
        if living == 0 {
            continue;
        }
        let unknown: Option<String> = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT q.step FROM (SELECT q.step FROM host h JOIN queue q ON q.host = h.id WHERE h.crawl = $1
               LIMIT 100000) q
             WHERE NOT EXISTS (SELECT 1 FROM run r WHERE r.crawl = $1 AND r.ended IS NULL
               AND r.beat + r.lease > {NOW} AND (r.steps = '{{}}' OR q.step = ANY(r.steps))) LIMIT 1"
        )))
        .bind(crawl)
        .fetch_optional(&mut *db)
        .await?;
        if let Some(step) = unknown {
            let said = format!("crawl {crawl} of {spider}: requests wait for step `{step}`");
            let advice = "no process knows it: start one of the version that does, or rename it with \
                          #[step(was = \"..\")]";
            found.push(Finding::trouble("step", said, advice));
        }
    }
    Ok(found)
}

/// Size, rows and dead rows of the tables.
async fn tables(db: &mut PgConnection) -> Result<Vec<Finding>, Failure> {
    let mut names: Vec<String> = ["seen", "queue", "page", "host", "run", "visit"]
        .map(String::from)
        .into();
    names.extend(item_tables(db).await?.into_iter().map(|(name, _)| name));
    let mut found = Vec::new();
    for name in names {
        let row: Option<(i64, i64, i64, i64, Option<f64>)> = sqlx::query_as(
            "SELECT pg_table_size(c.oid), pg_indexes_size(c.oid), coalesce(s.n_live_tup, 0),
               coalesce(s.n_dead_tup, 0),
               extract(epoch FROM now() - greatest(s.last_autovacuum, s.last_vacuum))::float8
             FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
             WHERE c.oid = to_regclass($1)",
        )
        .bind(quote(&name))
        .fetch_optional(&mut *db)
        .await?;
        let Some((table, indexes, live, dead, vacuumed)) = row else {
            continue;
        };
        let each = match live {
            0 => String::new(),
            live => format!(", {} bytes a row", (table + indexes) / live),
        };
        let when = vacuumed.map_or("never vacuumed".to_owned(), |seconds| {
            format!("vacuumed {} ago", age(seconds))
        });
        let said = format!(
            "{name}: {} and {} of indexes, {live} rows{each}, {dead} dead; {when}",
            size(table),
            size(indexes)
        );
        let advice = (dead > 50_000 && dead > live).then(|| {
            format!(
                "more dead rows than living ones: look for old snapshots above, then VACUUM {name}"
            )
        });
        found.push(Finding::of("table", said, advice));
    }
    Ok(found)
}

async fn vacuum(db: &mut PgConnection) -> Result<Finding, Failure> {
    let (is_on, workers): (bool, i64) = sqlx::query_as(
        "SELECT current_setting('autovacuum')::bool,
           (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker')",
    )
    .fetch_one(db)
    .await?;
    Ok(if is_on {
        Finding::well("autovacuum", format!("on, {workers} at work"))
    } else {
        Finding::trouble(
            "autovacuum",
            "off",
            "turn it on: ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf()",
        )
    })
}

async fn connections(db: &mut PgConnection) -> Result<Finding, Failure> {
    let (used, most): (i64, i32) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
           current_setting('max_connections')::int",
    )
    .fetch_one(db)
    .await?;
    let advice = (used * 5 > i64::from(most) * 4).then(|| {
        "a process of a crawl needs two: raise max_connections, or put PgBouncer in front"
            .to_owned()
    });
    Ok(Finding::of(
        "connections",
        format!("{used} of {most}"),
        advice,
    ))
}

async fn checkpoints(db: &mut PgConnection) -> Result<Finding, Failure> {
    // Version 17 has moved them.
    let sql = "SELECT CASE WHEN current_setting('server_version_num')::int >= 170000
      THEN 'SELECT num_timed, num_requested FROM pg_stat_checkpointer'
      ELSE 'SELECT checkpoints_timed, checkpoints_req FROM pg_stat_bgwriter' END";
    let sql: String = sqlx::query_scalar(sql).fetch_one(&mut *db).await?;
    let (timed, asked): (i64, i64) = sqlx::query_as(AssertSqlSafe(sql))
        .fetch_one(&mut *db)
        .await?;
    let (room, commit): (String, String) = sqlx::query_as(
        "SELECT current_setting('max_wal_size'), current_setting('synchronous_commit')",
    )
    .fetch_one(db)
    .await?;
    let said = format!(
        "{timed} by time, {asked} because the log was full; max_wal_size {room}, synchronous_commit {commit}"
    );
    let advice = (asked > 10 && asked > timed).then(|| {
        "after each checkpoint every page is logged whole: raise max_wal_size (8GB) and checkpoint_timeout \
         (30min)"
            .to_owned()
    });
    Ok(Finding::of("checkpoints", said, advice))
}
