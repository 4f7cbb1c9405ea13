//! A bounded memory of patterns: those met lately are kept.

use std::collections::HashMap;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Patterns in a generation; there are two.
const GENERATION: usize = 2_048;

/// What is known of patterns, the young and the old: once the young are many, they are the old, and
/// what was old and not met since is forgotten.
#[derive(Debug)]
pub(super) struct Recent<T> {
    key: [u8; 16],
    young: HashMap<u64, Box<T>>,
    old: HashMap<u64, Box<T>>,
}

impl<T: Default> Recent<T> {
    pub(super) fn new(key: [u8; 16]) -> Self {
        Self {
            key,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// What is known of a pattern.
    pub(super) fn entry(&mut self, pattern: &str) -> &mut T {
        let id = self.id(pattern);
        if !self.young.contains_key(&id) && self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        self.young
            .entry(id)
            .or_insert_with(|| old.remove(&id).unwrap_or_default())
    }

    /// The same, if there is something.
    pub(super) fn get(&self, pattern: &str) -> Option<&T> {
        let id = self.id(pattern);
        let known = self.young.get(&id).or_else(|| self.old.get(&id));
        known.map(|known| &**known)
    }

    fn id(&self, pattern: &str) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(pattern.as_bytes());
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_kept_and_the_rest_is_bounded() {
        let mut recent = Recent::<u32>::new([7; 16]);
        for number in 0..10 * GENERATION {
            *recent.entry("always") += 1;
            *recent.entry(&number.to_string()) += 1;
            assert!(recent.young.len() + recent.old.len() <= 2 * GENERATION);
        }
        assert_eq!(recent.get("always"), Some(&(10 * GENERATION as u32)));
        assert_eq!(recent.get("0"), None);
    }
}
