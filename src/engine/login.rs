//! Logins: one flight for each session, whoever needs it.
//!
//! A request of a session that is not logged in starts the spider's login, or waits for the one that
//! is under way. The login itself is user code on a thread of its own; what it asks for is fetched
//! by the task of the request that started it, each time in its host's turn.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use url::{Position, Url};

use super::dispatcher::Message;
use super::event::Event;
use super::executor::run_login;
use super::flight::Flight as Sent;
use super::judge::class_of;
use super::life;
use super::rules::{self, Rules};
use super::shared::Shared;
use crate::policy::redirect;
use crate::policy::retry::{self, Class};
use crate::request::{Request, Response, Session, Source, StoredCookie, origin_of};
use crate::spider::{Ask, Login, NoSecret};
use crate::store::Ticket;

/// How often a login that gets no answer is tried before nobody tries it any more.
const TRIES: u32 = 3;
/// How often a request is fetched once more after a new login.
const MOST_AGAIN: u8 = 3;
/// Requests that were; about as many are remembered.
const MAX_AGAIN: usize = 10_000;
/// What one login may ask for.
const MAX_ASKS: usize = 100;
/// Among the cookies of a session in the store: that it is logged in. No cookie has such a key.
pub(super) const KEY: &str = "login";

/// What is known of the logins of all sessions.
#[derive(Default)]
pub(super) struct Logins {
    states: Mutex<HashMap<Arc<str>, Arc<State>>>,
    /// Requests that wait for a login, in their slots.
    waiting: AtomicUsize,
    changed: Mutex<Vec<StoredCookie>>,
}

struct State {
    session: Arc<str>,
    /// Held by whoever logs in.
    flight: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    logged_in: bool,
    /// Counts logins, so that many answers of one session that say "logged out" lead to one.
    generation: u64,
    /// Why it is not tried any more.
    broken: Option<String>,
    /// Where logins began: origin and path.
    pages: Vec<String>,
    /// Requests that were logged out, and how often.
    again: HashMap<i64, u8>,
}

/// What the store has of a session that is logged in.
#[derive(Serialize, Deserialize)]
struct Stored {
    pages: Vec<String>,
}

/// A session's being logged in, as a request found it.
#[derive(Clone)]
pub(super) struct Pass {
    state: Arc<State>,
    generation: u64,
}

/// Why a request can't be made as its session.
pub(super) enum NoPass {
    /// The login fails.
    Broken(String),
    /// Too many wait already, a host must be left alone, or the crawl is stopping: another time.
    Later,
}

/// What the dispatcher says of a turn.
pub(super) enum Turn {
    /// Now.
    Go,
    /// The host is not one of this process.
    Stranger,
    /// By robots.txt.
    Forbidden(String),
}

impl Logins {
    /// Takes in what the store has, or another process has stored; the cookies are left.
    pub(super) fn load(&self, cookies: Vec<StoredCookie>) -> Vec<StoredCookie> {
        let (logins, cookies): (Vec<_>, Vec<_>) =
            cookies.into_iter().partition(|stored| stored.key == KEY);
        for stored in logins {
            let json = stored.json.as_deref().map(serde_json::from_str::<Stored>);
            if let Some(Ok(Stored { pages })) = json {
                let state = self.state(&stored.session);
                let mut known = state.known();
                known.logged_in = true;
                known.generation += 1;
                known.pages = pages;
            }
        }
        cookies
    }

    /// What has changed since the last call, for the store.
    pub(super) fn take_changed(&self) -> Vec<StoredCookie> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *changed)
    }

    fn state(&self, session: &str) -> Arc<State> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = states.get(session) {
            return Arc::clone(state);
        }
        let state = Arc::new(State {
            session: session.into(),
            flight: tokio::sync::Mutex::new(()),
            known: Mutex::default(),
        });
        states.insert(Arc::clone(&state.session), Arc::clone(&state));
        state
    }

    fn store(&self, session: &str, stored: Option<&Stored>) {
        let json = stored.and_then(|stored| serde_json::to_string(stored).ok());
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.push(StoredCookie {
            session: session.to_owned(),
            key: KEY.to_owned(),
            json,
        });
    }
}

