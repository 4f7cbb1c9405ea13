//! What a selector finds: elements, texts and JSON values.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use nephila_notation::{Css, Find, Part, Take};
use regex::Regex;
use scraper::ElementRef;
use serde_json::Value;
use url::Url;

use super::matching::Matches;
use super::{Miss, Page, Selector, documents, dom, markdown, xpath};

/// Where a field is looked for: a page, or something found on it.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub(super) page: &'a Page,
    pub(super) at: At<'a>,
}

/// A place that others are looked for within.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    /// The page as a whole; its tree is not made before somebody asks for elements.
    Page,
    Element(ElementRef<'a>),
    Json(&'a Value),
    /// A text: there is nothing within.
    Text,
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            At::Page => write!(f, "Scope({})", self.page.url()),
            At::Element(element) => {
                write!(
                    f,
                    "Scope(<{}> of {})",
                    element.value().name(),
                    self.page.url()
                )
            }
            At::Json(_) => write!(f, "Scope(JSON of {})", self.page.url()),
            At::Text => write!(f, "Scope(text of {})", self.page.url()),
        }
    }
}

impl<'a> Scope<'a> {
    pub(super) fn page(page: &'a Page) -> Self {
        Self { page, at: At::Page }
    }

    /// The element that CSS looks within.
    pub(super) fn element(&self) -> Option<ElementRef<'a>> {
        match self.at {
            At::Page => Some(self.page.html().root_element()),
            At::Element(element) => Some(element),
            At::Json(_) | At::Text => None,
        }
    }

    /// The elements within that match CSS.
    pub(super) fn matches(&self, css: &'a Css) -> Option<Matches<'a>> {
        let effort = self.page.effort();
        let element = self.element()?;
        Some(Matches::new(element, css, effort))
    }
}

/// Something that was found.
#[derive(Clone)]
pub(super) enum Place<'a> {
    Page,
    Element(ElementRef<'a>),
    Json(&'a Value),
    Text(Cow<'a, str>),
}

impl<'a> Place<'a> {
    fn at(&self) -> At<'a> {
        match self {
            Self::Page => At::Page,
            Self::Element(element) => At::Element(*element),
            Self::Json(value) => At::Json(value),
            Self::Text(_) => At::Text,
        }
    }

    /// What is taken of it, if that is there.
    fn text(&self, page: &'a Page, take: &Take) -> Option<Cow<'a, str>> {
        let element = match self {
            Self::Page => page.html().root_element(),
            Self::Element(element) => *element,
            Self::Json(Value::Null) => return None,
            Self::Json(Value::String(text)) => return page.taken(text.as_str()),
            Self::Json(value) => return page.taken(value.to_string()),
            Self::Text(text) => return page.taken(text.clone()),
        };
        let effort = page.effort();
        match take {
            Take::AllText => Some(dom::text(element, effort)),
            Take::OwnText => Some(dom::own_text(element, effort)),
            Take::Html => Some(dom::html(element, effort).into()),
            Take::Markdown => Some(markdown::of(page, element).into()),
            Take::Attribute(name) => page.taken(dom::attribute(element, name)?.trim()),
        }
    }
}

/// One match: what was found, and the text taken of it.
pub struct Hit<'a> {
    page: &'a Page,
    place: Place<'a>,
    pub(super) text: Cow<'a, str>,
}

impl<'a> Hit<'a> {
    /// What the selector took: text with white space folded, an attribute, or a JSON value; narrowed
    /// by the pattern, where there is one.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The JSON value, if it is one.
    pub fn json(&self) -> Option<&'a Value> {
        match self.place {
            Place::Json(value) => Some(value),
            _ => None,
        }
    }

    /// The URL that relative links of the page are relative to.
    pub fn base(&self) -> &'a Url {
        self.page.links_base()
    }

    /// The URL that the text is, relative to [`base`](Self::base).
    pub(super) fn url(&self) -> Result<Url, Miss> {
        let url = self.page.resolve_at(self.base(), &self.text);
        let url = url.map_err(|_| Miss::unreadable(&self.text, "a URL"))?;
        // A base may be long, and make long URLs of short ones.
        self.page.effort().take(url.as_str().len());
        Ok(url)
    }

    /// What [`text`](Self::text) gives, for keeps.
    pub fn into_text(self) -> String {
        self.text.into_owned()
    }

    /// It as a scope for nested items.
    pub fn scope(&self) -> Scope<'a> {
        Scope {
            page: self.page,
            at: self.place.at(),
        }
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        let has_more = match &self.place {
            Place::Element(element) => element.has_children(),
            Place::Page => true,
            Place::Json(_) | Place::Text(_) => false,
        };
        self.text.is_empty() && !has_more
    }

    /// The beginning of its HTML or JSON, for people.
    pub(super) fn origin(&self) -> String {
        match &self.place {
            Place::Page => self.page.url().to_string(),
            Place::Element(element) => element.html(),
            Place::Json(value) => value.to_string(),
            Place::Text(text) => text.clone().into_owned(),
        }
    }
}

