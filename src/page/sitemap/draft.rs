//! An entry in the making.

use url::Url;

use super::entry::{ChangeFreq, SitemapAlternate, SitemapEntry, SitemapNews, SitemapVideo};
use super::located;
use super::moment::moment;
use super::trimmed;

/// Images, videos and alternates of one entry that are kept; the protocol allows 1,000 images.
const MOST: usize = 1_000;

/// What an element is to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Loc,
    Lastmod,
    /// When it was published: as good as nothing better.
    Published,
    Changefreq,
    Priority,
    Title,
    /// A name for an article that may be its URL.
    Guid,
    Image,
    VideoTitle,
    VideoContent,
    VideoPlayer,
    VideoThumbnail,
    NewsTitle,
    NewsName,
    NewsLanguage,
    NewsDate,
}

/// What has been said of an entry so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) loc: Option<String>,
    guid: Option<String>,
    /// All but the URL.
    rest: Option<Box<SitemapEntry>>,
}

impl Draft {
    /// Whether nothing has been said.
    pub(super) fn is_empty(&self) -> bool {
        self.loc.is_none() && self.guid.is_none() && self.rest.is_none()
    }

    fn rest(&mut self, base: &Url) -> &mut SitemapEntry {
        self.rest
            .get_or_insert_with(|| Box::new(SitemapEntry::new(base.clone(), false)))
    }

    /// The entry, or the text that is no URL; nothing where there is no text.
    pub(super) fn finish(self, base: &Url, is_map: bool) -> Result<Option<SitemapEntry>, String> {
        let Some(text) = self.loc.or(self.guid) else {
            return Ok(None);
        };
        let Some(url) = located(base, &text) else {
            return Err(text);
        };
        let entry = match self.rest {
            Some(rest) => SitemapEntry {
                url,
                is_map,
                ..*rest
            },
            None => SitemapEntry::new(url, is_map),
        };
        Ok(Some(entry))
    }

    pub(super) fn set(&mut self, base: &Url, field: Field, text: &str) {
        let text = trimmed(text);
        if text.is_empty() {
            return;
        }
        let said = || Some(text.to_owned());
        match field {
            Field::Loc => self.loc = self.loc.take().or_else(said),
            Field::Guid => self.guid = said(),
            _ => self.set_rest(base, field, text),
        }
    }

    fn set_rest(&mut self, base: &Url, field: Field, text: &str) {
        let said = || Some(text.to_owned());
        let rest = self.rest(base);
        match field {
            Field::Loc | Field::Guid => {}
            Field::Lastmod => rest.lastmod = moment(text).or(rest.lastmod),
            Field::Published => rest.lastmod = rest.lastmod.or_else(|| moment(text)),
            Field::Changefreq => rest.changefreq = ChangeFreq::parse(text),
            Field::Priority => {
                let priority = text.parse().ok();
                rest.priority = priority.filter(|priority| (0.0..=1.0).contains(priority));
            }
            Field::Title => rest.title = said(),
            Field::Image => {
                if rest.images.len() < MOST {
                    rest.images.extend(located(base, text));
                }
            }
            Field::VideoTitle => video(rest, |video| video.title = said()),
            Field::VideoContent => video(rest, |video| video.content = located(base, text)),
            Field::VideoPlayer => video(rest, |video| video.player = located(base, text)),
            Field::VideoThumbnail => video(rest, |video| video.thumbnail = located(base, text)),
            Field::NewsTitle => news(rest).title = said(),
            Field::NewsName => news(rest).publication = said(),
            Field::NewsLanguage => news(rest).language = said(),
            Field::NewsDate => news(rest).published = moment(text),
        }
    }

    pub(super) fn begin_video(&mut self, base: &Url) {
        let videos = &mut self.rest(base).videos;
        if videos.len() < MOST {
            videos.push(SitemapVideo::default());
        }
    }

    pub(super) fn begin_news(&mut self, base: &Url) {
        news(self.rest(base));
    }

    pub(super) fn alternate(&mut self, base: &Url, hreflang: String, href: &str) {
        let alternates = &mut self.rest(base).alternates;
        if let Some(url) = located(base, href)
            && alternates.len() < MOST
        {
            alternates.push(SitemapAlternate { hreflang, url });
        }
    }
}

fn video(entry: &mut SitemapEntry, change: impl FnOnce(&mut SitemapVideo)) {
    if let Some(video) = entry.videos.last_mut() {
        change(video);
    }
}

fn news(entry: &mut SitemapEntry) -> &mut SitemapNews {
    entry.news.get_or_insert_default()
}
