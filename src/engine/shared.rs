//! What all tasks of a crawl know.

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use http::Method;
use tokio::sync::mpsc;
use url::Url;

use super::SharedRoom;
use super::budgets::Budgets;
use super::bus::Bus;
use super::committer::Entry;
use super::deaths::Deaths;
use super::login::Logins;
use super::thread;
use super::vault::Vault;
use super::watchdog::StepThread;
use crate::fetch::{DynFetch, HttpFetch, Sessions};
use crate::pipeline::Pipelines;
use crate::policy::params::ParamRules;
use crate::policy::redirect::is_same;
use crate::policy::scope::{Outside, Scope, host_and_port};
use crate::policy::traps::{self, Traps};
use crate::request::{Fingerprint, Identity, KnownLinks, Request, Uncrawlable, canonical};
use crate::settings::{Settings, Shares};
use crate::spider::{Spider, step_named};
use crate::store::NewRequest;

/// The store is not here: a step that never ends holds this for ever, and must not keep the database
/// locked.
pub(super) struct Shared {
    pub(super) spider: Arc<dyn Spider>,
    pub(super) settings: Settings,
    /// What items pass before they are stored.
    pub(super) pipelines: Pipelines,
    pub(super) fetch: Arc<dyn DynFetch>,
    /// The same, if it is our own: it keeps the cookies and guards addresses.
    pub(super) http: Option<Arc<HttpFetch>>,
    pub(super) identity: Identity,
    /// Hosts that are divided among processes.
    pub(super) shares: Shares,
    pub(super) vault: Vault,
    pub(super) logins: Logins,
    pub(super) known: Arc<KnownLinks>,
    pub(super) scope: RwLock<Scope>,
    pub(super) params: ParamRules,
    pub(super) traps: Traps,
    pub(super) bus: Bus,
    pub(super) budgets: Budgets,
    /// Room that is shared with other crawls.
    pub(super) room: Option<SharedRoom>,
    /// How threads for user code are had.
    pub(super) threads_by: thread::Start,
    /// The threads that run steps, to look into.
    pub(super) threads: Mutex<Vec<Weak<StepThread>>>,
    /// Notes of what is being read, and of what processes have died of, where there is a place for them.
    pub(super) deaths: Option<Arc<Deaths>>,
    pub(super) commits: mpsc::Sender<Entry>,
    /// Requests between the frontier and their commit.
    pub(super) in_hand: AtomicUsize,
    /// Pages of this run, done or failed, redirects left out.
    pub(super) pages: AtomicU64,
}

