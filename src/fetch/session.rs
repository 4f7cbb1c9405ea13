//! Sessions: identities that are used as a unit, and which of them is next.
//!
//! An identity is what a server can tell clients apart by: cookies, proxy, user agent, headers and
//! credentials. A crawl has one, unless its settings name more or a request asks for another by
//! name. Requests that name none rotate over the pool; an identity that is refused too often rests.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::time::Instant;
use url::Url;

use super::FetchSetupError;
use super::auth::Auth;
use super::client::{own_headers, user_agent};
use super::cookies::{Jar, Limits};
use super::health::Health;
use super::proxy::{Proxies, Route};
use crate::request::{Session, StoredCookie};
use crate::settings::{SessionSettings, Settings};

/// Sessions by name, of the settings or not.
const MAX_SESSIONS: usize = 10_000;

/// All identities of a crawl.
pub struct Sessions {
    /// Who requests rotate over.
    pool: Vec<Arc<Identity>>,
    named: RwLock<HashMap<Arc<str>, Arc<Identity>>>,
    turn: AtomicUsize,
    limits: Option<Limits>,
    /// Whether some jar has changed since it was last asked.
    dirty: Arc<AtomicBool>,
    proxies: Arc<Proxies>,
}

/// One identity.
pub struct Identity {
    name: Arc<str>,
    jar: Option<Jar>,
    /// Instead of, or besides, the crawl's.
    pub(super) headers: HeaderMap,
    pub(super) auth: Auth,
    pub(super) route: Route,
    health: Mutex<Health>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sessions({:?})", self.pool)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({:?}, score {})", self.name, self.score())
    }
}

impl Identity {
    /// Its name; empty if there is just one.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its cookies, if the settings keep them.
    pub fn jar(&self) -> Option<&Jar> {
        self.jar.as_ref()
    }

    /// How well it does, from 0 to 100.
    pub fn score(&self) -> u8 {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.score()
    }

    /// Sends a header with all requests to the origin of `url`.
    pub(crate) fn keep_header(&self, url: &Url, name: &HeaderName, value: HeaderValue) {
        self.auth.keep(url, name, value);
    }

    /// Notes how a server took it: as a guest, or as somebody to be refused.
    pub(crate) fn note(&self, good: bool) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if good {
            health.good();
        } else if health.bad(Instant::now()) {
            drop(health);
            if !self.name.is_empty() {
                tracing::warn!(session = %self.name, "refused too often: it rests");
            }
        }
    }
}

impl Sessions {
    pub(super) fn new(settings: &Settings) -> Result<Self, FetchSetupError> {
        let mut proxies = Proxies::new(settings)?;
        let limits = settings.cookies.then(|| Limits::of(settings));
        let dirty = Arc::new(AtomicBool::new(false));
        let mut pool = Vec::new();
        let mut make = |name: &str, own: &SessionSettings, route| {
            let identity = Identity::new(name, own, route, limits, &dirty)?;
            pool.push(Arc::new(identity));
            Ok::<_, FetchSetupError>(())
        };
        for (number, (name, own)) in settings.sessions.iter().enumerate() {
            let route = match &own.proxy {
                Some(url) => proxies.add(url)?,
                None => proxies.route(number, false),
            };
            make(name, own, route)?;
        }
        let nameless = SessionSettings::default();
        let size = settings.session_pool.unwrap_or_else(|| {
            let one_each = settings.sessions.is_empty() && proxies.shared() > 1;
            if one_each { proxies.shared() } else { 0 }
        });
        for number in 0..size {
            let name = (number + 1).to_string();
            make(&name, &nameless, proxies.route(number, true))?;
        }
        if settings.sessions.is_empty() && size == 0 {
            make("", &nameless, proxies.route(0, false))?;
        }
        let named = pool
            .iter()
            .map(|identity| (Arc::clone(&identity.name), Arc::clone(identity)))
            .collect();
        Ok(Self {
            pool,
            named: RwLock::new(named),
            turn: AtomicUsize::new(0),
            limits,
            dirty,
            proxies: Arc::new(proxies),
        })
    }

