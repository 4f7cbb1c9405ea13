//! `nephila try SPIDER URL`.

use std::collections::HashMap;

use url::Url;

use super::failure::{Failure, meant};
use super::fetch;
use super::flags::SpiderFlags;
use super::format::{Format, FormatFlag};
use super::list::number;
use super::visitor::Visitor;
use super::{output, spiders};
use crate::engine::{Fetcher, Tried, try_step};
use crate::export::Export;
use crate::item::{Kind, Record, Value};
use crate::page::Traced;
use crate::request::without_logins;
use crate::settings::url_pattern;
use crate::spider::{Spider, StepInfo};
use crate::ui::{bytes, clean, plural};

const EXAMPLES: &str = "\
Examples:
  nephila try books https://shop.example/book/7 --step book
  nephila try spiders/shop.toml https://shop.example/          the first step, or the one whose `url` fits
  nephila try quotes https://shop.example/api?page=2 --step page --step-args '{\"page\": 2}'";

/// Run one step on one page and store nothing: its items, field by field with what each selector found,
/// and its requests
///
/// Items and requests go to standard output, all else to standard error. Ends with 1 if the step fails or
/// gives neither items nor requests.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Try {
    /// The spider's name, or its TOML file
    spider: String,
    /// The page
    url: String,
    /// The step; else the one whose `url` fits, else the first
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// The step's argument, as JSON
    #[arg(long, value_name = "JSON")]
    step_args: Option<String>,
    /// Items that are shown field by field; of others only their number
    #[arg(long, value_name = "N", default_value_t = 3)]
    items: usize,
    #[command(flatten)]
    flags: SpiderFlags,
    #[command(flatten)]
    format: FormatFlag,
}

impl Try {
    /// Whether it is a spider of the project's program, as far as can be said.
    pub(super) fn needs_spiders(&self) -> bool {
        !spiders::is_file(&self.spider)
    }

    pub(super) async fn run(self) -> Result<u8, Failure> {
        let url = fetch::url(&self.url, "nephila try SPIDER https://shop.example/book/7")?;
        let made = self.flags.make(&self.spider)?;
        let (spider, settings) = (&*made.spider, &made.settings);
        let step = step_for(spider, self.step.as_deref(), &url)?;
        let fetcher = Fetcher::new(Some(spider), &made.json(), settings)?;
        let visitor = Visitor {
            spider,
            settings,
            fetcher: &fetcher,
        };
        let Some(response) = visitor.see(url, Some(step.name)).await? else {
            return Ok(1);
        };
        let status = response.status;
        if !status.is_success() && !step.accepts.contains(&status.as_u16()) {
            output::say(&format!("      step  {} does not read {status}", step.name));
            return Ok(1);
        }
        let size = response.body.len();
        let args = self.step_args.as_deref();
        let tried = try_step(spider, settings, step.name, args, response).await;
        let tried = tried.ok_or_else(|| Failure::broken("the spider does not know its step"))?;
        output::say(&format!(
            "      step  {} of {}, {}: {}, {}",
            step.name,
            clean(spider.name()),
            bytes(size as u64),
            plural(tried.emitted.records.len() as u64, "item"),
            plural(tried.emitted.requests.len() as u64, "request"),
        ));
        for dropped in &tried.emitted.dropped {
            let items = plural(dropped.count, "item");
            let (table, reason) = (clean(&dropped.table), clean(&dropped.reason));
            output::say(&format!("   dropped  {items} of {table}: {reason}"));
        }
        for rows in &tried.emitted.bad_rows {
            let number = plural(rows.count, "row");
            let selector = rows.selector.as_deref().unwrap_or_default();
            let (message, selector) = (clean(&rows.message), clean(selector));
            output::say(&format!("  left out  {number}: {message}   {selector}"));
        }
        self.show(&tried)?;
        if let Some(failure) = &tried.failure {
            output::say(&format!(
                "{}: {}",
                output::style().red("error"),
                clean(failure)
            ));
        }
        let is_nothing = tried.emitted.records.is_empty() && tried.emitted.requests.is_empty();
        Ok(u8::from(tried.failure.is_some() || is_nothing))
    }

    fn show(&self, tried: &Tried) -> Result<(), Failure> {
        let format = self.format.get();
        let mut export = format.listing(output::stdout());
        self.show_items(tried, format, &mut *export)?;
        if !tried.emitted.requests.is_empty() && !matches!(format, Format::Csv | Format::SafeCsv) {
            if matches!(format, Format::Table | Format::Md) {
                export.end()?;
                export = format.listing(output::stdout());
            }
            export.begin(&["step".into(), "method".into(), "request".into()])?;
            for request in &tried.emitted.requests {
                export.row(&[
                    Value::Text(request.step.name.to_string()),
                    Value::Text(request.method.to_string()),
                    Value::Text(without_logins(request.url.as_str()).into()),
                ])?;
            }
        }
        Ok(export.end()?)
    }

