//! `nephila hosts [RUN]`.

use super::database::Database;
use super::failure::Failure;
use super::format::FormatFlag;
use super::list::minute;
use super::output;
use super::project::Project;
use super::runs::{crawl_of, run_named};
use crate::clock;
use crate::item::Value;
use crate::store::collect;

/// The hosts of a crawl: what is queued and done, how they answer, and what they wait for
///
/// Those with the most requests queued come first.
#[derive(Debug, clap::Args)]
pub(super) struct Hosts {
    /// The number of a run, or a spider's name [default: the last run]
    run: Option<String>,
    /// So many hosts at the most
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    format: FormatFlag,
}

impl Hosts {
    pub(super) async fn run(self, db: Option<&str>) -> Result<u8, Failure> {
        let database = Database::find(db, &Project::find()?);
        let reader = database.reader().await?;
        let wanted = self.run.as_deref().unwrap_or("last");
        let run = run_named(reader.runs().await?, wanted, &database)?;
        let crawl = crawl_of(&*reader, &run).await?;
        // Of the hosts that are shown, only. One that is divided among processes has several rows.
        let sql = format!(
            "SELECT h.origin, h.queued, sum(p.done), sum(p.failed), sum(p.skipped), \
                   sum(p.ms) / nullif(sum(p.answers), 0), h.errors, max(r.status), h.next_at \
             FROM (SELECT h.origin, sum(h.queued) AS queued, max(h.errors) AS errors, min(h.next_at) AS next_at \
                   FROM (SELECT h.*, (SELECT count(*) FROM queue q WHERE q.host = h.id) AS queued FROM host h \
                         WHERE h.crawl = {crawl}) h \
                   GROUP BY h.origin ORDER BY queued DESC, h.origin LIMIT {limit}) h \
             JOIN host i ON i.crawl = {crawl} AND i.origin = h.origin \
             LEFT JOIN (SELECT host, count(*) FILTER (WHERE state = 'done') AS done, \
                   count(*) FILTER (WHERE state = 'failed') AS failed, \
                   count(*) FILTER (WHERE state = 'skipped') AS skipped, \
                   1.0 * sum(ms) FILTER (WHERE status > 0) AS ms, \
                   count(*) FILTER (WHERE status > 0) AS answers \
                   FROM page GROUP BY host) p ON p.host = i.id \
             LEFT JOIN robots r ON r.host = i.id \
             GROUP BY h.origin, h.queued, h.errors, h.next_at ORDER BY h.queued DESC, h.origin",
            crawl = crawl.id,
            limit = self.limit
        );
        let (_, rows) = collect(&*reader, &sql).await?;
        let mut export = self.format.get().export(output::stdout());
        let columns = [
            "host", "queued", "done", "failed", "skipped", "ms", "robots", "state",
        ];
        export.begin(&columns.map(str::to_owned))?;
        for row in &rows {
            let [
                origin,
                queued,
                done,
                failed,
                skipped,
                ms,
                errors,
                robots,
                next,
            ] = row.as_slice()
            else {
                continue;
            };
            let count = |value: &Value| match value {
                Value::Null => Value::Integer(0),
                value => value.clone(),
            };
            export.row(&[
                origin.clone(),
                count(queued),
                count(done),
                count(failed),
                count(skipped),
                match ms {
                    Value::Real(ms) => Value::Integer(ms.round() as i64),
                    other => other.clone(),
                },
                robots_told(robots),
                state(queued, errors, next),
            ])?;
        }
        export.end()?;
        Ok(0)
    }
}

/// What came of its robots.txt.
fn robots_told(status: &Value) -> Value {
    Value::Text(match status {
        Value::Integer(0) => "no answer".to_owned(),
        Value::Integer(200..=299) => "read".to_owned(),
        Value::Integer(400..=499) => "none".to_owned(),
        Value::Integer(status) => format!("answered {status}"),
        _ => "not asked for".to_owned(),
    })
}

/// What it waits for.
fn state(queued: &Value, errors: &Value, next: &Value) -> Value {
    let errors = match errors {
        Value::Integer(errors) if *errors > 0 => format!(", {errors} failures in a row"),
        _ => String::new(),
    };
    let Value::Integer(next) = next else {
        return Value::Null;
    };
    Value::Text(match jiff::Timestamp::from_millisecond(*next) {
        _ if *queued == Value::Integer(0) => "nothing queued".to_owned(),
        Ok(next) if next > clock::now() => format!("waits until {}{errors}", minute(next)),
        _ => format!("ready{errors}"),
    })
}