    pub(super) fn proxies(&self) -> &Arc<Proxies> {
        &self.proxies
    }

    /// Whether requests that name no session have more than one to rotate over.
    pub fn rotates(&self) -> bool {
        self.pool.len() > 1
    }

    /// Whose turn it is: the next one that does not rest, else the one that rests for the shortest
    /// time.
    pub fn next(&self) -> &Arc<Identity> {
        let first = if self.rotates() {
            self.turn.fetch_add(1, Ordering::Relaxed) % self.pool.len()
        } else {
            0
        };
        let now = Instant::now();
        let ring = self.pool.iter().cycle().skip(first).take(self.pool.len());
        let rest = |identity: &&Arc<Identity>| {
            let health = identity.health.lock();
            let health = health.unwrap_or_else(PoisonError::into_inner);
            health.rests_until().filter(|_| !health.is_fit(now))
        };
        ring.min_by_key(rest).expect("a pool is never empty")
    }

    /// The identity of a request; one that is not known is made.
    ///
    /// # Errors
    /// If there are too many.
    pub fn identity(&self, session: &Session) -> Result<Arc<Identity>, String> {
        match session.name() {
            None => Ok(Arc::clone(self.next())),
            Some(name) => self.named(name),
        }
    }

    fn named(&self, name: &str) -> Result<Arc<Identity>, String> {
        {
            let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(identity) = named.get(name) {
                return Ok(Arc::clone(identity));
            }
        }
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(identity) = named.get(name) {
            return Ok(Arc::clone(identity));
        }
        if named.len() >= MAX_SESSIONS {
            return Err(format!("more than {MAX_SESSIONS} sessions"));
        }
        let (own, route) = (
            SessionSettings::default(),
            self.proxies.route(named.len(), false),
        );
        let identity = Identity::new(name, &own, route, self.limits, &self.dirty);
        let identity = Arc::new(identity.map_err(|error| error.to_string())?);
        named.insert(Arc::clone(&identity.name), Arc::clone(&identity));
        Ok(identity)
    }

    /// The cookies that were set, changed or removed since the last call.
    pub fn take_changed(&self) -> Vec<StoredCookie> {
        if !self.dirty.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = named.values().filter_map(|known| known.jar()).collect();
        all.sort_by(|one, other| one.session().cmp(other.session()));
        all.into_iter().flat_map(Jar::take_changed).collect()
    }

    /// Puts stored cookies back, each into the jar of its session.
    pub fn load(&self, stored: Vec<StoredCookie>) {
        let mut by_session = BTreeMap::<String, Vec<_>>::new();
        for cookie in stored {
            let of_session = by_session.entry(cookie.session.clone()).or_default();
            of_session.push(cookie);
        }
        for (name, cookies) in by_session {
            if let Ok(identity) = self.named(&name)
                && let Some(jar) = identity.jar()
            {
                jar.load(cookies);
            }
        }
    }
}

impl Identity {
    fn new(
        name: &str,
        own: &SessionSettings,
        route: Route,
        limits: Option<Limits>,
        dirty: &Arc<AtomicBool>,
    ) -> Result<Self, FetchSetupError> {
        let name: Arc<str> = name.into();
        let mut headers = own_headers(&own.headers)?;
        if let Some(agent) = &own.user_agent {
            headers.insert(header::USER_AGENT, user_agent(agent)?);
        }
        Ok(Self {
            jar: limits.map(|limits| Jar::of(Arc::clone(&name), limits, Arc::clone(dirty))),
            name,
            headers,
            auth: Auth::new(&own.auth)?,
            route,
            health: Mutex::default(),
        })
    }

