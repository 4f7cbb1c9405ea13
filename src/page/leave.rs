//! What a step leaves on its page: items, and requests of all kinds.

use std::sync::Arc;

use url::Url;

use nephila_notation::Find;

use super::{AsSelector, BadRows, Emitted, Found, Page, Scope, dom, form};
use crate::item::{Item, Record};
use crate::request::{
    Referrer, ReferrerPolicy, Request, RequestBuilder, Result, Session, Step, StepRef, Terms,
};

impl Page {
    /// Emits an item: it is checked now and stored with the page.
    ///
    /// # Errors
    /// [`ItemError`](crate::item::ItemError): which field can't be stored, and why.
    pub fn emit(&self, item: impl Item) -> Result {
        let record = item.into_record()?;
        self.0.emitted.borrow_mut().records.push(record);
        Ok(())
    }

    /// Emits a checked row, for items without a type.
    pub fn emit_record(&self, record: Record) {
        self.emitted_mut().records.push(record);
    }

    /// Takes the items that were emitted so far: for a pipeline, which emits what it keeps.
    pub(crate) fn take_records(&self) -> Vec<Record> {
        std::mem::take(&mut self.emitted_mut().records)
    }

    /// Counts an item that a pipeline dropped.
    pub(crate) fn count_dropped(&self, table: String, reason: String) {
        self.emitted_mut().drop_item(table, reason);
    }

    pub(super) fn count_bad_rows(&self, rows: impl Iterator<Item = BadRows>) {
        self.emitted_mut().bad_rows.extend(rows);
    }

    pub(super) fn may_have_bad_rows(&self, bad: u64, all: u64) -> bool {
        self.0.context.bad_rows.allows(bad, all)
    }

    /// Downloads what every match links to (`src` of an image, `href` of a link, or the attribute that
    /// the selector takes) into the folder of the setting `files`, and returns their number. Each is a
    /// request like any other; once it is there, the table `file` has a row for it.
    ///
    /// # Errors
    /// If the selector does not parse.
    pub fn download(&self, selector: impl AsSelector) -> Result<usize> {
        self.follow(selector, StepRef::file())
    }

    /// Requests every link that matches (`href`, else `src`, else `action`, or the attribute that
    /// the selector takes) and returns their number. Duplicates and links out of scope cost nothing.
    ///
    /// # Errors
    /// If the selector does not parse or the step is none.
    pub fn follow<M>(&self, selector: impl AsSelector, step: impl Step<M>) -> Result<usize> {
        let (selector, step) = (selector.as_selector()?, self.own_step(step)?);
        let base = match selector.parts().first().map(|part| &part.find) {
            Some(Find::Json(_)) => self.links_base(),
            _ => self.base(),
        };
        let terms = Arc::new(self.terms_of_links(step));
        let known = self.0.context.known.as_deref();
        let known = known.map(|known| (known, known.base(base, &terms.step.name, &terms.session)));
        let mut emitted = self.0.emitted.borrow_mut();
        let mut count = 0;
        let found = Found::new(Scope::page(self), &selector);
        self.trace(None, &selector, &found);
        for (href, element) in found.links() {
            count += 1;
            // What the URL standard strips; a no-break space is part of a URL.
            let href = href.trim_matches(|c| c <= ' ');
            let link = known
                .as_ref()
                .map_or(0, |(known, base)| known.link(base, href));
            if known
                .as_ref()
                .is_some_and(|(known, _)| known.contains(link))
            {
                continue;
            }
            match self.resolve_at(base, href) {
                Err(unresolved) => emitted.unresolved(&unresolved, base, href),
                Ok(url) => {
                    let mut request = Request::on(url, Arc::clone(&terms));
                    request.link = link;
                    if element.is_some_and(dom::is_noreferrer) {
                        request.referrer = Some(Box::new(told(ReferrerPolicy::NoReferrer)));
                    }
                    emitted.push(request, &self.0.context.links);
                }
            }
        }
        if count == 0 {
            emitted.missed(selector.source());
        }
        drop(emitted);
        self.check(count, &selector)
    }

