//! Sitemaps in XML: indexes, lists of URLs, RSS and Atom.
//!
//! Namespaces go by prefix: what has the root's is the sitemap's own, whatever it stands for, since
//! many sites write a wrong one; what has another is an extension. Elements that were never closed,
//! or closed twice, cost themselves.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use url::Url;

use super::draft::{Draft, Field};
use super::entry::SitemapEntry;
use super::input::Input;
use super::{SitemapError, SitemapKind, beginning};

/// How deeply elements may be nested; sitemaps need six.
const MAX_DEPTH: usize = 64;
/// How much of a text is kept; the protocol allows a URL of 2,048.
const MAX_TEXT: usize = 8 << 10;

pub(super) struct Xml<'a> {
    reader: Reader<Input<'a>>,
    buffer: Vec<u8>,
    base: Url,
    kind: SitemapKind,
    state: State,
    /// What ended it, to be told after the last entry.
    error: Option<SitemapError>,
}

/// Where in the file we are.
#[derive(Default)]
struct State {
    root: String,
    /// The prefix of the format's own elements.
    prefix: String,
    depth: usize,
    draft: Draft,
    is_map: bool,
    /// Of a feed.
    is_in_item: bool,
    /// An extension that was entered, and its depth.
    inside: Option<(Extension, usize)>,
    /// The field whose text is read, and how many elements within it are open.
    field: Option<(Field, usize)>,
    text: String,
    is_over: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extension {
    Image,
    Video,
    News,
    Other,
}

/// What came of an event.
enum Found {
    Nothing,
    Entry(Draft, bool),
    /// The root element ends.
    End,
    Stop(SitemapError),
}

impl<'a> Xml<'a> {
    /// Reads up to the root element.
    pub(super) fn open(input: Input<'a>, base: &Url) -> Result<Self, SitemapError> {
        let mut reader = Reader::from_reader(input);
        let config = reader.config_mut();
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        config.allow_dangling_amp = true;
        let mut xml = Self {
            reader,
            buffer: Vec::new(),
            base: base.clone(),
            kind: SitemapKind::Urls,
            state: State::default(),
            error: None,
        };
        xml.find_root()?;
        Ok(xml)
    }

    pub(super) fn kind(&self) -> SitemapKind {
        self.kind
    }

    fn find_root(&mut self) -> Result<(), SitemapError> {
        loop {
            self.buffer.clear();
            self.reader.get_mut().new_piece();
            let event = self.reader.read_event_into(&mut self.buffer);
            let (start, is_empty) = match event {
                Ok(Event::Start(start)) => (start, false),
                Ok(Event::Empty(start)) => (start, true),
                Ok(Event::Text(text)) if !super::trimmed(&text).is_empty() => {
                    return Err(SitemapError::Other(beginning(&text).to_owned()));
                }
                Ok(Event::Eof) => {
                    return Err(SitemapError::EndsEarly(self.reader.buffer_position()));
                }
                Ok(_) => continue,
                Err(error) => {
                    let at = self.reader.error_position();
                    return Err(broken(at, error));
                }
            };
            let (prefix, name) = names(&start);
            (self.kind, self.state.prefix) = match name {
                "sitemapindex" => (SitemapKind::Index, prefix.to_owned()),
                "urlset" => (SitemapKind::Urls, prefix.to_owned()),
                "feed" => (SitemapKind::Atom, prefix.to_owned()),
                "rss" | "RDF" => (SitemapKind::Rss, String::new()),
                _ => return Err(SitemapError::Other(format!("<{}", beginning(name)))),
            };
            self.state.root = name.to_owned();
            self.state.is_map = self.kind == SitemapKind::Index;
            self.state.is_over = is_empty;
            self.state.depth = 1;
            return Ok(());
        }
    }

