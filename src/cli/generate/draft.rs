//! What was found on a page, and the file that is made of it.

use std::fmt::Write;

use url::Url;

use super::columns::{Column, named};
use crate::item::{Schema, SchemaError};

/// The steps of the file.
pub(super) const LIST: &str = "list";
pub(super) const DETAIL: &str = "detail";

/// A spider in the making.
pub(super) struct Draft {
    /// How many rows the list has.
    pub(super) count: usize,
    /// The selector of the rows.
    pub(super) each: String,
    /// What is read from the rows.
    pub(super) columns: Vec<Column>,
    pub(super) next: Next,
    /// The pages that rows link to.
    pub(super) details: Option<Details>,
}

/// How one gets to the next page.
pub(super) enum Next {
    None,
    /// A selector of its link.
    Link(String),
    /// Links to all pages, by a pattern; and the URL of the one where one begins, which is known by another.
    Numbers {
        pattern: String,
        first: Option<String>,
    },
    /// The URL's template, its number here, and what a page has that has a next one.
    Numbered {
        url: String,
        from: u32,
        condition: String,
    },
}

/// Pages that rows link to.
pub(super) struct Details {
    pub(super) link: Way,
    pub(super) urls: Vec<Url>,
    /// What is read from them; nothing before they were opened.
    pub(super) columns: Vec<Column>,
}

/// How one gets to pages of their own.
pub(super) enum Way {
    /// By links that this selector finds.
    Links(String),
    /// It is a sitemap: by its entries, all or those that fit a pattern.
    Map(Option<String>),
}

/// The table of a spider: it is called like it, so that many of them have room in one database.
pub(super) fn table(spider: &str) -> String {
    let name = named(spider);
    match Schema::new(name.clone(), Vec::new(), &[]) {
        Err(SchemaError::Reserved(_)) => format!("{name}_items"),
        _ => name,
    }
}

impl Draft {
    /// In a line.
    pub(super) fn found(&self) -> String {
        let link = match self.details.as_ref().map(|details| &details.link) {
            Some(Way::Links(link)) => format!(" -> link {link}"),
            Some(Way::Map(Some(only))) => format!(" -> pages like {only}"),
            Some(Way::Map(None)) | None => String::new(),
        };
        let next = match &self.next {
            Next::None => "none".to_owned(),
            Next::Link(selector) => selector.clone(),
            Next::Numbers { pattern, .. } => pattern.clone(),
            Next::Numbered { url, .. } => url.clone(),
        };
        format!(
            "{} x {}{link}       next page: {next}",
            self.count, self.each
        )
    }

    /// The pages that are opened for their items, if there is more on them than in the list.
    pub(super) fn opened(&self) -> Option<&Details> {
        let details = self.details.as_ref()?;
        let is_map = matches!(details.link, Way::Map(_));
        (is_map || details.columns.len() >= 2).then_some(details)
    }

    /// The file.
    pub(super) fn toml(&self, name: &str, url: &Url) -> String {
        let mut out = format!("# Made from {url} by nephila gen: names and types are guesses.\n");
        let opened = self.opened();
        let _ = writeln!(out, "start = {}", quoted(url.as_str()));
        if let Next::Numbered {
            url,
            from,
            condition,
        } = &self.next
        {
            let (url, condition) = (quoted(url), quoted(condition));
            let _ = write!(
                out,
                "\n[step.{LIST}.pages]\nurl = {url}\nfrom = {from}\nwhile = {condition}\n"
            );
        }
        let mut follow = Vec::new();
        match opened.map(|details| &details.link) {
            None => {}
            Some(Way::Links(link)) => follow.push(format!("{} = \"{DETAIL}\"", quoted(link))),
            Some(Way::Map(only)) => {
                let only = only
                    .as_ref()
                    .map(|only| format!("only = {}\n", quoted(only)));
                let only = only.unwrap_or_default();
                let _ = write!(out, "\n[step.{LIST}.sitemap]\n{only}step = \"{DETAIL}\"\n");
            }
        }
        if let Next::Link(selector) = &self.next {
            follow.push(format!("{} = \"{LIST}\"", quoted(selector)));
        }
        if !follow.is_empty() {
            let _ = write!(out, "\n[step.{LIST}.follow]\n{}\n", follow.join("\n"));
        }
        if let Next::Numbers { pattern, first } = &self.next {
            let deny = first
                .as_ref()
                .map(|first| format!("deny = {}\n", quoted(first)));
            let (pattern, deny) = (quoted(pattern), deny.unwrap_or_default());
            let _ = write!(
                out,
                "\n[[step.{LIST}.links]]\nallow = {pattern}\n{deny}step = \"{LIST}\"\n"
            );
        }
        self.write_item(&mut out, &table(name));
        out
    }

    fn write_item(&self, out: &mut String, table: &str) {
        let opened = self.opened();
        let step = if opened.is_some() { DETAIL } else { LIST };
        let _ = write!(out, "\n[step.{step}.item]\ntable = \"{table}\"\n");
        let columns = if let Some(details) = opened {
            let _ = write!(
                out,
                "key = \"url\"\n\n[step.{step}.item.fields]\nurl = \"@url\"\n"
            );
            &details.columns
        } else {
            let _ = writeln!(out, "each = {}", quoted(&self.each));
            if let Some(key) = self.columns.iter().find(|column| column.is_key) {
                let _ = writeln!(out, "key = {}", quoted(&key.name));
            }
            let _ = write!(out, "\n[step.{step}.item.fields]\n");
            &self.columns
        };
        write_columns(out, columns);
    }
}

fn write_columns(out: &mut String, columns: &[Column]) {
    for column in columns {
        let _ = writeln!(out, "{} = {}", column.name, column.toml());
    }
}

/// A text as TOML.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
