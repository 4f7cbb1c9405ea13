//! `start`: the URLs that a spider begins with.

use std::collections::BTreeMap;

use toml::de::DeValue;
use url::Url;

use super::body::Body;
use super::keys::START;
use super::plan::{From, Plan, Start};
use super::read::Steps;
use super::source::{Keys, Read};
use super::template;
use crate::request::StepRef;

type Args = BTreeMap<&'static str, Option<String>>;

/// The start URLs of a file; they are asked for as the step says that asks for its pages.
pub(super) fn read(
    file: &Keys<'_>,
    steps: &Steps<'_>,
    args: &Args,
    plans: &[Plan],
) -> Read<Vec<Start>> {
    let Some(value) = file.value("start") else {
        return Err(file.error(0, "a spider needs a `start`: its first URLs"));
    };
    let all = match value.get_ref() {
        DeValue::Array(all) => all.iter().collect(),
        _ => vec![value],
    };
    let first = StepRef::named(steps.first());
    let known: Vec<&str> = args.keys().copied().collect();
    let mut starts = Vec::new();
    for value in all {
        let offset = value.span().start;
        let (from, step, body) = match value.get_ref() {
            DeValue::String(url) => (From::Template(url.to_string()), first.clone(), None),
            DeValue::Table(table) => {
                let own = Keys::of(file.source, &START, "start", table, offset)?;
                let step = own.text("step")?.map(|step| steps.find(file.source, &step));
                (
                    from(&own)?,
                    step.transpose()?.unwrap_or_else(|| first.clone()),
                    Body::read(&own, &known)?,
                )
            }
            _ => return Err(file.error(offset, "`start` takes a URL, or a list of them")),
        };
        check(file, &from, offset, args)?;
        let pages = steps
            .position(&step.name)
            .and_then(|at| plans.get(at)?.pages.as_ref());
        let as_pages = pages
            .filter(|pages| pages.url.is_none())
            .and_then(|pages| pages.body.clone());
        let page = pages.map_or(1, |pages| pages.from);
        starts.push(Start {
            from,
            step,
            body: body.or(as_pages),
            page,
        });
    }
    Ok(starts)
}

fn from(own: &Keys<'_>) -> Read<From> {
    match (own.text("url")?, own.text("file")?) {
        (Some(url), None) => Ok(From::Template(url.value.to_owned())),
        (None, Some(file)) => Ok(From::File(file.value.to_owned())),
        (Some(_), Some(file)) => Err(own.error(file.offset, "a start has one of `url` and `file`")),
        (None, None) => Err(own.missing("a `url` or a `file`")),
    }
}

/// Whether it can be used: its arguments are some, and with their defaults it is a URL.
fn check(file: &Keys<'_>, from: &From, offset: usize, args: &Args) -> Read<()> {
    let (From::Template(text) | From::File(text)) = from;
    let known: Vec<&str> = args.keys().copied().collect();
    template::check(text, &known).map_err(|reason| file.error(offset, reason))?;
    if matches!(from, From::File(_)) {
        return Ok(());
    }
    let defaults = args
        .iter()
        .filter_map(|(name, default)| Some(((*name).to_owned(), default.clone()?)));
    let first = template::expand(text, &defaults.collect())
        .ok()
        .and_then(|mut all| all.next());
    match first {
        // An argument that must be given may be all of it.
        None => Ok(()),
        Some(url) => is_web(&url).map_err(|reason| file.error(offset, reason)),
    }
}

/// A URL that can be fetched, or why it can't.
pub(super) fn is_web(url: &str) -> Result<(), String> {
    let url = url.trim();
    match Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => Ok(()),
        Ok(parsed) if parsed.has_host() => Err(format!(
            "`{url}` can't be fetched: it begins with {}://",
            parsed.scheme()
        )),
        _ => Err(format!(
            "`{url}` is no whole URL; did you mean `https://{}`?",
            url.trim_start_matches('/')
        )),
    }
}
