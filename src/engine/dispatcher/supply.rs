//! What the store has for the hosts: leases, windows, and what is left.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Dispatcher, Message, with_pace};
use crate::clock;
use crate::engine::event::Stop;
use crate::request::HostKey;
use crate::spider::step_named;
use crate::store::{Host, News, Rest, Taken, Ticket, TicketKey};

/// Hosts leased at once. Their windows share [`WINDOWS`] requests.
pub(super) const MAX_HOSTS: usize = 4_096;
/// Requests held in memory ahead of their turn, all hosts together.
const WINDOWS: usize = 16_384;
/// The largest and smallest window of one host.
const WINDOW: std::ops::RangeInclusive<usize> = 4..=256;
/// How often the store is asked for hosts that others gave back.
const LEASE_EVERY: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Fills windows and gives drained hosts back.
    pub(super) fn tend(&mut self, now: Instant) {
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

    pub(super) fn give_back(&mut self, hosts: Vec<(Host, Instant)>) {
        self.forget(&hosts);
        let hosts = with_pace(hosts);
        self.ask(move |store| async move { Message::Released(store.release(hosts).await) });
    }

    pub(super) fn lease(&mut self) {
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

    pub(super) fn leased(&mut self, (hosts, news): (Vec<Host>, News)) {
        self.leasing = false;
        let (none, resting) = (hosts.is_empty(), news.resting.clone());
        self.take_in(news);
        for host in hosts {
            self.adopt(host);
        }
        self.rest_with_others(&resting);
        self.lease_at = self.lease_at.or(Some(Instant::now() + LEASE_EVERY));
        if none && self.frontier.is_empty() && !self.start.seeding && self.asking == 0 {
            self.lease_at = None;
            self.ask(|store| async move { Message::Rest(store.rest().await) });
        }
    }

    pub(super) fn rested(&mut self, rest: Rest) {
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

    pub(super) fn loaded(&mut self, host: HostKey, taken: Taken, asked: usize) {
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
    pub(super) fn expect(&mut self, host: HostKey, due: Timestamp) {
        let wait = Duration::try_from(due.duration_since(clock::now())).unwrap_or_default();
        let due = Instant::now().checked_add(wait + Duration::from_millis(1));
        if let Some(due) = due {
            self.frontier.expect(host, due);
        }
    }

    /// Takes requests out of hand that are still in the queue, and reads them again.
    pub(super) fn returned(&mut self, keys: Vec<TicketKey>) {
        for key in keys {
            self.frontier.settled(key);
            self.in_budget.remove(&key.seq);
            self.hands.remove(&key.seq);
            self.frontier.found(key.host);
        }
    }
}
