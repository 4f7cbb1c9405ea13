//! Methods as steps: the compiler checks them, the database stores their names.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StepInfo;
use crate::item::{Item, Schema};
use crate::page::{Page, Rows};
use crate::request::{Result, Step, StepRef};

/// A type whose methods are steps: `#[spider]` implements it.
pub trait Named: 'static {
    /// The stored name of the method whose function type has this id.
    fn step_name(method: TypeId) -> Option<&'static str>;

    /// The steps, the first being the one that reads start URLs.
    fn all_steps() -> &'static [StepInfo];
}

impl<S, F, R> Step<(S, R)> for F
where
    S: Named,
    F: AsyncFn(&S, Page) -> Result<R> + 'static,
    R: Yield,
{
    fn step(self) -> Result<StepRef> {
        reference::<S, F>(None)
    }
}

impl<S, F, A, R> Step<(S, A, R)> for (F, A)
where
    S: Named,
    F: AsyncFn(&S, Page, A) -> Result<R> + 'static,
    A: Serialize + DeserializeOwned,
    R: Yield,
{
    fn step(self) -> Result<StepRef> {
        reference::<S, F>(Some(serde_json::to_string(&self.1)?))
    }
}

fn reference<S: Named, F: 'static>(args: Option<String>) -> Result<StepRef> {
    let name = S::step_name(TypeId::of::<F>()).ok_or_else(|| {
        let (method, spider) = (std::any::type_name::<F>(), std::any::type_name::<S>());
        format!("`{method}` is no step of `{spider}`: steps stand in its `#[spider] impl`")
    })?;
    Ok(StepRef {
        name: name.into(),
        args,
        spider: Some(TypeId::of::<S>()),
    })
}

/// What a step may return: nothing, an item, perhaps an item, or many.
#[diagnostic::on_unimplemented(
    message = "a step can't return `{Self}`",
    label = "not an item",
    note = "a step returns `Result<()>`, `Result<T>`, `Result<Option<T>>` or `Result<Vec<T>>` with \
            `T: Item`: add `#[derive(Item)]` above the struct"
)]
pub trait Yield {
    /// Emits it on the page.
    ///
    /// # Errors
    /// If an item can't be stored.
    fn leave_on(self, page: &Page) -> Result;

    /// The tables it belongs to.
    fn tables() -> Vec<Arc<Schema>> {
        Vec::new()
    }
}

impl Yield for () {
    fn leave_on(self, _: &Page) -> Result {
        Ok(())
    }
}

impl<T: Item> Yield for T {
    fn leave_on(self, page: &Page) -> Result {
        page.emit(self)
    }
    fn tables() -> Vec<Arc<Schema>> {
        vec![T::schema()]
    }
}

impl<T: Item> Yield for Option<T> {
    fn leave_on(self, page: &Page) -> Result {
        self.map_or(Ok(()), |item| page.emit(item))
    }
    fn tables() -> Vec<Arc<Schema>> {
        vec![T::schema()]
    }
}

impl<T: Item> Yield for Vec<T> {
    fn leave_on(self, page: &Page) -> Result {
        let mut rows = Rows::default();
        for item in self {
            if let Some(record) = rows.row(item.into_record()) {
                page.emit_record(record);
            }
        }
        rows.end(page)
    }
    fn tables() -> Vec<Arc<Schema>> {
        vec![T::schema()]
    }
}

/// A request that finally failed, as an error handler (`#[step(failed = handler)]`) gets it.
///
/// The handler may emit items and requests on [`page`](Failure::page); they are stored together with
/// the failed page's row.
#[derive(Clone, Debug)]
pub struct Failure {
    page: Page,
    reason: &'static str,
    message: String,
}

impl Failure {
    /// A failure of `page`, grouped under `reason`; tests of handlers make one, too.
    pub fn new(page: Page, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            page,
            reason,
            message: message.into(),
        }
    }

    /// The page: with the answer if one came (say a 404), else with an empty body.
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// A short word: `status`, `timeout`, `connect`, `step`…
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// What happened, for people.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.page.url(), self.message)
    }
}
