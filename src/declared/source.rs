//! A spider's file while it is read: every error says line and column.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::Section;
use crate::page::Selector;
use crate::settings::closest;

/// A file that is no spider, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}:{column}: {reason}", path.display())]
pub struct DeclaredError {
    /// The file.
    pub path: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub reason: String,
}

/// `Ok`, or what is wrong in the file.
pub(super) type Read<T> = Result<T, DeclaredError>;

/// The text and its name.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// An error at a byte of the text.
    pub(super) fn error(&self, offset: usize, reason: impl Into<String>) -> DeclaredError {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        DeclaredError {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
            reason: reason.into(),
        }
    }
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) offset: usize,
}

/// A section of the file, its keys known to be those of its kind.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    pub(super) source: Source<'a>,
    table: &'a DeTable<'a>,
    /// As it is written.
    name: &'a str,
    pub(super) offset: usize,
}

type Value<'a> = &'a Spanned<DeValue<'a>>;

impl<'a> Keys<'a> {
    /// The keys of a section, checked.
    pub(super) fn of(
        source: Source<'a>,
        section: &Section,
        name: &'a str,
        table: &'a DeTable<'a>,
        offset: usize,
    ) -> Read<Self> {
        for key in table.keys() {
            let known = section.keys.iter().map(|key| key.name);
            if !known.clone().any(|known| known == key.get_ref()) {
                let meant = match closest(key.get_ref(), known.clone()) {
                    Some(name) => format!("; did you mean `{name}`?"),
                    None => format!("; there are {}", known.collect::<Vec<_>>().join(", ")),
                };
                let place = match name {
                    "" => "a spider's file".to_owned(),
                    name => format!("[{name}]"),
                };
                let reason = format!("no `{}` in {place}{meant}", key.get_ref());
                return Err(source.error(key.span().start, reason));
            }
        }
        Ok(Self {
            source,
            table,
            name,
            offset,
        })
    }

    pub(super) fn error(&self, offset: usize, reason: impl Into<String>) -> DeclaredError {
        self.source.error(offset, reason)
    }

    /// An error about the section as a whole.
    pub(super) fn missing(&self, what: &str) -> DeclaredError {
        self.error(self.offset, format!("[{}] needs {what}", self.name))
    }

    pub(super) fn value(&self, key: &str) -> Option<Value<'a>> {
        let (_, value) = self.table.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(value)
    }

    fn unfit(&self, key: &str, value: Value<'_>, takes: &str) -> DeclaredError {
        self.error(value.span().start, format!("`{key}` takes {takes}"))
    }

    pub(super) fn text(&self, key: &str) -> Read<Option<At<&'a str>>> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        match value.get_ref().as_str() {
            Some(text) => Ok(Some(At {
                value: text,
                offset: value.span().start,
            })),
            None => Err(self.unfit(key, value, "a text in quotes")),
        }
    }

    /// A text, or a list of them.
    pub(super) fn texts(&self, key: &str) -> Read<Vec<At<&'a str>>> {
        let Some(value) = self.value(key) else {
            return Ok(Vec::new());
        };
        let all = match value.get_ref() {
            DeValue::Array(all) => all.iter().collect(),
            _ => vec![value],
        };
        let text = |value: Value<'a>| match value.get_ref().as_str() {
            Some(text) => Ok(At {
                value: text,
                offset: value.span().start,
            }),
            None => Err(self.unfit(key, value, "a text in quotes, or a list of them")),
        };
        all.into_iter().map(text).collect()
    }

    /// A whole number that is not negative, or a list of them.
    pub(super) fn numbers(&self, key: &str) -> Read<Vec<u32>> {
        let Some(value) = self.value(key) else {
            return Ok(Vec::new());
        };
        let all = match value.get_ref() {
            DeValue::Array(all) => all.iter().collect(),
            _ => vec![value],
        };
        let number = |value: Value<'a>| {
            let number = value.get_ref().as_integer();
            number
                .and_then(|number| number.as_str().parse().ok())
                .ok_or_else(|| self.unfit(key, value, "a whole number"))
        };
        all.into_iter().map(number).collect()
    }

    pub(super) fn number(&self, key: &str) -> Read<Option<u32>> {
        let is_list = |value: Value<'_>| value.get_ref().is_array();
        match self.value(key) {
            Some(value) if is_list(value) => Err(self.unfit(key, value, "a whole number")),
            _ => Ok(self.numbers(key)?.first().copied()),
        }
    }

    /// A selector as it is written, known to parse.
    pub(super) fn selector(&self, key: &str) -> Read<Option<String>> {
        self.text(key)?
            .map(|text| checked(self.source, &text))
            .transpose()
    }

    pub(super) fn selectors(&self, key: &str) -> Read<Vec<String>> {
        let all = self.texts(key)?;
        all.iter().map(|text| checked(self.source, text)).collect()
    }

    /// A section within.
    pub(super) fn section(&self, key: &'a str, section: &Section) -> Read<Option<Self>> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let Some(table) = value.get_ref().as_table() else {
            return Err(self.unfit(key, value, "a section"));
        };
        Self::of(self.source, section, key, table, value.span().start).map(Some)
    }

    /// A section within, or several of them.
    pub(super) fn sections(&self, key: &'a str, section: &Section) -> Read<Vec<Self>> {
        let Some(value) = self.value(key) else {
            return Ok(Vec::new());
        };
        let all = match value.get_ref() {
            DeValue::Array(all) => all.iter().collect(),
            _ => vec![value],
        };
        let one = |value: Value<'a>| match value.get_ref().as_table() {
            Some(table) => Self::of(self.source, section, key, table, value.span().start),
            None => Err(self.unfit(key, value, "a section")),
        };
        all.into_iter().map(one).collect()
    }

    /// Names and values of one's own, in the order of the file.
    pub(super) fn entries(&self, key: &str) -> Read<Vec<(At<&'a str>, Value<'a>)>> {
        let Some(value) = self.value(key) else {
            return Ok(Vec::new());
        };
        match value.get_ref().as_table() {
            Some(table) => Ok(entries(table)),
            None => Err(self.unfit(key, value, "a section")),
        }
    }
}

/// The entries of a table in the order of the file.
pub(super) fn entries<'a>(table: &'a DeTable<'a>) -> Vec<(At<&'a str>, Value<'a>)> {
    let entry = |(key, value): (&'a Spanned<Cow<'a, str>>, Value<'a>)| {
        let offset = key.span().start;
        let value_of_key = key.get_ref().as_ref();
        let key = At {
            value: value_of_key,
            offset,
        };
        (key, value)
    };
    let mut all: Vec<_> = table.iter().map(entry).collect();
    all.sort_by_key(|(key, _)| key.offset);
    all
}

/// A selector that parses.
pub(super) fn checked(source: Source<'_>, text: &At<&str>) -> Read<String> {
    match Selector::parse(text.value) {
        Ok(_) => Ok(text.value.to_owned()),
        Err(error) => Err(source.error(text.offset, error.to_string())),
    }
}
