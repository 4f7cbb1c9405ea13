//! The dispatcher: one task owns the crawl's state, and this is the crawl loop.
//!
//! It leases hosts, fills their windows from the store, sends requests out when politeness and the
//! limits allow it, and knows when the crawl is over. It never waits for anything but its next
//! message: reads of the store are tasks that answer by message, so a slow store or host can't hold
//! it up, and it can't take part in a deadlock.

mod errands;
mod hosts;
mod leases;
mod looks;
mod trouble;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;
use url::Url;

use self::errands::Errands;
use self::hosts::{Known, Standings, Strangers};
use self::leases::UnderWay;
use self::looks::InHand;
use super::committer::Committed;
use super::event::{Event, Stop};
use super::flight::{Flights, Limits};
use super::inspect::{self, Looks};
use super::judge::Exchange;
use super::lanes::Lanes;
use super::life;
use super::login::Turn;
use super::rules::Hop;
use super::shared::Shared;
use super::{SharedRoom, StopHandle};
use crate::clock;
use crate::frontier::{Frontier, Next};
use crate::panics::described;
use crate::policy::traps::HostPages;
use crate::request::{HostKey, HostMap, Source};
use crate::settings::QuietHours;
use crate::spider::step_named;
use crate::store::{Beat, Host, News, Rest, Store, StoreError, Taken, Ticket, TicketKey};

/// Hosts leased at once. Their windows share [`WINDOWS`] requests.
const MAX_HOSTS: usize = 4_096;
/// Requests held in memory ahead of their turn, all hosts together.
const WINDOWS: usize = 16_384;
/// The largest and smallest window of one host.
const WINDOW: std::ops::RangeInclusive<usize> = 4..=256;
/// How long to sleep if nothing is ever to be done without a message: as long as timers reach.
const IDLE: Duration = Duration::from_hours(24 * 365);
/// How often the store is asked for hosts that others gave back.
const LEASE_EVERY: Duration = Duration::from_secs(1);
/// What the dispatcher is told.
pub(super) enum Message {
    /// An exchange ended.
    Fetched(Exchange),
    /// A commit is written.
    Committed(Box<Committed>),
    /// Hosts were leased, and what is to be known before they are asked.
    Leased(Result<(Vec<Host>, News), StoreError>),
    /// A sign of life was shown; what others have learnt.
    Beat(Result<(Beat, News), StoreError>),
    /// A request was not sent, because the lease of its host had ended; its failed tries.
    Lapsed(TicketKey, u16),
    /// A window was read; how many were asked for.
    Loaded(HostKey, usize, Result<Taken, StoreError>),
    /// Hosts were given back.
    Released(Result<(), StoreError>),
    /// What is left in the store.
    Rest(Result<Rest, StoreError>),
    /// A robots.txt was asked for.
    Robots {
        /// Whose it is.
        host: HostKey,
        /// Whose slot was used; none if the host that was asked is not leased.
        slot: Option<HostKey>,
        hop: Box<Hop>,
        took: Duration,
    },
    /// Whose pace a host keeps.
    Grouped {
        key: HostKey,
        group: String,
        delay: Duration,
    },
    /// A request was not sent after all; so many tries of it had failed before.
    Unsent(TicketKey, u16),
    /// A login wants to ask a host something: when it may.
    Turn {
        host: HostKey,
        url: Url,
        reply: oneshot::Sender<Turn>,
    },
    /// Requests whose thread was lost; they are to be done again.
    Returned(Vec<TicketKey>),
    /// The crawl can't go on.
    Broken(String),
}

/// Somebody who waits for a host's turn.
struct Waiting {
    at: Instant,
    /// From then on it waits no longer.
    until: Instant,
    host: HostKey,
    url: Url,
    reply: oneshot::Sender<Turn>,
}

/// How a run begins.
#[derive(Clone, Copy)]
pub(super) struct Start {
    /// When the leases of hosts end unless there is a sign of life before.
    pub(super) lapses: Option<Instant>,
    /// There may be requests before the seeds come.
    pub(super) queued: bool,
    /// Seeds are yet to come.
    pub(super) seeding: bool,
}

