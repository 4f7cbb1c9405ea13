//! Layers of settings: what was typed where, and which of it counts.
//!
//! Every layer is checked by itself, value by value, so that an error names the place where the
//! wrong value stands even if a higher layer hides it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::error::{Origin, Place, SettingsError};
use super::host::{self, HOST_SETTINGS};
use super::table::{SETTINGS, Setting, closest, setting_named};
use super::{HostSettings, Settings, parse_rate};

/// The value that takes back what lower layers said.
const RESET: &str = "default";

/// The settings of one origin, each known and fitting.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layer {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    key: Key,
    /// `None` takes back what lower layers said.
    value: Option<Value>,
    place: Place,
}

/// Which setting: of the crawl, or of the hosts of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    host: Option<String>,
    name: &'static str,
}

impl Key {
    fn of_crawl(name: &'static str) -> Self {
        Self { host: None, name }
    }

    /// As it is written in one line.
    fn written(host: Option<&str>, name: &str) -> String {
        match host {
            None => name.to_owned(),
            Some(host) => format!("host.\"{host}\".{name}"),
        }
    }
}

impl Layer {
    /// A spider's own settings, written as TOML.
    ///
    /// # Errors
    /// The first setting that is unknown or does not fit.
    pub fn spider(toml: &str) -> Result<Self, SettingsError> {
        let origin = Origin::Spider;
        let table = DeTable::parse(toml).map_err(|error| syntax(&origin, toml, &error))?;
        Self::from_table(table.get_ref(), toml, &origin)
    }

    /// A spider's own settings in its file, checked; the section as TOML.
    pub(crate) fn of_spider_file(
        path: &std::path::Path,
        text: &str,
        section: &DeTable<'_>,
    ) -> Result<String, SettingsError> {
        let origin = Origin::File(path.to_owned(), "settings".to_owned());
        Self::from_table(section, text, &origin)?;
        let mut table = Table::new();
        for (key, value) in section {
            let value = Value::deserialize(value.clone().into_deserializer())
                .map_err(|error| syntax(&origin, text, &error))?;
            table.insert(key.get_ref().to_string(), value);
        }
        Ok(table.to_string())
    }

    /// Settings typed as text, each with its own origin: flags and environment variables.
    ///
    /// # Errors
    /// The first setting that is unknown or does not fit.
    pub fn from_texts<'a>(
        texts: impl IntoIterator<Item = (&'a str, &'a str, Origin)>,
    ) -> Result<Self, SettingsError> {
        let entries = texts
            .into_iter()
            .map(|(name, text, origin)| entry_from_text(name, text, Place::of(origin)))
            .collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    /// The variables `NEPHILA_CONCURRENCY=4` and so on. `others` are variables of this prefix that
    /// are no settings.
    ///
    /// # Errors
    /// A `NEPHILA_*` variable that means nothing, or a value that does not fit.
    pub fn from_env(
        variables: impl IntoIterator<Item = (String, String)>,
        others: &[&str],
    ) -> Result<Self, SettingsError> {
        let mut entries = Vec::new();
        for (variable, text) in variables {
            let Some(name) = variable.strip_prefix("NEPHILA_") else {
                continue;
            };
            if others.contains(&variable.as_str()) {
                continue;
            }
            let name = name.to_ascii_lowercase();
            if setting_named(&name).is_none() {
                return Err(unknown_variable(variable, &name, others));
            }
            let place = Place::of(Origin::Env(variable));
            entries.push(entry_from_text(&name, &text, place)?);
        }
        Ok(Self { entries })
    }

    pub(super) fn from_table(
        table: &DeTable<'_>,
        text: &str,
        origin: &Origin,
    ) -> Result<Self, SettingsError> {
        let mut entries = Vec::with_capacity(table.len());
        for (key, value) in table {
            let place = Place::at(origin, text, key.span().start);
            if key.get_ref() == HOST {
                let hosts = section(value, &place)?;
                entries.extend(Self::of_hosts(hosts, text, origin)?.entries);
                continue;
            }
            let value = Value::deserialize(value.clone().into_deserializer())
                .map_err(|error| syntax(origin, text, &error))?;
            entries.push(entry(None, key.get_ref(), value, place)?);
        }
        entries.sort_by_key(|entry| entry.place.position);
        Ok(Self { entries })
    }

    /// The sections of `[host]`.
    pub(super) fn of_hosts(
        hosts: &DeTable<'_>,
        text: &str,
        origin: &Origin,
    ) -> Result<Self, SettingsError> {
        let mut entries = Vec::new();
        for (name, value) in hosts {
            let place = Place::at(origin, text, name.span().start);
            let settings = section(value, &place)?;
            let host = pattern(name.get_ref(), &place)?;
            for (key, value) in settings {
                let place = Place::at(origin, text, key.span().start);
                let value = Value::deserialize(value.clone().into_deserializer())
                    .map_err(|error| syntax(origin, text, &error))?;
                entries.push(entry(Some(&host), key.get_ref(), value, place)?);
            }
        }
        entries.sort_by_key(|entry| entry.place.position);
        Ok(Self { entries })
    }

    /// What `self` says, and then `other`.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self
    }
}

