//! What may stand in a spider's file: the one table that files are checked against, and that the
//! JSON Schema for editors is made from.

use super::plan::TYPES;
use crate::parse::PARSERS;

/// A section: its keys.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) keys: &'static [Key],
}

/// A key, and what it takes.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    pub(super) about: &'static str,
}

/// What a key takes.
#[derive(Debug)]
pub(super) enum Takes {
    Text,
    /// A text or a list of them.
    Texts,
    Number,
    /// A number or a list of them.
    Numbers,
    Selector,
    Selectors,
    /// The name of a step.
    Step,
    /// A type of a field.
    Type,
    /// The name of a parse function.
    Parser,
    /// A text, number or boolean.
    Scalar,
    Section(&'static Section),
    /// A section or several.
    Sections(&'static Section),
    /// Sections by names of one's own.
    Named(&'static Section),
    /// Selectors, and the step that reads what they lead to.
    Follow,
    /// Fields: a selector, or a section.
    Fields,
    /// Names and values: texts, or secrets.
    Form,
    /// Names and texts.
    Pairs,
    /// Settings of a crawl.
    Settings,
    /// A JSON value.
    Json,
    /// Start URLs.
    Start(&'static Section),
}

const fn key(name: &'static str, takes: Takes, about: &'static str) -> Key {
    Key { name, takes, about }
}

/// The whole file.
pub(super) static FILE: Section = Section {
    name: "",
    about: "A spider of nephila: `nephila crawl FILE.toml`.",
    keys: &[
        key(
            "name",
            Takes::Text,
            "The spider's name; else that of the file.",
        ),
        key("about", Takes::Text, "What it does, in a line."),
        key(
            "start",
            Takes::Start(&START),
            "Start URLs, read by the first step: a URL, a list, `{1..50}` and `{a,b}` in them, `{name}` of \
             an argument, or a section.",
        ),
        key(
            "args",
            Takes::Pairs,
            "Arguments (`-a name=value`) and their defaults.",
        ),
        key(
            "settings",
            Takes::Settings,
            "Settings of this spider's crawls.",
        ),
        key("login", Takes::Section(&LOGIN), "How it logs in."),
        key(
            "step",
            Takes::Named(&STEP),
            "Steps: the first one reads the start URLs.",
        ),
    ],
};

/// `start = { .. }`
pub(super) static START: Section = Section {
    name: "start",
    about: "Start URLs, who reads them, and what they are asked with.",
    keys: &[
        key("url", Takes::Text, "A URL, or a template of many."),
        key("file", Takes::Text, "A file with a URL in each line."),
        key("step", Takes::Step, "Who reads them; else the first step."),
        key(
            "json",
            Takes::Json,
            "What is sent as JSON, by POST; a text that is `{name}` is an argument.",
        ),
        key(
            "form",
            Takes::Pairs,
            "What is sent as a form, by POST; a text that is `{name}` is an argument.",
        ),
    ],
};

/// `[login]`
pub(super) static LOGIN: Section = Section {
    name: "login",
    about: "A form that is sent before the first request, and again when the session is logged out.",
    keys: &[
        key("url", Takes::Text, "The page with the form."),
        key("form", Takes::Selector, "The form; else `form`."),
        key(
            "fields",
            Takes::Form,
            "What is filled in; `{ secret = \"name\" }` is a secret of the settings.",
        ),
        key(
            "check",
            Takes::Selector,
            "What is there once one is logged in.",
        ),
    ],
};

/// `[step.NAME]`
pub(super) static STEP: Section = Section {
    name: "step",
    about: "How pages of a kind are read.",
    keys: &[
        key(
            "follow",
            Takes::Follow,
            "Links, and the step that reads what they lead to.",
        ),
        key(
            "download",
            Takes::Selectors,
            "Links to files that are kept.",
        ),
        key(
            "links",
            Takes::Sections(&LINKS),
            "Links chosen by their URLs.",
        ),
        key(
            "pages",
            Takes::Section(&PAGES),
            "The next page of a list, by its number or a cursor.",
        ),
        key("submit", Takes::Section(&SUBMIT), "A form that is sent."),
        key(
            "sitemap",
            Takes::Section(&SITEMAP),
            "The page is a sitemap, or a robots.txt that names some.",
        ),
        key("item", Takes::Sections(&ITEM), "What is stored of a page."),
        key(
            "status",
            Takes::Numbers,
            "Statuses that are read besides 2xx.",
        ),
        key(
            "was",
            Takes::Texts,
            "Names that the step had before, oldest first.",
        ),
        key("url", Takes::Text, "The URLs it reads: `/book/{id}`."),
        key(
            "revisit",
            Takes::Text,
            "When it wants its pages again: `changed`, `every 7d`, `lastmod`, `never`…",
        ),
        key(
            "stop_when_known",
            Takes::Number,
            "Its pages lead to no others of it once so many of their items and other links were known.",
        ),
    ],
};

/// `[[step.NAME.links]]`
pub(super) static LINKS: Section = Section {
    name: "links",
    about: "Links chosen by their URLs; of several rules the first that fits a link takes it.",
    keys: &[
        key(
            "allow",
            Takes::Texts,
            "Patterns of URLs, as of the setting `include`; none: all.",
        ),
        key("deny", Takes::Texts, "Patterns of URLs that are left out."),
        key(
            "within",
            Takes::Selectors,
            "Where on the page links are looked for.",
        ),
        key(
            "hosts",
            Takes::Texts,
            "Hosts that are wanted; `*.shop.example` is every host below it, too.",
        ),
        key(
            "tags",
            Takes::Texts,
            "Elements that are links; else `a` and `area`.",
        ),
        key(
            "attrs",
            Takes::Texts,
            "Attributes that are links; else `href`.",
        ),
        key(
            "extensions",
            Takes::Texts,
            "Endings of files that are left out instead of the usual ones (images, archives, office files…).",
        ),
        key(
            "step",
            Takes::Step,
            "Who reads what they lead to; else nobody does.",
        ),
    ],
};

/// `[step.NAME.pages]`
pub(super) static PAGES: Section = Section {
    name: "pages",
    about: "The next page of a list, by its number or a cursor.",
    keys: &[
        key(
            "url",
            Takes::Text,
            "Where it is, relative to the page: `?page={page}`; else where the page is.",
        ),
        key(
            "cursor",
            Takes::Selector,
            "What the page says the next one is asked with: `{cursor}`. Without one it is the last.",
        ),
        key(
            "json",
            Takes::Json,
            "What is sent as JSON, by POST, with `{page}` or `{cursor}`. Without `url` start URLs are asked so, too.",
        ),
        key("form", Takes::Pairs, "The same as a form."),
        key(
            "from",
            Takes::Number,
            "The number of the first page; else 1.",
        ),
        key("by", Takes::Number, "What is added for the next; else 1."),
        key("last", Takes::Number, "The number of the last page."),
        key(
            "while",
            Takes::Selector,
            "What a page with a next one has: something that matches, and is not `false`.",
        ),
    ],
};

/// `[step.NAME.submit]`
pub(super) static SUBMIT: Section = Section {
    name: "submit",
    about: "A form that is sent, with its hidden fields.",
    keys: &[
        key("form", Takes::Selector, "The form; else `form`."),
        key(
            "fields",
            Takes::Form,
            "What is filled in; `{ env = \"NAME\" }` is of the environment.",
        ),
        key("step", Takes::Step, "Who reads the answer."),
    ],
};

/// `[step.NAME.sitemap]`
pub(super) static SITEMAP: Section = Section {
    name: "sitemap",
    about: "A sitemap; maps that it names are read by the same step.",
    keys: &[
        key(
            "only",
            Takes::Texts,
            "Patterns of the pages that are wanted.",
        ),
        key(
            "hreflang",
            Takes::Texts,
            "Languages that are wanted of pages that are there in several: `de` is `de-AT`, too; `*` is all.",
        ),
        key(
            "since",
            Takes::Text,
            "A day or moment: what has not changed since (`lastmod`) is left out.",
        ),
        key("step", Takes::Step, "Who reads its pages."),
    ],
};

/// `[step.NAME.item]`
pub(super) static ITEM: Section = Section {
    name: "item",
    about: "A row of a table.",
    keys: &[
        key("table", Takes::Text, "The table; else the step's name."),
        key(
            "key",
            Takes::Texts,
            "Columns that identify a row: a second sight updates it.",
        ),
        key(
            "each",
            Takes::Selector,
            "An item of everything that matches; else one of the page.",
        ),
        key(
            "fields",
            Takes::Fields,
            "The columns: a selector, `@url`, or what else there is to say.",
        ),
    ],
};

/// `[step.NAME.item.fields.NAME]`
pub(super) static FIELD: Section = Section {
    name: "field",
    about: "A column.",
    keys: &[
        key(
            "select",
            Takes::Selector,
            "Where it is read from, in any notation; `@url` is the page's URL.",
        ),
        key("css", Takes::Text, "The same, by CSS."),
        key("xpath", Takes::Text, "The same, by XPath."),
        key("json", Takes::Text, "The same, by a JSON path."),
        key(
            "or",
            Takes::Selectors,
            "The next selectors to try where nothing matches.",
        ),
        key(
            "re",
            Takes::Text,
            "A pattern whose first group, or whole match, is taken.",
        ),
        key("parse", Takes::Parser, "A function that reads the text."),
        key(
            "type",
            Takes::Type,
            "The type; `text` by itself. With `?` it may be missing, in `[..]` it is a list of all matches.",
        ),
        key(
            "default",
            Takes::Scalar,
            "What it is where nothing matches.",
        ),
        key("value", Takes::Scalar, "What it always is."),
        key(
            "fields",
            Takes::Fields,
            "Fields of a nested item, stored as JSON.",
        ),
    ],
};

/// The sections that can be reached from the file, each once.
pub(super) fn sections() -> [&'static Section; 10] {
    [
        &FILE, &START, &LOGIN, &STEP, &LINKS, &PAGES, &SUBMIT, &SITEMAP, &ITEM, &FIELD,
    ]
}

/// Every type as it may be written.
pub(super) fn types() -> Vec<String> {
    let mut all = Vec::new();
    for (name, _) in TYPES {
        all.push(name.to_owned());
        if name != "bool" {
            all.extend([format!("{name}?"), format!("[{name}]")]);
        }
    }
    all
}

/// Names of parse functions.
pub(super) fn parsers() -> Vec<&'static str> {
    PARSERS.iter().map(|(name, _)| *name).collect()
}
