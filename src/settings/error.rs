//! Settings that can't be used, and where they were said.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from. Later layers win; the order of the variants is the usual one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The user's own file and its section.
    UserConfig(PathBuf, String),
    /// A section of `nephila.toml`.
    File(PathBuf, String),
    /// The spider's attribute.
    Spider,
    /// An environment variable.
    Env(String),
    /// A flag of the command line, as typed.
    Flag(String),
}

/// Where exactly a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The layer.
    pub origin: Origin,
    /// Line and column, counted from 1, for files.
    pub position: Option<(usize, usize)>,
}

impl Place {
    /// A place without lines.
    pub fn of(origin: Origin) -> Self {
        Self {
            origin,
            position: None,
        }
    }

    /// The place of byte `offset` in `text`.
    pub(super) fn at(origin: &Origin, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Self {
            origin: origin.clone(),
            position: Some((line, column)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Default => f.write_str("the defaults")?,
            Origin::UserConfig(path, _) | Origin::File(path, _) => write!(f, "{}", path.display())?,
            // A spider's settings are assembled by its macro: their lines mean nothing to anybody.
            Origin::Spider => return f.write_str("the spider's own settings"),
            Origin::Env(name) => write!(f, "the environment ({name})")?,
            Origin::Flag(flag) => write!(f, "`{flag}`")?,
        }
        match self.position {
            Some((line, column)) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

/// Settings that can't be used, and where they were said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// No such setting.
    #[error("unknown setting `{name}` in {place}{}", meant(similar.as_deref()))]
    Unknown {
        /// As written.
        name: String,
        /// Where.
        place: Box<Place>,
        /// What was probably meant.
        similar: Option<String>,
    },
    /// A `NEPHILA_*` variable that means nothing.
    #[error("unknown environment variable `{name}`{}", meant(similar.as_deref()))]
    Variable {
        /// As written.
        name: String,
        /// What was probably meant.
        similar: Option<String>,
    },
    /// A file's section that means nothing.
    #[error("unknown section `{name}` in {place}{}", meant(similar.as_deref()))]
    Section {
        /// As written.
        name: String,
        /// Where.
        place: Box<Place>,
        /// What was probably meant.
        similar: Option<String>,
    },
    /// A setting outside of every section.
    #[error("setting `{name}` in {place} stands outside of [defaults] and [spider.NAME]")]
    Astray {
        /// The setting.
        name: String,
        /// Where.
        place: Box<Place>,
    },
    /// A value of the wrong type, or out of range.
    #[error("setting `{name}` in {place} is {value}; it takes {expects}")]
    Value {
        /// The setting.
        name: String,
        /// What was given, as TOML.
        value: String,
        /// Where.
        place: Box<Place>,
        /// What it takes.
        expects: &'static str,
    },
    /// Text that is no TOML, or a section that is no table.
    #[error("{place}: {reason}")]
    Syntax {
        /// Where.
        place: Box<Place>,
        /// What the parser says.
        reason: String,
    },
    /// A file that can't be read.
    #[error("can't read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

fn meant(similar: Option<&str>) -> String {
    similar.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