pub(super) fn syntax(origin: &Origin, text: &str, error: &toml::de::Error) -> SettingsError {
    let offset = error.span().map_or(0, |span| span.start);
    SettingsError::Syntax {
        place: Box::new(Place::at(origin, text, offset)),
        reason: error.message().replace('\n', ", "),
    }
}

fn unknown_variable(variable: String, name: &str, others: &[&str]) -> SettingsError {
    let settings = SETTINGS.iter().map(|setting| setting.name.to_owned());
    let others = others
        .iter()
        .filter_map(|other| other.strip_prefix("NEPHILA_"))
        .map(str::to_ascii_lowercase);
    let names: Vec<String> = settings.chain(others).collect();
    let similar = closest(name, names.iter().map(String::as_str));
    SettingsError::Variable {
        name: variable,
        similar: similar.map(|name| format!("NEPHILA_{}", name.to_ascii_uppercase())),
    }
}

/// The section of settings of single hosts.
const HOST: &str = "host";

fn section<'v, 'i>(
    value: &'v toml::Spanned<DeValue<'i>>,
    place: &Place,
) -> Result<&'v DeTable<'i>, SettingsError> {
    value
        .get_ref()
        .as_table()
        .ok_or_else(|| SettingsError::Syntax {
            place: Box::new(place.clone()),
            reason: "settings of a host stand in its section: write [host.\"shop.example\"]"
                .to_owned(),
        })
}

fn pattern(written: &str, place: &Place) -> Result<String, SettingsError> {
    host::pattern(written).ok_or_else(|| SettingsError::Syntax {
        place: Box::new(place.clone()),
        reason: format!(
            "`{written}` is no host: write \"shop.example\", \"shop.example:8080\", \
             \"*.shop.example\" or \"*\""
        ),
    })
}

fn known(host: Option<&str>, name: &str, place: &Place) -> Result<&'static Setting, SettingsError> {
    let settings = host.map_or(SETTINGS, |_| HOST_SETTINGS);
    settings
        .iter()
        .find(|setting| setting.name == name)
        .ok_or_else(|| SettingsError::Unknown {
            name: Key::written(host, name),
            place: Box::new(place.clone()),
            similar: closest(name, settings.iter().map(|setting| setting.name)).map(str::to_owned),
        })
}

fn unfit(host: Option<&str>, setting: &Setting, value: &Value, place: Place) -> SettingsError {
    SettingsError::Value {
        name: Key::written(host, setting.name),
        value: if setting.secret {
            "no such thing".to_owned()
        } else {
            value.to_string()
        },
        place: Box::new(place),
        expects: setting.expects,
    }
}

/// A setting and its value, checked.
fn entry(
    host: Option<&str>,
    name: &str,
    value: Value,
    place: Place,
) -> Result<Entry, SettingsError> {
    let setting = known(host, name, &place)?;
    let value = match value {
        Value::String(text) if text == RESET => None,
        value => match fitting(host, setting, &value) {
            None => return Err(unfit(host, setting, &value, place)),
            value => value,
        },
    };
    let host = host.map(str::to_owned);
    // A rate is a delay.
    let name = match (&host, setting.name) {
        (Some(_), "rate") => "delay",
        (_, name) => name,
    };
    let key = Key { host, name };
    Ok(Entry { key, value, place })
}