    /// Requests one URL, absolute or relative to the page.
    ///
    /// # Errors
    /// If it is no URL, or the step is none.
    pub fn visit<M>(&self, url: impl AsRef<str>, step: impl Step<M>) -> Result {
        self.request(url, step).send()
    }

    /// Starts a request that is more than a link: method, headers, body, priority and so on.
    pub fn request<M>(&self, url: impl AsRef<str>, step: impl Step<M>) -> RequestBuilder<'_> {
        let request = self.join(url.as_ref()).and_then(|url| {
            let terms = self.terms_of_links(self.own_step(step)?);
            Ok(Request::on(url, Arc::new(terms)))
        });
        RequestBuilder::new(request, |request| {
            let mut emitted = self.0.emitted.borrow_mut();
            emitted.push(request, &self.0.context.links);
            Ok(())
        })
    }

    /// Sends the form that matches, as a browser would: hidden fields (CSRF tokens) and defaults
    /// come along, `fields` replace or add.
    ///
    /// # Errors
    /// If there is no such form, or the step is none.
    pub fn submit<M>(
        &self,
        selector: impl AsSelector,
        fields: &[(&str, &str)],
        step: impl Step<M>,
    ) -> Result {
        let (url, body) = self.filled_form(selector, fields)?;
        let request = self.request(url.as_str(), step).dedup(body.is_none());
        match body {
            None => request.send(),
            Some(body) => request.form(&body).send(),
        }
    }

    /// Where the form that matches is sent, filled, and as which fields if by POST.
    pub(crate) fn filled_form(
        &self,
        selector: impl AsSelector,
        fields: &[(&str, &str)],
    ) -> Result<(Url, Option<form::Entries>)> {
        form::Form::find(&self.root(), selector)?.fill(fields)
    }

    /// What the step left on the page so far; tests of steps look at it.
    pub fn emitted(&self) -> std::cell::Ref<'_, Emitted> {
        self.0.emitted.borrow()
    }

    /// Takes what the step left on the page.
    pub fn take_emitted(&self) -> Emitted {
        self.0.emitted.take()
    }

    /// How what is found here is asked for, unless something else is said.
    pub(super) fn terms_of_links(&self, step: StepRef) -> Terms {
        Terms {
            depth: self.next_depth(),
            session: self.links_session(),
            referrer: self.links_referrer(),
            ..Terms::new(step)
        }
    }

    /// Who fetches what is found here, unless something else is said.
    pub(super) fn links_session(&self) -> Session {
        match &self.0.context.session {
            Session::Same(_) if !self.0.context.sticky => Session::Any,
            session => session.clone(),
        }
    }

    /// What the page says of being told to others, if it says something.
    pub(super) fn links_referrer(&self) -> Option<Box<Referrer>> {
        let policy = *self.0.policy.get_or_init(|| {
            let html = self.0.html.get();
            let meta = html.and_then(|parsed| dom::referrer_policy(&parsed.html));
            meta.or_else(|| ReferrerPolicy::parse(self.0.response.header("referrer-policy")?))
        });
        policy.map(told).map(Box::new)
    }

    pub(super) fn next_depth(&self) -> u16 {
        self.0.context.depth.saturating_add(1)
    }

    pub(super) fn own_step<M>(&self, step: impl Step<M>) -> Result<StepRef> {
        let step = step.step()?;
        match (step.spider, self.0.context.spider) {
            (Some(step_of), Some(own)) if step_of != own => {
                Err(format!("step `{}` belongs to another spider", step.name).into())
            }
            _ => Ok(step),
        }
    }
}

fn told(policy: ReferrerPolicy) -> Referrer {
    Referrer {
        policy: Some(policy),
        url: None,
    }
}
