//! The folder that a command works in: its `nephila.toml`, and the user's own settings.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::{OTHER_VARIABLES, output, spiders};
use crate::settings::{FileKind, Layer, Origins, Settings, SettingsFile};

const FILE: &str = "nephila.toml";

/// Settings as they stand in files.
pub(super) struct Project {
    /// Where `nephila.toml` is, relative to the current folder; empty if that is it.
    pub(super) folder: PathBuf,
    pub(super) file: Option<SettingsFile>,
    pub(super) user: Option<SettingsFile>,
}

impl Project {
    /// Reads `nephila.toml` of this folder or the nearest one above, and the user's own file.
    pub(super) fn find() -> Result<Self, Failure> {
        let here = std::env::current_dir()?;
        let above = here.ancestors().find(|folder| folder.join(FILE).is_file());
        let folder = match above {
            Some(folder) if folder != here => folder.to_owned(),
            _ => PathBuf::new(),
        };
        let file = SettingsFile::read(FileKind::Project, &folder.join(FILE))?;
        if let Some(file) = &file {
            let all = spiders::all();
            let names: Vec<&str> = all.iter().map(spiders::Known::name).collect();
            file.check_spiders(&names)?;
        }
        let user = match user_file(output::variable) {
            Some(path) => SettingsFile::read(FileKind::User, &path)?,
            None => None,
        };
        Ok(Self { folder, file, user })
    }

    /// Everything said about settings, merged: of one spider, or of all.
    pub(super) fn settings(
        &self,
        spider: Option<(&str, &str)>,
        flags: &Layer,
    ) -> Result<(Settings, Origins), Failure> {
        let (name, own) = spider.unwrap_or_default();
        let files = || self.user.iter().chain(&self.file);
        let own = Layer::spider(own)?;
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            // A variable that is not Unicode is none of ours; a value that is not fits no setting.
            let name = name.into_string().ok()?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        let environment = Layer::from_env(environment, &OTHER_VARIABLES)?;
        let layers = files()
            .map(SettingsFile::defaults)
            .chain([&own])
            .chain(files().filter_map(|file| file.spider(name)))
            .chain([&environment, flags]);
        Ok(Settings::from_layers(layers)?)
    }
}

/// `$XDG_CONFIG_HOME/nephila/config.toml`, by default under `~/.config`.
fn user_file(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let folder = variable("XDG_CONFIG_HOME")
        .filter(|folder| Path::new(folder).is_absolute())
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".config")))?;
    Some(folder.join("nephila/config.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_file() {
        let check = |variables: &[(&str, &str)], expected: Option<&str>| {
            let path = user_file(|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            });
            assert_eq!(path, expected.map(PathBuf::from));
        };
        check(&[("HOME", "/h")], Some("/h/.config/nephila/config.toml"));
        check(
            &[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")],
            Some("/x/nephila/config.toml"),
        );
        check(
            &[("HOME", "/h"), ("XDG_CONFIG_HOME", "relative")],
            Some("/h/.config/nephila/config.toml"),
        );
        check(&[], None);
    }
}