    /// The next entry; what is no URL goes to `refuse`.
    pub(super) fn next(
        &mut self,
        refuse: &mut impl FnMut(&str),
    ) -> Result<Option<SitemapEntry>, SitemapError> {
        while !self.state.is_over {
            self.buffer.clear();
            self.reader.get_mut().new_piece();
            let state = &mut self.state;
            let found = match self.reader.read_event_into(&mut self.buffer) {
                Ok(Event::Start(start)) => state.start(self.kind, &self.base, &start, false),
                Ok(Event::Empty(start)) => state.start(self.kind, &self.base, &start, true),
                Ok(Event::End(end)) => state.end(&self.base, local(end.name().0)),
                Ok(Event::Text(text)) => state.add(&text),
                Ok(Event::CData(text)) => state.add(&text),
                Ok(Event::GeneralRef(reference)) => state.add_reference(&reference),
                Ok(Event::Eof) => {
                    // A text that the end cuts off is no value.
                    state.field = None;
                    Found::Stop(SitemapError::EndsEarly(self.reader.buffer_position()))
                }
                Ok(_) => Found::Nothing,
                Err(error) => {
                    // What a tag ends is whole, even if the tag is not.
                    state.close_field(&self.base);
                    Found::Stop(broken(self.reader.error_position(), error))
                }
            };
            if self.state.depth > MAX_DEPTH {
                return Err(SitemapError::TooDeep(self.reader.buffer_position()));
            }
            let (draft, is_map) = match found {
                Found::Nothing => continue,
                Found::Entry(draft, is_map) => (draft, is_map),
                Found::Stop(error) => {
                    self.error = Some(error);
                    self.state.is_over = true;
                    self.state.take()
                }
                Found::End => {
                    self.state.is_over = true;
                    self.state.take()
                }
            };
            match draft.finish(&self.base, is_map) {
                Ok(None) => {}
                Ok(Some(entry)) => return Ok(Some(entry)),
                Err(text) => refuse(beginning(&text)),
            }
        }
        self.error.take().map_or(Ok(None), Err)
    }
}

impl State {
    fn start(
        &mut self,
        kind: SitemapKind,
        base: &Url,
        start: &BytesStart,
        is_empty: bool,
    ) -> Found {
        let (prefix, name) = names(start);
        let is_own = prefix == self.prefix;
        if !is_empty {
            self.depth += 1;
        }
        if let Some((_, open)) = &mut self.field {
            let is_next =
                is_own && self.inside.is_none() && own_field(kind, prefix, name).is_some()
                    || is_own && is_container(kind, name) && !self.text.trim().is_empty();
            if !is_next {
                *open += usize::from(!is_empty);
                return Found::Nothing;
            }
            self.close_field(base);
        }
        if let Some((extension, _)) = self.inside {
            if let Some(field) = extension.field(name)
                && !is_empty
            {
                self.open_field(field);
            }
            return Found::Nothing;
        }
        if is_own && is_container(kind, name) {
            let (draft, was_map) = self.take();
            self.is_map = name == "sitemap";
            self.is_in_item = true;
            return if draft.is_empty() {
                Found::Nothing
            } else {
                Found::Entry(draft, was_map)
            };
        }
        if is_feed(kind) && !self.is_in_item {
            return Found::Nothing;
        }
        if name == "link" && (kind == SitemapKind::Atom || !is_own) {
            self.link(kind, base, start, is_own);
            return Found::Nothing;
        }
        match own_field(kind, prefix, name).filter(|_| is_own || is_dublin(prefix, name)) {
            Some(Field::Guid) if is_no_link(start) => Found::Nothing,
            Some(Field::Loc) if self.draft.loc.is_some() && !is_empty => {
                let (draft, is_map) = self.take();
                if is_feed(kind) {
                    // An article with two links has the first.
                    self.draft = draft;
                    return Found::Nothing;
                }
                self.open_field(Field::Loc);
                Found::Entry(draft, is_map)
            }
            Some(field) => {
                if !is_empty {
                    self.open_field(field);
                }
                Found::Nothing
            }
            None => {
                if !is_empty {
                    self.enter(base, name);
                }
                Found::Nothing
            }
        }
    }

    fn enter(&mut self, base: &Url, name: &str) {
        let extension = match name {
            "image" => Extension::Image,
            "video" => Extension::Video,
            "news" => Extension::News,
            _ => Extension::Other,
        };
        match extension {
            Extension::Video => self.draft.begin_video(base),
            Extension::News => self.draft.begin_news(base),
            Extension::Image | Extension::Other => {}
        }
        self.inside = Some((extension, self.depth));
    }

    /// `xhtml:link` of a list of URLs, `link` of Atom.
    fn link(&mut self, kind: SitemapKind, base: &Url, start: &BytesStart, is_own: bool) {
        let rel = attribute(start, "rel");
        let Some(href) = attribute(start, "href") else {
            return;
        };
        let is_alternate = |rel: &String| rel.eq_ignore_ascii_case("alternate");
        if kind == SitemapKind::Atom {
            if is_own && rel.as_ref().is_none_or(is_alternate) {
                self.draft.set(base, Field::Loc, &href);
            }
        } else if rel.as_ref().is_some_and(is_alternate)
            && let Some(language) = attribute(start, "hreflang")
        {
            self.draft.alternate(base, language, &href);
        }
    }

    fn end(&mut self, base: &Url, name: &str) -> Found {
        let is_container = matches!(name, "url" | "sitemap" | "item" | "entry");
        match &mut self.field {
            Some((_, open)) if *open > 0 => {
                *open -= 1;
                self.depth = self.depth.saturating_sub(1);
                return Found::Nothing;
            }
            Some(_) => self.close_field(base),
            None => {}
        }
        let depth = self.depth;
        self.depth = depth.saturating_sub(1);
        if let Some((_, at)) = self.inside {
            if depth > at {
                return Found::Nothing;
            }
            self.inside = None;
        }
        if name == self.root {
            return Found::End;
        }
        self.is_in_item &= !is_container;
        if is_container && !self.draft.is_empty() {
            let is_map = name == "sitemap";
            let (draft, _) = self.take();
            return Found::Entry(draft, is_map);
        }
        Found::Nothing
    }

