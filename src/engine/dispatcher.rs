//! The dispatcher: one task owns the crawl's state, and this is the crawl loop.
//!
//! It leases hosts, fills their windows from the store, sends requests out when politeness and the
//! limits allow it, and knows when the crawl is over. It never waits for anything but its next
//! message: reads of the store are tasks that answer by message, so a slow store or host can't hold
//! it up, and it can't take part in a deadlock.

mod errands;
mod hosts;
mod launch;
mod leases;
mod looks;
mod parts;
mod supply;
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
use url::Url;

use self::errands::Errands;
use self::hosts::{Known, Standings, Strangers};
use self::leases::UnderWay;
use self::looks::InHand;
use super::committer::Committed;
use super::event::{Event, Stop};
use super::flight::Flights;
use super::inspect::{self, Looks};
use super::judge::Exchange;
use super::lanes::Lanes;
use super::life;
use super::login::Turn;
use super::rules::Hop;
use super::shared::Shared;
use super::{SharedRoom, StopHandle};
use crate::clock;
use crate::frontier::Frontier;
use crate::panics::described;
use crate::policy::traps::HostPages;
use crate::request::{HostKey, HostMap, Source};
use crate::settings::QuietHours;
use crate::store::{Beat, Host, News, Rest, Store, StoreError, Taken, TicketKey};

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
        /// Whether no other process has the group.
        is_ours: Result<bool, StoreError>,
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

    /// Starts a task of the crawl.
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(guarded(task, self.sender.clone()));
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
            Message::Grouped {
                key,
                group,
                delay,
                is_ours,
            } => self.answered(is_ours, |this, is_ours| {
                if is_ours {
                    this.join(key, &group, delay);
                } else {
                    this.frontier.leave(key);
                }
            }),
            Message::Unsent(key, tries) => {
                self.fetching -= 1;
                self.frontier.fetched(key.host, tries);
                self.uncount(key.host);
                if let Some(held) = self.hands.get_mut(&key.seq) {
                    held.is_answered = true;
                }
                if tries == 0 {
                    self.host_pages.unsent(self.whole(key.host));
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

/// A task of the crawl. User code is guarded where it is called, so a panic here is a fault of the engine,
/// of a store or of a transport: what the task had in hand would be waited for in vain.
pub(super) async fn guarded(task: impl Future<Output = ()>, dispatcher: mpsc::Sender<Message>) {
    if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
        // Only fails when the crawl is being torn down.
        let _ = dispatcher.send(Message::Broken(described(&*panic))).await;
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
