//! Rust types that are columns.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use url::Url;

use super::{Kind, Value};

/// A type that can be a field of an item.
///
/// Implemented for text, numbers, booleans, [`Url`], `Option` and `Vec` of fields, string maps,
/// [`serde_json::Value`] and every item (nested, as JSON). For another serialisable type use
/// [`Json`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a field of an item",
    label = "not a column type",
    note = "use text, numbers, bool, Url, Option or Vec of them, a nested item, or `Json<T>`"
)]
pub trait Field: Sized {
    /// The column's kind.
    const KIND: Kind;
    /// Whether the column may be NULL.
    const NULLABLE: bool = false;

    /// The value to store.
    ///
    /// # Errors
    /// Why it can't be stored, as a sentence's end ("18446744073709551615 is too large").
    fn into_value(self) -> Result<Value, String>;
}

/// Any serialisable value, stored as a JSON column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Json<T>(pub T);

macro_rules! field {
    ($kind:ident, $($type:ty)*, |$value:ident| $body:expr) => {$(
        impl Field for $type {
            const KIND: Kind = Kind::$kind;
            fn into_value(self) -> Result<Value, String> {
                let $value = self;
                $body
            }
        }
    )*};
}

field!(Text, String, |value| Ok(Value::Text(value)));
field!(Text, &'static str, |value| Ok(Value::Text(
    value.to_owned()
)));
field!(Text, char, |value| Ok(Value::Text(value.to_string())));
field!(Text, Url, |value| Ok(Value::Text(value.into())));
field!(Text, jiff::Timestamp jiff::civil::Date jiff::civil::DateTime, |value| {
    Ok(Value::Text(value.to_string()))
});
field!(Boolean, bool, |value| Ok(Value::Boolean(value)));
field!(Integer, i64, |value| Ok(Value::Integer(value)));
field!(Integer, i8 i16 i32 u8 u16 u32, |value| Ok(Value::Integer(value.into())));
field!(Integer, u64 usize isize, |value| {
    i64::try_from(value).map(Value::Integer).map_err(|_| format!("{value} is too large"))
});
field!(Real, f32, |value| f64::from(value).into_value());
field!(Real, f64, |value| {
    if value.is_finite() {
        Ok(Value::Real(value))
    } else {
        Err(format!("{value} is no number"))
    }
});
field!(Json, serde_json::Value, |value| Ok(Value::Json(
    value.to_string()
)));

impl<T: Serialize> Field for Json<T> {
    const KIND: Kind = Kind::Json;
    fn into_value(self) -> Result<Value, String> {
        serde_json::to_string(&self.0)
            .map(Value::Json)
            .map_err(|error| error.to_string())
    }
}

impl<T: Field> Field for Option<T> {
    const KIND: Kind = T::KIND;
    const NULLABLE: bool = true;
    fn into_value(self) -> Result<Value, String> {
        self.map_or(Ok(Value::Null), T::into_value)
    }
}

impl<T: Field> Field for Vec<T> {
    const KIND: Kind = Kind::Json;
    fn into_value(self) -> Result<Value, String> {
        let list = self
            .into_iter()
            .map(|element| element.into_value().map(|value| value.to_json()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Value::Json(serde_json::Value::from(list).to_string()))
    }
}

fn map_value<T: Field>(map: impl Iterator<Item = (String, T)>) -> Result<Value, String> {
    let object = map
        .map(|(name, element)| element.into_value().map(|value| (name, value.to_json())))
        .collect::<Result<serde_json::Map<_, _>, _>>()?;
    Ok(Value::Json(serde_json::Value::from(object).to_string()))
}

impl<T: Field> Field for BTreeMap<String, T> {
    const KIND: Kind = Kind::Json;
    fn into_value(self) -> Result<Value, String> {
        map_value(self.into_iter())
    }
}

impl<T: Field, S> Field for HashMap<String, T, S> {
    const KIND: Kind = Kind::Json;
    fn into_value(self) -> Result<Value, String> {
        // Sorted, so that equal maps have equal content hashes.
        map_value(self.into_iter().collect::<BTreeMap<_, _>>().into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Field>(field: T, expected: Result<Value, &str>) {
        assert_eq!(field.into_value(), expected.map_err(str::to_owned));
    }

    #[test]
    fn values() {
        check("text".to_owned(), Ok(Value::Text("text".into())));
        check(7_u8, Ok(Value::Integer(7)));
        check(u64::MAX, Err("18446744073709551615 is too large"));
        check(f64::NAN, Err("NaN is no number"));
        check(Some(true), Ok(Value::Boolean(true)));
        check(None::<i64>, Ok(Value::Null));
        check(vec!["a", "b"], Ok(Value::Json(r#"["a","b"]"#.into())));
        check(vec![Some(1), None], Ok(Value::Json("[1,null]".into())));
        check(
            HashMap::from([("b".to_owned(), 1), ("a".to_owned(), 2)]),
            Ok(Value::Json(r#"{"a":2,"b":1}"#.into())),
        );
        check(Json((1, "x")), Ok(Value::Json(r#"[1,"x"]"#.into())));
        check(
            serde_json::json!({"k": [1]}),
            Ok(Value::Json(r#"{"k":[1]}"#.into())),
        );
    }
}
