//! What was seen a moment ago: the links of navigation bars need no look into the database.

use crate::request::{Fingerprint, HostKey};

const SLOTS: usize = 1 << 16;

/// An exact, direct-mapped cache of 65,536 requests (1 MiB) that are in `seen` for certain.
///
/// It may forget, but never claims what was not [remembered](Recent::remember); remember only what
/// is committed.
pub(super) struct Recent(Box<[(i64, i64)]>);

impl Recent {
    pub(super) fn new() -> Self {
        // An entry that belongs into another slot matches nothing.
        Self(
            (0..SLOTS as i64)
                .map(|slot| (0, !slot))
                .collect::<Vec<_>>()
                .into(),
        )
    }

    pub(super) fn has(&self, host: HostKey, fingerprint: Fingerprint) -> bool {
        self.0[slot(fingerprint)] == (host.0, fingerprint.0)
    }

    pub(super) fn remember(&mut self, host: HostKey, fingerprint: Fingerprint) {
        self.0[slot(fingerprint)] = (host.0, fingerprint.0);
    }
}

fn slot(fingerprint: Fingerprint) -> usize {
    fingerprint.0 as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_only_what_it_was_told() {
        let mut recent = Recent::new();
        for fp in [0, 1, -1, i64::MIN, i64::MAX, 65_535, 65_536] {
            assert!(!recent.has(HostKey(0), Fingerprint(fp)), "{fp}");
        }
        recent.remember(HostKey(1), Fingerprint(7));
        assert!(recent.has(HostKey(1), Fingerprint(7)));
        assert!(!recent.has(HostKey(2), Fingerprint(7)));
        recent.remember(HostKey(2), Fingerprint(7 + SLOTS as i64));
        assert!(!recent.has(HostKey(1), Fingerprint(7)));
    }
}