pub(super) struct Dispatcher {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    frontier: Frontier,
    messages: mpsc::Receiver<Message>,
    sender: mpsc::Sender<Message>,
    jobs: Lanes,
    tasks: JoinSet<()>,
    /// Of what is stored, as the store told last.
    generation: u64,
    /// What is known of each leased host.
    known: HostMap<Known>,
    host_pages: HostPages,
    /// Patterns that had been caught when the windows were last weeded.
    caught: usize,
    /// Hosts whose robots.txt is to be fetched, and when.
    errands: Errands,
    strangers: Strangers,
    standings: Standings,
    /// Logins that wait for their turn.
    turns: Vec<Waiting>,
    fetching: usize,
    flights: Flights,
    /// Store calls under way whose answers decide whether the crawl is over.
    asking: usize,
    leasing: bool,
    lease_at: Option<Instant>,
    beating: bool,
    beat_at: Option<Instant>,
    start: Start,
    started: Instant,
    stop: StopHandle,
    stopping: Option<(Stop, Instant)>,
    ends_at: Option<Instant>,
    /// Requests in hand that count against a budget of a part of the site, and which.
    in_budget: HashMap<i64, usize>,
    quiet: Option<QuietHours>,
    /// Requests in hand, also of hosts that were let go of meanwhile.
    hands: HashMap<i64, InHand>,
    under_way: UnderWay,
    looks: Looks,
    limits: inspect::Limits,
    /// Waits for a slot of the shared room, and has got one.
    wants_room: bool,
    spare: Option<OwnedSemaphorePermit>,
}

impl Dispatcher {
    pub(super) fn new(
        shared: Arc<Shared>,
        store: Arc<dyn Store>,
        (sender, messages): (mpsc::Sender<Message>, mpsc::Receiver<Message>),
        jobs: Lanes,
        (stop, looks): (StopHandle, Looks),
        start: Start,
    ) -> Self {
        let now = Instant::now();
        let ends_at = shared
            .settings
            .max_time
            .and_then(|time| now.checked_add(time));
        let quiet = shared.settings.quiet_hours.as_deref();
        let quiet = quiet.and_then(QuietHours::parse);
        Self {
            frontier: Frontier::new(now, fastrand::u64(..)),
            messages,
            sender,
            jobs,
            tasks: JoinSet::new(),
            generation: 0,
            known: HostMap::default(),
            errands: Errands::default(),
            strangers: Strangers::default(),
            standings: Standings::default(),
            caught: 0,
            host_pages: HostPages::new(shared.settings.max_pages_per_host),
            turns: Vec::new(),
            fetching: 0,
            flights: Flights::default(),
            asking: 0,
            leasing: false,
            lease_at: Some(now),
            beating: false,
            beat_at: start.lapses.is_some().then_some(now),
            start,
            started: now,
            stop,
            stopping: None,
            ends_at,
            in_budget: HashMap::new(),
            quiet,
            hands: HashMap::new(),
            under_way: UnderWay::default(),
            looks,
            limits: inspect::Limits::new(now),
            wants_room: false,
            spare: None,
            store,
            shared,
        }
    }

    /// Crawls until nothing is left, a limit is reached or somebody stops it.
    pub(super) async fn run(mut self) -> Stop {
        loop {
            while let Ok(message) = self.messages.try_recv() {
                self.hear(message);
            }
            while self.tasks.try_join_next().is_some() {}
            let now = Instant::now();
            self.look_for_reasons_to_stop(now);
            let wake = match &self.stopping {
                Some((stop, _)) if self.frontier.in_hand() == 0 => {
                    let stop = stop.clone();
                    return self.finish(stop).await;
                }
                Some((stop, until)) if *until <= now || self.stop.hard.is_cancelled() => {
                    let stop = stop.clone();
                    return self.finish(stop).await;
                }
                Some((_, until)) => *until,
                None => self.work(now),
            };
            self.shared
                .in_hand
                .store(self.frontier.in_hand(), Ordering::Relaxed);
            self.note_limit();
            self.sleep(wake).await;
            self.limits.pass(&self.shared, Instant::now());
        }
    }

