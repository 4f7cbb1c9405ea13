//! From the text of a file to what it says, checked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use super::fields;
use super::keys::{FILE, ITEM, LINKS, LOGIN, PAGES, SITEMAP, STEP, SUBMIT};
use super::plan::{Filled, From, Item, Login, Pages, Plan, Sitemap, Start, Submit};
use super::source::{At, DeclaredError, Keys, Read, Source, checked, entries};
use super::{Declared, template};
use crate::item::{Column, Schema};
use crate::page::Links;
use crate::request::{Revisit, StepRef};
use crate::settings::{Layer, closest, parse_duration, url_pattern};
use crate::spider::{StepInfo, Tables};

/// Reads a file's text.
pub(super) fn read(path: &Path, text: &str) -> Read<Declared> {
    let source = Source { path, text };
    let parsed = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        source.error(offset, error.message().replace('\n', ", "))
    })?;
    let table = parsed.get_ref();
    let file = Keys::of(source, &FILE, "", table, 0)?;
    let name = name(&file)?;
    let steps = Steps::of(&file)?;
    let args = pairs(&file)?;
    let settings = settings(&file)?;
    let login = file.section("login", &LOGIN)?.map(login).transpose()?;
    if login.is_some() && steps.named.is_empty() {
        return Err(file.error(0, "a spider needs a step: [step.NAME]"));
    }
    let (mut infos, mut plans) = (Vec::new(), Vec::new());
    for (name, keys) in &steps.named {
        let plan = plan(&steps, name, keys)?;
        infos.push(info(name, keys, &plan)?);
        plans.push(plan);
    }
    let about = file.text("about")?.map(|about| about.value.to_owned());
    Ok(Declared {
        start: starts(&file, &steps, &args)?,
        name,
        about: about.unwrap_or_default(),
        path: path.to_owned(),
        args,
        settings,
        login,
        infos,
        plans,
    })
}

/// Text that lives as long as the program, as that of a spider in Rust does: a file is read once.
fn kept(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn name(file: &Keys<'_>) -> Read<String> {
    let own = file.text("name")?;
    let stem = file.source.path.file_stem().unwrap_or_default();
    let stem = stem.to_string_lossy();
    let (name, offset) = own.map_or((&*stem, 0), |own| (own.value, own.offset));
    if is_name(name) {
        return Ok(name.to_owned());
    }
    let reason = format!("`{name}` is no name of a spider: a letter, then letters, digits, - or _");
    Err(file.error(offset, reason))
}

/// The steps of a file in its order, with their names.
struct Steps<'a> {
    named: Vec<(&'static str, Keys<'a>)>,
}

impl<'a> Steps<'a> {
    fn of(file: &Keys<'a>) -> Read<Self> {
        let mut named = Vec::new();
        for (name, value) in file.entries("step")? {
            let Some(table) = value.get_ref().as_table() else {
                let reason = format!("`{}` is a section: write [step.{}]", name.value, name.value);
                return Err(file.error(value.span().start, reason));
            };
            if !is_name(name.value) {
                let reason = format!("`{}` is no name of a step", name.value);
                return Err(file.error(name.offset, reason));
            }
            let keys = Keys::of(file.source, &STEP, "step", table, name.offset)?;
            named.push((kept(name.value), keys));
        }
        if named.is_empty() {
            return Err(file.error(0, "a spider needs a step: [step.NAME]"));
        }
        Ok(Self { named })
    }

    /// The step that is named somewhere.
    fn find(&self, source: Source<'_>, name: &At<&str>) -> Read<StepRef> {
        let names = self.named.iter().map(|(known, _)| *known);
        if let Some(known) = names.clone().find(|known| *known == name.value) {
            return Ok(StepRef::named(known));
        }
        let meant = match closest(name.value, names.clone()) {
            Some(known) => format!("; did you mean `{known}`?"),
            None => format!("; there are {}", names.collect::<Vec<_>>().join(", ")),
        };
        Err(source.error(name.offset, format!("no step `{}`{meant}", name.value)))
    }

    /// The step that a section names, which it must.
    fn named_by(&self, keys: &Keys<'_>) -> Read<StepRef> {
        let step = keys.text("step")?;
        let step = step.ok_or_else(|| keys.missing("the name of a `step`"))?;
        self.find(keys.source, &step)
    }
}