    /// Adds what it sends of itself to a request's own `headers`.
    pub(super) fn dress(&self, url: &Url, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        self.auth.apply(url, headers);
        if let Some(jar) = &self.jar
            && !headers.contains_key(header::COOKIE)
            && let Some(cookies) = jar.cookie_header(url)
        {
            headers.insert(header::COOKIE, cookies);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(toml: &str) -> Sessions {
        Sessions::new(&Settings::for_spider(toml).unwrap()).unwrap()
    }

    fn turns(sessions: &Sessions, count: usize) -> String {
        let names: Vec<_> = (0..count)
            .map(|_| sessions.next().name().to_string())
            .collect();
        names.join(" ")
    }

    #[test]
    fn who_is_in_the_pool() {
        let check = |toml: &str, expected: &str| {
            let sessions = sessions(toml);
            let names: Vec<_> = sessions.pool.iter().map(|one| &*one.name).collect();
            assert_eq!(names.join(","), expected, "{toml}");
        };
        check("", "");
        check("proxies = ['http://a:1']", "");
        check("proxies = ['http://a:1', 'http://b:1']", "1,2");
        check("sessions = { bob = {}, ann = {} }", "ann,bob");
        check("session_pool = 3", "1,2,3");
        check("session_pool = 1\nsessions.ann = {}", "ann,1");
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_are_refused_rest() {
        let sessions = sessions("session_pool = 3");
        assert_eq!(turns(&sessions, 6), "1 2 3 1 2 3");
        let second = sessions.identity(&"2".into()).unwrap();
        (0..3).for_each(|_| second.note(false));
        assert_eq!(turns(&sessions, 6), "1 3 3 1 3 3");
        for name in ["1", "3"] {
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
            let identity = sessions.identity(&name.into()).unwrap();
            (0..3).for_each(|_| identity.note(false));
        }
        // All rest: the one whose rest ends first.
        assert_eq!(turns(&sessions, 3), "2 2 2");
        tokio::time::advance(std::time::Duration::from_mins(1)).await;
        assert_eq!(turns(&sessions, 3), "1 2 3");
    }

    #[test]
    fn a_name_is_enough() {
        let sessions = sessions("");
        let ann = sessions.identity(&"ann".into()).unwrap();
        let again = sessions.identity(&Session::Same("ann".into())).unwrap();
        assert!(Arc::ptr_eq(&ann, &again));
        assert!(!sessions.rotates());
        for n in 0..MAX_SESSIONS - 2 {
            sessions.identity(&n.to_string().into()).unwrap();
        }
        let error = sessions.identity(&"one more".into()).unwrap_err();
        assert_eq!(error, "more than 10000 sessions");
    }

    #[test]
    fn cookies_of_one_never_reach_another() {
        let sessions = sessions("");
        let url: Url = "http://a.example/".parse().unwrap();
        let keep = |name: &str, cookie: &str| {
            let headers = HeaderMap::from_iter([(header::SET_COOKIE, cookie.parse().unwrap())]);
            let identity = sessions.identity(&name.into()).unwrap();
            identity.jar().unwrap().store(&url, &headers);
        };
        keep("ann", "who=ann");
        keep("bob", "who=bob");
        let stored = sessions.take_changed();
        let again = self::sessions("");
        again.load(stored);
        for sessions in [&sessions, &again] {
            for (session, expected) in [
                (Session::from("ann"), Some("who=ann")),
                ("bob".into(), Some("who=bob")),
                (Session::Same("bob".into()), Some("who=bob")),
                ("eve".into(), None),
                (Session::Any, None),
            ] {
                let mut headers = HeaderMap::new();
                sessions
                    .identity(&session)
                    .unwrap()
                    .dress(&url, &mut headers);
                let sent = headers.get(header::COOKIE);
                let sent = sent.map(|cookies| cookies.to_str().unwrap());
                assert_eq!(sent, expected, "{session:?}");
            }
        }
        assert_eq!(again.take_changed(), []);
    }
}
