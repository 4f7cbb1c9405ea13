//! Forms, filled and sent as a browser would (HTML, section 4.10.21 "constructing the entry list").

use nephila_notation::Css;
use scraper::ElementRef;
use url::Url;

use super::effort::Effort;
use super::matching::Matches;
use super::{AsSelector, Element, dom};
use crate::request::Result;

/// A form with the values it has on the page.
pub(super) struct Form {
    action: Url,
    post: bool,
    fields: Entries,
}

/// Names and values in document order.
pub(crate) type Entries = Vec<(String, String)>;

impl Form {
    /// The first form that matches.
    pub(super) fn find(root: &Element, selector: impl AsSelector) -> Result<Self> {
        let selector = selector.as_selector()?;
        let elements = root.css(&selector)?;
        let Some(form) = elements.first() else {
            let source = selector.source();
            let nearest = root.page().nearest(source);
            let nearest = nearest.map_or_else(String::new, |nearest| format!(" ({nearest})"));
            return Err(format!("no form: `{source}` matches nothing{nearest}").into());
        };
        if form.name() != "form" {
            let (source, name) = (selector.source(), form.name());
            return Err(format!("no form: `{source}` matches a <{name}>").into());
        }
        let action = match form.attr("action").map(str::trim) {
            None | Some("") => root.page().url().clone(),
            Some(action) => root.page().resolve(action)?,
        };
        let post = form
            .attr("method")
            .is_some_and(|method| method.eq_ignore_ascii_case("post"));
        Ok(Self {
            action,
            post,
            fields: entries(form.node(), root.page().effort()),
        })
    }

    /// The URL to request and, for POST, the fields of the body.
    pub(super) fn fill(self, fields: &[(&str, &str)]) -> Result<(Url, Option<Entries>)> {
        let mut all = self.fields;
        all.retain(|(name, _)| !fields.iter().any(|(replaced, _)| replaced == name));
        all.extend(
            fields
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned())),
        );
        if self.post {
            return Ok((self.action, Some(all)));
        }
        let mut url = self.action;
        url.set_query(Some(&serde_urlencoded::to_string(&all)?));
        Ok((url, None))
    }
}

/// The successful controls of a form, in document order.
fn entries(form: ElementRef<'_>, effort: &Effort) -> Entries {
    let controls = Css::parse("input, select, textarea").expect("a fixed selector");
    let mut entries = Vec::new();
    for control in Matches::new(form, &controls, effort) {
        let Some(name) = control.attr("name").filter(|name| !name.is_empty()) else {
            continue;
        };
        if control.attr("disabled").is_some() {
            continue;
        }
        let value = match control.value().name() {
            "textarea" => Some(control.text().collect()),
            "select" => chosen(control, effort),
            _ => input_value(control),
        };
        entries.extend(value.map(|value| (name.to_owned(), value)));
    }
    entries
}

fn input_value(input: ElementRef<'_>) -> Option<String> {
    let value = input.attr("value");
    match input
        .attr("type")
        .unwrap_or("text")
        .to_ascii_lowercase()
        .as_str()
    {
        "submit" | "button" | "reset" | "image" | "file" => None,
        "checkbox" | "radio" => input
            .attr("checked")
            .map(|_| value.unwrap_or("on").to_owned()),
        _ => Some(value.unwrap_or_default().to_owned()),
    }
}

fn chosen(select: ElementRef<'_>, effort: &Effort) -> Option<String> {
    let options = Css::parse("option").expect("a fixed selector");
    let all = || Matches::new(select, &options, effort);
    let option = all()
        .find(|option| option.attr("selected").is_some())
        .or_else(|| all().next())?;
    Some(
        option
            .attr("value")
            .map_or_else(|| dom::text(option, effort).into_owned(), str::to_owned),
    )
}