    fn show_items(
        &self,
        tried: &Tried,
        format: Format,
        to: &mut dyn Export,
    ) -> Result<(), Failure> {
        let looks = Looks::of(&tried.traced);
        let columns = [
            "item", "field", "type", "value", "selector", "matches", "from",
        ];
        to.begin(&columns.map(str::to_owned))?;
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for (at, record) in tried.emitted.records.iter().enumerate() {
            let table = record.schema().table();
            let nth = counts.entry(table).or_default();
            if at < self.items {
                show_item(record, &looks, *nth, format, to)?;
            }
            *nth += 1;
        }
        // What was looked for before the step failed, and what links were looked for.
        let is_shown = |field: &str| {
            let records = tried.emitted.records.iter();
            let mut columns = records.flat_map(|record| record.schema().columns());
            columns.any(|column| column.name == field)
        };
        for look in &tried.traced {
            if look.field.as_deref().is_none_or(|field| !is_shown(field)) {
                let name = look.field.clone().map_or(Value::Null, Value::Text);
                let mut row = vec![Value::Null, name, Value::Null, Value::Null];
                row.extend(cells(Some(look)));
                to.row(&row)?;
            }
        }
        Ok(())
    }
}

/// The step that reads a page: the one that was asked for, else one whose `url` fits, else the first.
pub(super) fn step_for<'a>(
    spider: &'a dyn Spider,
    wanted: Option<&str>,
    url: &Url,
) -> Result<&'a StepInfo, Failure> {
    let steps = spider.steps();
    if let Some(wanted) = wanted {
        let known = steps
            .iter()
            .find(|step| step.name == wanted || step.was.contains(&wanted));
        return known.ok_or_else(|| {
            let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
            let meant = meant(wanted, names.iter().copied());
            let name = spider.name();
            Failure::usage(format!("spider `{name}` has no step `{wanted}`{meant}"))
                .more(format!("it has: {}", names.join(", ")))
        });
    }
    let fits = |step: &&StepInfo| {
        let pattern = step.url.map(pattern_of);
        pattern.is_some_and(|pattern| pattern.is_some_and(|regex| regex.is_match(url.as_str())))
    };
    steps
        .iter()
        .find(fits)
        .or(steps.first())
        .ok_or_else(|| Failure::usage("this spider has no steps"))
}

/// The regular expression of `/book/{id}`.
fn pattern_of(url: &str) -> Option<regex::Regex> {
    let mut glob = String::new();
    let mut rest = url;
    while let Some((before, after)) = rest.split_once('{') {
        glob.extend([before, "*"]);
        rest = after.split_once('}')?.1;
    }
    glob.push_str(rest);
    url_pattern(&glob).ok()
}

/// Looks for fields, in the order in which they were made.
struct Looks<'a>(HashMap<&'a str, Vec<&'a Traced>>);

impl<'a> Looks<'a> {
    fn of(traced: &'a [Traced]) -> Self {
        let mut looks: HashMap<&str, Vec<&Traced>> = HashMap::new();
        for look in traced {
            if let Some(field) = &look.field {
                looks.entry(field).or_default().push(look);
            }
        }
        Self(looks)
    }

    /// The look for a field of the nth item.
    fn nth(&self, field: &str, nth: usize) -> Option<&'a Traced> {
        self.0.get(field)?.get(nth).copied()
    }
}

fn show_item(
    record: &Record,
    looks: &Looks<'_>,
    nth: usize,
    format: Format,
    to: &mut dyn Export,
) -> Result<(), Failure> {
    let schema = record.schema();
    let item = format!("{} {}", schema.table(), nth + 1);
    for (column, value) in schema.columns().iter().zip(record.values()) {
        let null = if column.nullable { "?" } else { "" };
        let kind = match column.kind {
            Kind::Text => "TEXT",
            Kind::Integer => "INTEGER",
            Kind::Real => "REAL",
            Kind::Boolean => "BOOLEAN",
            Kind::Json => "JSON",
        };
        let mut row = vec![
            Value::Text(item.clone()),
            Value::Text(column.name.to_string()),
            Value::Text(format!("{kind}{null}")),
            match value {
                Value::Null if format == Format::Table => Value::Text("NULL".to_owned()),
                value => value.clone(),
            },
        ];
        row.extend(cells(looks.nth(&column.name, nth)));
        to.row(&row)?;
    }
    Ok(())
}

/// Selector, number of matches, and what the first one is.
fn cells(look: Option<&Traced>) -> [Value; 3] {
    let Some(look) = look else {
        return [Value::Null, Value::Null, Value::Null];
    };
    let pattern = look.pattern.as_ref();
    let pattern = pattern.map_or_else(String::new, |pattern| format!("  =~ {pattern}"));
    let first = look.first.clone();
    [
        Value::Text(format!("{}{pattern}", look.selector)),
        number(look.matches as u64),
        Value::Text(first.unwrap_or_else(|| "nothing matches".to_owned())),
    ]
}
