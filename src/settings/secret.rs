//! Secrets: values that are used and never shown.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands in place of a secret.
pub(super) const MASK: &str = "***";

/// A value that is shown nowhere: written as it is, or as `{ env = "SHOP_TOKEN" }`, the name of an
/// environment variable that holds it.
///
/// Serialising hides it, so that settings may be printed and stored.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The value itself.
    Plain(String),
    /// The environment variable that has it.
    Env(String),
}

/// A secret whose environment variable is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable `{0}` of a secret is not set")]
pub struct Unset(pub String);

impl Secret {
    /// The value.
    ///
    /// # Errors
    /// If its environment variable is not set, or is no Unicode.
    pub fn reveal(&self) -> Result<String, Unset> {
        match self {
            Self::Plain(value) => Ok(value.clone()),
            Self::Env(name) => std::env::var(name).map_err(|_| Unset(name.clone())),
        }
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::Plain(value.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str(MASK),
            Self::Env(name) => write!(f, "env {name}"),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    env: String,
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(_) => serializer.serialize_str(MASK),
            Self::Env(name) => Reference { env: name.clone() }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Plain(String),
            Reference(Reference),
        }
        // The error of an untagged enum shows no value.
        Ok(match Written::deserialize(deserializer)? {
            Written::Plain(value) => Self::Plain(value),
            Written::Reference(Reference { env }) => Self::Env(env),
        })
    }
}

/// A proxy's URL (`http://`, `https://`, `socks5://`, `socks5h://`), or `direct`: shown without its
/// credentials.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ProxyUrl(pub Secret);

impl Serialize for ProxyUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Secret::Plain(url) => serializer.serialize_str(&without_credentials(url)),
            reference @ Secret::Env(_) => reference.serialize(serializer),
        }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Secret::Plain(url) => f.write_str(&without_credentials(url)),
            reference @ Secret::Env(_) => reference.fmt(f),
        }
    }
}

/// `http://***@proxy:3128` for `http://ann:secret@proxy:3128`.
fn without_credentials(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{MASK}@{host}"),
        (None, Some((_, host))) => format!("{MASK}@{host}"),
        (_, None) => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let check = |json: &str, expected: &str| {
            let secret: Secret = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&secret).unwrap(), expected);
            assert!(!format!("{secret:?}").contains("hunter2"));
        };
        check("\"hunter2\"", "\"***\"");
        check(r#"{"env":"SHOP"}"#, r#"{"env":"SHOP"}"#);
        assert!(serde_json::from_str::<Secret>(r#"{"environment":"X"}"#).is_err());
        assert_eq!(
            Secret::Env("NEPHILA_NO_SUCH".into())
                .reveal()
                .unwrap_err()
                .to_string(),
            "the environment variable `NEPHILA_NO_SUCH` of a secret is not set"
        );
    }

    #[test]
    fn proxies_are_shown_without_credentials() {
        let check = |url: &str, expected: &str| {
            let proxy = ProxyUrl(url.into());
            assert_eq!(serde_json::to_value(&proxy).unwrap(), expected);
        };
        check("http://p:3128", "http://p:3128");
        check("socks5://ann:a@b@p:1080", "socks5://***@p:1080");
        check("ann:secret@p:3128", "***@p:3128");
        check("direct", "direct");
    }
}
