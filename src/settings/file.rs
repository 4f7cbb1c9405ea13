//! `nephila.toml`: `[defaults]` for all spiders, `[host."NAME"]` for single hosts, `[spider.NAME]`
//! for one spider, and where results go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Origin, Place, SettingsError};
use super::layers::{Layer, syntax};
use super::table::{closest, setting_named};

/// Where a file of settings belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// The user's, for all projects.
    User,
    /// A project's `nephila.toml`.
    Project,
}

/// A file of settings, checked. Both kinds are written alike:
///
/// ```
/// use nephila::settings::{FileKind, SettingsFile};
///
/// let text = "
/// db = 'books.db'
/// [defaults]
/// delay = '2s'
/// [spider.books]
/// concurrency = 4
/// ";
/// let file = SettingsFile::parse(FileKind::Project, "nephila.toml".as_ref(), text)?;
/// assert_eq!(file.db.as_deref(), Some("books.db"));
/// assert!(file.spider("books").is_some());
/// # Ok::<(), nephila::settings::SettingsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SettingsFile {
    /// The database, as for `--db`.
    pub db: Option<String>,
    defaults: Layer,
    spiders: BTreeMap<String, (Layer, Place)>,
}

const SECTIONS: [&str; 4] = ["db", "defaults", "host", "spider"];

impl SettingsFile {
    /// Reads a file; `None` if there is none.
    ///
    /// # Errors
    /// If it can't be read, or says something that can't be used.
    pub fn read(kind: FileKind, path: &Path) -> Result<Option<Self>, SettingsError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(kind, path, &text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SettingsError::Read {
                path: path.to_owned(),
                reason: error.to_string(),
            }),
        }
    }

    /// Reads the text of a file called `path`.
    ///
    /// # Errors
    /// The first thing in it that can't be used, with line and column.
    pub fn parse(kind: FileKind, path: &Path, text: &str) -> Result<Self, SettingsError> {
        let source = Source { kind, path, text };
        let table =
            DeTable::parse(text).map_err(|error| syntax(&source.origin(""), text, &error))?;
        let mut file = Self {
            db: None,
            defaults: Layer::default(),
            spiders: BTreeMap::new(),
        };
        let mut hosts = Layer::default();
        for (key, value) in table.get_ref() {
            match key.get_ref().as_ref() {
                "db" => file.db = Some(source.text_of(key, value)?),
                "defaults" => {
                    let table = source.table_of("defaults", value)?;
                    file.defaults = Layer::from_table(table, text, &source.origin("defaults"))?;
                }
                "host" => {
                    let table = source.table_of("host", value)?;
                    hosts = Layer::of_hosts(table, text, &source.origin("host"))?;
                }
                "spider" => {
                    for (name, value) in source.table_of("spider", value)? {
                        let section = format!("spider.{}", name.get_ref());
                        let table = source.table_of(&section, value)?;
                        let layer = Layer::from_table(table, text, &source.origin(&section))?;
                        let place = source.place(&section, name.span().start);
                        let name = name.get_ref().to_string();
                        file.spiders.insert(name, (layer, place));
                    }
                }
                other => return Err(source.stray(other, key.span().start)),
            }
        }
        file.defaults = file.defaults.and(hosts);
        Ok(file)
    }

    /// What it says for all spiders.
    pub fn defaults(&self) -> &Layer {
        &self.defaults
    }

    /// What it says for one spider.
    pub fn spider(&self, name: &str) -> Option<&Layer> {
        self.spiders.get(name).map(|(layer, _)| layer)
    }

    /// Refuses sections of spiders that do not exist.
    ///
    /// # Errors
    /// The first section whose spider is not in `known`.
    pub fn check_spiders(&self, known: &[&str]) -> Result<(), SettingsError> {
        for (name, (_, place)) in &self.spiders {
            if !known.contains(&name.as_str()) {
                let similar = closest(name, known.iter().copied());
                return Err(SettingsError::Section {
                    name: format!("spider.{name}"),
                    place: Box::new(place.clone()),
                    similar: similar.map(|name| format!("spider.{name}")),
                });
            }
        }
        Ok(())
    }
}

