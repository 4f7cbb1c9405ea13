//! From matches of a selector to typed values.

use std::borrow::Cow;
use std::fmt;

use regex::Regex;
use url::Url;

use super::field_error::shorten;
use super::found::{Found, Hit, Scope};
use super::nearest::nearest;
use super::{FieldError, Miss, Selector};

/// How a field is read: written down by `derive(Item)`, once per field.
#[derive(Debug)]
pub struct Rule {
    field: Cow<'static, str>,
    selector: Selector,
    fallbacks: Vec<Selector>,
    pattern: Option<Regex>,
}

impl Rule {
    /// The field's name, its selector and those to try if it matches nothing, and a pattern whose
    /// first group (or whole match) is taken.
    pub fn new(
        field: impl Into<Cow<'static, str>>,
        selector: Selector,
        fallbacks: Vec<Selector>,
        pattern: Option<Regex>,
    ) -> Self {
        Self {
            field: field.into(),
            selector,
            fallbacks,
            pattern,
        }
    }

    pub(super) fn field(&self) -> &str {
        &self.field
    }

    pub(super) fn pattern(&self) -> Option<&Regex> {
        self.pattern.as_ref()
    }

    /// As [`new`](Self::new), from texts that the derive macro has checked.
    ///
    /// # Panics
    /// If a selector or the pattern does not parse.
    #[doc(hidden)]
    #[expect(clippy::panic, reason = "the derive macro parsed both at compile time")]
    pub fn checked(
        field: &'static str,
        selector: &str,
        fallbacks: &[&str],
        pattern: Option<&str>,
    ) -> Self {
        let parse = |source: &str| {
            Selector::parse(source).unwrap_or_else(|error| panic!("field `{field}`: {error}"))
        };
        let pattern = pattern.map(|pattern| {
            Regex::new(pattern).unwrap_or_else(|error| panic!("field `{field}`: {error}"))
        });
        let fallbacks = fallbacks.iter().map(|source| parse(source)).collect();
        Self::new(field, parse(selector), fallbacks, pattern)
    }
}