    /// Sends out what may go, asks the store for more, and says when there is something to do again.
    fn work(&mut self, now: Instant) -> Instant {
        self.live(now);
        if let Some(left) = self
            .quiet
            .and_then(|quiet| quiet.left(clock::now().as_second()))
        {
            if left > self.shared.settings.max_wait {
                self.stop_for(Stop::Limit("quiet_hours"), now);
            }
            return now + left;
        }
        self.run_errands(now);
        self.grant_turns(now);
        let mut wake = self.launch(now);
        self.tend(now);
        self.rest_from_hosts(now, wake);
        if self.lease_at.is_some_and(|at| at <= now) && !self.leasing && !self.has_lapsed(now) {
            self.lease();
        }
        let look_at = self.make_way(now);
        let times = self
            .errands
            .first()
            .into_iter()
            .chain(self.turns.iter().map(|waiting| waiting.at))
            .chain(self.lease_at)
            .chain(self.beat_at)
            .chain(self.start.lapses)
            .chain(self.ends_at)
            .chain(self.frontier.next_alarm())
            .chain(look_at);
        for at in times.filter(|at| *at > now) {
            wake = wake.min(at);
        }
        wake
    }

    /// Gives all hosts back if each of them must be left alone for longer than the crawl waits: the
    /// store knows then whether anything else is left to do.
    fn rest_from_hosts(&mut self, now: Instant, wake: Instant) {
        let idle = self.fetching == 0
            && self.asking == 0
            && self.frontier.in_hand() == 0
            && !self.frontier.is_empty()
            && !self.start.seeding;
        let first = self.errands.first().map_or(wake, |at| at.min(wake));
        if idle && first > now + self.shared.settings.max_wait {
            self.let_go();
        }
    }

    /// Waits for a message, a stop, or `wake`.
    async fn sleep(&mut self, wake: Instant) {
        let asked = self.stopping.is_some();
        tokio::select! {
            // What is rare goes first; and in an order, so that a simulation can be repeated.
            biased;
            () = self.stop.hard.cancelled() => {}
            () = self.stop.gentle.cancelled(), if !asked => {}
            look = self.looks.next() => {
                // Who asked may have gone.
                let _ = look.send(self.describe());
            }
            permit = room(&self.shared), if self.wants_room => self.spare = permit,
            message = self.messages.recv() => {
                if let Some(message) = message {
                    self.hear(message);
                }
            }
            () = tokio::time::sleep_until(wake) => {}
        }
    }

    fn look_for_reasons_to_stop(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        let settings = &self.shared.settings;
        let pages = self.shared.pages.load(Ordering::Relaxed);
        if self.stop.gentle.is_cancelled() {
            self.stop_for(Stop::Interrupted, now);
        } else if self.ends_at.is_some_and(|end| end <= now) {
            self.stop_for(Stop::Limit("max_time"), now);
        } else if settings.max_pages.is_some_and(|max| pages >= max) {
            self.stop_for(Stop::Limit("max_pages"), now);
        } else if let Some(limit) = self.shared.budgets.reached(settings) {
            self.stop_for(Stop::Limit(limit), now);
        }
    }

    fn stop_for(&mut self, stop: Stop, now: Instant) {
        if self.stopping.is_none() {
            self.shared
                .bus
                .emit(&Event::Stopping { stop: stop.clone() });
            self.stopping = Some((stop, now + self.shared.settings.stop_timeout));
            self.turns.clear();
        }
    }

    fn break_off(&mut self, error: &StoreError) {
        self.stop_for(Stop::Broken(error.to_string()), Instant::now());
    }

    /// Sends out every request that may go now; the moment when the next one may.
    fn launch(&mut self, now: Instant) -> Instant {
        self.wants_room = false;
        let wake = self.launch_all(now);
        self.spare = None;
        wake
    }

    fn launch_all(&mut self, now: Instant) -> Instant {
        let idle = now + IDLE;
        if self.has_lapsed(now) {
            return idle;
        }
        while self.has_room() {
            let Ok(room) = self.take_room() else {
                return idle;
            };
            match self.frontier.next(now) {
                Next::Fetch(ticket) => {
                    self.fetching += 1;
                    self.count(ticket.key.host);
                    self.count_page(&ticket);
                    self.spend(&ticket);
                    let held = InHand::new(now, &ticket);
                    self.hands.insert(ticket.key.seq, held);
                    let span = life::span(&self.shared, &ticket);
                    let (shared, sender) = (Arc::clone(&self.shared), self.sender.clone());
                    let flight = self.flights.start(ticket.key.host, ticket.tries, now);
                    let (jobs, lapses) = (self.jobs.clone(), self.start.lapses);
                    let held = life::Held {
                        lapses,
                        flight,
                        room,
                    };
                    let live = life::live(shared, ticket, held, sender, jobs);
                    self.spawn(live.instrument(span));
                }
                // A slot that is not used is free for others.
                Next::At(at) => return at.min(idle),
                Next::Nothing => return idle,
            }
        }
        idle
    }

