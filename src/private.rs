//! What the macros' code names; not for use by hand.

use std::any::TypeId;
use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;

pub use futures_util::future::LocalBoxFuture;
pub use inventory;

use serde::de::DeserializeOwned;

use crate::item::{Column, Item, ItemError, Schema, Value};
use crate::page::{FieldError, Page, Rule, Scope, Selector};
use crate::request::{Result, StepRef};
use crate::spider::{Named, Spider, Yield};

/// The identity of a method.
pub fn id<F: 'static>(_: &F) -> TypeId {
    TypeId::of::<F>()
}

/// The tables of what a step returns.
pub fn tables<S, F, R>(_: &F) -> Vec<Arc<Schema>>
where
    S: Named,
    F: AsyncFn(&S, Page) -> Result<R>,
    R: Yield,
{
    R::tables()
}

/// As [`tables`], of a step with an argument.
pub fn tables_with<S, A, F, R>(_: &F) -> Vec<Arc<Schema>>
where
    S: Named,
    F: AsyncFn(&S, Page, A) -> Result<R>,
    R: Yield,
{
    R::tables()
}

/// A step of `S` that is known to be one.
pub fn step<S: Named>(name: &'static str) -> StepRef {
    StepRef {
        spider: Some(TypeId::of::<S>()),
        ..StepRef::named(name)
    }
}

/// A step's argument, as the frontier stored it.
pub fn argument<A: DeserializeOwned>(step: &str, args: Option<&str>) -> Result<A> {
    let args =
        args.ok_or_else(|| format!("step `{step}` takes an argument, but its request has none"))?;
    serde_json::from_str(args)
        .map_err(|error| format!("step `{step}` can't read its argument `{args}`: {error}").into())
}

/// A spider as the engine holds it.
pub fn shared<S: Spider>(spider: S) -> Arc<dyn Spider> {
    Arc::new(spider)
}

/// A schema whose names and key the derive macro has checked.
#[expect(clippy::panic, reason = "the derive macro checked names and key")]
pub fn schema(table: &'static str, columns: Vec<Column>, key: &[&str]) -> Arc<Schema> {
    match Schema::new(table, columns, key) {
        Ok(schema) => Arc::new(schema),
        Err(error) => panic!("table `{table}`: {error}"),
    }
}

/// A column's value, or which one it is that can't be stored.
pub fn value(
    schema: &Schema,
    column: &str,
    value: std::result::Result<Value, String>,
) -> std::result::Result<Value, ItemError> {
    value.map_err(|reason| ItemError::Field {
        table: schema.table().to_owned(),
        field: column.to_owned(),
        reason,
    })
}

/// What an item's own check said.
pub fn refused<E: Display>(
    schema: &Schema,
    verdict: std::result::Result<(), E>,
) -> std::result::Result<(), ItemError> {
    verdict.map_err(|reason| ItemError::Refused {
        table: schema.table().to_owned(),
        reason: reason.to_string(),
    })
}

/// An item as a value within another.
pub fn nested(item: impl Item) -> std::result::Result<Value, String> {
    let record = item.into_record().map_err(|error| error.to_string())?;
    Ok(Value::Json(record.to_json().to_string()))
}

/// A default in place of what is not there.
pub fn or_else<T>(
    read: std::result::Result<T, FieldError>,
    default: impl FnOnce() -> T,
) -> std::result::Result<T, FieldError> {
    match read {
        Err(error) if error.is_nothing() => Ok(default()),
        read => read,
    }
}

/// Looks for the fields after one that failed, where somebody wants to know what they find.
pub fn look_on(scope: &Scope<'_>, rules: &[Rule], failed: &FieldError) {
    scope.look_on(rules, failed);
}

/// A selector that `css!` has checked.
pub fn selector(source: &str) -> Rc<Selector> {
    Rc::new(Selector::parse(source).expect("checked when compiling"))
}
