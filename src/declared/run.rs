//! A spider's file at work.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::io::AsyncBufReadExt;
use url::form_urlencoded::byte_serialize;

use super::body::{self, CURSOR, PAGE};
use super::plan::{self, Filled, From, Pages, Plan, Start};
use super::{Declared, fields, template};
use crate::item::Record;
use crate::page::{AsSelector, Page, Rows, Scope};
use crate::request::{Result, StepRef};
use crate::spider::{Login, NoSecret, Seeds, Spider, StepInfo};

/// The spider of a file, with its arguments.
pub(super) fn spider(declared: Arc<Declared>, args: BTreeMap<String, String>) -> Arc<dyn Spider> {
    Arc::new(Running { declared, args })
}

struct Running {
    declared: Arc<Declared>,
    args: BTreeMap<String, String>,
}

/// What rides on the request of a page of a numbered list.
#[derive(Serialize, Deserialize)]
struct Numbered {
    page: u32,
}

impl Spider for Running {
    fn name(&self) -> &str {
        &self.declared.name
    }

    fn steps(&self) -> &[StepInfo] {
        &self.declared.infos
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.declared.path)
    }

    fn seeds(&self, seeds: Seeds) -> LocalBoxFuture<'_, Result> {
        Box::pin(self.push(seeds))
    }

    fn run<'a>(
        &'a self,
        step: &str,
        args: Option<&str>,
        page: Page,
    ) -> Option<LocalBoxFuture<'a, Result>> {
        let steps = &self.declared.infos;
        let own = |info: &StepInfo| info.name == step || info.was.contains(&step);
        let at = steps.iter().position(own)?;
        let plan = self.declared.plans.get(at)?;
        let step = StepRef::named(steps[at].name);
        let outcome = plan.run(&page, &step, args, &self.args);
        Some(Box::pin(std::future::ready(outcome)))
    }

    fn logs_in(&self) -> bool {
        self.declared.login.is_some()
    }

    fn login(&self, login: Login) -> LocalBoxFuture<'_, Result> {
        Box::pin(self.log_in(login))
    }

    fn settings(&self) -> &str {
        &self.declared.settings
    }
}

