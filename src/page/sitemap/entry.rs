//! What a sitemap says of a page.

use jiff::Timestamp;
use url::Url;

/// A page, or another sitemap, that a sitemap names.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SitemapEntry {
    /// Where it is.
    pub url: Url,
    /// Whether it is a sitemap itself.
    pub is_map: bool,
    /// When it last changed; a date without a time is its first moment in UTC.
    pub lastmod: Option<Timestamp>,
    /// How often it is said to change.
    pub changefreq: Option<ChangeFreq>,
    /// 0 to 1, against other pages of its site; 0.5 is what the protocol takes for granted.
    pub priority: Option<f32>,
    /// The title that a feed gives it.
    pub title: Option<String>,
    /// The same page in other languages.
    pub alternates: Vec<SitemapAlternate>,
    /// Images on it.
    pub images: Vec<Url>,
    /// Videos on it.
    pub videos: Vec<SitemapVideo>,
    /// That it is an article of a newspaper.
    pub news: Option<SitemapNews>,
}

impl SitemapEntry {
    pub(super) fn new(url: Url, is_map: bool) -> Self {
        Self {
            url,
            is_map,
            lastmod: None,
            changefreq: None,
            priority: None,
            title: None,
            alternates: Vec::new(),
            images: Vec::new(),
            videos: Vec::new(),
            news: None,
        }
    }
}

/// How often a page is said to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeFreq {
    /// At each access.
    Always,
    /// Every hour.
    Hourly,
    /// Every day.
    Daily,
    /// Every week.
    Weekly,
    /// Every month.
    Monthly,
    /// Every year.
    Yearly,
    /// It is archived.
    Never,
}

impl ChangeFreq {
    pub(super) fn parse(text: &str) -> Option<Self> {
        const ALL: [(&str, ChangeFreq); 7] = [
            ("always", ChangeFreq::Always),
            ("hourly", ChangeFreq::Hourly),
            ("daily", ChangeFreq::Daily),
            ("weekly", ChangeFreq::Weekly),
            ("monthly", ChangeFreq::Monthly),
            ("yearly", ChangeFreq::Yearly),
            ("never", ChangeFreq::Never),
        ];
        let mut all = ALL.into_iter();
        all.find(|(word, _)| word.eq_ignore_ascii_case(text))
            .map(|(_, freq)| freq)
    }
}

/// A page in another language.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SitemapAlternate {
    /// `de`, `de-ch`, `x-default`.
    pub hreflang: String,
    /// Where it is.
    pub url: Url,
}

/// A video on a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SitemapVideo {
    /// What it is called.
    pub title: Option<String>,
    /// The file.
    pub content: Option<Url>,
    /// What plays it.
    pub player: Option<Url>,
    /// A picture of it.
    pub thumbnail: Option<Url>,
}

/// An article of a newspaper.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SitemapNews {
    /// Its headline.
    pub title: Option<String>,
    /// The newspaper.
    pub publication: Option<String>,
    /// The language of the newspaper.
    pub language: Option<String>,
    /// When it was published.
    pub published: Option<Timestamp>,
}
