//! How a request names the step that reads its answer.

use std::any::TypeId;
use std::borrow::Cow;

use super::Result;

/// The name of a step and its arguments, as the frontier stores them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRef {
    /// The step's name in the database.
    pub name: Cow<'static, str>,
    /// Typed arguments as JSON.
    pub args: Option<String>,
    /// The spider type it belongs to, where the compiler knows it: steps of another spider are
    /// refused.
    pub spider: Option<TypeId>,
}

impl StepRef {
    /// A step by name: for spiders without a type (TOML) and for requests read from the store.
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            args: None,
            spider: None,
        }
    }

    /// Who reads robots.txt: the crawl itself.
    pub fn robots() -> Self {
        Self::named(ROBOTS)
    }

    /// No step reads the answer: its body goes into a file. See
    /// [`Page::download`](crate::page::Page::download).
    pub fn file() -> Self {
        Self::named(FILE)
    }

    /// Whether the body goes into a file.
    pub fn is_file(&self) -> bool {
        self.name == FILE
    }

    /// Whether the crawl itself reads the answer, as a robots.txt. No step can have this name.
    pub fn is_robots(&self) -> bool {
        self.name == ROBOTS
    }
}

/// A colon stands in no step's name, so no step can have this one.
const FILE: &str = "file:";
const ROBOTS: &str = "robots.txt";

/// A checked reference to a step: `Self::book`, or `(Self::page, At { page: 2 })` with arguments.
///
/// The compiler checks name, signature and arguments; the database stores the name and the arguments
/// as JSON. Implemented for methods of an `impl` block under `#[spider]` and for [`StepRef`].
#[diagnostic::on_unimplemented(
    message = "this is not a step of a spider, or its arguments do not fit",
    label = "expected `Self::step` or `(Self::step, arguments)`",
    note = "a step is `async fn(&self, page: Page) -> Result<..>`, or takes one serde-able argument more: \
            then it is `(Self::step, argument)`"
)]
pub trait Step<Signature> {
    /// Name and arguments.
    ///
    /// # Errors
    /// If the method is no step of its spider, or its arguments can't be written as JSON.
    fn step(self) -> Result<StepRef>;
}

impl Step<()> for StepRef {
    fn step(self) -> Result<StepRef> {
        Ok(self)
    }
}

impl Step<()> for &StepRef {
    fn step(self) -> Result<StepRef> {
        Ok(self.clone())
    }
}
