//! `nephila gc`.

use std::time::Duration;

use super::database::Database;
use super::failure::Failure;
use super::output;
use super::project::Project;
use crate::clock;
use crate::settings::parse_duration;
use crate::store::{self, Tidy};
use crate::ui::{bytes, plural};

const EXAMPLES: &str = "\
Examples:
  nephila gc                            give unused space back
  nephila gc --crawls 30d --dry-run     what would go
  nephila gc --crawls 30d --items 90d";

/// Make room: forget what nobody needs, and give the space back
///
/// Items and runs stay. A crawl whose pages were forgotten begins anew when it is run again; one that
/// can be resumed is never forgotten.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Gc {
    /// Forget the pages of crawls that finished longer ago than this: 30d, 12h
    #[arg(long, value_name = "AGE")]
    crawls: Option<String>,
    /// Delete items that are gone from their page for longer than this
    #[arg(long, value_name = "AGE")]
    items: Option<String>,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
}

impl Gc {
    pub(super) async fn run(self, db: Option<&str>) -> Result<u8, Failure> {
        let database = Database::find(db, &Project::find()?);
        let tidy = Tidy {
            crawls: self.crawls.as_deref().map(ago).transpose()?,
            items: self.items.as_deref().map(ago).transpose()?,
            dry: self.dry_run,
        };
        // A missing file is an error here, not a new database.
        database.reader().await?;
        let before = database.bytes();
        let tidied = store::open(&database.url).await?.tidy(tidy).await?;
        let what = format!(
            "{} of {} and {}",
            plural(tidied.pages, "page"),
            plural(tidied.crawls, "crawl"),
            plural(tidied.items, "item")
        );
        let line = match (self.dry_run, before, database.bytes()) {
            (true, ..) => format!("would forget {what}"),
            (false, Some(before), Some(after)) => {
                format!("forgot {what}; {} became {}", bytes(before), bytes(after))
            }
            _ => format!("forgot {what}"),
        };
        output::say(&line);
        Ok(0)
    }
}

/// The moment so long ago.
fn ago(text: &str) -> Result<jiff::Timestamp, Failure> {
    let age: Duration = parse_duration(text).map_err(Failure::usage)?;
    let age = jiff::SignedDuration::try_from(age).unwrap_or(jiff::SignedDuration::MAX);
    Ok(clock::now()
        .checked_sub(age)
        .unwrap_or(jiff::Timestamp::MIN))
}
