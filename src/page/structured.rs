//! What a page says of itself for machines: `<meta>` and JSON-LD.

use scraper::ElementRef;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Page;
use crate::request::Result;

impl Page {
    /// The content of the first `<meta>` of a name that has one: `og:title`, `description`,
    /// `article:published_time`. The name stands in `property`, `name` or `itemprop`.
    ///
    /// ```
    /// # use nephila::page::Page;
    /// let html = "<meta property=og:title content='Silk'><meta name=keywords content=''>";
    /// let page = Page::from_html("http://shop.example/", html)?;
    /// assert_eq!(page.meta("og:title"), Some("Silk"));
    /// assert_eq!(page.meta("keywords"), None);
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    pub fn meta(&self, name: &str) -> Option<&str> {
        self.find_metas(name).next()
    }

    /// The contents of all `<meta>` of a name, in document order: `og:image`, `article:tag`.
    pub fn metas(&self, name: &str) -> Vec<&str> {
        self.find_metas(name).collect()
    }

    fn find_metas(&self, name: &str) -> impl Iterator<Item = &str> {
        let is_named = move |meta: &ElementRef<'_>| {
            let mut names = ["property", "name", "itemprop"].into_iter();
            let mut own = names.by_ref().filter_map(|kind| meta.attr(kind));
            // RDFa allows several names in one attribute.
            own.any(|own| {
                let mut words = own.split_ascii_whitespace();
                words.any(|word| word.eq_ignore_ascii_case(name))
            })
        };
        self.elements_named("meta")
            .filter(is_named)
            .filter_map(|meta| meta.attr("content").map(str::trim))
            .filter(|content| !content.is_empty())
    }

    /// The things of a type that the page's JSON-LD describes, wherever they stand in it: in a list, in
    /// a `@graph`, or within another thing. The type is its last part: `Product` is
    /// `https://schema.org/Product`, too.
    ///
    /// ```
    /// # use nephila::page::Page;
    /// #[derive(serde::Deserialize)]
    /// struct Product {
    ///     name: String,
    /// }
    ///
    /// let html = r#"<script type="application/ld+json">
    ///     {"@graph": [{"@type": "Product", "name": "Silk"}]}</script>"#;
    /// let page = Page::from_html("http://shop.example/", html)?;
    /// let products: Vec<Product> = page.json_ld("Product")?;
    /// assert_eq!(products[0].name, "Silk");
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    ///
    /// # Errors
    /// If one can't be read as a `T`; or if there is none and a part of the JSON-LD is no JSON.
    pub fn json_ld<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>> {
        let (found, broken) = self.things(kind);
        self.unless_complained(())?;
        match broken {
            Some(error) if found.is_empty() => {
                Err(format!("the page's JSON-LD is no JSON: {error}").into())
            }
            _ => {
                let things = found.into_iter().map(|thing| {
                    serde_json::from_value(thing).map_err(|error| {
                        format!("the page's JSON-LD has another `{kind}`: {error}").into()
                    })
                });
                things.collect()
            }
        }
    }

    /// The things of a type, and what of the JSON-LD is no JSON.
    pub(super) fn things(&self, kind: &str) -> (Vec<Value>, Option<serde_json::Error>) {
        let (mut found, mut broken) = (Vec::new(), None);
        for script in self.elements_named("script").filter(is_json_ld) {
            let text: String = script.text().collect();
            if !self.may_keep_json(&text) {
                break;
            }
            match serde_json::from_str(bare(&text)) {
                Ok(value) => collect(value, kind, &mut found),
                Err(error) => broken = broken.or(Some(error)),
            }
        }
        (found, broken)
    }

    pub(super) fn elements_named<'a>(
        &'a self,
        name: &'static str,
    ) -> impl Iterator<Item = ElementRef<'a>> {
        let nodes = self.html().tree.root().descendants();
        nodes
            .filter_map(ElementRef::wrap)
            .filter(move |element| element.value().name() == name)
    }
}

fn is_json_ld(script: &ElementRef<'_>) -> bool {
    let kind = script.attr("type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/ld+json")
}

