//! Queued requests whose step the spider no longer has: found before a crawl goes on, because the
//! crawl could only give them up.

use super::database::Database;
use super::failure::Failure;
use super::spiders;
use crate::item::Value;
use crate::request::{StepRef, without_logins};
use crate::settings::closest;
use crate::spider::{Spider, step_named};
use crate::store::{self, Reader, collect};
use crate::ui::plural;

/// As many queued requests are looked at; the crawl's own end is told of others.
const LOOKED_AT: u32 = 100_000;

/// Refuses to go on with an interrupted crawl that has requests for a step which is gone.
pub(super) async fn check(
    database: &Database,
    spider: &dyn Spider,
    args: &str,
) -> Result<(), Failure> {
    // No file yet, or none that can be read: the crawl itself will say so.
    let Ok(reader) = store::open_reader(&database.url).await else {
        return Ok(());
    };
    let Some(open) = open(&*reader, spider.name(), args).await? else {
        return Ok(());
    };
    // Another process may know what this one does not: a newer version, while it is rolled out.
    let runs = reader.runs().await?;
    let others = runs.iter().filter(|run| run.crawl == open && run.lives);
    let others: Vec<_> = others.flat_map(|run| &run.steps).collect();
    for (step, count) in queued_steps(&*reader, open).await? {
        if others.contains(&&step) {
            continue;
        }
        let is_file = StepRef::named(step.clone()).is_file();
        if is_file || step_named(spider, &step).is_some() {
            continue;
        }
        let names = spider.steps().iter().map(|known| known.name);
        let renamed = match closest(&step, names) {
            Some(name) => format!("renamed to `{name}`?  add"),
            None => "renamed?  add".to_owned(),
        };
        let add = if spiders::is_declared(spider.name()) {
            format!("was = \"{step}\" in its section")
        } else {
            format!("#[step(was = \"{step}\")] above it")
        };
        return Err(Failure::usage(format!(
            "{} queued for step `{step}`, which spider `{}` no longer has",
            plural(count, "request"),
            spider.name()
        ))
        .more(format!("{renamed} {add}"))
        .more(format!(
            "or drop them:  nephila retry {}{} --step {step} --discard",
            last_run(&*reader, open).await?,
            database.flag
        ))
        .more("or start anew:  --fresh"));
    }
    Ok(())
}

/// The crawl that would be gone on with.
async fn open(reader: &dyn Reader, spider: &str, args: &str) -> Result<Option<i64>, Failure> {
    let args = without_logins(args);
    let crawls = reader.crawls().await?;
    let open = crawls
        .iter()
        .find(|crawl| crawl.state == "open" && crawl.spider == spider && crawl.args == args);
    Ok(open.map(|crawl| crawl.id))
}

async fn last_run(reader: &dyn Reader, crawl: i64) -> Result<i64, Failure> {
    let runs = reader.runs().await?;
    let last = runs.iter().find(|run| run.crawl == crawl);
    Ok(last.map_or(0, |run| run.id.0))
}

/// The steps that requests of a crawl wait for, and how many do.
async fn queued_steps(reader: &dyn Reader, crawl: i64) -> Result<Vec<(String, u64)>, Failure> {
    let sql = format!(
        "SELECT step, count(*) FROM (SELECT step FROM queue JOIN host ON host.id = queue.host \
         WHERE host.crawl = {crawl} LIMIT {LOOKED_AT}) queued GROUP BY step"
    );
    let (_, rows) = collect(reader, &sql).await?;
    let step = |row: Vec<Value>| match row.as_slice() {
        [Value::Text(step), Value::Integer(count)] => Some((step.clone(), *count as u64)),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(step).collect())
}