/// The matches of a field's selector, found one by one as they are asked for.
pub struct Found<'a> {
    scope: Scope<'a>,
    selector: &'a Selector,
    pattern: Option<&'a Regex>,
}

impl<'a> Found<'a> {
    pub(super) fn new(scope: Scope<'a>, selector: &'a Selector) -> Self {
        Self {
            scope,
            selector,
            pattern: None,
        }
    }

    pub(super) fn matching(self, pattern: Option<&'a Regex>) -> Self {
        Self { pattern, ..self }
    }

    /// What is found, whatever is taken of it.
    pub(super) fn places(&self) -> Places<'a> {
        let parts = self.selector.parts();
        if let [part] = parts
            && let Find::Css(css) = &part.find
            && let Some(matches) = self.scope.matches(css)
        {
            return Places::Elements(matches);
        }
        Places::Others(chain(self.scope, parts).into_iter())
    }

    /// The elements that match.
    pub(super) fn elements(&self) -> impl Iterator<Item = ElementRef<'a>> + use<'a> {
        let page = self.scope.page;
        self.places().filter_map(move |place| match place {
            Place::Element(element) => Some(element),
            Place::Page => Some(page.html().root_element()),
            Place::Json(_) | Place::Text(_) => None,
        })
    }

    /// What is found, as scopes for items.
    pub(super) fn scopes(&self) -> impl Iterator<Item = Scope<'a>> + use<'a> {
        let page = self.scope.page;
        self.places().map(move |place| Scope {
            page,
            at: place.at(),
        })
    }

    /// The links that are found, each with its element: of an element its `href`, `src` or `action`,
    /// or the attribute that the selector takes.
    pub(super) fn links(
        &self,
    ) -> impl Iterator<Item = (Cow<'a, str>, Option<ElementRef<'a>>)> + use<'a> {
        let take = self.selector.take();
        let link = move |place| match place {
            Place::Element(element) => {
                let href = match take {
                    Take::Attribute(name) => dom::attribute(element, name),
                    _ => ["href", "src", "action"]
                        .iter()
                        .find_map(|name| element.attr(name)),
                };
                href.map(|href| (Cow::Borrowed(href), Some(element)))
            }
            Place::Json(Value::String(text)) => Some((Cow::Borrowed(text.as_str()), None)),
            Place::Text(text) => Some((text, None)),
            Place::Page | Place::Json(_) => None,
        };
        self.places().filter_map(link)
    }

    /// The matches in document order.
    pub fn hits(&self) -> impl Iterator<Item = Hit<'a>> + use<'a> {
        let (page, take, pattern) = (self.scope.page, self.selector.take(), self.pattern);
        self.places().filter_map(move |place| {
            let text = place.text(page, take)?;
            let text = match pattern {
                None => text,
                Some(pattern) => narrowed(text, pattern)?,
            };
            Some(Hit { page, place, text })
        })
    }
}

/// What the pattern takes of a text: its first group, else all that it matches.
fn narrowed<'a>(text: Cow<'a, str>, pattern: &Regex) -> Option<Cow<'a, str>> {
    let groups = pattern.captures(&text)?;
    let range = groups.get(1).or_else(|| groups.get(0))?.range();
    Some(match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(text) => Cow::Owned(text[range].to_owned()),
    })
}

