//! Spiders by name.

use std::sync::Arc;

use super::failure::{Failure, meant};
use crate::spider::{Args, Registration, Spider, find, registered};

/// The spider that follows the links of any site.
pub(super) const GENERIC: &str = "links";

/// Makes the spider called `name`.
pub(super) fn make(name: &str, args: &Args) -> Result<Arc<dyn Spider>, Failure> {
    let registration = registration(name)?;
    Ok((registration.make)(args)?)
}

fn registration(name: &str) -> Result<&'static Registration, Failure> {
    find(name).ok_or_else(|| {
        let all = registered();
        let meant = meant(name, all.iter().map(|spider| spider.name));
        let failure = Failure::usage(format!("no spider `{name}`{meant}"));
        let failure = match all.len() {
            0 => failure.more("this program has no spiders: nephila new DIR makes a project"),
            all => failure.more(format!("nephila list shows all {all}")),
        };
        let is_host = name
            .split_once('.')
            .is_some_and(|(_, end)| !matches!(end, "rs" | "toml"));
        failure.maybe(is_host.then(|| format!("if it is a site: nephila crawl https://{name}")))
    })
}
