//! Which URLs a crawl asks for: redirects, refreshes, links of headers, bases, scope and traps.

use std::collections::BTreeMap;
use std::time::Duration;

use nephila::Crawl;
use nephila::engine::Report;
use nephila::prelude::*;

mod command_line;
mod links;
mod redirects;
mod scope;
mod traps;
mod web;

use web::{Answer, Hit, Web};

/// A page as the step saw it.
#[derive(Item)]
#[item(table = "pages")]
struct Seen {
    url: String,
    fragment: String,
    redirects: String,
}

impl Seen {
    fn of(page: &Page) -> Self {
        let redirects = page.redirects().iter().map(Url::path);
        Self {
            url: page.url().path().to_owned(),
            fragment: page.fragment().unwrap_or_default().to_owned(),
            redirects: redirects.collect::<Vec<_>>().join(" "),
        }
    }
}

/// Follows all links from everywhere.
#[derive(serde::Deserialize)]
struct Walk {
    starts: Vec<Url>,
}

#[spider]
impl Walk {
    async fn start(&self, seeds: Seeds) -> Result {
        for start in &self.starts {
            seeds.push(start, Self::read).await?;
        }
        Ok(())
    }

    async fn read(&self, page: Page) -> Result<Seen> {
        page.follow("a", Self::read)?;
        if !page.css("form")?.is_empty() {
            page.submit("form", &[], Self::read)?;
        }
        if let Some(next) = page.header_link("next") {
            page.visit(next, Self::read)?;
        }
        Ok(Seen::of(&page))
    }
}

fn walk(start: Url) -> Crawl {
    let crawl = Crawl::new(Walk {
        starts: vec![start],
    });
    crawl
        .db("sqlite::memory:")
        .with(|settings| settings.retries = 0)
}

/// State, reason, message and number of all pages that are not done.
fn groups(report: &Report) -> Vec<String> {
    let group = |group: &nephila::engine::ErrorGroup| {
        let (state, reason) = (group.state.as_str(), &group.reason);
        format!("{state} {reason} {} x{}", group.message, group.count)
    };
    report.statistics.errors.iter().map(group).collect()
}

/// Links that were refused, by reason and subject.
fn refused(report: &Report) -> BTreeMap<&str, u64> {
    let refused = report.statistics.refused.iter();
    refused
        .map(|(name, refused)| (name.as_str(), refused.count))
        .collect()
}