    /// Breaks off what holds up others; the moment when to look again.
    fn make_way(&mut self, now: Instant) -> Option<Instant> {
        let settings = &self.shared.settings;
        let (known, least) = (&self.known, settings.patience);
        let limits = Limits {
            least,
            // What is usual for a host that has not answered yet, nobody knows.
            patience: &|host| {
                let known = known
                    .get(&host)
                    .and_then(|known| known.standing.patience(least));
                known.unwrap_or(least * 4)
            },
            slots: settings.concurrency,
            are_short: self.jobs.len() == 0,
        };
        self.flights.look(now, &limits, &self.frontier)
    }

    /// A slot of the room that is shared with other crawls, if there is one.
    fn take_room(&mut self) -> Result<Option<OwnedSemaphorePermit>, ()> {
        let Some(SharedRoom(room)) = &self.shared.room else {
            return Ok(None);
        };
        let permit = self
            .spare
            .take()
            .or_else(|| Arc::clone(room).try_acquire_owned().ok());
        self.wants_room = permit.is_none();
        permit.map(Some).ok_or(())
    }

    /// Counts a request against the budget of its part of the site; when that is used up, what is left
    /// of it is weeded out.
    fn spend(&mut self, ticket: &Ticket) {
        let Some(budget) = self.shared.budgets.of(&ticket.request.url) else {
            return;
        };
        self.in_budget.insert(ticket.key.seq, budget);
        if self.is_used_up(budget) {
            for host in self.frontier.keys() {
                self.weed(host);
            }
        }
    }

    /// Whether a budget is used up by what is stored and what is in hand.
    fn is_used_up(&self, budget: usize) -> bool {
        let in_hand = self.in_budget.values().filter(|of| **of == budget).count();
        self.shared.budgets.left(budget) <= in_hand as u64
    }

    /// Whether so much is answered and not yet stored that nothing more is asked for.
    fn is_full(&self) -> bool {
        let settings = &self.shared.settings;
        let backlog = settings.concurrency + 2 * settings.commit_pages;
        self.frontier.in_hand() >= settings.concurrency + backlog
    }

    fn has_room(&self) -> bool {
        let settings = &self.shared.settings;
        let in_hand = self.frontier.in_hand();
        let pages = self.shared.pages.load(Ordering::Relaxed);
        self.fetching < settings.concurrency
            && !self.is_full()
            && settings
                .max_pages
                .is_none_or(|max| pages + (in_hand as u64) < max)
            && self
                .shared
                .budgets
                .left_today()
                .is_none_or(|left| (in_hand as u64) < left)
    }

    /// Fills windows and gives drained hosts back.
    fn tend(&mut self, now: Instant) {
        let window = (WINDOWS / self.frontier.len().max(1)).clamp(*WINDOW.start(), *WINDOW.end());
        let tended = self.frontier.tend(window, now);
        for (host, limit) in tended.hungry {
            self.ask(move |store| async move {
                Message::Loaded(host, limit, store.take(host, limit, clock::now()).await)
            });
        }
        if !tended.drained.is_empty() {
            self.give_back(tended.drained);
        }
    }

    fn give_back(&mut self, hosts: Vec<(Host, Instant)>) {
        self.forget(&hosts);
        let hosts = with_pace(hosts);
        self.ask(move |store| async move { Message::Released(store.release(hosts).await) });
    }

    fn lease(&mut self) {
        let room = MAX_HOSTS.saturating_sub(self.frontier.len());
        if room > 0 {
            self.leasing = true;
            self.lease_at = None;
            self.ask(move |store| async move {
                let leased = store.lease(room, clock::now()).await;
                Message::Leased(match leased {
                    Ok(hosts) if hosts.is_empty() => Ok((hosts, News::default())),
                    Ok(hosts) => store.news().await.map(|news| (hosts, news)),
                    Err(error) => Err(error),
                })
            });
        }
    }

    /// Asks the store for something; the answer comes as a message.
    fn ask<F>(&mut self, question: impl FnOnce(Arc<dyn Store>) -> F)
    where
        F: Future<Output = Message> + Send + 'static,
    {
        self.asking += 1;
        let (question, sender) = (question(Arc::clone(&self.store)), self.sender.clone());
        self.spawn(async move {
            // Only fails when the crawl is being torn down.
            let _ = sender.send(question.await).await;
        });
    }