impl Running {
    async fn push(&self, seeds: Seeds) -> Result {
        for start in &self.declared.start {
            match &start.from {
                From::Template(url) => {
                    for url in template::expand(url, &self.args)? {
                        self.push_one(&seeds, &url, start).await?;
                    }
                }
                From::File(path) => {
                    for path in template::expand(path, &self.args)? {
                        self.push_file(&seeds, &path, start).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Pushes the URLs that stand in a file, one a line.
    async fn push_file(&self, seeds: &Seeds, path: &str, start: &Start) -> Result {
        let file = tokio::fs::File::open(path).await;
        let file = file.map_err(|error| format!("can't read the start URLs in {path}: {error}"))?;
        let mut lines = tokio::io::BufReader::new(file).lines();
        while let Some(line) = lines.next_line().await? {
            let url = line.trim();
            if !url.is_empty() && !url.starts_with('#') {
                self.push_one(seeds, url, start).await?;
            }
        }
        Ok(())
    }

    async fn push_one(&self, seeds: &Seeds, url: &str, start: &Start) -> Result {
        let Some(body) = &start.body else {
            return seeds.push(url, &start.step).await;
        };
        let value = |place: &str| {
            Some(match place {
                PAGE => start.page.into(),
                CURSOR => Json::Null,
                name => self.args.get(name)?.as_str().into(),
            })
        };
        let request = seeds.request(url, &start.step)?;
        seeds.send(body.add_to(request, &value).build()?).await
    }

    async fn log_in(&self, login: Login) -> Result {
        let Some(plan) = &self.declared.login else {
            return Ok(());
        };
        let url = template::expand(&plan.url, &self.args)?.next();
        let form = login.get(url.unwrap_or_default()).await?;
        let mut fields = Vec::new();
        for (name, filled) in &plan.fields {
            let value = match filled {
                Filled::Secret(secret) => login.secret(secret)?.to_owned(),
                filled => plain(filled)?,
            };
            fields.push((name.as_str(), value));
        }
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        let page = login.submit(&form, &plan.form, &fields).await?;
        match &plan.check {
            Some(check) if page.css(check)?.is_empty() => {
                Err(format!("not logged in: `{check}` matches nothing on {}", page.url()).into())
            }
            _ => Ok(()),
        }
    }
}

/// A value that is no secret of the settings.
fn plain(filled: &Filled) -> Result<String> {
    match filled {
        Filled::Text(text) => Ok(text.clone()),
        Filled::Env(name) | Filled::Secret(name) => std::env::var(name)
            .map_err(|_| NoSecret(format!("the environment variable `{name}` is not set")).into()),
    }
}

impl Plan {
    /// What the step does with a page.
    fn run(
        &self,
        page: &Page,
        own: &StepRef,
        carried: Option<&str>,
        args: &BTreeMap<String, String>,
    ) -> Result {
        for (selector, step) in &self.follow {
            page.follow(selector, step)?;
        }
        for selector in &self.download {
            page.download(selector)?;
        }
        self.follow_links(page)?;
        if let Some(pages) = &self.pages {
            pages.go_on(page, own, carried, args)?;
        }
        if let Some(submit) = &self.submit {
            let mut fields = Vec::new();
            for (name, filled) in &submit.fields {
                fields.push((name.as_str(), plain(filled)?));
            }
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| (*name, &**value))
                .collect();
            page.submit(&submit.form, &fields, &submit.step)?;
        }
        if let Some(sitemap) = &self.sitemap {
            let mut map = page.sitemap()?;
            for pattern in &sitemap.only {
                map = map.only(pattern)?;
            }
            for language in &sitemap.languages {
                map = map.language(language);
            }
            map.since(sitemap.since).follow(own, &sitemap.step)?;
        }
        self.items.iter().try_for_each(|item| item.emit(page))
    }

    /// Each link goes by the first rule that it fits.
    fn follow_links(&self, page: &Page) -> Result {
        let mut taken = HashSet::new();
        for (wanted, step) in &self.links {
            for link in page.links(wanted)? {
                if taken.insert(link.url.clone())
                    && let Some(step) = step
                {
                    page.visit(link.url.as_str(), step)?;
                }
            }
        }
        Ok(())
    }
}

impl Pages {
    /// Asks for the next page, if there is one.
    fn go_on(
        &self,
        page: &Page,
        own: &StepRef,
        carried: Option<&str>,
        args: &BTreeMap<String, String>,
    ) -> Result {
        let here = match carried {
            Some(carried) => serde_json::from_str::<Numbered>(carried)?.page,
            None => self.from,
        };
        let next = here.saturating_add(self.by);
        if self.last.is_some_and(|last| next > last) || !self.has_next(page)? {
            return Ok(());
        }
        let cursor = match &self.cursor {
            None => Json::Null,
            Some(selector) => match page.get::<Vec<Json>>(selector)?.into_iter().next() {
                Some(cursor) if !is_none(&cursor) => cursor,
                _ => return Ok(()),
            },
        };
        let step = StepRef {
            args: Some(serde_json::to_string(&Numbered { page: next })?),
            ..own.clone()
        };
        let url = match &self.url {
            None => page.url().to_string(),
            Some(url) => {
                let cursor: String = byte_serialize(body::text(&cursor).as_bytes()).collect();
                let url = url.replace("{page}", &next.to_string());
                url.replace("{cursor}", &cursor)
            }
        };
        let value = |place: &str| {
            Some(match place {
                PAGE => next.into(),
                CURSOR => cursor.clone(),
                name => args.get(name)?.as_str().into(),
            })
        };
        let request = page.request(url, step);
        match &self.body {
            None => request.send(),
            Some(body) => body.add_to(request, &value).send(),
        }
    }

    fn has_next(&self, page: &Page) -> Result<bool> {
        let Some(condition) = &self.condition else {
            return Ok(true);
        };
        let found: Vec<String> = page.get(condition)?;
        let says_no = |text: &String| matches!(text.as_str(), "" | "false" | "0");
        Ok(!found.iter().all(says_no))
    }
}

/// Whether a cursor says that there is no next page.
fn is_none(cursor: &Json) -> bool {
    matches!(cursor, Json::Null | Json::Bool(false)) || cursor.as_str() == Some("")
}

impl plan::Item {
    fn emit(&self, page: &Page) -> Result {
        let Some(each) = &self.each else {
            page.emit_record(self.record(page, &page.scope())?);
            return Ok(());
        };
        let each = each.as_selector()?;
        let scopes = page.scopes(&each)?;
        let mut rows = Rows::default();
        for scope in &scopes {
            if let Some(record) = rows.row(self.record(page, scope)) {
                page.emit_record(record);
            }
        }
        rows.end(page)
    }

    fn record(&self, page: &Page, scope: &Scope<'_>) -> Result<Record> {
        let mut values = Vec::with_capacity(self.fields.len());
        let mut failed = None;
        for field in &self.fields {
            match fields::extract(field, page, scope) {
                Ok(value) => values.push(value),
                // Who tries a step wants to see what the other fields find, too.
                Err(error) if page.is_traced() => failed = failed.or(Some(error)),
                Err(error) => return Err(error.into()),
            }
        }
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(Record::new(Arc::clone(&self.schema), values)?),
        }
    }
}