/// A value that can be read from one match.
pub trait FromHit: Sized {
    /// Reads the match.
    ///
    /// # Errors
    /// Why it can't be read.
    fn from_hit(hit: Hit<'_>) -> Result<Self, Miss>;
}

/// A value that can be read from the matches of a selector: one, perhaps one (`Option`), or all
/// (`Vec`). A `bool` says whether there is a match.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be read from a page",
    label = "no way to read it",
    note = "text, numbers, bool, Url, items with `#[css]` fields, `Option` and `Vec` of them can; \
            for another type use `#[css(\"..\", parse = function)]`"
)]
pub trait FromMatch: Sized {
    /// Reads the matches.
    ///
    /// # Errors
    /// [`Miss::Nothing`] if there is none and one is needed; else why it can't be read.
    fn from_match(found: &Found<'_>) -> Result<Self, Miss>;
}

impl<T: FromHit> FromMatch for T {
    fn from_match(found: &Found<'_>) -> Result<Self, Miss> {
        found.hits().next().map_or(Err(Miss::Nothing), T::from_hit)
    }
}

impl<T: FromHit> FromMatch for Option<T> {
    fn from_match(found: &Found<'_>) -> Result<Self, Miss> {
        match found.hits().next() {
            Some(hit) if !hit.is_empty() => T::from_hit(hit).map(Some),
            _ => Ok(None),
        }
    }
}

impl<T: FromHit> FromMatch for Vec<T> {
    fn from_match(found: &Found<'_>) -> Result<Self, Miss> {
        found.hits().map(T::from_hit).collect()
    }
}

impl FromMatch for bool {
    fn from_match(found: &Found<'_>) -> Result<Self, Miss> {
        let hit = found.hits().next();
        // JSON says itself what is true; elements only that they are there.
        let said = hit.as_ref().and_then(|hit| hit.json()?.as_bool());
        Ok(said.unwrap_or(hit.is_some()))
    }
}

impl<T: Extract> FromHit for T {
    fn from_hit(hit: Hit<'_>) -> Result<Self, Miss> {
        T::extract(&hit.scope()).map_err(|error| Miss::Nested(Box::new(error)))
    }
}

impl FromHit for String {
    fn from_hit(hit: Hit<'_>) -> Result<Self, Miss> {
        Ok(hit.into_text())
    }
}

impl FromHit for serde_json::Value {
    fn from_hit(hit: Hit<'_>) -> Result<Self, Miss> {
        Ok(hit.json().cloned().unwrap_or_else(|| hit.text().into()))
    }
}

impl FromHit for Url {
    fn from_hit(hit: Hit<'_>) -> Result<Self, Miss> {
        hit.url()
    }
}

macro_rules! from_hit {
    ($($type:ty)*) => {$(
        impl FromHit for $type {
            fn from_hit(hit: Hit<'_>) -> Result<Self, Miss> {
                hit.text.parse().map_err(|_| Miss::unreadable(&hit.text, stringify!($type)))
            }
        }
    )*};
}

from_hit!(char i8 i16 i32 i64 isize u8 u16 u32 u64 usize f32 f64);
from_hit!(jiff::Timestamp jiff::civil::Date jiff::civil::DateTime);

/// Something that can be read as a whole from a scope: made by `derive(Item)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` says nowhere how to read it from a page",
    note = "add `#[css(\"..\")]` to its fields, or make it from JSON and emit it"
)]
pub trait Extract: Sized {
    /// Reads all fields.
    ///
    /// # Errors
    /// The first field that is missing or unreadable.
    fn extract(scope: &Scope<'_>) -> Result<Self, FieldError>;
}

/// A type that holds the page's own URL: a `#[url]` field.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't hold the page's URL",
    label = "not a type for a `#[url]` field",
    note = "a `#[url]` field is a `Url` or a `String`"
)]
pub trait FromUrl {
    /// Takes the URL.
    fn from_url(url: &Url) -> Self;
}

impl FromUrl for Url {
    fn from_url(url: &Url) -> Self {
        url.clone()
    }
}

impl FromUrl for String {
    fn from_url(url: &Url) -> Self {
        url.as_str().to_owned()
    }
}

