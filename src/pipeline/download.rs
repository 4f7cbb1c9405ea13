//! Files that belong to an item.

use super::{Pipeline, Processed};
use crate::item::{Record, Value};
use crate::page::Page;
use crate::request::{Result, StepRef};

/// A stage that downloads what a column of an item links to: a URL, or a list of them, absolute or
/// relative to the page. Once a file is there, the table `file` has a row for it, with the URL that the
/// column has. Items without the column, or with nothing in it, pass as they are.
///
/// ```
/// use nephila::pipeline::{Download, Pipelines};
///
/// let stages = Pipelines::new().with(Download::of("cover"));
/// # assert!(!stages.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Download {
    column: String,
}

impl Download {
    /// Of the column of this name.
    pub fn of(column: impl Into<String>) -> Self {
        Self {
            column: column.into(),
        }
    }
}

impl Pipeline for Download {
    async fn process(&self, mut item: Record, page: &Page) -> Result<Processed> {
        let links = match item.get(&self.column) {
            Some(Value::Text(link)) if !link.trim().is_empty() => vec![link.clone()],
            Some(Value::Json(list)) => serde_json::from_str(list).unwrap_or_default(),
            _ => return Ok(item.into()),
        };
        let mut urls = Vec::with_capacity(links.len());
        for link in &links {
            let url = page.join(link)?;
            page.visit(&url, StepRef::file())?;
            urls.push(url);
        }
        // As the table `file` has them.
        match item.get(&self.column) {
            Some(Value::Json(_)) => item.set(&self.column, urls)?,
            _ => item.set(&self.column, urls.remove(0))?,
        }
        Ok(item.into())
    }
}
