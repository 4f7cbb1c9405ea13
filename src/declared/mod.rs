//! Spiders written as TOML files, for which no compiler is needed.
//!
//! A file says where to start, and for each step what it follows and what it stores. It is checked as a
//! whole when it is read, and is then a [`Spider`] like any other: the same
//! engine, the same steps by name in the database, the same tables. `docs/toml.md` has all of it.
//!
//! ```
//! use nephila::declared::Declared;
//! use nephila::spider::Args;
//!
//! let text = r#"
//! start = "http://shop.example/"
//! [step.list.follow]
//! "article h3 a" = "book"
//! "li.next a" = "list"
//! [step.book.item]
//! table = "books"
//! key = "url"
//! [step.book.item.fields]
//! url = "@url"
//! title = "h1"
//! price = { css = "p.price", parse = "money" }
//! "#;
//! let books = Declared::parse("spiders/books.toml".as_ref(), text)?;
//! assert_eq!(books.name(), "books");
//! let spider = books.spider(&Args::new())?;
//! assert_eq!(spider.steps()[1].tables()[0].table(), "books");
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```

mod body;
mod fields;
mod keys;
mod plan;
mod read;
mod run;
mod schema;
mod sections;
mod source;
mod starts;
mod template;

pub use schema::json_schema;
pub use source::DeclaredError;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::spider::{Args, ArgsError, Spider, StepInfo};

/// A spider's file, checked.
///
/// What it says is kept until the program ends, as the code of a spider in Rust is: read a file once.
#[derive(Debug)]
pub struct Declared {
    name: String,
    about: String,
    path: PathBuf,
    /// Names of arguments and their defaults.
    args: BTreeMap<&'static str, Option<String>>,
    /// As TOML.
    settings: String,
    start: Vec<plan::Start>,
    login: Option<plan::Login>,
    infos: Vec<StepInfo>,
    /// What each of the steps does.
    plans: Vec<plan::Plan>,
}

impl Declared {
    /// Reads the text of a file called `path`.
    ///
    /// # Errors
    /// The first thing in it that can't be used, with line and column.
    pub fn parse(path: &Path, text: &str) -> Result<Arc<Self>, DeclaredError> {
        read::read(path, text).map(Arc::new)
    }

    /// Its name: that in the file, else the file's own.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does, in a line; perhaps nothing.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its steps, in the order of the file.
    pub fn steps(&self) -> &[StepInfo] {
        &self.infos
    }

    /// The spider with its arguments.
    ///
    /// # Errors
    /// An argument that it does not have.
    pub fn spider(self: &Arc<Self>, args: &Args) -> Result<Arc<dyn Spider>, ArgsError> {
        if let Some(unknown) = args
            .keys()
            .find(|name| !self.args.contains_key(name.as_str()))
        {
            return Err(ArgsError::Unknown {
                spider: self.name.clone(),
                name: unknown.clone(),
                known: self.args.keys().copied().collect(),
            });
        }
        let defaults = self.args.iter().filter_map(|(name, default)| {
            let default = default.as_ref()?;
            Some(((*name).to_owned(), default.clone()))
        });
        let mut all: BTreeMap<String, String> = defaults.collect();
        all.extend(args.clone());
        Ok(run::spider(Arc::clone(self), all))
    }
}

#[cfg(test)]
mod tests;
