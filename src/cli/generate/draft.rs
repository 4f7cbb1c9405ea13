//! What was found on a page, and the file that is made of it.

use std::fmt::Write;

use url::Url;

use super::columns::Column;

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
    /// The URL's template, its number here, and what a page has that has a next one.
    Numbered {
        url: String,
        from: u32,
        condition: String,
    },
}

/// Pages that rows link to.
pub(super) struct Details {
    /// The selector of the links.
    pub(super) link: String,
    pub(super) urls: Vec<Url>,
    /// What is read from them; nothing before they were opened.
    pub(super) columns: Vec<Column>,
}

impl Draft {
    /// In a line.
    pub(super) fn found(&self) -> String {
        let link = match &self.details {
            Some(details) => format!(" -> link {}", details.link),
            None => String::new(),
        };
        let next = match &self.next {
            Next::None => "none".to_owned(),
            Next::Link(selector) => selector.clone(),
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
        (details.columns.len() >= 2).then_some(details)
    }

    /// The file.
    pub(super) fn toml(&self, url: &Url) -> String {
        let mut out = format!("# Made from {url} by nephila gen: names and types are guesses.\n");
        let opened = self.opened();
        let _ = write!(out, "start = {}\n\n[step.{LIST}]\n", quoted(url.as_str()));
        let mut follow = Vec::new();
        if let Some(details) = opened {
            follow.push(format!("{} = \"{DETAIL}\"", quoted(&details.link)));
        }
        match &self.next {
            Next::None => {}
            Next::Link(selector) => follow.push(format!("{} = \"{LIST}\"", quoted(selector))),
            Next::Numbered {
                url,
                from,
                condition,
            } => {
                let (url, condition) = (quoted(url), quoted(condition));
                let _ = writeln!(
                    out,
                    "pages = {{ url = {url}, from = {from}, while = {condition} }}"
                );
            }
        }
        if !follow.is_empty() {
            let _ = write!(out, "\n[step.{LIST}.follow]\n{}\n", follow.join("\n"));
        }
        if let Some(details) = opened {
            let _ = write!(out, "\n[step.{DETAIL}.item]\nkey = \"url\"\n");
            let _ = write!(out, "\n[step.{DETAIL}.item.fields]\nurl = \"@url\"\n");
            write_columns(&mut out, &details.columns);
        } else {
            let each = quoted(&self.each);
            let _ = write!(out, "\n[step.{LIST}.item]\neach = {each}\n");
            if let Some(key) = self.columns.iter().find(|column| column.is_key) {
                let _ = writeln!(out, "key = {}", quoted(&key.name));
            }
            let _ = write!(out, "\n[step.{LIST}.item.fields]\n");
            write_columns(&mut out, &self.columns);
        }
        out
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