fn pairs(file: &Keys<'_>) -> Read<BTreeMap<&'static str, Option<String>>> {
    let mut args = BTreeMap::new();
    for (name, value) in file.entries("args")? {
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.to_string(),
            _ => {
                let reason = format!("argument `{}` takes a text in quotes", name.value);
                return Err(file.error(value.span().start, reason));
            }
        };
        // An empty default is none: the argument must be given.
        let default = Some(text).filter(|text| !text.is_empty());
        args.insert(kept(name.value), default);
    }
    Ok(args)
}

/// The settings as TOML.
fn settings(file: &Keys<'_>) -> Read<String> {
    let Some(value) = file.value("settings") else {
        return Ok(String::new());
    };
    let Some(table) = value.get_ref().as_table() else {
        return Err(file.error(value.span().start, "`settings` takes a section"));
    };
    let Source { path, text } = file.source;
    Layer::of_spider_file(path, text, table).map_err(|error| {
        // It has said where already.
        let said = error.to_string();
        let place = format!(" in {}:", path.display());
        match said.split_once(&place) {
            Some((before, after)) => located(file, before, after),
            None => file.error(value.span().start, said),
        }
    })
}

/// An error of the settings, which names its place within a sentence.
fn located(file: &Keys<'_>, before: &str, after: &str) -> DeclaredError {
    let digits = after.find(|c: char| !c.is_ascii_digit() && c != ':');
    let (place, rest) = after.split_at(digits.unwrap_or(after.len()));
    let mut numbers = place.split(':').map(|number| number.parse().unwrap_or(1));
    DeclaredError {
        line: numbers.next().unwrap_or(1),
        column: numbers.next().unwrap_or(1),
        ..file.error(0, format!("{before}{rest}"))
    }
}

fn login(keys: Keys<'_>) -> Read<Login> {
    let url = keys.text("url")?;
    let url = url.ok_or_else(|| keys.missing("the `url` of the page with the form"))?;
    Ok(Login {
        url: url.value.to_owned(),
        form: keys.selector("form")?.unwrap_or_else(|| "form".to_owned()),
        fields: filled(&keys, true)?,
        check: keys.selector("check")?,
    })
}