    /// Starts a task of the crawl. User code is guarded where it is called, so a panic here is a fault of
    /// the engine, of a store or of a transport: what the task had in hand would be waited for in vain.
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                let _ = sender.send(Message::Broken(described(&*panic))).await;
            }
        });
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Fetched(exchange) => self.fetched(&exchange),
            Message::Committed(committed) => self.committed(*committed),
            Message::Leased(outcome) => self.answered(outcome, Self::leased),
            Message::Beat(outcome) => {
                self.beating = false;
                match outcome {
                    Ok(told) => self.beaten(told),
                    Err(error) => self.break_off(&error),
                }
            }
            Message::Lapsed(key, tries) => {
                self.fetching -= 1;
                self.frontier.fetched(key.host, tries);
                self.returned(vec![key]);
            }
            Message::Loaded(host, asked, outcome) => {
                self.answered(outcome, |this, taken| this.loaded(host, taken, asked));
            }
            Message::Released(outcome) => {
                self.answered(outcome, |this, ()| this.lease_at = Some(Instant::now()));
            }
            Message::Rest(outcome) => self.answered(outcome, Self::rested),
            Message::Robots {
                host,
                slot,
                hop,
                took,
            } => self.robots_answered(host, slot, *hop, took),
            Message::Grouped { key, group, delay } => {
                self.asking -= 1;
                self.join(key, &group, delay);
            }
            Message::Unsent(key, tries) => {
                self.fetching -= 1;
                self.frontier.fetched(key.host, tries);
                self.uncount(key.host);
                if let Some(held) = self.hands.get_mut(&key.seq) {
                    held.is_answered = true;
                }
                if tries == 0 {
                    self.host_pages.unsent(key.host);
                }
            }
            Message::Turn { host, url, reply } => {
                let at = Instant::now();
                // Dropped, it says that there is no turn for now.
                if self.stopping.is_none() {
                    self.turns.push(Waiting {
                        at,
                        until: at + self.shared.settings.max_wait,
                        host,
                        url,
                        reply,
                    });
                }
            }
            Message::Returned(keys) => self.returned(keys),
            Message::Broken(reason) => {
                self.stop_for(Stop::Broken(reason), Instant::now());
                self.stop.hard.cancel();
            }
        }
    }

    fn answered<T>(&mut self, outcome: Result<T, StoreError>, go_on: impl FnOnce(&mut Self, T)) {
        self.asking -= 1;
        match outcome {
            Ok(answer) => go_on(self, answer),
            Err(error) => self.break_off(&error),
        }
    }

    fn fetched(&mut self, exchange: &Exchange) {
        let host = exchange.key.host;
        if let Some(held) = self.hands.get_mut(&exchange.key.seq) {
            held.is_answered = true;
        }
        self.fetching -= 1;
        self.frontier.fetched(host, exchange.tries);
        if exchange.gave_way {
            return;
        }
        let answer = (exchange.status, exchange.source);
        self.note_exchange(host, answer, exchange.took, exchange.bytes);
        if exchange.source == Source::Cache {
            // It says nothing about the host.
            self.frontier.unsent(exchange.key);
            self.uncount(host);
            return;
        }
        self.learn(exchange);
    }

    fn note_exchange(
        &self,
        host: HostKey,
        (status, source): (u16, Source),
        took: Duration,
        bytes: u64,
    ) {
        if let Some(host) = self.frontier.host(host) {
            let origin = host.origin.clone();
            self.shared.bus.emit(&Event::Fetched {
                origin,
                status,
                took,
                bytes,
                source,
            });
        }
    }

    fn committed(&mut self, committed: Committed) {
        for key in committed.settled {
            self.frontier.settled(key);
            self.in_budget.remove(&key.seq);
            self.hands.remove(&key.seq);
        }
        for (host, due) in committed.later {
            self.expect(host, due);
        }
        for host in committed.fresh.into_keys() {
            if !self.frontier.found(host) {
                self.lease_at = Some(Instant::now());
            }
        }
        let caught = self.shared.traps.caught();
        if caught > self.caught {
            let hosts: Vec<_> = self.known.keys().copied().collect();
            for host in hosts {
                self.weed(host);
            }
        }
        self.caught = caught;
        if committed.seeded {
            self.start.seeding = false;
            self.lease_at = Some(Instant::now());
        }
    }

    /// Takes requests out of hand that are still in the queue, and reads them again.
    fn returned(&mut self, keys: Vec<TicketKey>) {
        for key in keys {
            self.frontier.settled(key);
            self.in_budget.remove(&key.seq);
            self.hands.remove(&key.seq);
            self.frontier.found(key.host);
        }
    }

    fn leased(&mut self, (hosts, news): (Vec<Host>, News)) {
        self.leasing = false;
        self.take_in(news);
        let none = hosts.is_empty();
        for host in hosts {
            self.adopt(host);
        }
        self.lease_at = self.lease_at.or(Some(Instant::now() + LEASE_EVERY));
        if none && self.frontier.is_empty() && !self.start.seeding && self.asking == 0 {
            self.lease_at = None;
            self.ask(|store| async move { Message::Rest(store.rest().await) });
        }
    }

    fn rested(&mut self, rest: Rest) {
        let now = Instant::now();
        match rest {
            Rest::Nothing if self.frontier.is_empty() && self.lease_at.is_none() => {
                self.stop_for(Stop::Finished, now);
            }
            Rest::Nothing => {}
            Rest::Unknown(step) => self.stop_for(Stop::UnknownStep(step), now),
            Rest::Until(moment) => {
                let wait = moment.duration_since(clock::now());
                let wait = Duration::try_from(wait).unwrap_or_default();
                if wait > self.shared.settings.max_wait {
                    self.stop_for(Stop::Limit("max_wait"), now);
                }
                self.lease_at = Some(now + wait.max(Duration::from_millis(10)));
            }
        }
    }

    fn loaded(&mut self, host: HostKey, taken: Taken, asked: usize) {
        if taken.generation != self.generation {
            self.generation = taken.generation;
            self.shared.known.clear();
        }
        let unknown = |ticket: &&Ticket| {
            !ticket.request.step.is_file()
                && step_named(&*self.shared.spider, &ticket.request.step.name).is_none()
        };
        if let Some(ticket) = taken.tickets.iter().find(unknown) {
            let step = ticket.request.step.name.to_string();
            self.stop_for(Stop::UnknownStep(step), Instant::now());
            return;
        }
        let next_due = taken.next_due;
        self.frontier.loaded(host, taken, asked);
        if let Some(due) = next_due {
            self.expect(host, due);
        }
        self.weed(host);
    }

    /// A request waits in the store until `due`, by the store's clock of milliseconds.
    fn expect(&mut self, host: HostKey, due: Timestamp) {
        let wait = Duration::try_from(due.duration_since(clock::now())).unwrap_or_default();
        let due = Instant::now().checked_add(wait + Duration::from_millis(1));
        if let Some(due) = due {
            self.frontier.expect(host, due);
        }
    }

    /// Ends: what is still under way is dropped, and stays in the queue; leases go back.
    async fn finish(mut self, stop: Stop) -> Stop {
        self.limits.tell(&self.shared);
        self.tasks.shutdown().await;
        let hosts = with_pace(self.frontier.dissolve());
        let release = self.store.release(hosts);
        match tokio::time::timeout(Duration::from_secs(10), release).await {
            Ok(Err(error)) if stop == Stop::Finished => Stop::Broken(error.to_string()),
            // A lease that could not be given back is taken over when the next run begins.
            _ => stop,
        }
    }
}

/// Waits for a slot of the shared room. The order is that of asking: nobody waits for ever.
async fn room(shared: &Shared) -> Option<OwnedSemaphorePermit> {
    let SharedRoom(room) = shared.room.as_ref()?;
    Arc::clone(room).acquire_owned().await.ok()
}

fn with_pace(hosts: Vec<(Host, Instant)>) -> Vec<Host> {
    let pace = |(host, next): (Host, Instant)| Host {
        next_at: timestamp(next),
        ..host
    };
    hosts.into_iter().map(pace).collect()
}

/// A moment of the monotonic clock as wall time, not earlier when cut to the store's milliseconds.
fn timestamp(moment: Instant) -> Timestamp {
    let ahead = moment.saturating_duration_since(Instant::now()) + Duration::from_nanos(999_999);
    clock::now()
        .saturating_add(life::signed(ahead))
        .unwrap_or(Timestamp::MAX)
}
