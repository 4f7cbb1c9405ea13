//! Asking for one page as a spider does: logged in, and in the way in which it asks for it itself.

use std::time::Duration;

use url::Url;

use super::failure::Failure;
use super::{fetch, output};
use crate::engine::Fetcher;
use crate::request::{Request, Response, Session, StepRef};
use crate::settings::Settings;
use crate::spider::{Ask, Login, Seeds, Spider};
use crate::ui::clean;

/// Start URLs among which one is looked for.
const SEEDS: usize = 10_000;
/// How long that may take: `start` may do anything.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who fetches single pages.
pub(super) struct Visitor<'a> {
    pub(super) spider: &'a dyn Spider,
    pub(super) settings: &'a Settings,
    pub(super) fetcher: &'a Fetcher,
}

impl Visitor<'_> {
    /// The answer of a URL for a step, redirects followed; none if a crawl would get nothing, which is said then.
    pub(super) async fn see(
        &self,
        url: Url,
        step: Option<&'static str>,
    ) -> Result<Option<Response>, Failure> {
        let session = self.log_in().await?;
        self.visit(url, step, session).await
    }

    /// The same as somebody who has logged in.
    pub(super) async fn visit(
        &self,
        url: Url,
        step: Option<&'static str>,
        session: Session,
    ) -> Result<Option<Response>, Failure> {
        let request = self.request(url, step, session).await;
        fetch::follow(self.settings, self.fetcher, request).await
    }

    /// How it is asked for.
    pub(super) async fn request(
        &self,
        url: Url,
        step: Option<&'static str>,
        session: Session,
    ) -> Request {
        let mut request = match self.seed(&url, step).await {
            Some(seed) => seed,
            None => Request::new(url, StepRef::named(step.unwrap_or("look"))),
        };
        if request.session == Session::Any {
            request.session = session;
        }
        self.fetcher.trust(&request.url);
        request
    }

    /// Logs in, if the spider does: as the first of its sessions, if it names some.
    pub(super) async fn log_in(&self) -> Result<Session, Failure> {
        let first = self.settings.sessions.keys().next();
        let session = first.map_or(Session::Any, |name| Session::from(name.as_str()));
        if !self.spider.logs_in() {
            return Ok(session);
        }
        output::say(&format!(
            "     login  as {} does",
            clean(self.spider.name())
        ));
        let (login, mut asks) =
            Login::channel(session.clone(), self.settings.secrets_of(session.name()));
        let mut outcome = self.spider.login(login);
        let outcome = loop {
            tokio::select! {
                biased;
                Some(ask) = asks.recv() => self.answer(ask, &session).await?,
                outcome = &mut outcome => break outcome,
            }
        };
        match outcome {
            Ok(()) => Ok(session),
            Err(error) => Err(Failure::usage(format!("login failed: {error}"))),
        }
    }

    async fn answer(&self, ask: Ask, session: &Session) -> Result<(), Failure> {
        match ask {
            Ask::Keep(url, name, value) => self.fetcher.keep_header(session, &url, &name, value),
            Ask::Fetch(mut request, answer) => {
                request.session = session.clone();
                self.fetcher.trust(&request.url);
                let response = fetch::follow(self.settings, self.fetcher, *request).await?;
                let response = response.ok_or_else(|| "there is no answer".into());
                // Who asked may have given up.
                let _ = answer.send(response);
            }
        }
        Ok(())
    }

    /// The start URL that it is, if the spider asks for it by more than its URL.
    async fn seed(&self, url: &Url, step: Option<&str>) -> Option<Request> {
        let (seeds, mut sent) = Seeds::channel(16, None);
        let is_it = |seed: &Request| {
            seed.url == *url
                && seed.body.is_some()
                && step.is_none_or(|step| seed.step.name == step)
        };
        let mut pushing = self.spider.seeds(seeds);
        let look = async {
            let mut is_done = false;
            for _ in 0..SEEDS {
                let seed = tokio::select! {
                    biased;
                    seed = sent.recv() => seed?,
                    _ = &mut pushing, if !is_done => {
                        is_done = true;
                        continue;
                    }
                };
                if is_it(&seed) {
                    return Some(seed);
                }
            }
            None
        };
        tokio::time::timeout(PATIENCE, look).await.ok().flatten()
    }
}