/// Without the comment or CDATA section that old templates wrap scripts in.
pub(super) fn bare(text: &str) -> &str {
    let mut text = text.trim();
    for (begin, end) in [
        ("<!--", "-->"),
        ("//<![CDATA[", "//]]>"),
        ("<![CDATA[", "]]>"),
    ] {
        if let Some(inner) = text.strip_prefix(begin) {
            text = inner.strip_suffix(end).unwrap_or(inner).trim();
        }
    }
    text
}

/// The things of a type, outermost first; no deeper than serde_json reads.
fn collect(value: Value, kind: &str, into: &mut Vec<Value>) {
    match value {
        Value::Object(thing) if thing.get("@type").is_some_and(|own| is_kind(own, kind)) => {
            into.push(thing.into());
        }
        Value::Object(thing) => {
            thing
                .into_iter()
                .for_each(|(_, value)| collect(value, kind, into));
        }
        Value::Array(values) => values
            .into_iter()
            .for_each(|value| collect(value, kind, into)),
        _ => {}
    }
}

fn is_kind(own: &Value, kind: &str) -> bool {
    match own {
        Value::String(own) => own == kind || own.rsplit(['/', '#', ':']).next() == Some(kind),
        Value::Array(all) => all.iter().any(|own| own.is_string() && is_kind(own, kind)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(html: &str) -> Page {
        Page::from_html("http://e.x/", html).unwrap()
    }

    #[test]
    fn metas_by_any_attribute() {
        let page = page(
            "<meta property=og:title content=' A '><meta name=OG:Title content=B><meta property='x og:image' \
             content=/1><body><meta itemprop=price content=7><meta property=og:image content=''>",
        );
        assert_eq!(page.metas("og:title"), ["A", "B"]);
        assert_eq!(page.meta("price"), Some("7"));
        assert_eq!(page.metas("og:image"), ["/1"]);
        assert_eq!(page.meta("og:titl"), None);
    }

    fn check(json: &str, expected: &str) {
        let html = format!(
            "<script>{{\"@type\":\"P\",\"n\":0}}</script><script type='application/LD+json; \
                            charset=utf-8'>{json}</script><script type=application/ld+json>[]</script>"
        );
        let found = page(&html).json_ld::<Value>("P");
        let numbers = |all: Vec<Value>| {
            all.iter()
                .map(|thing| thing["n"].to_string())
                .collect::<Vec<_>>()
        };
        let found = found.map_or_else(|error| error.to_string(), |all| numbers(all).join(" "));
        assert_eq!(found, expected, "{json}");
    }

    #[test]
    fn things_wherever_they_stand() {
        check(r#"{"@type":"P","n":1}"#, "1");
        check(
            r#"[{"@type":"P","n":1},{"@type":"Q","n":2},{"@type":["Q","P"],"n":3}]"#,
            "1 3",
        );
        check(
            r#"{"@graph":[{"@type":"http://schema.org/P","n":1},{"@type":"schema:P","n":2}]}"#,
            "1 2",
        );
        check(
            r#"{"@type":"ItemPage","mainEntity":{"@type":"P","n":1,"in":{"@type":"P","n":2}}}"#,
            "1",
        );
        check(r#"{"@type":"SP","n":1}"#, "");
        check("<!--\n{\"@type\":\"P\",\"n\":1}\n-->", "1");
        check("//<![CDATA[\n{\"@type\":\"P\",\"n\":1}\n//]]>", "1");
        check("{\"@type\":\"P\",\"n\":\"a  b &amp;\"}", "\"a  b &amp;\"");
    }

    #[test]
    fn what_can_not_be_read() {
        check(
            "{",
            "the page's JSON-LD is no JSON: EOF while parsing an object at line 1 column 1",
        );
        check(
            &"[".repeat(100_000),
            "the page's JSON-LD is no JSON: recursion limit exceeded at line 1 column 128",
        );
        let page = page("<script type=application/ld+json>{\"@type\":\"P\"}</script>");
        let error = page.json_ld::<u8>("P").unwrap_err().to_string();
        assert!(
            error.starts_with("the page's JSON-LD has another `P`: invalid type: map"),
            "{error}"
        );
    }
}
