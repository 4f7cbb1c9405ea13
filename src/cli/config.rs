//! `nephila config [SPIDER]`.

use super::failure::Failure;
use super::flags::{ArgFlags, SettingFlags};
use super::format::{Format, FormatFlag};
use super::output;
use super::project::Project;
use super::spiders;
use crate::item::Value;
use crate::settings::{Origin, Place, SETTINGS};

/// Print every setting, its value, and where that comes from
///
/// Later ones win: defaults, the user's own file, [defaults] of nephila.toml, the spider itself,
/// [spider.NAME] of nephila.toml, NEPHILA_* variables, flags.
#[derive(Debug, clap::Args)]
pub(super) struct Config {
    /// As this spider would be run
    spider: Option<String>,
    /// With a column that says where the value comes from
    #[arg(long)]
    origin: bool,
    #[command(flatten)]
    args: ArgFlags,
    #[command(flatten)]
    flags: SettingFlags,
    #[command(flatten)]
    format: FormatFlag,
}

impl Config {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let project = Project::find()?;
        let spider = match &self.spider {
            None => None,
            Some(name) => Some(spiders::make(name, &self.args.args()?)?),
        };
        let own = spider
            .as_ref()
            .map(|spider| (spider.name(), spider.settings()));
        let (settings, origins) = project.settings(own, &self.flags.layer()?)?;
        let values =
            serde_json::to_value(&settings).map_err(|error| Failure::broken(error.to_string()))?;
        let mut columns = vec!["setting".to_owned(), "value".to_owned()];
        columns.extend(self.origin.then(|| "from".to_owned()));
        let format = self.format.get();
        let mut export = format.export(output::stdout());
        export.begin(&columns)?;
        for setting in SETTINGS {
            let value = match shown(&values[setting.name]) {
                Value::Null if format == Format::Table => Value::Text("unset".to_owned()),
                value => value,
            };
            let mut row = vec![Value::Text(setting.name.to_owned()), value];
            if self.origin {
                row.push(Value::Text(origin(&origins.of(setting.name))));
            }
            export.row(&row)?;
        }
        for (written, host, name, place) in origins.of_hosts() {
            let said = values["host"].get(host).and_then(|said| said.get(name));
            let mut row = vec![Value::Text(written), said.map_or(Value::Null, shown)];
            if self.origin {
                row.push(Value::Text(origin(place)));
            }
            export.row(&row)?;
        }
        export.end()?;
        Ok(0)
    }
}

fn shown(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::String(text) => Value::Text(text.clone()),
        other => Value::Text(other.to_string()),
    }
}

fn origin(place: &Place) -> String {
    match &place.origin {
        Origin::Default => "default".to_owned(),
        Origin::UserConfig(_, section) | Origin::File(_, section) => {
            format!("{place} [{section}]")
        }
        Origin::Spider => "the spider itself".to_owned(),
        Origin::Env(name) => name.clone(),
        Origin::Flag(flag) => flag.clone(),
    }
}