impl State {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session as it stands in a message; nothing if there is one only.
    fn whose(&self) -> String {
        match &*self.session {
            "" => String::new(),
            name => format!(" of session {name}"),
        }
    }

    /// Nobody tries it any more.
    fn give_up(&self, why: String) -> NoPass {
        self.known().broken = Some(why.clone());
        NoPass::Broken(why)
    }

    fn look(self: &Arc<Self>) -> Result<Option<Pass>, NoPass> {
        let known = self.known();
        match &known.broken {
            Some(why) => Err(NoPass::Broken(why.clone())),
            None => Ok(known.logged_in.then(|| Pass {
                state: Arc::clone(self),
                generation: known.generation,
            })),
        }
    }
}

impl Pass {
    /// Whether an answer says that nobody is logged in.
    pub(super) fn is_void(&self, request: &Request, response: &Response) -> bool {
        if response.status == StatusCode::UNAUTHORIZED {
            return true;
        }
        if !redirect::is_redirect(response.status) {
            return false;
        }
        let target = response
            .header("location")
            .and_then(|target| request.url.join(target.trim()).ok());
        let known = self.state.known();
        let is_page = |url: &Url| known.pages.contains(&page_of(url));
        target.is_some_and(|target| is_page(&target)) && !is_page(&request.url)
    }

    /// Has the session log in again; whether the request may be made once more.
    pub(super) fn expire(&self, shared: &Shared, ticket: &Ticket) -> bool {
        let mut known = self.state.known();
        if known.again.len() >= MAX_AGAIN {
            known.again.clear();
        }
        let times = known.again.entry(ticket.key.seq).or_default();
        *times = times.saturating_add(1);
        let again = *times <= MOST_AGAIN;
        if again && known.logged_in && known.generation == self.generation {
            known.logged_in = false;
            shared.logins.store(&self.state.session, None);
        }
        again
    }
}

/// Sees that the session of `ticket` is logged in, if its spider has a login at all. What has to wait
/// takes itself out of the requests in flight: it is in nobody's way.
pub(super) async fn ensure(
    shared: &Arc<Shared>,
    ticket: &Ticket,
    dispatcher: &mpsc::Sender<Message>,
    sent: &mut Option<Arc<Sent>>,
) -> Result<Option<Pass>, NoPass> {
    if !shared.spider.logs_in() {
        return Ok(None);
    }
    let session = &ticket.request.session;
    let state = shared.logins.state(session.name().unwrap_or_default());
    if let Some(pass) = state.look()? {
        return Ok(Some(pass));
    }
    *sent = None;
    Box::pin(wait(shared, ticket, dispatcher, &state))
        .await
        .map(Some)
}

/// Waits for a login, or logs in.
async fn wait(
    shared: &Arc<Shared>,
    ticket: &Ticket,
    dispatcher: &mpsc::Sender<Message>,
    state: &Arc<State>,
) -> Result<Pass, NoPass> {
    let Some(_seat) = Seat::take(shared) else {
        return Err(NoPass::Later);
    };
    // Whoever has it ends in time, see `fly`.
    let flight = state.flight.lock().await;
    let pass = if let Some(pass) = state.look()? {
        pass
    } else {
        log_in(shared, state, &ticket.request.session, dispatcher).await?;
        state.look()?.ok_or(NoPass::Later)?
    };
    drop(flight);
    // Its own turn has passed meanwhile.
    match turn(shared, &ticket.request.url, dispatcher).await {
        Some(_) => Ok(pass),
        None => Err(NoPass::Later),
    }
}

/// One of the slots in which requests wait for a login: half of all, so that others go on.
struct Seat<'a>(&'a AtomicUsize);

