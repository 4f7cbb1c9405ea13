//! Flags that are settings.

use std::borrow::Cow;
use std::sync::Arc;

use super::failure::Failure;
use super::project::Project;
use super::spiders;
use crate::settings::{Layer, Origin, Settings, parse_rate, setting_named};
use crate::spider::{Args, Spider};

/// What may be said of a crawl's settings on the command line.
#[derive(Debug, Default, clap::Args)]
pub(super) struct SettingFlags {
    /// Any setting; "default" takes back what was said elsewhere (see: nephila config)
    #[arg(
        short = 's',
        long = "set",
        value_name = "KEY=VALUE",
        help_heading = "Settings"
    )]
    set: Vec<String>,
    /// Requests in flight, all hosts together
    #[arg(
        short = 'j',
        long,
        value_name = "N",
        help_heading = "Speed and politeness"
    )]
    concurrency: Option<String>,
    /// Requests per host and time: 5/s, 30/m, 1000/h
    #[arg(long, value_name = "RATE", help_heading = "Speed and politeness")]
    rate: Option<String>,
    /// Keep pages on disk: off, http (as servers allow it), dev (each page once, then replayed), keep
    /// (for nephila reparse)
    #[arg(long, value_name = "MODE", help_heading = "Storage")]
    cache: Option<String>,
    /// Stop after this many pages; the same command goes on
    #[arg(long, value_name = "PAGES", help_heading = "Scope")]
    limit: Option<String>,
    /// Follow links no further than this from a start URL
    #[arg(long, value_name = "LINKS", help_heading = "Scope")]
    depth: Option<String>,
    /// Stop after this time: 30s, 10m, 6h; the same command goes on
    #[arg(long, value_name = "DURATION", help_heading = "Scope")]
    time: Option<String>,
    /// Follow only links that match, like "/book/*" or "re:page=\\d+"; may stand often
    #[arg(long, value_name = "PATTERN", help_heading = "Scope")]
    include: Vec<String>,
    /// Follow no links that match; may stand often
    #[arg(long, value_name = "PATTERN", help_heading = "Scope")]
    exclude: Vec<String>,
    /// Failed pages that are all right: a number, or a share like 1%
    #[arg(long, value_name = "N|%", help_heading = "Verdict")]
    max_errors: Option<String>,
    /// What the crawl must find, like "items >= 900" or "books.price >= 95%"; may stand often
    #[arg(long, value_name = "EXPECTATION", help_heading = "Verdict")]
    expect: Vec<String>,
    /// A crawl without items, or with a column lost, is all right
    #[arg(long, help_heading = "Verdict")]
    allow_empty: bool,
}

impl SettingFlags {
    /// The settings they mean; special flags win over `-s`.
    pub(super) fn layer(&self) -> Result<Layer, Failure> {
        let mut texts = Vec::new();
        for pair in &self.set {
            let (name, value) = split("-s", pair)?;
            texts.push((name, value.to_owned(), format!("-s {}", shown(pair))));
        }
        let delay = self.rate.as_deref().map(delay_of).transpose()?;
        let flags = [
            ("concurrency", "-j", &self.concurrency),
            ("cache", "--cache", &self.cache),
            ("max_pages", "--limit", &self.limit),
            ("max_depth", "--depth", &self.depth),
            ("max_time", "--time", &self.time),
            ("max_errors", "--max-errors", &self.max_errors),
        ];
        for (name, flag, value) in flags {
            if let Some(value) = value {
                texts.push((name, value.clone(), format!("{flag} {value}")));
            }
        }
        let lists = [
            ("include", &self.include),
            ("exclude", &self.exclude),
            ("expect", &self.expect),
        ];
        for (name, patterns) in lists {
            if !patterns.is_empty() {
                let list = toml::Value::from(patterns.clone()).to_string();
                let flag = format!("--{name} {}", patterns.join(&format!(" --{name} ")));
                texts.push((name, list, flag));
            }
        }
        if let (Some(delay), Some(rate)) = (delay, &self.rate) {
            texts.push(("delay", delay, format!("--rate {rate}")));
        }
        if self.allow_empty {
            texts.push(("allow_empty", "true".to_owned(), "--allow-empty".to_owned()));
        }
        let texts = texts
            .iter()
            .map(|(name, value, flag)| (*name, value.as_str(), Origin::Flag(flag.clone())));
        Ok(Layer::from_texts(texts)?)
    }
}

impl SettingFlags {
    /// As they are to be typed again for the rest of the crawl: `--limit` and `--time`, which end a
    /// run, are left out.
    pub(super) fn again(&self) -> String {
        let mut text = String::new();
        for pair in &self.set {
            text.extend([" -s ", &quoted(&shown(pair))]);
        }
        let flags = [
            (" -j ", &self.concurrency),
            (" --rate ", &self.rate),
            (" --depth ", &self.depth),
            (" --max-errors ", &self.max_errors),
        ];
        for (flag, value) in flags {
            if let Some(value) = value {
                text.extend([flag, &quoted(value)]);
            }
        }
        if self.allow_empty {
            text.push_str(" --allow-empty");
        }
        text
    }
}