impl<'a> Scope<'a> {
    /// The page's own URL, for `#[url]` fields.
    pub fn url(&self) -> &'a Url {
        let url = self.page.url();
        self.page.effort().take(url.as_str().len());
        url
    }

    /// Reads a field by its rule.
    ///
    /// # Errors
    /// Which field, by which selector, and what was there instead.
    pub fn read<T: FromMatch>(&self, rule: &Rule) -> Result<T, FieldError> {
        self.first_match(rule, T::from_match)
    }

    /// Reads a field through a function of its text.
    ///
    /// # Errors
    /// As [`read`](Self::read), with what the function says.
    pub fn read_with<T, E: fmt::Display>(
        &self,
        rule: &Rule,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, FieldError> {
        self.first_match(rule, |found| {
            found
                .hits()
                .next()
                .map_or(Err(Miss::Nothing), |hit| hit.parse(&parse))
        })
    }

    /// As [`read_with`](Self::read_with), for an `Option`.
    ///
    /// # Errors
    /// What the function says of a text that is there and not empty.
    pub fn read_optional_with<T, E: fmt::Display>(
        &self,
        rule: &Rule,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, FieldError> {
        self.first_match(rule, |found| {
            let hit = found.hits().next().filter(|hit| !hit.text.is_empty());
            hit.map_or(Err(Miss::Nothing), |hit| hit.parse(&parse).map(Some))
        })
        .or_else(|error| {
            if error.is_nothing() {
                Ok(None)
            } else {
                Err(error)
            }
        })
    }

    /// As [`read_with`](Self::read_with), for every match.
    ///
    /// # Errors
    /// What the function says of the first text that it refuses.
    pub fn read_all_with<T, E: fmt::Display>(
        &self,
        rule: &Rule,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, FieldError> {
        self.first_match(rule, |found| {
            found.hits().map(|hit| hit.parse(&parse)).collect()
        })
    }

    /// Everything that matches, as scopes of nested fields.
    ///
    /// # Errors
    /// If it could not be looked for.
    pub fn scopes<'r>(&self, rule: &'r Rule) -> Result<Vec<Scope<'r>>, FieldError>
    where
        'a: 'r,
    {
        let selector = self.chosen(rule);
        let found = self.found(rule, selector);
        self.page.trace(Some(rule), selector, &found);
        let scopes = found.scopes().collect();
        match self.page.complaint() {
            Some(why) => Err(self.field_error(rule, selector, Miss::Failed(why))),
            None => Ok(scopes),
        }
    }

    /// Takes note of what a rule finds, without reading it.
    pub(super) fn look(&self, rule: &Rule) {
        let selector = self.chosen(rule);
        self.page
            .trace(Some(rule), selector, &self.found(rule, selector));
    }

    /// The error of a field whose rule matches nothing.
    pub fn nothing(&self, rule: &Rule) -> FieldError {
        self.field_error(rule, &rule.selector, Miss::Nothing)
    }

    /// The first of the rule's selectors that matches something, else its own.
    fn chosen<'r>(&self, rule: &'r Rule) -> &'r Selector {
        match &rule.fallbacks[..] {
            [] => &rule.selector,
            fallbacks => std::iter::once(&rule.selector)
                .chain(fallbacks)
                .find(|selector| self.found(rule, selector).hits().next().is_some())
                .unwrap_or(&rule.selector),
        }
    }

    /// Reads by the first of the rule's selectors that matches something, else by its own.
    fn first_match<T>(
        &self,
        rule: &Rule,
        read: impl Fn(&Found<'_>) -> Result<T, Miss>,
    ) -> Result<T, FieldError> {
        let selector = self.chosen(rule);
        let found = self.found(rule, selector);
        self.page.trace(Some(rule), selector, &found);
        let read = read(&found);
        let read = match self.page.costs_too_much(selector.source()) {
            Some(excess) => Err(Miss::TooCostly(Box::new(excess.clone()))),
            None => match self.page.complaint() {
                Some(why) => Err(Miss::Failed(why)),
                None => read,
            },
        };
        read.map_err(|miss| self.field_error(rule, selector, miss))
    }

    fn found<'r>(&self, rule: &'r Rule, selector: &'r Selector) -> Found<'r>
    where
        'a: 'r,
    {
        Found::new(*self, selector).matching(rule.pattern.as_ref())
    }

    fn field_error(&self, rule: &Rule, selector: &Selector, miss: Miss) -> FieldError {
        let closest = matches!(miss, Miss::Nothing)
            .then(|| closest(*self, selector, rule.pattern.as_ref()))
            .flatten();
        FieldError {
            field: rule.field.to_string(),
            selector: selector.source().to_owned(),
            pattern: rule.pattern.as_ref().map(|pattern| pattern.as_str().into()),
            miss,
            closest: closest.map(Into::into),
        }
    }
}

impl Hit<'_> {
    fn parse<T, E: fmt::Display>(&self, parse: &impl Fn(&str) -> Result<T, E>) -> Result<T, Miss> {
        parse(&self.text).map_err(|error| Miss::Refused {
            text: shorten(&self.text).into(),
            why: error.to_string().into(),
        })
    }
}

/// What stands where a selector finds nothing: the text a pattern did not match, or what is nearest.
fn closest(scope: Scope<'_>, selector: &Selector, pattern: Option<&Regex>) -> Option<String> {
    if pattern.is_some()
        && let Some(hit) = Found::new(scope, selector).hits().next()
    {
        return Some(format!(
            "the pattern does not match {:?}",
            shorten(&hit.text)
        ));
    }
    nearest(scope, selector.source())
}
