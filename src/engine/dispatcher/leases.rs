//! How the dispatcher keeps its leases: it shows signs of life, sends nothing once they have ended, and
//! takes in what other processes of the crawl have learnt.

use std::sync::Arc;

use tokio::time::Instant;

use super::looks::InHand;
use super::{Dispatcher, Message};
use crate::request::{HostKey, HostMap};
use crate::store::{Beat, News};

/// What is in flight, beside requests in hand.
#[derive(Default)]
pub(super) struct UnderWay {
    /// Errands, by whose slot they have.
    errands: HostMap<usize>,
    /// Some of all that is in flight may be of hosts that were let go of.
    has_strays: bool,
}

impl UnderWay {
    /// An errand has a slot of `host`.
    pub(super) fn took_off(&mut self, host: HostKey) {
        *self.errands.entry(host).or_default() += 1;
    }

    /// It has come back.
    pub(super) fn landed(&mut self, host: HostKey) {
        if let Some(errands) = self.errands.get_mut(&host) {
            *errands -= 1;
            if *errands == 0 {
                self.errands.remove(&host);
            }
        }
    }
}

impl Dispatcher {
    /// Shows a sign of life when it is time to; lets go of hosts whose lease has ended without one.
    pub(super) fn live(&mut self, now: Instant) {
        if self.beat_at.is_some_and(|at| at <= now) && !self.beating {
            self.beating = true;
            self.beat_at = None;
            let (store, sender) = (Arc::clone(&self.store), self.sender.clone());
            self.spawn(async move {
                let told = match store.beat().await {
                    Ok(beat) => store.news().await.map(|news| (beat, news)),
                    Err(error) => Err(error),
                };
                // Only fails when the crawl is being torn down.
                let _ = sender.send(Message::Beat(told)).await;
            });
        }
        if self.has_lapsed(now) && !self.frontier.is_empty() {
            self.let_go();
        }
    }

    /// Whether the leases have ended: the hosts may be others' by now.
    pub(super) fn has_lapsed(&self, now: Instant) -> bool {
        self.start.lapses.is_some_and(|end| end <= now)
    }

    /// Forgets all hosts. Those that are nobody else's yet are given back.
    pub(super) fn let_go(&mut self) {
        self.under_way.has_strays = true;
        let hosts = self.frontier.dissolve();
        self.give_back(hosts);
    }

    /// What a host that comes back still has under way from before it was let go of.
    pub(super) fn resume(&mut self, host: HostKey) {
        let UnderWay {
            errands,
            has_strays,
        } = &mut self.under_way;
        *has_strays &= !self.hands.is_empty() || !errands.is_empty();
        if *has_strays {
            let own = self.hands.values().filter(|held| held.key.host == host);
            let under_way: Vec<_> = own.map(InHand::under_way).collect();
            let errands = errands.get(&host).copied().unwrap_or_default();
            self.frontier.resume(host, &under_way, errands);
        }
    }

    pub(super) fn beaten(&mut self, (beat, news): (Beat, News)) {
        if beat.lost {
            self.let_go();
            self.lease_at = self.lease_at.or(Some(Instant::now()));
        }
        self.start.lapses = beat.lapses;
        self.beat_at = beat.next;
        self.rest_with_others(&news.resting);
        self.take_in(news);
        for host in &beat.crowded {
            self.frontier.leave(*host);
        }
        let others = beat.surplus.saturating_sub(beat.crowded.len());
        self.frontier.shed(others);
    }

    pub(super) fn take_in(&self, news: News) {
        if let Some(http) = &self.shared.http {
            let cookies = self.shared.logins.load(news.cookies);
            http.sessions().load(cookies);
        }
        let urls = news.seed_hosts.iter().map(|origin| origin.parse());
        for url in urls.flatten() {
            self.shared.widen(&url);
        }
    }
}