/// Typed text is whatever fits of: a TOML value, plain text, a list separated by commas.
///
/// A setting of a host is named `host.shop.example.delay`.
fn entry_from_text(name: &str, text: &str, place: Place) -> Result<Entry, SettingsError> {
    let (host, name) = match name
        .strip_prefix("host.")
        .and_then(|name| name.rsplit_once('.'))
    {
        None => (None, name),
        Some((host, name)) => (Some(pattern(host.trim_matches('"'), &place)?), name),
    };
    let host = host.as_deref();
    let setting = known(host, name, &place)?;
    let plain = Value::String(text.to_owned());
    let toml = format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"));
    let list = text
        .split(',')
        .map(|part| Value::String(part.trim().to_owned()))
        .collect();
    let mut candidates = toml.into_iter().chain([plain.clone(), Value::Array(list)]);
    let value = candidates.find(|value| fitting(host, setting, value).is_some());
    entry(host, name, value.unwrap_or(plain), place)
}

/// The value as it is merged, if it has the setting's type and range.
fn fitting(host: Option<&str>, setting: &Setting, value: &Value) -> Option<Value> {
    let table = |value: &Value| Table::from_iter([(setting.name.to_owned(), value.clone())]);
    let fits = match (host, setting.name) {
        (None, _) => Settings::deserialize(table(value))
            .is_ok_and(|settings| settings.out_of_range().is_none()),
        (Some(_), "rate") => {
            let delay = parse_rate(value.as_str()?).ok()?;
            return Some(Value::Float(delay.as_secs_f64()));
        }
        (Some(_), _) => {
            HostSettings::deserialize(table(value)).is_ok_and(|settings| settings.is_in_range())
        }
    };
    fits.then(|| value.clone())
}

/// Where each setting's value came from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origins(BTreeMap<Key, Place>);

impl Origins {
    /// Where the value of the setting called `name` came from.
    pub fn of(&self, name: &str) -> Place {
        let setting = setting_named(name).and_then(|known| self.0.get(&Key::of_crawl(known.name)));
        setting
            .cloned()
            .unwrap_or_else(|| Place::of(Origin::Default))
    }

    /// What was said of single hosts: `host."shop.example".delay`, the pattern, the setting's name
    /// and where it was said, in order.
    pub fn of_hosts(&self) -> impl Iterator<Item = (String, &str, &'static str, &Place)> {
        self.0.iter().filter_map(|(key, place)| {
            let host = key.host.as_deref()?;
            Some((Key::written(Some(host), key.name), host, key.name, place))
        })
    }
}