/// The file while it is read.
struct Source<'a> {
    kind: FileKind,
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn origin(&self, section: &str) -> Origin {
        let (path, section) = (PathBuf::from(self.path), section.to_owned());
        match self.kind {
            FileKind::User => Origin::UserConfig(path, section),
            FileKind::Project => Origin::File(path, section),
        }
    }

    fn place(&self, section: &str, offset: usize) -> Place {
        Place::at(&self.origin(section), self.text, offset)
    }

    fn table_of<'v, 'i>(
        &self,
        section: &str,
        value: &'v Spanned<DeValue<'i>>,
    ) -> Result<&'v DeTable<'i>, SettingsError> {
        value
            .get_ref()
            .as_table()
            .ok_or_else(|| SettingsError::Syntax {
                place: Box::new(self.place(section, value.span().start)),
                reason: format!("`{section}` is a section: write [{section}]"),
            })
    }

    fn text_of(
        &self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<String, SettingsError> {
        let text = value.get_ref().as_str().map(str::to_owned);
        text.ok_or_else(|| SettingsError::Syntax {
            place: Box::new(self.place("", value.span().start)),
            reason: format!("`{}` is a text in quotes", key.get_ref()),
        })
    }

    fn stray(&self, name: &str, offset: usize) -> SettingsError {
        let place = Box::new(self.place("", offset));
        let name = name.to_owned();
        if setting_named(&name).is_some() {
            return SettingsError::Astray { name, place };
        }
        let similar = closest(&name, SECTIONS).map(str::to_owned);
        SettingsError::Section {
            name,
            place,
            similar,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    fn parse(text: &str) -> Result<SettingsFile, SettingsError> {
        SettingsFile::parse(FileKind::Project, Path::new("nephila.toml"), text)
    }

    #[test]
    fn sections_become_layers() {
        let text = "[defaults]\nconcurrency = 4\nretries = 1\n[spider.books]\nconcurrency = 5\n";
        let file = parse(text).unwrap();
        let books = file.spider("books").unwrap();
        let (settings, origins) = Settings::from_layers([file.defaults(), books]).unwrap();
        assert_eq!((settings.concurrency, settings.retries), (5, 1));
        let place = origins.of("concurrency");
        assert_eq!(
            place.origin,
            Origin::File("nephila.toml".into(), "spider.books".into())
        );
        assert_eq!(place.position, Some((5, 1)));
        assert_eq!(origins.of("retries").to_string(), "nephila.toml:3:1");
        assert!(file.spider("quotes").is_none());
    }

    #[test]
    fn hosts_of_all_spiders_and_of_one() {
        let text = "[host.\"*.x.org\"]\nrate = '1/s'\nper_day = 5\n\
                    [spider.books.host.\"*.x.org\"]\nper_day = 9\n[defaults]\nretries = 1\n";
        let file = parse(text).unwrap();
        let books = file.spider("books").unwrap();
        let (settings, origins) = Settings::from_layers([file.defaults(), books]).unwrap();
        let url = url::Url::parse("http://www.x.org/").unwrap();
        let said = settings.for_host(&url);
        assert_eq!(said.delay, Some(std::time::Duration::from_secs(1)));
        assert_eq!((said.per_day, settings.retries), (Some(9), 1));
        let places: Vec<_> = origins.of_hosts().map(|said| said.3.to_string()).collect();
        assert_eq!(places, ["nephila.toml:2:1", "nephila.toml:5:1"]);
        let (settings, _) = Settings::from_layers([file.defaults()]).unwrap();
        assert_eq!(settings.for_host(&url).per_day, Some(5));
    }

    #[test]
    fn errors_name_the_line() {
        let check = |text: &str, message: &str| {
            assert_eq!(parse(text).unwrap_err().to_string(), message, "{text}");
        };
        check(
            "[defaults]\n\n  downlod_delay = 1",
            "unknown setting `downlod_delay` in nephila.toml:3:3; did you mean `delay`?",
        );
        check(
            "[spider.a]\nconcurrency = \"many\"",
            "setting `concurrency` in nephila.toml:2:1 is \"many\"; it takes a whole number, 1 to \
             10000",
        );
        check(
            "concurrency = 4",
            "setting `concurrency` in nephila.toml:1:1 stands outside of [defaults] and \
             [spider.NAME]",
        );
        check(
            "[default]",
            "unknown section `default` in nephila.toml:1:2; did you mean `defaults`?",
        );
        check(
            "defaults = 1",
            "nephila.toml:1:12: `defaults` is a section: write [defaults]",
        );
        check(
            "[host.\"x.org\"]\nrate = '1/s'\nper_dy = 2",
            "unknown setting `host.\"x.org\".per_dy` in nephila.toml:3:1; did you mean `per_day`?",
        );
        check("db = 1", "nephila.toml:1:6: `db` is a text in quotes");
    }

    #[test]
    fn broken_files_say_where() {
        let error = parse("[defaults]\ndelay = ").unwrap_err().to_string();
        assert!(error.starts_with("nephila.toml:2:"), "{error}");
    }

    #[test]
    fn sections_of_no_spider() {
        let file = parse("[spider.boks]").unwrap();
        assert_eq!(file.check_spiders(&["boks"]), Ok(()));
        assert_eq!(
            file.check_spiders(&["books", "quotes"])
                .unwrap_err()
                .to_string(),
            "unknown section `spider.boks` in nephila.toml:1:9; did you mean `spider.books`?"
        );
    }
}