impl<'a> Seat<'a> {
    fn take(shared: &'a Shared) -> Option<Self> {
        let seat = Self(&shared.logins.waiting);
        let taken = seat.0.fetch_add(1, Ordering::Relaxed);
        (taken < shared.settings.concurrency.div_ceil(2)).then_some(seat)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn log_in(
    shared: &Arc<Shared>,
    state: &Arc<State>,
    session: &Session,
    dispatcher: &mpsc::Sender<Message>,
) -> Result<(), NoPass> {
    let mut pause = shared.settings.retry_delay;
    for number in 1..=TRIES {
        let mut flight = Flight {
            shared,
            session,
            dispatcher,
            pages: Vec::new(),
            kept: false,
            strangers: HashMap::new(),
            may_pass: false,
        };
        match flight.fly().await {
            Ok(()) => {
                let Flight { pages, kept, .. } = flight;
                let stored = Stored { pages };
                // A header is not stored, and nobody is logged in without it.
                let is_stored = !kept;
                let stored_or_not = is_stored.then_some(&stored);
                shared.logins.store(&state.session, stored_or_not);
                let mut known = state.known();
                known.logged_in = true;
                known.generation += 1;
                known.pages = stored.pages;
                return Ok(());
            }
            Err(Fault::Later) => return Err(NoPass::Later),
            Err(Fault::Failed(why)) => {
                let message = format!("login{} failed: {why}", state.whose());
                // Whoever is refused would be so again, and be locked out for it.
                if !flight.may_pass {
                    return Err(state.give_up(message));
                }
                if number == TRIES {
                    return Err(state.give_up(format!("{message}, {TRIES} tries")));
                }
                shared.bus.emit(&Event::Warning(message));
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(shared.settings.max_retry_delay);
    }
    Err(NoPass::Later)
}

enum Fault {
    /// A host must be left alone, or the crawl is stopping.
    Later,
    Failed(String),
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// One login under way.
struct Flight<'a> {
    shared: &'a Arc<Shared>,
    session: &'a Session,
    dispatcher: &'a mpsc::Sender<Message>,
    pages: Vec<String>,
    kept: bool,
    /// Rules of hosts that are not this process's.
    strangers: HashMap<String, Rules>,
    /// What came last was no answer, or one that may be another next time, as 503 is.
    may_pass: bool,
}

impl Flight<'_> {
    async fn fly(&mut self) -> Result<(), Fault> {
        // Turns and answers have limits of their own; this is for the code between them.
        let limit = self.shared.settings.timeout * 2;
        let secrets = self.shared.settings.secrets_of(self.session.name());
        let (login, mut asks) = Login::channel(self.session.clone(), secrets);
        let end = CancellationToken::new();
        let _end = end.clone().drop_guard();
        let mut outcome = run_login(self.shared, login, end);
        for _ in 0..=MAX_ASKS {
            let next = async {
                tokio::select! {
                    biased;
                    Some(ask) = asks.recv() => Ok(ask),
                    outcome = &mut outcome => Err(outcome),
                }
            };
            match tokio::time::timeout(limit, next).await {
                Ok(Ok(Ask::Keep(url, name, value))) => self.keep(&url, &name, value),
                Ok(Ok(Ask::Fetch(request, answer))) => match self.exchange(*request).await {
                    Ok(response) => drop(answer.send(Ok(response))),
                    Err(Fault::Failed(why)) => drop(answer.send(Err(why.into()))),
                    Err(Fault::Later) => return Err(Fault::Later),
                },
                Ok(Err(Ok(outcome))) => {
                    return outcome.map_err(|error| {
                        self.may_pass &= !error.is::<NoSecret>();
                        Fault::Failed(error.to_string())
                    });
                }
                Ok(Err(Err(_))) => return Err(Fault::Failed("its thread ended".to_owned())),
                Err(_) => {
                    self.may_pass = true;
                    let message = format!("it does nothing for {} s", limit.as_secs());
                    return Err(Fault::Failed(message));
                }
            }
        }
        Err(Fault::Failed(format!("it asks more than {MAX_ASKS} times")))
    }

    fn keep(&mut self, url: &Url, name: &HeaderName, value: HeaderValue) {
        self.kept = true;
        if let Some(sessions) = self.shared.sessions()
            && let Ok(identity) = sessions.identity(self.session)
        {
            identity.keep_header(url, name, value);
        }
    }

    /// Fetches as the session, each hop in its host's turn.
    async fn exchange(&mut self, mut request: Request) -> Result<Response, Fault> {
        request.session = self.session.clone();
        if request.method == http::Method::GET {
            let page = page_of(&request.url);
            if !self.pages.contains(&page) {
                self.pages.push(page);
            }
        }
        let max = self.shared.settings.max_redirects;
        loop {
            self.wait(&request.url).await?;
            let started = tokio::time::Instant::now();
            let outcome = life::fetch(self.shared, &request).await;
            let status = outcome
                .as_ref()
                .map_or(0, |response| response.status.as_u16());
            self.shared.bus.emit(&Event::Fetched {
                origin: origin_of(&request.url).unwrap_or_default(),
                status,
                took: started.elapsed(),
                bytes: outcome.as_ref().map_or(0, |response| response.wire_bytes),
                source: outcome
                    .as_ref()
                    .map_or(Source::Network, |response| response.source),
            });
            let class = match &outcome {
                Ok(response) => Class::Status(response.status.as_u16()),
                Err(error) => class_of(error.kind),
            };
            self.may_pass = retry::budget(class, None, &self.shared.settings) > 0;
            let response = outcome.map_err(|error| error.message)?;
            if !redirect::is_redirect(response.status)
                || !response.headers.contains_key(header::LOCATION)
            {
                return Ok(response);
            }
            request =
                redirect::follow(&request, &response, max).map_err(|error| error.to_string())?;
        }
    }

    /// Waits for the turn of `url`, and reads robots.txt where nobody has.
    async fn wait(&mut self, url: &Url) -> Result<(), Fault> {
        match turn(self.shared, url, self.dispatcher).await {
            None => Err(Fault::Later),
            Some(Turn::Go) => Ok(()),
            Some(Turn::Forbidden(why)) => Err(Fault::Failed(format!("{url} is forbidden: {why}"))),
            Some(Turn::Stranger) => {
                let settings = &self.shared.settings;
                let origin = origin_of(url).map_err(|error| error.to_string())?;
                if settings.robots == crate::settings::RobotsMode::Obey
                    && !self.strangers.contains_key(&origin)
                {
                    let fetch = &*self.shared.fetch;
                    let answer = rules::search(fetch, &origin, settings.max_robots).await;
                    let rules = answer
                        .and_then(|answer| Rules::from_file(&answer.file, &settings.user_agent));
                    self.may_pass = rules.is_none();
                    let rules =
                        rules.ok_or_else(|| format!("no robots.txt of {origin} for now"))?;
                    self.strangers.insert(origin.clone(), rules);
                }
                let rules = self.strangers.get(&origin);
                if let Some(sentence) = rules.and_then(|rules| rules.forbid(url)) {
                    let why = sentence.message;
                    return Err(Fault::Failed(format!("{url} is forbidden: {why}")));
                }
                Ok(())
            }
        }
    }
}

/// Waits for a turn of the host of `url`; none if that is too far away, or the crawl is stopping.
async fn turn(shared: &Shared, url: &Url, dispatcher: &mpsc::Sender<Message>) -> Option<Turn> {
    let origin = origin_of(url).ok()?;
    let (reply, granted) = oneshot::channel();
    let message = Message::Turn {
        host: shared.identity.host(&origin),
        url: url.clone(),
        reply,
    };
    dispatcher.send(message).await.ok()?;
    // The dispatcher answers, or drops it: at the latest after `max_wait`, or when it stops.
    granted.await.ok()
}

/// A page as logins know it: without what may differ from time to time.
fn page_of(url: &Url) -> String {
    url[..Position::AfterPath].to_owned()
}