/// What is found, one by one: elements as they are asked for, all else at once.
pub(super) enum Places<'a> {
    Elements(Matches<'a>),
    Others(std::vec::IntoIter<Place<'a>>),
}

impl<'a> Iterator for Places<'a> {
    type Item = Place<'a>;

    fn next(&mut self) -> Option<Place<'a>> {
        match self {
            Self::Elements(matches) => matches.next().map(Place::Element),
            Self::Others(places) => places.next(),
        }
    }
}

/// What the parts find, each within what the one before it found.
fn chain<'a>(scope: Scope<'a>, parts: &'a [Part]) -> Vec<Place<'a>> {
    let Some((first, rest)) = parts.split_first() else {
        return Vec::new();
    };
    let mut places = find(scope, first);
    let mut take = &first.take;
    for part in rest {
        let mut within = Vec::new();
        let mut known = HashSet::new();
        for place in places {
            let next = match &place {
                Place::Element(_) if *take == Take::AllText => find(
                    Scope {
                        page: scope.page,
                        at: place.at(),
                    },
                    part,
                ),
                Place::Json(value) if !value.is_string() => find(
                    Scope {
                        page: scope.page,
                        at: At::Json(value),
                    },
                    part,
                ),
                place => match (place.text(scope.page, take), &part.find) {
                    (Some(text), Find::Json(path)) => {
                        json(documents::of_text(scope.page, &text), path)
                    }
                    _ => Vec::new(),
                },
            };
            let is_new = |place: &Place<'a>| match place {
                Place::Element(element) => known.insert(element.id()),
                _ => true,
            };
            within.extend(next.into_iter().filter(is_new));
        }
        places = within;
        take = &part.take;
    }
    places
}

/// What one part finds within a scope.
fn find<'a>(scope: Scope<'a>, part: &'a Part) -> Vec<Place<'a>> {
    let Scope { page, at } = scope;
    match (&part.find, scope.at) {
        (Find::Json(path), At::Page) => json(documents::of_page(page), path),
        (Find::Json(path), At::Json(value)) => json(Some(value), path),
        (Find::Json(path), At::Element(element)) => {
            json(documents::of_element(page, element), path)
        }
        (Find::Itself, At::Page) => vec![Place::Page],
        (Find::Itself, At::Element(element)) => vec![Place::Element(element)],
        (Find::Itself, At::Json(value)) => vec![Place::Json(value)],
        (Find::Micro(kind), At::Page | At::Element(_)) => values(documents::micro(page, kind)),
        (Find::Feed, At::Page | At::Element(_)) => values(documents::feed(page)),
        (Find::Xml(name), At::Page | At::Element(_)) => values(documents::xml(page, name)),
        (Find::Csv, At::Page | At::Element(_)) => values(documents::csv(page)),
        (Find::Table(css), _) => {
            let tables = scope.matches(css).into_iter().flatten();
            tables
                .flat_map(|table| values(documents::table(page, table)))
                .collect()
        }
        (Find::Data(kind), At::Page | At::Element(_)) => {
            let things = documents::json_ld(page, kind);
            things.iter().map(Place::Json).collect()
        }
        (Find::Css(css), _) => {
            let matches = scope.matches(css).into_iter().flatten();
            matches.map(Place::Element).collect()
        }
        (Find::XPath(xpath), At::Page | At::Element(_)) => xpath::find(page, at, xpath),
        (Find::Meta(name), At::Page | At::Element(_)) => {
            let contents = page.metas(name).into_iter();
            contents.map(|text| Place::Text(text.into())).collect()
        }
        (Find::Link(rel), At::Page | At::Element(_)) => {
            let links = page.links_of(rel).into_iter();
            links
                .map(|url| Place::Text(String::from(url).into()))
                .collect()
        }
        (Find::Main, At::Page | At::Element(_)) => vec![Place::Text(page.markdown().into())],
        (_, At::Json(_) | At::Text) => Vec::new(),
    }
}

fn values(values: &[Value]) -> Vec<Place<'_>> {
    values.iter().map(Place::Json).collect()
}

fn json<'a>(value: Option<&'a Value>, path: &nephila_notation::JsonPath) -> Vec<Place<'a>> {
    value.map_or_else(Vec::new, |value| {
        path.query(value).into_iter().map(Place::Json).collect()
    })
}
