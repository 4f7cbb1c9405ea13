//! What was there in place of a value.

use std::fmt;

use super::TooCostly;

/// Why a value was not read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Miss {
    /// Nothing matches.
    #[error("matches nothing")]
    Nothing,
    /// There is text, but not of the type.
    #[error("can't read {text:?} as {wanted}")]
    Unreadable {
        /// What was there, shortened.
        text: Box<str>,
        /// The type.
        wanted: Box<str>,
    },
    /// The field's own function refused the text.
    #[error("can't read {text:?}: {why}")]
    Refused {
        /// What was there, shortened.
        text: Box<str>,
        /// What the function said.
        why: Box<str>,
    },
    /// Reading the page has cost too much.
    #[error(transparent)]
    TooCostly(Box<TooCostly>),
    /// It could not be looked for: the page is no JSON.
    #[error("{0}")]
    Failed(Box<str>),
    /// A field of a nested item.
    #[error("{0}")]
    Nested(Box<FieldError>),
}

impl Miss {
    /// `text` is no `wanted`.
    pub fn unreadable(text: &str, wanted: &str) -> Self {
        Self::Unreadable {
            text: shorten(text).into(),
            wanted: wanted.into(),
        }
    }
}

pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
        None => text.to_owned(),
    }
}

/// A field that is missing or unreadable.
#[derive(Clone, Debug)]
pub struct FieldError {
    /// Its name; empty for [`Page::get`](crate::page::Page::get).
    pub field: String,
    /// The selector as written.
    pub selector: String,
    /// The pattern as written.
    pub pattern: Option<Box<str>>,
    /// What was found instead.
    pub miss: Miss,
    /// The nearest thing on the page, where nothing matched.
    pub closest: Option<Box<str>>,
}

impl FieldError {
    /// Its selector and pattern, as people read them: `p.price =~ ([\d.]+)`.
    pub fn written(&self) -> String {
        match &self.pattern {
            None => self.selector.clone(),
            Some(pattern) => format!("{} =~ {pattern}", self.selector),
        }
    }

    /// Whether the selector matched nothing at all.
    pub fn is_nothing(&self) -> bool {
        matches!(self.miss, Miss::Nothing)
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "field `{}`: ", self.field)?;
        }
        match &self.miss {
            Miss::Nothing => write!(f, "`{}` matches nothing", self.selector)?,
            miss => write!(f, "{miss}")?,
        }
        match &self.closest {
            Some(closest) => write!(f, " ({closest})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FieldError {}