fn filled(keys: &Keys<'_>, secrets: bool) -> Read<Vec<(String, Filled)>> {
    let mut fields = Vec::new();
    for (name, value) in keys.entries("fields")? {
        let filled = match value.get_ref() {
            DeValue::String(text) => Some(Filled::Text(text.to_string())),
            DeValue::Table(table) => match &entries(table)[..] {
                [(key, value)] => match (key.value, value.get_ref().as_str()) {
                    ("env", Some(name)) => Some(Filled::Env(name.to_owned())),
                    ("secret", Some(name)) if secrets => Some(Filled::Secret(name.to_owned())),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        let Some(filled) = filled else {
            let secret = if secrets {
                " or { secret = \"NAME\" }"
            } else {
                ""
            };
            let reason = format!(
                "`{}` takes a text, {{ env = \"NAME\" }}{secret}",
                name.value
            );
            return Err(keys.error(value.span().start, reason));
        };
        fields.push((name.value.to_owned(), filled));
    }
    Ok(fields)
}

fn starts(
    file: &Keys<'_>,
    steps: &Steps<'_>,
    args: &BTreeMap<&'static str, Option<String>>,
) -> Read<Vec<Start>> {
    let Some(value) = file.value("start") else {
        return Err(file.error(0, "a spider needs a `start`: its first URLs"));
    };
    let all = match value.get_ref() {
        DeValue::Array(all) => all.iter().collect(),
        _ => vec![value],
    };
    let first = steps.named.first().map_or("", |(name, _)| *name);
    let mut starts = Vec::new();
    for value in all {
        let offset = value.span().start;
        let (from, step) = match value.get_ref() {
            DeValue::String(url) => (From::Template(url.to_string()), StepRef::named(first)),
            DeValue::Table(table) => start_section(file, steps, table, offset, first)?,
            _ => return Err(file.error(offset, "`start` takes a URL, or a list of them")),
        };
        let (From::Template(text) | From::File(text)) = &from;
        let known: Vec<&str> = args.keys().copied().collect();
        template::check(text, &known).map_err(|reason| file.error(offset, reason))?;
        starts.push(Start { from, step });
    }
    Ok(starts)
}

fn start_section(
    file: &Keys<'_>,
    steps: &Steps<'_>,
    table: &DeTable<'_>,
    offset: usize,
    first: &'static str,
) -> Read<(From, StepRef)> {
    let mut from = None;
    let mut step = StepRef::named(first);
    for (key, value) in table {
        let (key, key_at) = (key.get_ref().as_ref(), key.span().start);
        let text = value.get_ref().as_str();
        let Some(text) = text else {
            return Err(file.error(
                value.span().start,
                format!("`{key}` takes a text in quotes"),
            ));
        };
        match key {
            "url" => from = Some(From::Template(text.to_owned())),
            "file" => from = Some(From::File(text.to_owned())),
            "step" => {
                let at = At {
                    value: text,
                    offset: value.span().start,
                };
                step = steps.find(file.source, &at)?;
            }
            other => {
                let reason = format!("no `{other}` in a start; there are url, file, step");
                return Err(file.error(key_at, reason));
            }
        }
    }
    from.map(|from| (from, step))
        .ok_or_else(|| file.error(offset, "a start needs a `url` or a `file`"))
}

fn plan(steps: &Steps<'_>, name: &str, keys: &Keys<'_>) -> Read<Plan> {
    let source = keys.source;
    let mut plan = Plan {
        download: keys.selectors("download")?,
        ..Plan::default()
    };
    for (selector, value) in keys.entries("follow")? {
        let selector = checked(source, &selector)?;
        let Some(step) = value.get_ref().as_str() else {
            let reason = "`follow` takes the name of a step for each selector";
            return Err(keys.error(value.span().start, reason));
        };
        let step = At {
            value: step,
            offset: value.span().start,
        };
        plan.follow.push((selector, steps.find(source, &step)?));
    }
    for rules in keys.sections("links", &LINKS)? {
        plan.links.push(links(steps, &rules)?);
    }
    if let Some(pages) = keys.section("pages", &PAGES)? {
        plan.pages = Some(self::pages(&pages)?);
    }
    if let Some(submit) = keys.section("submit", &SUBMIT)? {
        plan.submit = Some(Submit {
            form: submit
                .selector("form")?
                .unwrap_or_else(|| "form".to_owned()),
            fields: filled(&submit, false)?,
            step: steps.named_by(&submit)?,
        });
    }
    if let Some(sitemap) = keys.section("sitemap", &SITEMAP)? {
        plan.sitemap = Some(Sitemap {
            only: patterns(&sitemap, "only")?,
            step: steps.named_by(&sitemap)?,
        });
    }
    for item in keys.sections("item", &ITEM)? {
        plan.items.push(self::item(name, &item)?);
    }
    Ok(plan)
}

/// Patterns of URLs that are some.
fn patterns(keys: &Keys<'_>, key: &str) -> Read<Vec<String>> {
    let mut all = Vec::new();
    for text in keys.texts(key)? {
        if url_pattern(text.value).is_err() {
            let reason = format!("`{}` is no pattern of URLs, as /book/* is", text.value);
            return Err(keys.error(text.offset, reason));
        }
        all.push(text.value.to_owned());
    }
    Ok(all)
}

fn links(steps: &Steps<'_>, keys: &Keys<'_>) -> Read<(Links, Option<StepRef>)> {
    let unfit = |error: Box<dyn std::error::Error + Send + Sync>| {
        keys.error(keys.offset, error.to_string())
    };
    let mut links = Links::new();
    for pattern in patterns(keys, "allow")? {
        links = links.allow(&pattern).map_err(unfit)?;
    }
    for pattern in patterns(keys, "deny")? {
        links = links.deny(&pattern).map_err(unfit)?;
    }
    for within in keys.selectors("within")? {
        links = links.within(&within).map_err(unfit)?;
    }
    for tag in keys.texts("tags")? {
        links = links.tag(tag.value);
    }
    for attribute in keys.texts("attrs")? {
        links = links.attribute(attribute.value);
    }
    if keys.value("extensions").is_some() {
        let endings = keys.texts("extensions")?;
        links = links.extensions(endings.iter().map(|ending| ending.value));
    }
    let step = keys.text("step")?;
    let step = step
        .map(|step| steps.find(keys.source, &step))
        .transpose()?;
    Ok((links, step))
}

fn pages(keys: &Keys<'_>) -> Read<Pages> {
    let url = keys.text("url")?;
    let url = url.ok_or_else(|| keys.missing("the `url` of the next page"))?;
    if !url.value.contains(PAGE) {
        let reason = "the URL of the next page has {page} where its number stands";
        return Err(keys.error(url.offset, reason));
    }
    let condition = keys.selector("while")?;
    let last = keys.number("last")?;
    if condition.is_none() && last.is_none() {
        return Err(keys.missing("an end: `while` or `last`"));
    }
    Ok(Pages {
        url: url.value.to_owned(),
        from: keys.number("from")?.unwrap_or(1),
        by: keys.number("by")?.unwrap_or(1).max(1),
        last,
        condition,
    })
}

/// Where a page's number stands.
pub(super) const PAGE: &str = "{page}";

fn item(step: &str, keys: &Keys<'_>) -> Read<Item> {
    let fields = fields::read(keys)?;
    if fields.is_empty() {
        return Err(keys.missing("`fields`"));
    }
    let column = |field: &super::plan::Field| Column {
        name: field.name.clone().into(),
        kind: fields::kind(field),
        nullable: fields::is_nullable(field),
    };
    let key_columns = keys.texts("key")?;
    let key: Vec<&str> = key_columns.iter().map(|key| key.value).collect();
    for key in &key_columns {
        if !fields.iter().any(|field| field.name == key.value) {
            let names = fields.iter().map(|field| field.name.as_str());
            let meant = closest(key.value, names)
                .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
            return Err(keys.error(key.offset, format!("no field `{}`{meant}", key.value)));
        }
    }
    let table = keys.text("table")?;
    let offset = table.as_ref().map_or(keys.offset, |table| table.offset);
    let table = table.map_or(step, |table| table.value).to_owned();
    let columns = fields.iter().map(column).collect();
    let schema = Schema::new(table, columns, &key);
    let schema = schema.map_err(|error| keys.error(offset, error.to_string()))?;
    Ok(Item {
        schema: Arc::new(schema),
        each: keys.selector("each")?,
        fields,
    })
}

/// What the engine knows of a step.
fn info(name: &'static str, keys: &Keys<'_>, plan: &Plan) -> Read<StepInfo> {
    let mut accepts = Vec::new();
    for status in keys.numbers("status")? {
        let known = u16::try_from(status).ok();
        let Some(status) = known.filter(|status| (100..=599).contains(status)) else {
            let offset = keys.value("status").map_or(0, |value| value.span().start);
            return Err(keys.error(offset, format!("{status} is no HTTP status")));
        };
        accepts.push(status);
    }
    let was = keys.texts("was")?;
    let was: Vec<&'static str> = was.iter().map(|was| kept(was.value)).collect();
    let revisit = keys.text("revisit")?.map(|text| {
        revisit(text.value).ok_or_else(|| {
            let reason = format!(
                "`{}` is none of always, changed, lastmod, never, `every 7d` and `1h to 30d`",
                text.value
            );
            keys.error(text.offset, reason)
        })
    });
    let tables = plan.items.iter().map(|item| Arc::clone(&item.schema));
    Ok(StepInfo {
        name,
        was: Vec::leak(was),
        accepts: Vec::leak(accepts),
        revisit: revisit.transpose()?,
        stop_when_known: keys.number("stop_when_known")?,
        url: keys.text("url")?.map(|url| kept(url.value)),
        tables: Tables::Known(tables.collect()),
    })
}

fn revisit(text: &str) -> Option<Revisit> {
    let time = |text: &str| {
        parse_duration(text.trim())
            .ok()
            .filter(|time| *time > Duration::ZERO)
    };
    Some(match text {
        "always" => Revisit::Always,
        "changed" => Revisit::Changed,
        "lastmod" => Revisit::Lastmod,
        "never" => Revisit::Never,
        _ => match (text.strip_prefix("every "), text.split_once(" to ")) {
            (Some(every), _) => Revisit::Every(time(every)?),
            (None, Some((least, most))) => Revisit::Between(time(least)?, time(most)?),
            (None, None) => return None,
        },
    })
}

/// A TOML value that is neither a list nor a section, as JSON.
pub(super) fn scalar(value: &DeValue<'_>) -> Option<Json> {
    Some(match value {
        DeValue::String(text) => Json::from(text.as_ref()),
        DeValue::Boolean(is) => Json::from(*is),
        DeValue::Integer(number) => Json::from(number.as_str().parse::<i64>().ok()?),
        DeValue::Float(number) => Json::from(number.as_str().parse::<f64>().ok()?),
        _ => return None,
    })
}
