//! From the text of a file to what it says, checked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use super::fields;
use super::keys::{FILE, LOGIN, STEP};
use super::plan::{Item, Plan};
use super::source::{At, DeclaredError, Keys, Read, Source};
use super::{Declared, sections, starts};
use crate::item::{Column, Schema};
use crate::request::{Revisit, StepRef};
use crate::settings::{Layer, closest, parse_duration};
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
    let login = file
        .section("login", &LOGIN)?
        .map(sections::login)
        .transpose()?;
    if login.is_some() && steps.named.is_empty() {
        return Err(file.error(0, "a spider needs a step: [step.NAME]"));
    }
    let known: Vec<&str> = args.keys().copied().collect();
    let (mut infos, mut plans) = (Vec::new(), Vec::new());
    for (name, keys) in &steps.named {
        let plan = sections::plan(&steps, name, keys, &known)?;
        infos.push(info(name, keys, &plan)?);
        plans.push(plan);
    }
    let about = file.text("about")?.map(|about| about.value.to_owned());
    Ok(Declared {
        start: starts::read(&file, &steps, &args, &plans)?,
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
pub(super) struct Steps<'a> {
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

    /// The step that reads the start URLs.
    pub(super) fn first(&self) -> &'static str {
        self.named.first().map_or("", |(name, _)| *name)
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.named.iter().position(|(known, _)| *known == name)
    }

    /// The step that is named somewhere.
    pub(super) fn find(&self, source: Source<'_>, name: &At<&str>) -> Read<StepRef> {
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
    pub(super) fn named_by(&self, keys: &Keys<'_>) -> Read<StepRef> {
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

/// `[step.NAME.item]`
pub(super) fn item(step: &str, keys: &Keys<'_>) -> Read<Item> {
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
    let schema = schema.map_err(|error| match keys.value("table") {
        Some(_) => keys.error(offset, error.to_string()),
        // It is the step's.
        None => keys.error(offset, format!("{error}: table = \"..\"")),
    })?;
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