impl Settings {
    /// Merges layers key by key, later ones winning, over the defaults.
    ///
    /// # Errors
    /// None that a checked layer can cause, unless settings contradict each other.
    pub fn from_layers<'a>(
        layers: impl IntoIterator<Item = &'a Layer>,
    ) -> Result<(Self, Origins), SettingsError> {
        let mut table = Table::new();
        let mut hosts = BTreeMap::<String, Table>::new();
        let mut places = BTreeMap::new();
        for entry in layers.into_iter().flat_map(|layer| &layer.entries) {
            let name = entry.key.name;
            let table = match &entry.key.host {
                None => &mut table,
                Some(host) => hosts.entry(host.clone()).or_default(),
            };
            match &entry.value {
                Some(value) => table.insert(name.to_owned(), value.clone()),
                None => table.remove(name),
            };
            places.insert(entry.key.clone(), entry.place.clone());
        }
        let hosts = hosts.into_iter().filter(|(_, said)| !said.is_empty());
        let hosts = hosts.map(|(host, said)| (host, Value::Table(said)));
        table.insert(HOST.to_owned(), Value::Table(hosts.collect()));
        let settings = Self::deserialize(table).map_err(|error| SettingsError::Syntax {
            place: Box::new(Place::of(Origin::Default)),
            reason: error.message().to_owned(),
        })?;
        Ok((settings, Origins(places)))
    }

    /// A spider's own settings (TOML) over the defaults: what a crawl uses that is not started by
    /// the command line.
    ///
    /// ```
    /// use nephila::settings::Settings;
    ///
    /// let settings = Settings::for_spider("delay = '2s'\nmax_depth = 3")?;
    /// assert_eq!(settings.max_depth, Some(3));
    /// let error = Settings::for_spider("max_dept = 3").unwrap_err();
    /// assert!(error.to_string().ends_with("did you mean `max_depth`?"));
    /// # Ok::<(), nephila::settings::SettingsError>(())
    /// ```
    ///
    /// # Errors
    /// The first setting that is unknown or does not fit.
    pub fn for_spider(toml: &str) -> Result<Self, SettingsError> {
        let layer = Layer::spider(toml)?;
        Self::from_layers([&layer]).map(|(settings, _)| settings)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn error_of<T: std::fmt::Debug>(outcome: Result<T, SettingsError>) -> String {
        outcome.unwrap_err().to_string()
    }

    #[test]
    fn the_table_is_the_struct() {
        let json = serde_json::to_value(Settings::default()).unwrap();
        let fields: Vec<&str> = json
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(fields, names);
    }

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(Settings::default().out_of_range(), None);
        assert_eq!(Settings::for_spider(""), Ok(Settings::default()));
    }

    #[test]
    fn later_layers_win_and_are_named() {
        let spider = Layer::spider("concurrency = 4\ndelay = '2s'\nmax_depth = 3").unwrap();
        let env = Layer::from_env(
            [
                ("NEPHILA_CONCURRENCY".to_owned(), "5".to_owned()),
                ("NEPHILA_LOG".to_owned(), "debug".to_owned()),
                ("HOME".to_owned(), "/".to_owned()),
            ],
            &["NEPHILA_LOG"],
        )
        .unwrap();
        let flag = Origin::Flag("-s max_depth=default".to_owned());
        let flags = Layer::from_texts([("max_depth", "default", flag.clone())]).unwrap();
        let (settings, origins) = Settings::from_layers([&spider, &env, &flags]).unwrap();
        assert_eq!(settings.concurrency, 5);
        assert_eq!(settings.delay, Some(Duration::from_secs(2)));
        assert_eq!(settings.max_depth, None);
        let env = Origin::Env("NEPHILA_CONCURRENCY".to_owned());
        assert_eq!(origins.of("concurrency").origin, env);
        assert_eq!(origins.of("delay").origin, Origin::Spider);
        assert_eq!(origins.of("max_depth").origin, flag);
        assert_eq!(origins.of("retries").origin, Origin::Default);
    }

    #[test]
    fn typed_text_finds_its_type() {
        let check = |name, text, wanted: &str| {
            let layer = Layer::from_texts([(name, text, Origin::Flag(String::new()))]);
            let (settings, _) = Settings::from_layers([&layer.unwrap()]).unwrap();
            let json = serde_json::to_value(settings).unwrap();
            assert_eq!(json[name].to_string(), wanted, "{name}={text}");
        };
        check("concurrency", "7", "7");
        check("user_agent", "7", "\"7\"");
        check(
            "hosts",
            "a.example, b.example",
            r#"["a.example","b.example"]"#,
        );
        check("hosts", r#"["*"]"#, r#"["*"]"#);
        check("max_errors", "1%", "\"1%\"");
        check("max_errors", "5", "5");
        check("delay", "0", "\"0ms\"");
        check("delay", "250ms", "\"250ms\"");
        check("robots", "ignore", "\"ignore\"");
        check("cookies", "false", "false");
    }

    #[test]
    fn what_does_not_fit() {
        let check = |name, text, message: &str| {
            let flag = Origin::Flag(format!("-s {name}={text}"));
            let outcome = Layer::from_texts([(name, text, flag)]);
            assert_eq!(error_of(outcome), message);
        };
        check(
            "concurency",
            "4",
            "unknown setting `concurency` in `-s concurency=4`; did you mean `concurrency`?",
        );
        check(
            "concurrency",
            "0",
            "setting `concurrency` in `-s concurrency=0` is \"0\"; it takes a whole number, 1 to 10000",
        );
        check(
            "delay",
            "soon",
            "setting `delay` in `-s delay=soon` is \"soon\"; it takes a duration like 500ms, 2s, \
             10m or 6h",
        );
        for (name, text) in [
            ("jitter", "nan"),
            ("user_agent", "a\nb"),
            ("user_agent", ""),
            ("max_pages", "0"),
            ("max_pages", "-1"),
            ("max_depth", "70000"),
            ("robots", "maybe"),
            ("max_errors", "101%"),
        ] {
            let outcome = Layer::from_texts([(name, text, Origin::Spider)]);
            assert!(outcome.is_err(), "{name}={text}");
        }
    }

    #[test]
    fn single_hosts() {
        let spider = "delay = '2s'\n[host.'X.org']\nrate = '4/s'\nper_day = 20_000\n\
                      [host.'*.x.org']\nconcurrency = 2\n";
        let spider = Layer::spider(spider).unwrap();
        let flags = [
            ("host.x.org.per_day", "7"),
            ("host.\"127.0.0.1:80\".delay", "10ms"),
            ("host.*.x.org.concurrency", "default"),
        ];
        let flag = Origin::Flag("-s".to_owned());
        let flags = flags.map(|(name, text)| (name, text, flag.clone()));
        let (settings, origins) =
            Settings::from_layers([&spider, &Layer::from_texts(flags).unwrap()]).unwrap();
        assert_eq!(settings.delay, Some(Duration::from_secs(2)));
        let x = HostSettings {
            delay: Some(Duration::from_millis(250)),
            per_day: Some(7),
            ..HostSettings::default()
        };
        assert_eq!(settings.host["x.org"], x);
        let port = &settings.host["127.0.0.1:80"];
        assert_eq!(port.delay, Some(Duration::from_millis(10)));
        assert!(!settings.host.contains_key("*.x.org"));
        let said: Vec<_> = origins
            .of_hosts()
            .map(|(written, _, _, place)| (written, place.origin.clone()))
            .collect();
        let expected = [
            ("host.\"*.x.org\".concurrency".to_owned(), flag.clone()),
            ("host.\"127.0.0.1:80\".delay".to_owned(), flag.clone()),
            ("host.\"x.org\".delay".to_owned(), Origin::Spider),
            ("host.\"x.org\".per_day".to_owned(), flag),
        ];
        assert_eq!(said, expected);
        assert_eq!(origins.of("delay").origin, Origin::Spider);
    }

    #[test]
    fn what_does_not_fit_a_host() {
        let check = |toml: &str, message: &str| {
            assert_eq!(
                error_of(Layer::spider(toml)),
                message.replace('$', "the spider's own settings"),
                "{toml}"
            );
        };
        check(
            "[host.'x.org']\nconcurency = 2",
            "unknown setting `host.\"x.org\".concurency` in $; did you mean `concurrency`?",
        );
        check(
            "[host.'x.org']\nconcurrency = 0",
            "setting `host.\"x.org\".concurrency` in $ is 0; it takes a whole number, 1 to 1000",
        );
        check(
            "[host.'x.org']\nrate = 'fast'",
            "setting `host.\"x.org\".rate` in $ is \"fast\"; it takes requests per time, like 5/s, \
             30/m or 1000/h",
        );
        check(
            "[host.'http://x.org']\nrate = '1/s'",
            "$: `http://x.org` is no host: write \"shop.example\", \"shop.example:8080\", \
             \"*.shop.example\" or \"*\"",
        );
        check(
            "[host]\nrate = '1/s'",
            "$: settings of a host stand in its section: write [host.\"shop.example\"]",
        );
        let outcome = Layer::from_texts([("host.x.org.dely", "1", Origin::Flag("-s".to_owned()))]);
        assert_eq!(
            error_of(outcome),
            "unknown setting `host.\"x.org\".dely` in `-s`; did you mean `delay`?"
        );
    }

    #[test]
    fn unknown_variables() {
        let variable = |name: &str| [(name.to_owned(), "4".to_owned())];
        assert_eq!(
            error_of(Layer::from_env(variable("NEPHILA_CONCURENCY"), &[])),
            "unknown environment variable `NEPHILA_CONCURENCY`; did you mean `NEPHILA_CONCURRENCY`?"
        );
        assert_eq!(
            error_of(Layer::from_env(variable("NEPHILA_LOGS"), &["NEPHILA_LOG"])),
            "unknown environment variable `NEPHILA_LOGS`; did you mean `NEPHILA_LOG`?"
        );
    }
}
