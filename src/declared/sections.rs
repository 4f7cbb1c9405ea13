//! What a step does with a page, and how a spider logs in: the sections of a file.

use jiff::Timestamp;
use toml::de::DeValue;

use super::body::{Body, CURSOR, PAGE};
use super::keys::{ITEM, LINKS, PAGES, SITEMAP, SUBMIT};
use super::plan::{Filled, Login, Pages, Plan, Sitemap, Submit};
use super::read::{self, Steps};
use super::source::{At, Keys, Read, checked, entries};
use super::starts::is_web;
use crate::page::{Links, sitemap_moment};
use crate::request::StepRef;
use crate::settings::url_pattern;

/// `[step.NAME]`
pub(super) fn plan(steps: &Steps<'_>, name: &str, keys: &Keys<'_>, args: &[&str]) -> Read<Plan> {
    let source = keys.source;
    let mut plan = Plan {
        download: keys.selectors("download")?,
        ..Plan::default()
    };
    for (selector, value) in keys.entries("follow")? {
        let selector = checked(source, &selector)?;
        let Some(step) = value.get_ref().as_str() else {
            let reason = "`follow` takes the name of a step for each selector";
            return Err(keys.error(value.span().start, reason));
        };
        let step = At {
            value: step,
            offset: value.span().start,
        };
        plan.follow.push((selector, steps.find(source, &step)?));
    }
    for rules in keys.sections("links", &LINKS)? {
        plan.links.push(links(steps, &rules)?);
    }
    if let Some(pages) = keys.section("pages", &PAGES)? {
        plan.pages = Some(self::pages(&pages, args)?);
    }
    if let Some(submit) = keys.section("submit", &SUBMIT)? {
        plan.submit = Some(Submit {
            form: submit
                .selector("form")?
                .unwrap_or_else(|| "form".to_owned()),
            fields: filled(&submit, false)?,
            step: steps.named_by(&submit)?,
        });
    }
    if let Some(sitemap) = keys.section("sitemap", &SITEMAP)? {
        let languages = sitemap.texts("hreflang")?;
        plan.sitemap = Some(Sitemap {
            only: patterns(&sitemap, "only")?,
            languages: languages.iter().map(|own| own.value.to_owned()).collect(),
            since: since(&sitemap)?,
            step: steps.named_by(&sitemap)?,
        });
    }
    for item in keys.sections("item", &ITEM)? {
        plan.items.push(read::item(name, &item)?);
    }
    Ok(plan)
}

/// `[login]`
pub(super) fn login(keys: Keys<'_>) -> Read<Login> {
    let url = keys.text("url")?;
    let url = url.ok_or_else(|| keys.missing("the `url` of the page with the form"))?;
    if !url.value.contains('{') {
        is_web(url.value).map_err(|reason| keys.error(url.offset, reason))?;
    }
    Ok(Login {
        url: url.value.to_owned(),
        form: keys.selector("form")?.unwrap_or_else(|| "form".to_owned()),
        fields: filled(&keys, true)?,
        check: keys.selector("check")?,
    })
}

fn filled(keys: &Keys<'_>, secrets: bool) -> Read<Vec<(String, Filled)>> {
    let mut fields = Vec::new();
    for (name, value) in keys.entries("fields")? {
        let filled = match value.get_ref() {
            DeValue::String(text) => Some(Filled::Text(text.to_string())),
            DeValue::Table(table) => match &entries(table)[..] {
                [(key, value)] => match (key.value, value.get_ref().as_str()) {
                    ("env", Some(name)) => Some(Filled::Env(name.to_owned())),
                    ("secret", Some(name)) if secrets => Some(Filled::Secret(name.to_owned())),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        let Some(filled) = filled else {
            let secret = if secrets {
                " or { secret = \"NAME\" }"
            } else {
                ""
            };
            let reason = format!(
                "`{}` takes a text, {{ env = \"NAME\" }}{secret}",
                name.value
            );
            return Err(keys.error(value.span().start, reason));
        };
        fields.push((name.value.to_owned(), filled));
    }
    Ok(fields)
}

/// A day, or a moment.
fn since(keys: &Keys<'_>) -> Read<Option<Timestamp>> {
    let Some(text) = keys.text("since")? else {
        return Ok(None);
    };
    let moment = sitemap_moment(text.value).ok_or_else(|| {
        let reason = format!("`{}` is no day or moment, as 2026-11-30 is", text.value);
        keys.error(text.offset, reason)
    });
    moment.map(Some)
}

/// Patterns of URLs that are some.
fn patterns(keys: &Keys<'_>, key: &str) -> Read<Vec<String>> {
    let mut all = Vec::new();
    for text in keys.texts(key)? {
        if url_pattern(text.value).is_err() {
            let reason = format!("`{}` is no pattern of URLs, as /book/* is", text.value);
            return Err(keys.error(text.offset, reason));
        }
        all.push(text.value.to_owned());
    }
    Ok(all)
}

fn links(steps: &Steps<'_>, keys: &Keys<'_>) -> Read<(Links, Option<StepRef>)> {
    let unfit = |error: Box<dyn std::error::Error + Send + Sync>| {
        keys.error(keys.offset, error.to_string())
    };
    let mut links = Links::new();
    for pattern in patterns(keys, "allow")? {
        links = links.allow(&pattern).map_err(unfit)?;
    }
    for pattern in patterns(keys, "deny")? {
        links = links.deny(&pattern).map_err(unfit)?;
    }
    for within in keys.selectors("within")? {
        links = links.within(&within).map_err(unfit)?;
    }
    for host in keys.texts("hosts")? {
        links = links.host(host.value);
    }
    for tag in keys.texts("tags")? {
        links = links.tag(tag.value);
    }
    for attribute in keys.texts("attrs")? {
        links = links.attribute(attribute.value);
    }
    if keys.value("extensions").is_some() {
        let endings = keys.texts("extensions")?;
        links = links.extensions(endings.iter().map(|ending| ending.value));
    }
    let step = keys.text("step")?;
    let step = step
        .map(|step| steps.find(keys.source, &step))
        .transpose()?;
    Ok((links, step))
}

fn pages(keys: &Keys<'_>, args: &[&str]) -> Read<Pages> {
    let url = keys.text("url")?;
    let cursor = keys.selector("cursor")?;
    let body = Body::read(keys, args)?;
    let place = if cursor.is_some() { CURSOR } else { PAGE };
    let in_url = url
        .as_ref()
        .is_some_and(|url| url.value.contains(&format!("{{{place}}}")));
    if !in_url && !body.as_ref().is_some_and(|body| body.has(place)) {
        let what = format!(
            "{{{place}}} somewhere: in its `url`, as in `?{place}={{{place}}}`, or in `json` or `form`"
        );
        return Err(keys.missing(&what));
    }
    let condition = keys.selector("while")?;
    let last = keys.number("last")?;
    if condition.is_none() && last.is_none() && cursor.is_none() {
        return Err(keys.missing("an end: `while`, `last` or `cursor`"));
    }
    Ok(Pages {
        url: url.map(|url| url.value.to_owned()),
        body,
        cursor,
        from: keys.number("from")?.unwrap_or(1),
        by: keys.number("by")?.unwrap_or(1).max(1),
        last,
        condition,
    })
}
