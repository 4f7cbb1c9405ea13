//! Pages: a response as a step reads it.
//!
//! A [`Page`] is a cheap handle without lifetimes; it and its [`Element`]s may be kept across
//! `.await`. Nothing is parsed before it is asked for: [`json`](Page::json) and [`text`](Page::text)
//! make no tree, and selectors and links share one. What a step finds it leaves on the page with
//! [`follow`](Page::follow), [`request`](Page::request) and [`emit`](Page::emit); the engine takes it
//! from there once the step has ended well, and drops it if it failed.
//!
//! ```
//! use nephila::page::Page;
//!
//! let page = Page::from_html("http://shop.example/", "<h1>Books</h1><a href=/2>next</a>")?;
//! assert_eq!(page.get::<String>("h1")?, "Books");
//! assert_eq!(page.get::<url::Url>("a::attr(href)")?.path(), "/2");
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```

mod documents;
mod dom;
mod effort;
mod element;
mod emitted;
mod field_error;
mod form;
mod found;
mod json;
mod leads;
mod leave;
mod links;
mod markdown;
mod matching;
mod nearest;
mod parse;
mod read;
mod records;
mod refresh;
mod rows;
mod selector;
mod sitemap;
mod structured;
mod table;
mod text;
mod trace;
mod xpath;

pub use effort::{ReadLimits, TooCostly};
pub use element::Element;
pub use emitted::{Dropped, Emitted, LinkLimits, LongLinks};
pub use field_error::{FieldError, Miss};
pub use found::{Found, Hit, Scope};
pub use links::{Link, Links};
pub use parse::{ParseLimits, Truncation};
pub use read::{Extract, FromHit, FromMatch, FromUrl, Rule};
pub use records::{CsvRows, XmlElements};
pub(crate) use rows::Rows;
pub use rows::{BadRows, TooManyBadRows};
pub use selector::{AsSelector, Selector, SelectorError};
pub(crate) use sitemap::moment as sitemap_moment;
pub use sitemap::{
    ChangeFreq, Followed, Sitemap, SitemapAlternate, SitemapEntry, SitemapError, SitemapKind,
    SitemapNews, SitemapVideo,
};
pub use trace::Traced;

use std::any::TypeId;
use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use scraper::Html;
use serde::de::DeserializeOwned;
use url::Url;

use documents::Documents;
use effort::Effort;
use parse::Parsed;
use text::Text;

use crate::request::{KnownLinks, ReferrerPolicy, Response, Result, Session};
use crate::settings::{ErrorBudget, Settings};

/// A fetched page in a step's hands. Clones are handles to the same page.
#[derive(Clone)]
pub struct Page(Rc<Inner>);

struct Inner {
    response: Response,
    /// The response's URL without its fragment, if it has one.
    url: Option<Url>,
    context: Context,
    text: OnceCell<Text>,
    html: OnceCell<Parsed>,
    base: OnceCell<Url>,
    policy: OnceCell<Option<ReferrerPolicy>>,
    effort: Effort,
    emitted: RefCell<Emitted>,
    documents: Documents,
    order: OnceCell<xpath::Order>,
    /// What went wrong while a selector looked for something.
    complaint: Cell<Option<Box<str>>>,
    /// What selectors found, where somebody wants to know.
    traced: Option<RefCell<Vec<Traced>>>,
}

/// What a page knows of its request.
#[derive(Clone, Debug)]
pub struct Context {
    /// Links between a seed and this page.
    pub depth: u16,
    /// The page it was found on.
    pub referrer: Option<Url>,
    /// The spider that reads it, where it has a type: steps of others are refused.
    pub spider: Option<TypeId>,
    /// Links that need not be emitted again.
    pub known: Option<Arc<KnownLinks>>,
    /// What parsing it may cost.
    pub limits: ParseLimits,
    /// What reading it may cost.
    pub reading: ReadLimits,
    /// What is kept of its links: more would be refused.
    pub links: LinkLimits,
    /// Rows that may be bad, of all rows that are read at a time.
    pub bad_rows: ErrorBudget,
    /// The URLs that redirected here, first to last.
    pub redirects: Vec<Url>,
    /// Who fetched it.
    pub session: Session,
    /// Whether its links stay with whoever fetched it, even if any other would do.
    pub sticky: bool,
    /// Whether it takes note of what selectors find.
    pub traced: bool,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            depth: 0,
            referrer: None,
            spider: None,
            known: None,
            limits: ParseLimits::default(),
            reading: ReadLimits::default(),
            links: LinkLimits::default(),
            bad_rows: Settings::default().max_bad_rows,
            redirects: Vec::new(),
            session: Session::default(),
            sticky: false,
            traced: false,
        }
    }
}

impl Page {
    /// A page from a response, as the engine makes it.
    pub fn new(response: Response, context: Context) -> Self {
        // Which fragment the first of many links had is chance, and items are often keyed by URL.
        let url = response.url.fragment().map(|_| {
            let mut url = response.url.clone();
            url.set_fragment(None);
            url
        });
        let traced = context.traced.then(RefCell::default);
        Self(Rc::new(Inner {
            traced,
            response,
            url,
            text: OnceCell::new(),
            html: OnceCell::new(),
            base: OnceCell::new(),
            policy: OnceCell::new(),
            effort: Effort::new(context.reading),
            context,
            emitted: RefCell::default(),
            documents: Documents::default(),
            order: OnceCell::new(),
            complaint: Cell::default(),
        }))
    }

    /// A page for tests of steps: HTML as if fetched from `url` with status 200.
    ///
    /// # Errors
    /// If `url` is not absolute.
    pub fn from_html(url: &str, html: impl Into<String>) -> Result<Self> {
        let mut response = Response::new(Url::parse(url)?, html.into());
        let html = http::HeaderValue::from_static("text/html; charset=utf-8");
        response.headers.insert(http::header::CONTENT_TYPE, html);
        Ok(Self::new(response, Context::default()))
    }

    /// A page for tests of steps: a JSON answer of `url`.
    ///
    /// # Errors
    /// If `url` is not absolute.
    pub fn from_json(url: &str, json: &serde_json::Value) -> Result<Self> {
        let mut response = Response::new(Url::parse(url)?, json.to_string());
        let json = http::HeaderValue::from_static("application/json");
        response.headers.insert(http::header::CONTENT_TYPE, json);
        Ok(Self::new(response, Context::default()))
    }

    /// The URL that answered, after redirects, without a fragment.
    pub fn url(&self) -> &Url {
        self.0.url.as_ref().unwrap_or(&self.0.response.url)
    }

    /// The fragment of the link or redirect that led here, if it had one: a redirect's own, else
    /// that of the URL which redirected.
    pub fn fragment(&self) -> Option<&str> {
        self.0.response.url.fragment()
    }

    /// The URLs that redirected here, first to last: by status, or by a refresh. Mostly none.
    pub fn redirects(&self) -> &[Url] {
        &self.0.context.redirects
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.response.status
    }

    /// The response's headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.response.headers
    }

    /// The body as bytes, content encodings undone.
    pub fn body(&self) -> &[u8] {
        &self.0.response.body
    }

    /// The whole response.
    pub fn response(&self) -> &Response {
        &self.0.response
    }

    /// Links between a seed and this page; 0 for a seed.
    pub fn depth(&self) -> u16 {
        self.0.context.depth
    }

    /// The page this one was found on; none for a seed.
    pub fn referrer(&self) -> Option<&Url> {
        self.0.context.referrer.as_ref()
    }

    /// Who fetched the page: to be given to
    /// [`RequestBuilder::session`](crate::request::RequestBuilder::session), so that a request is made
    /// by the same. Links of a page that was fetched by a [named](Session::Named) session are so anyway.
    pub fn session(&self) -> &Session {
        &self.0.context.session
    }

    /// The body as text, by BOM, header, `<meta>` or detection (in this order).
    pub fn text(&self) -> &str {
        let response = &self.0.response;
        let text = self
            .0
            .text
            .get_or_init(|| Text::of(response, self.0.context.limits.text));
        text.of_body(&response.body)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// What the body says instead, with line and column; or if it has more values than the setting
    /// `max_json_values` lets it have.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let text = self.text();
        json::check(text, self.effort().limits(), "the answer")?;
        serde_json::from_str(text)
            .map_err(|error| format!("the answer is not the expected JSON: {error}").into())
    }

    /// The body as a sitemap: an index or a list of URLs, as XML, plain text, RSS or Atom, packed or not;
    /// or as a robots.txt, which names sitemaps. What is found can be [followed](Sitemap::follow).
    ///
    /// # Errors
    /// If it is none of them.
    pub fn sitemap(&self) -> Result<Sitemap<'_>> {
        Ok(Sitemap::of(self)?)
    }

    /// The elements that match, in document order.
    ///
    /// # Errors
    /// If the selector does not parse.
    pub fn css(&self, selector: impl AsSelector) -> Result<Vec<Element>> {
        self.root().css(selector)
    }

    /// Reads a typed value: one (`String`, `f64`, `Url`…), perhaps one (`Option`), or all (`Vec`).
    ///
    /// # Errors
    /// [`FieldError`] if nothing matches and a value is needed, or if it can't be read.
    pub fn get<T: FromMatch>(&self, selector: impl AsSelector) -> Result<T> {
        element::get(Scope::page(self), selector)
    }

    /// Reads an item from the whole page.
    ///
    /// # Errors
    /// The [`FieldError`] of the first field that is missing or unreadable.
    pub fn item<T: Extract>(&self) -> Result<T> {
        Ok(T::extract(&Scope::page(self))?)
    }

    /// Reads an item from every element that matches. Those that can't be read are left out and
    /// counted, as long as they are no more than the setting `max_bad_rows` allows.
    ///
    /// # Errors
    /// [`TooManyBadRows`]: how many, and what was wrong with the first.
    pub fn items<T: Extract>(&self, selector: impl AsSelector) -> Result<Vec<T>> {
        let selector = selector.as_selector()?;
        let scopes = self.scopes(&selector)?;
        let mut rows = Rows::default();
        let items = scopes
            .iter()
            .filter_map(|scope| rows.row(T::extract(scope)));
        let items = items.collect();
        rows.end(self)?;
        Ok(items)
    }

    /// The URL that relative links are relative to: the first `<base href>` of the document, wherever
    /// it stands; else, or if that is no URL, or a `data:` or `javascript:` one, the page's own.
    pub fn base(&self) -> &Url {
        self.0.base.get_or_init(|| {
            let base = dom::base_href(self.html()).and_then(|href| self.url().join(href).ok());
            base.filter(|base| !matches!(base.scheme(), "data" | "javascript"))
                .unwrap_or_else(|| self.url().clone())
        })
    }

    /// The page's root element.
    pub fn root(&self) -> Element {
        Element::root(self.clone())
    }

    /// Whether the page is so hostile, or so large, that its tree is not all of it: see the settings
    /// `max_parse_time`, `max_nodes`, `max_element_depth`, `max_attributes` and `max_body`. What is
    /// there can be used like any other page.
    pub fn is_truncated(&self) -> bool {
        let _ = self.parsed();
        self.truncation().is_some()
    }

    /// Which limit the text or the tree went beyond, if it was asked for at all.
    pub fn truncation(&self) -> Option<Truncation> {
        let is_cut = self.0.text.get().is_some_and(Text::is_cut);
        let of_text = is_cut.then_some(Truncation::Text);
        of_text.or_else(|| self.0.html.get()?.truncation)
    }

    fn html(&self) -> &Html {
        &self.parsed().html
    }

    fn parsed(&self) -> &Parsed {
        let limits = &self.0.context.limits;
        self.0
            .html
            .get_or_init(|| parse::parse(self.text(), limits))
    }

    /// The page as a scope of fields.
    pub(crate) fn scope(&self) -> Scope<'_> {
        Scope::page(self)
    }

    /// What matches, as scopes of fields; a selector that matches nothing is taken note of.
    pub(crate) fn scopes<'a>(&'a self, selector: &'a Selector) -> Result<Vec<Scope<'a>>> {
        let found = Found::new(self.scope(), selector);
        self.trace(None, selector, &found);
        let scopes: Vec<_> = found.scopes().collect();
        if scopes.is_empty() {
            self.emitted_mut().missed(selector.source());
        }
        self.check(scopes, selector)
    }

    /// What is nearest to a selector that matches nothing, in words.
    pub(crate) fn nearest(&self, selector: &str) -> Option<String> {
        nearest::nearest(self.scope(), selector)
    }

    fn emitted_mut(&self) -> std::cell::RefMut<'_, Emitted> {
        self.0.emitted.borrow_mut()
    }

    /// What relative links are relative to: the base URL if the page is HTML, else its own.
    fn links_base(&self) -> &Url {
        if self.is_html() {
            self.base()
        } else {
            self.url()
        }
    }

    fn documents(&self) -> &Documents {
        &self.0.documents
    }

    fn order(&self) -> &xpath::Order {
        let root = self.html().tree.root();
        self.0.order.get_or_init(|| xpath::order(root))
    }

    fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Takes note of what went wrong while a selector looked for something.
    fn complain(&self, why: String) {
        self.0.complaint.set(Some(why.into()));
    }

    /// What went wrong since this was asked last.
    fn complaint(&self) -> Option<Box<str>> {
        self.0.complaint.take()
    }

    /// Whether the values of a text that is JSON may be kept, besides those that are; a page that has too
    /// many of them is complained of.
    fn may_keep_json(&self, text: &str) -> bool {
        let count = self.effort().keep_json(json::at_most(text));
        let verdict = json::limit(count, self.effort().limits(), "the page");
        verdict.map_err(|why| self.complain(why)).is_ok()
    }

    /// What was read, unless something went wrong meanwhile.
    fn check<T>(&self, read: T, selector: &Selector) -> Result<T> {
        if let Some(excess) = self.costs_too_much(selector.source()) {
            return Err(excess.clone().into());
        }
        self.unless_complained(read)
    }

    fn unless_complained<T>(&self, read: T) -> Result<T> {
        match self.complaint() {
            Some(why) => Err(String::from(why).into()),
            None => Ok(read),
        }
    }

    /// A link as a URL: one that is relative is so to the base URL if the page is HTML, else to the
    /// page's own.
    ///
    /// # Errors
    /// If it is no URL.
    pub fn join(&self, url: &str) -> Result<Url> {
        self.resolve_at(self.links_base(), url.trim())
            .map_err(|error| format!("`{url}` is no URL: {error}").into())
    }

    /// A link of the page's tree as a URL.
    fn resolve(&self, href: &str) -> std::result::Result<Url, Unresolved> {
        self.resolve_at(self.base(), href)
    }

    /// Joins, unless a base that is itself too long would be copied into every link.
    fn resolve_at(&self, base: &Url, href: &str) -> std::result::Result<Url, Unresolved> {
        let is_long = base.as_str().len() > self.0.context.links.url_bytes.max(LONG_BASE);
        if is_long && !href.starts_with(['/', '\\']) && Url::parse(href).is_err() {
            return Err(Unresolved::TooLong);
        }
        Ok(base.join(href)?)
    }

    fn effort(&self) -> &Effort {
        &self.0.effort
    }

    /// Whether nothing more is read of the page because it costs too much; `what` was read last.
    fn costs_too_much(&self, what: &str) -> Option<&TooCostly> {
        self.effort().excess(self.url(), what)
    }

    /// A text that is taken, if it is to be had.
    fn taken<'a>(&self, text: impl Into<Cow<'a, str>>) -> Option<Cow<'a, str>> {
        let text = text.into();
        self.effort().take(text.len()).then_some(text)
    }

    /// Why what was read of the page so far may not be all, if reading it has cost too much.
    pub(crate) fn too_costly(&self) -> Option<&TooCostly> {
        self.costs_too_much("text()")
    }

    /// Names and contents of all `<meta name content>`.
    pub(crate) fn named_metas(&self) -> Vec<(&str, &str)> {
        dom::named_metas(self.html())
    }

    fn is_html(&self) -> bool {
        self.0.html.get().is_some() || self.says_html()
    }

    fn says_html(&self) -> bool {
        let kind = self.0.response.header("content-type");
        kind.is_some_and(|kind| kind.contains("html"))
    }
}

/// Bytes of a base that may be copied into every link, whatever the limits say.
const LONG_BASE: usize = 8 * 1024;

/// Why a link is no URL.
#[derive(Debug, thiserror::Error)]
enum Unresolved {
    #[error(transparent)]
    Invalid(#[from] url::ParseError),
    #[error("what it is relative to is too long")]
    TooLong,
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Page({} {})", self.status().as_u16(), self.url())
    }
}
