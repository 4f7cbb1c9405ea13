//! `nephila demo`.

use super::crawl::Order;
use super::database::Database;
use super::failure::Failure;
use super::format::Format;
use super::interrupt::Signals;
use super::project::Project;
use super::{output, query, spiders};
use crate::item::Value;
use crate::settings::Layer;
use crate::site::Site;
use crate::spider::Args;
use crate::store::{self, Reader, collect};
use crate::ui::{Mode, Screen};

/// The port that the example spiders look at.
const PORT: u16 = 7788;
/// The spider that reads the shop.
const SPIDER: &str = "books";
/// Where the result is.
const FILE: &str = "demo.db";

/// Start the bundled shop on 127.0.0.1, crawl it, and show the result; offline
#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// Only serve the shop, until Ctrl-C
    #[arg(long)]
    serve: bool,
    /// The shop's port [default: 7788, or a free one if that is taken]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

impl Demo {
    pub(super) async fn run(self, db: Option<&str>, screen: &Screen) -> Result<u8, Failure> {
        // Before the shop: what asks it to close again must not find it deaf.
        let mut signals = Signals::new()?;
        let site = self.open().await?;
        output::say(&format!("demo shop on {}   (offline, bundled)", site.url()));
        if self.serve {
            output::say("list of everything: /zoo      ^C closes the shop");
            signals.next().await;
            site.stop().await;
            return Ok(0);
        }
        let code = crawl(&site, db, screen).await;
        site.stop().await;
        code
    }

    async fn open(&self) -> Result<Site, Failure> {
        let port = self.port.unwrap_or(PORT);
        let taken = match Site::start(&format!("127.0.0.1:{port}")).await {
            Ok(site) => return Ok(site),
            Err(error) => error,
        };
        if self.port.is_some() || self.serve {
            return Err(
                Failure::usage(format!("can't serve on port {port}: {taken}"))
                    .more("if another demo shop runs there, it serves already; or:  --port 0"),
            );
        }
        Ok(Site::start("127.0.0.1:0").await?)
    }
}

async fn crawl(site: &Site, db: Option<&str>, screen: &Screen) -> Result<u8, Failure> {
    let args = Args::from([("site".to_owned(), site.url().to_string())]);
    let spider = spiders::make(SPIDER, &args)?;
    let project = Project::find()?;
    let own = Some((spider.name(), spider.settings()));
    let (settings, _) = project.settings(own, &Layer::default())?;
    let database = Database::find(Some(db.unwrap_or(FILE)), &project);
    let terminal = output::style().terminal;
    let order = Order {
        command: "nephila demo".to_owned(),
        spider,
        args: serde_json::to_string(&args).unwrap_or_default(),
        settings,
        database,
        fresh: true,
        retry: None,
        mode: if terminal { Mode::Bar } else { Mode::Line },
    };
    let report = order.run(screen).await?;
    if report.exit_code() != 0 {
        return Ok(report.exit_code());
    }
    let reader = store::open_reader(&order.database.url).await?;
    let sql = sql(&*reader, report.statistics.run).await?;
    output::say(&format!("\n{sql}"));
    query::print(&*reader, &sql, Format::Table).await?;
    next(&order.database, site);
    Ok(0)
}

/// The question whose answer is shown. A shop on another port is another shop: books of an earlier
/// demo are left out then. PostgreSQL rounds no `double precision` to places.
async fn sql(reader: &dyn Reader, run: i64) -> Result<String, Failure> {
    let others = format!("SELECT count(*) FROM books WHERE _run <> {run}");
    let (_, rows) = collect(reader, &others).await?;
    let is_alone = rows.first().is_some_and(|row| *row == [Value::Integer(0)]);
    let only = if is_alone {
        String::new()
    } else {
        format!("WHERE _run = {run} ")
    };
    Ok(format!(
        "SELECT category, count(*) AS books, round(avg(price) * 100) / 100 AS price \
         FROM books {only}GROUP BY category ORDER BY category"
    ))
}

fn next(database: &Database, site: &Site) {
    let flag = &database.flag;
    let private = site.page("/private/notes");
    output::say("\nnext:");
    let steps = [
        (
            format!("nephila query{flag} \"select * from books limit 5\""),
            "any SQL",
        ),
        (
            format!("nephila explain{flag} {private}"),
            "why that page was not crawled",
        ),
        (
            "nephila new shop && cd shop".to_owned(),
            "a project of your own",
        ),
        (
            "nephila demo --serve".to_owned(),
            "keep the shop open to try spiders on",
        ),
    ];
    let width = steps.iter().map(|(command, _)| command.len()).max();
    let width = width.unwrap_or_default();
    for (command, why) in steps {
        output::say(&format!("     {command:<width$}   {why}"));
    }
}