/// `NAME=VALUE` without a value that may hold credentials.
fn shown(pair: &str) -> Cow<'_, str> {
    let name = pair.split('=').next().unwrap_or_default().trim();
    if setting_named(name).is_some_and(|setting| setting.secret) {
        format!("{name}=***").into()
    } else {
        pair.into()
    }
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', "'\\''")))
    }
}

fn delay_of(rate: &str) -> Result<String, Failure> {
    let delay = parse_rate(rate).map_err(|error| Failure::usage(format!("--rate: {error}")))?;
    Ok(format!("{}s", delay.as_secs_f64()))
}

/// Arguments of a spider.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ArgFlags {
    /// An argument of the spider; another set of arguments is another crawl
    #[arg(
        short = 'a',
        long = "arg",
        value_name = "NAME=VALUE",
        help_heading = "Input"
    )]
    args: Vec<String>,
}

impl ArgFlags {
    /// By name; the last of a name counts.
    pub(super) fn args(&self) -> Result<Args, Failure> {
        let pairs = self.args.iter().map(|pair| {
            let (name, value) = split("-a", pair)?;
            Ok((name.to_owned(), value.to_owned()))
        });
        pairs.collect()
    }
}

/// Settings, where none has a flag of its own.
#[derive(Debug, Default, clap::Args)]
pub(super) struct SetFlag {
    /// Any setting (see: nephila config)
    #[arg(
        short = 's',
        long = "set",
        value_name = "KEY=VALUE",
        help_heading = "Settings"
    )]
    pub(super) set: Vec<String>,
}

impl SetFlag {
    /// The settings that hold for a spider, or for none.
    pub(super) fn settings(&self, spider: Option<&dyn Spider>) -> Result<Settings, Failure> {
        let flags = SettingFlags {
            set: self.set.clone(),
            ..SettingFlags::default()
        };
        let own = spider.map(|spider| (spider.name(), spider.settings()));
        let (settings, _) = Project::find()?.settings(own, &flags.layer()?)?;
        Ok(settings)
    }
}

/// What a spider is made with, for commands that use one without a crawl.
#[derive(Debug, Default, clap::Args)]
pub(super) struct SpiderFlags {
    #[command(flatten)]
    args: ArgFlags,
    #[command(flatten)]
    set: SetFlag,
}

/// A spider that was made.
pub(super) struct Made {
    pub(super) spider: Arc<dyn Spider>,
    pub(super) settings: Settings,
    pub(super) args: Args,
}

impl SpiderFlags {
    /// The spider of that name or file.
    pub(super) fn make(&self, name: &str) -> Result<Made, Failure> {
        let args = self.args.args()?;
        let spider = spiders::make(name, &args)?;
        Ok(Made {
            settings: self.set.settings(Some(&*spider))?,
            spider,
            args,
        })
    }

    /// The settings without a spider.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        self.set.settings(None)
    }
}

impl Made {
    /// The arguments as a crawl keeps them.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(&self.args).unwrap_or_default()
    }
}

fn split<'a>(flag: &str, pair: &'a str) -> Result<(&'a str, &'a str), Failure> {
    let (name, value) = pair
        .split_once('=')
        .ok_or_else(|| Failure::usage(format!("`{flag} {pair}`: write {flag} NAME=VALUE")))?;
    Ok((name.trim(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_settings() {
        let flags = SettingFlags {
            set: vec!["user_agent=a=b".to_owned(), "concurrency=3".to_owned()],
            concurrency: Some("4".to_owned()),
            rate: Some("5/s".to_owned()),
            allow_empty: true,
            include: vec!["/a,b/*".to_owned(), "re:\\d".to_owned()],
            ..SettingFlags::default()
        };
        let (settings, origins) = Settings::from_layers([&flags.layer().unwrap()]).unwrap();
        assert_eq!(settings.user_agent, "a=b");
        assert_eq!(settings.concurrency, 4);
        assert_eq!(settings.delay.map(|delay| delay.as_millis()), Some(200));
        assert!(settings.allow_empty);
        assert_eq!(settings.include, ["/a,b/*", "re:\\d"]);
        let from = |name| origins.of(name).origin;
        assert_eq!(from("concurrency"), Origin::Flag("-j 4".to_owned()));
        assert_eq!(from("delay"), Origin::Flag("--rate 5/s".to_owned()));
    }

    #[test]
    fn flags_are_typed_again() {
        let flags = SettingFlags {
            set: vec![
                "user_agent=me (it's mine)".to_owned(),
                "retries=1".to_owned(),
            ],
            rate: Some("5/s".to_owned()),
            depth: Some("2".to_owned()),
            limit: Some("10".to_owned()),
            time: Some("1m".to_owned()),
            ..SettingFlags::default()
        };
        let expected = r" -s 'user_agent=me (it'\''s mine)' -s retries=1 --rate 5/s --depth 2";
        assert_eq!(flags.again(), expected);
        assert_eq!(quoted("http://e.x/?a=1&b=2"), "'http://e.x/?a=1&b=2'");
    }

    #[test]
    fn arguments() {
        let args = |pairs: &[&str]| {
            let args = pairs.iter().map(|&pair| pair.to_owned()).collect();
            ArgFlags { args }.args()
        };
        assert_eq!(args(&["a=1", "b=x=y", "a=2"]).unwrap().len(), 2);
        assert!(args(&["a"]).is_err());
    }
}