/// A link that does not become a request: a short word, what it hit.
pub(super) struct Refusal(pub(super) &'static str, pub(super) String);

impl Shared {
    /// Why a request is none of this crawl's.
    pub(super) fn refuse(&self, request: &Request) -> Option<Refusal> {
        let url = &request.url;
        if !matches!(url.scheme(), "http" | "https") {
            Some(Refusal("scheme", url.scheme().to_owned()))
        } else if self
            .settings
            .max_depth
            .is_some_and(|max| request.depth > max)
        {
            Some(Refusal("depth", String::new()))
        } else if url.as_str().len() > self.settings.max_url_bytes {
            Some(Refusal("length", String::new()))
        } else {
            self.outside(url).or_else(|| self.trap(url))
        }
    }

    fn outside(&self, url: &Url) -> Option<Refusal> {
        let scope = self.scope.read().unwrap_or_else(PoisonError::into_inner);
        let outside = scope.refuse(url)?;
        let subject = match outside {
            Outside::Host => host_and_port(url),
            Outside::Exclude(pattern) => pattern.to_owned(),
            _ => String::new(),
        };
        Some(Refusal(outside.reason(), subject))
    }

    fn trap(&self, url: &Url) -> Option<Refusal> {
        let trap = traps::refuse_path(url, &self.settings).or_else(|| self.traps.refuse(url))?;
        Some(Refusal(trap.reason, trap.subject))
    }

    /// A request without the parameters that the user wants dropped. Where a redirect would come
    /// back to itself without them, they stay: the server wants them.
    pub(super) fn normalised(&self, mut request: Request) -> Request {
        if let Some(changed) = self.params.apply(&request.url)
            && !request
                .redirects
                .iter()
                .any(|earlier| is_same(earlier, &changed.url))
        {
            request.url = changed.url;
        }
        request
    }

    /// A request as the store takes it, or why it is none of this crawl's.
    pub(super) fn admit(&self, request: Request, nonce: u64) -> Result<NewRequest, Refusal> {
        let request = self.normalised(request);
        match self.refuse(&request) {
            Some(refusal) => Err(refusal),
            None => self.identify(request, false, nonce),
        }
    }

    /// A request whose host is in scope from now on: a seed, or what a seed redirects to.
    pub(super) fn admit_seed(&self, request: Request, nonce: u64) -> Result<NewRequest, Refusal> {
        let new = self.identify(self.normalised(request), true, nonce)?;
        self.widen(&new.request.url);
        Ok(new)
    }

    /// Takes the host of `url` into the scope.
    pub(super) fn widen(&self, url: &Url) {
        let mut scope = self.scope.write().unwrap_or_else(PoisonError::into_inner);
        scope.add(url);
    }

    /// Trusts a URL that the user wrote: its host may be at a private address, and its login is sent.
    /// Never for what a page or a redirect says: a server could open the way into a network.
    pub(super) fn trust(&self, url: &Url) {
        if let Some(http) = &self.http {
            http.log_in(url);
            http.allow_host(url.host_str().unwrap_or_default());
        }
    }

    /// The identities that requests are made as, if the fetch is our own.
    pub(super) fn sessions(&self) -> Option<&Arc<Sessions>> {
        self.http.as_ref().map(|http| http.sessions())
    }

    /// The identity of a request. A step that was renamed goes by its oldest name, so that what was
    /// crawled under that is not crawled again.
    fn fingerprint(&self, request: &mut Request, path: &str, nonce: Option<u64>) -> Fingerprint {
        let step = step_named(&*self.spider, &request.step.name);
        let Some(oldest) = step.and_then(|step| step.was.first()) else {
            return self.identity.fingerprint(request, path, nonce);
        };
        let name = std::mem::replace(&mut request.step.name, (*oldest).into());
        let fingerprint = self.identity.fingerprint(request, path, nonce);
        request.step.name = name;
        fingerprint
    }

    /// A request that nothing speaks against, as the store takes it.
    pub(super) fn identify(
        &self,
        mut request: Request,
        seed: bool,
        nonce: u64,
    ) -> Result<NewRequest, Refusal> {
        let (origin, path) =
            canonical(&request.url, self.settings.max_url_bytes).map_err(|error| match error {
                Uncrawlable::Scheme(scheme) => Refusal("scheme", scheme),
                Uncrawlable::TooLong { .. } => Refusal("length", String::new()),
                _ => Refusal("invalid", String::new()),
            })?;
        let mut fingerprint = self.fingerprint(&mut request, &path, None);
        let mut again = None;
        if !request.dedup {
            let forced = self.fingerprint(&mut request, &path, Some(nonce));
            if is_target(&request) {
                again = Some(forced);
            } else {
                fingerprint = forced;
            }
        }
        let renews = request.lastmod.and_then(|lastmod| {
            let step = step_named(&*self.spider, &request.step.name)?;
            step.revisit?.renews(lastmod)
        });
        self.vault.seal(&mut request);
        let part = fingerprint.part_of(self.shares.of(&request.url));
        let host = self.identity.host(&origin).part(part);
        Ok(NewRequest {
            host,
            fingerprint,
            again,
            origin,
            path,
            seed,
            renews,
            request,
        })
    }
}

/// Whether a request is where another led to: that counts as seen, though it is asked for whether it was
/// seen or not. In a loop it does not; and each link to a file has its own row.
fn is_target(request: &Request) -> bool {
    let mut earlier = request.redirects.iter();
    request.method == Method::GET
        && !request.step.is_file()
        && !request.redirects.is_empty()
        && !earlier.any(|earlier| is_same(earlier, &request.url))
}
