//! Hosts that share a pace: of one registrable domain, or at one address.

use std::collections::BTreeSet;

use tokio::time::Instant;

use crate::request::{HostKey, HostMap};

/// Groups are forgotten once so many are known and nothing speaks for keeping them.
const MANY: usize = 1_024;

/// What the hosts of a group may do together.
#[derive(Debug)]
pub(super) struct Group {
    /// None of them is asked before.
    pub(super) next: Instant,
    pub(super) fetching: usize,
    /// Hosts that wait for a slot, in the order of their turns.
    waiting: BTreeSet<(u64, HostKey)>,
    members: usize,
}

/// The groups that hosts are in.
#[derive(Debug, Default)]
pub(super) struct Groups(HostMap<Group>);

impl Groups {
    /// Takes a host into a group, which begins with it if need be.
    pub(super) fn join(&mut self, key: HostKey, fetching: usize, now: Instant) {
        if self.0.len() >= MANY {
            // A group's pace outlives its last host.
            self.0
                .retain(|_, group| group.members > 0 || group.next > now);
        }
        let group = self.0.entry(key).or_insert_with(|| Group {
            next: now,
            fetching: 0,
            waiting: BTreeSet::new(),
            members: 0,
        });
        group.members += 1;
        group.fetching += fetching;
    }

    /// A host leaves, with what it has in flight: who waits for a slot, in turn.
    pub(super) fn leave(&mut self, key: HostKey, fetching: usize) -> BTreeSet<(u64, HostKey)> {
        let Some(group) = self.0.get_mut(&key) else {
            return BTreeSet::new();
        };
        group.members -= 1;
        group.ended(fetching)
    }

    pub(super) fn get_mut(&mut self, key: Option<HostKey>) -> Option<&mut Group> {
        self.0.get_mut(&key?)
    }
}

impl Group {
    pub(super) fn wait(&mut self, turn: u64, host: HostKey) {
        self.waiting.insert((turn, host));
    }

    /// Requests have ended: who waits for their slots, in turn.
    pub(super) fn ended(&mut self, requests: usize) -> BTreeSet<(u64, HostKey)> {
        self.fetching = self.fetching.saturating_sub(requests);
        std::mem::take(&mut self.waiting)
    }
}