    fn add(&mut self, text: &str) -> Found {
        if self.field.is_some() && self.text.len() + text.len() <= MAX_TEXT {
            self.text.push_str(text);
        }
        Found::Nothing
    }

    /// The five entities that XML has itself, and numbers; any other stays as it is written.
    fn add_reference(&mut self, reference: &BytesRef) -> Found {
        match (reference.resolve_char_ref(), &**reference) {
            (Ok(Some(character)), _) => self.add(character.encode_utf8(&mut [0; 4])),
            (_, "amp") => self.add("&"),
            (_, "lt") => self.add("<"),
            (_, "gt") => self.add(">"),
            (_, "quot") => self.add("\""),
            (_, "apos") => self.add("'"),
            (_, name) => self.add(&format!("&{name};")),
        }
    }

    fn open_field(&mut self, field: Field) {
        self.text.clear();
        self.field = Some((field, 0));
    }

    fn close_field(&mut self, base: &Url) {
        if let Some((field, _)) = self.field.take() {
            self.draft.set(base, field, &self.text);
        }
    }

    fn take(&mut self) -> (Draft, bool) {
        (std::mem::take(&mut self.draft), self.is_map)
    }
}

impl Extension {
    fn field(self, name: &str) -> Option<Field> {
        Some(match (self, name) {
            (Self::Image, "loc") => Field::Image,
            (Self::Video, "title") => Field::VideoTitle,
            (Self::Video, "content_loc") => Field::VideoContent,
            (Self::Video, "player_loc") => Field::VideoPlayer,
            (Self::Video, "thumbnail_loc") => Field::VideoThumbnail,
            (Self::News, "title") => Field::NewsTitle,
            (Self::News, "name") => Field::NewsName,
            (Self::News, "language") => Field::NewsLanguage,
            (Self::News, "publication_date") => Field::NewsDate,
            _ => return None,
        })
    }
}

fn is_feed(kind: SitemapKind) -> bool {
    matches!(kind, SitemapKind::Rss | SitemapKind::Atom)
}

/// Whether an element of the format's own is an entry.
fn is_container(kind: SitemapKind, name: &str) -> bool {
    match kind {
        SitemapKind::Rss => name == "item",
        SitemapKind::Atom => name == "entry",
        _ => matches!(name, "url" | "sitemap"),
    }
}

fn own_field(kind: SitemapKind, prefix: &str, name: &str) -> Option<Field> {
    Some(match (kind, name) {
        (SitemapKind::Rss, "date") if is_dublin(prefix, name) => Field::Published,
        (SitemapKind::Rss, "link") => Field::Loc,
        (SitemapKind::Rss, "guid") => Field::Guid,
        (SitemapKind::Rss, "pubDate") | (SitemapKind::Atom, "updated" | "modified") => {
            Field::Lastmod
        }
        (SitemapKind::Atom, "published" | "issued") => Field::Published,
        (SitemapKind::Rss | SitemapKind::Atom, "title") => Field::Title,
        (SitemapKind::Rss | SitemapKind::Atom, _) => return None,
        (_, "loc") => Field::Loc,
        (_, "lastmod") => Field::Lastmod,
        (_, "changefreq") => Field::Changefreq,
        (_, "priority") => Field::Priority,
        _ => return None,
    })
}

/// The date of RSS 1.0.
fn is_dublin(prefix: &str, name: &str) -> bool {
    prefix == "dc" && name == "date"
}

/// Whether a `guid` says that it is no URL.
fn is_no_link(start: &BytesStart) -> bool {
    attribute(start, "isPermaLink").is_some_and(|is_link| is_link.eq_ignore_ascii_case("false"))
}

/// The value of an attribute, whatever its prefix.
fn attribute(start: &BytesStart, name: &str) -> Option<String> {
    let mut attributes = start.attributes();
    let mut all = attributes.with_checks(false).flatten();
    let attribute = all.find(|attribute| local(attribute.key.0) == name)?;
    let value = attribute.normalized_value(XmlVersion::Implicit1_0);
    Some(value.map_or_else(|_| attribute.value.to_string(), Into::into))
}

fn names<'a>(start: &'a BytesStart) -> (&'a str, &'a str) {
    start
        .name()
        .0
        .split_once(':')
        .unwrap_or(("", start.name().0))
}

fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}

fn broken(at: u64, error: quick_xml::Error) -> SitemapError {
    match error {
        quick_xml::Error::Io(error) => SitemapError::Read(std::io::Error::other(error)),
        error => SitemapError::Broken {
            at,
            error: error.to_string(),
        },
    }
}
