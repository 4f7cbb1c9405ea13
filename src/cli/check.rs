//! `nephila check`: fixtures read again, offline.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;

use super::failure::Failure;
use super::project::Project;
use super::{output, spiders};
use crate::settings::Layer;
use crate::spider::Spider;
use crate::testing::{Fixture, Given, fixtures};
use crate::ui::{clean, plural, shorten};

const EXAMPLES: &str = "\
Examples:
  nephila check                all fixtures, offline
  nephila check books          those of one spider
  nephila check --review       shows each that differs, and asks which to accept
  nephila check --accept       accepts all that differ";

/// Read all fixtures again, offline, and say in what the items and requests differ
///
/// Ends with 1 if one differs that is not accepted. In tests of a project the same is
/// `nephila::testing::check_fixtures("fixtures").await`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// Only fixtures of this spider
    spider: Option<String>,
    /// Ask of each that differs whether it is right now
    #[arg(long)]
    review: bool,
    /// Take all that differ for right
    #[arg(long, conflicts_with = "review")]
    accept: bool,
    /// The folder of fixtures
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// What became of the fixtures.
#[derive(Default)]
struct Counts {
    same: u64,
    accepted: u64,
    different: u64,
}

impl Check {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let project = Project::find()?;
        let folder = self.folder.clone();
        let folder = folder.unwrap_or_else(|| project.folder.join("fixtures"));
        let all = fixtures(&folder).map_err(|error| Failure::usage(error.to_string()))?;
        let of = |fixture: &Fixture| {
            let wanted = self.spider.as_deref();
            wanted.is_none_or(|wanted| wanted == fixture.spider())
        };
        let all: Vec<Fixture> = all.into_iter().filter(of).collect();
        if all.is_empty() {
            let of = self
                .spider
                .as_ref()
                .map_or(String::new(), |name| format!(" of `{name}`"));
            return Err(
                Failure::usage(format!("no fixtures{of} in {}", folder.display()))
                    .more("make one:  nephila snap SPIDER URL --step STEP"),
            );
        }
        let mut counts = Counts::default();
        for fixture in all {
            let spider = spiders::make(fixture.spider(), fixture.args())?;
            let now = replay(&project, &*spider, &fixture).await?;
            match now {
                Ok(now) => self.judge(fixture, now, &mut counts)?,
                Err(why) => {
                    counts.different += 1;
                    head(&fixture);
                    output::say(&format!("    {}", clean(&why)));
                }
            }
        }
        let Counts {
            same,
            accepted,
            different,
        } = counts;
        let also = |number: u64, what: &str| match number {
            0 => String::new(),
            number => format!(", {number} {what}"),
        };
        output::say(&format!(
            "{} as before{}{}",
            plural(same, "fixture"),
            also(accepted, "accepted"),
            also(different, "different")
        ));
        if different > 0 && !self.review {
            output::say("accept what is right:  nephila check --review");
        }
        Ok(u8::from(different > 0))
    }

    fn judge(&self, mut fixture: Fixture, now: Given, counts: &mut Counts) -> Result<(), Failure> {
        let differences = fixture.given().differences(&now);
        if differences.is_empty() {
            counts.same += 1;
            return Ok(());
        }
        head(&fixture);
        for line in &differences {
            output::say(&format!("    {}", shorten(line, 500)));
        }
        if self.accept || self.review && agreed()? {
            fixture.accept(now);
            let written = fixture.write();
            written.map_err(|error| Failure::usage(error.to_string()))?;
            counts.accepted += 1;
        } else {
            counts.different += 1;
        }
        Ok(())
    }
}

fn head(fixture: &Fixture) {
    output::say(&format!(
        "  {}  {}::{}  {}",
        fixture.path().display(),
        clean(fixture.spider()),
        clean(fixture.step()),
        clean(fixture.url())
    ));
}

/// What a step gives now, or why it can't be said.
async fn replay(
    project: &Project,
    spider: &dyn Spider,
    fixture: &Fixture,
) -> Result<Result<Given, String>, Failure> {
    let own = Some((spider.name(), spider.settings()));
    let (settings, _) = project.settings(own, &Layer::default())?;
    let now = fixture.replay(spider, &settings).await;
    Ok(now.map_err(|error| error.to_string()))
}

/// Asks whether it is right so.
fn agreed() -> Result<bool, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        output::say("    right? y accepts, anything else does not");
    }
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
