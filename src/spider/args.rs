//! Typed spider arguments: `-a max=3` becomes a field of the spider's struct.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::de::value::{Error as ValueError, UnitDeserializer};
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};

/// Arguments as they were typed.
pub type Args = BTreeMap<String, String>;

/// Arguments that do not fit the spider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgsError {
    /// The spider has no such argument.
    #[error("spider `{spider}` has no argument `{name}`")]
    Unknown {
        /// The spider.
        spider: String,
        /// As typed.
        name: String,
        /// What it has.
        known: Vec<&'static str>,
    },
    /// A value that does not parse, or one that is missing.
    #[error("arguments of spider `{spider}`: {reason}")]
    Value {
        /// The spider.
        spider: String,
        /// What is wrong.
        reason: String,
    },
}

/// Chooses how a spider is made: from arguments if it is `Deserialize`, else by `Default`.
///
/// Used by `#[spider]` as `(&&&Build::<S>::new(name)).make(args)`, through method resolution: of the
/// implementations for `&&Build<S>`, `&Build<S>` and `Build<S>` the first is taken whose bounds hold.
#[derive(Debug)]
pub struct Build<S> {
    name: &'static str,
    spider: PhantomData<S>,
}

impl<S> Build<S> {
    /// For the spider called `name`.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            spider: PhantomData,
        }
    }
}

/// Spiders that are `Deserialize`: their fields are their arguments.
pub trait ViaDeserialize<S> {
    /// Makes the spider.
    ///
    /// # Errors
    /// An unknown argument, or a value that does not fit.
    fn make(&self, args: &Args) -> Result<S, ArgsError>;
}

/// Spiders that are `Default`: they take no arguments.
pub trait ViaDefault<S> {
    /// Makes the spider.
    ///
    /// # Errors
    /// Any argument at all.
    fn make(&self, args: &Args) -> Result<S, ArgsError>;
}

/// All other spiders: for the compiler to say what they need.
pub trait ViaNothing<S> {
    /// Never makes one.
    ///
    /// # Errors
    /// None: it does not compile.
    fn make(&self, args: &Args) -> Result<S, ArgsError>
    where
        S: FromArgs;
}

/// A spider that can be made from arguments: one that is `Default` or `Deserialize`.
#[diagnostic::on_unimplemented(
    message = "nothing says how to make the spider `{Self}`",
    label = "neither `Default` nor `Deserialize`",
    note = "derive `Default` if it takes no arguments, or `serde::Deserialize`: then its fields are \
            arguments, `-a name=value`"
)]
pub trait FromArgs: Sized {
    /// Makes it.
    ///
    /// # Errors
    /// Arguments that do not fit.
    fn from_args(args: &Args) -> Result<Self, ArgsError>;
}

impl<S> ViaNothing<S> for Build<S> {
    fn make(&self, args: &Args) -> Result<S, ArgsError>
    where
        S: FromArgs,
    {
        S::from_args(args)
    }
}

impl<S: DeserializeOwned> ViaDeserialize<S> for &&Build<S> {
    fn make(&self, args: &Args) -> Result<S, ArgsError> {
        let known = fields_of::<S>();
        check_names(self.name, args, known)?;
        let text = serde_urlencoded::to_string(args).unwrap_or_default();
        // A unit struct has no fields to be read from a map.
        let unit = || S::deserialize(UnitDeserializer::<ValueError>::new());
        serde_urlencoded::from_str(&text).or_else(|error| {
            unit().map_err(|_| ArgsError::Value {
                spider: self.name.to_owned(),
                reason: explain(args, &error.to_string()),
            })
        })
    }
}

impl<S: Default> ViaDefault<S> for &Build<S> {
    fn make(&self, args: &Args) -> Result<S, ArgsError> {
        check_names(self.name, args, &[])?;
        Ok(S::default())
    }
}

fn check_names(spider: &str, args: &Args, known: &'static [&'static str]) -> Result<(), ArgsError> {
    match args.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(ArgsError::Unknown {
            spider: spider.to_owned(),
            name: name.clone(),
            known: known.to_vec(),
        }),
    }
}

/// serde does not say which field a bad value belongs to; the value itself mostly does.
fn explain(args: &Args, error: &str) -> String {
    let all = args
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>();
    if all.is_empty() {
        error.to_owned()
    } else {
        format!("{error} (given: {})", all.join(" "))
    }
}

/// The fields a struct asks serde for.
fn fields_of<S: DeserializeOwned>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    let _ = S::deserialize(Probe(&mut fields));
    fields
}

/// Takes note of the fields and refuses to go on.
struct Probe<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ValueError> {
        Err(de::Error::custom("only the field names are wanted"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Limited {
        #[serde(default)]
        max: u32,
        tag: Option<String>,
    }

    #[derive(Debug, Default, PartialEq)]
    struct Plain;

    fn args(pairs: &[(&str, &str)]) -> Args {
        pairs
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn typed_by_the_struct() {
        let make = |pairs: &[(&str, &str)]| (&&&Build::<Limited>::new("x")).make(&args(pairs));
        assert_eq!(make(&[]), Ok(Limited { max: 0, tag: None }));
        let tag = Some("a&b=c".to_owned());
        assert_eq!(
            make(&[("max", "3"), ("tag", "a&b=c")]),
            Ok(Limited { max: 3, tag })
        );
        assert_eq!(
            make(&[("maks", "3")]),
            Err(ArgsError::Unknown {
                spider: "x".into(),
                name: "maks".into(),
                known: vec!["max", "tag"],
            })
        );
        let error = make(&[("max", "three")]).unwrap_err().to_string();
        assert_eq!(
            error,
            "arguments of spider `x`: invalid digit found in string (given: max=three)"
        );
    }

    #[test]
    fn a_unit_struct_takes_none() {
        #[derive(Debug, Deserialize, PartialEq)]
        struct Unit;
        let make = |pairs: &[(&str, &str)]| (&&&Build::<Unit>::new("x")).make(&args(pairs));
        assert_eq!(make(&[]), Ok(Unit));
        assert!(make(&[("a", "1")]).is_err());
    }

    #[test]
    fn without_deserialize_there_are_none() {
        let make = |pairs: &[(&str, &str)]| (&&Build::<Plain>::new("x")).make(&args(pairs));
        assert_eq!(make(&[]), Ok(Plain));
        assert!(make(&[("a", "1")]).is_err());
    }
}
