//! Links whose requests are stored already, by their raw text.
//!
//! Most links of a page are the site's navigation, seen thousands of times. Looking their text up
//! here costs a hash; joining, checking and storing them costs twenty times as much. An entry is
//! made only after the commit that stored the request (or found it stored), so a link that is known
//! is in the frontier's `seen`: this is a memory of the truth, not a guess about it. It is bounded:
//! a newer entry takes the place of an older one.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering};

use siphasher::sip::SipHasher13;
use url::{Position, Url};

use super::Session;

/// Entries kept; 8 bytes each.
const SLOTS: usize = 1 << 16;

/// A bounded memory of links, shared by all step threads.
pub struct KnownLinks {
    key: [u8; 16],
    slots: Box<[AtomicU64]>,
}

/// What the links of one page are relative to.
pub struct LinkBase {
    origin: SipHasher13,
    folder: SipHasher13,
}

impl KnownLinks {
    /// An empty memory; `key` is the crawl's, so that nobody can craft links that collide.
    pub fn new(key: [u8; 16]) -> Self {
        Self {
            key,
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Prepares for the links of a page whose base URL is `base`, that `step` will read and that
    /// `session` will fetch.
    pub fn base(&self, base: &Url, step: &str, session: &Session) -> LinkBase {
        let mut origin = SipHasher13::new_with_key(&self.key);
        origin.write(step.as_bytes());
        origin.write_u8(0);
        if let Some(session) = session.identity() {
            origin.write(session.as_bytes());
            origin.write_u8(0);
        }
        origin.write(base[..Position::BeforePath].as_bytes());
        let mut folder = origin;
        let path = base.path();
        folder.write(&path.as_bytes()[..path.rfind('/').map_or(0, |at| at + 1)]);
        LinkBase { origin, folder }
    }

    /// The identity of a link's text on such a page; 0 if it depends on more than the page's folder.
    pub fn link(&self, base: &LinkBase, href: &str) -> u64 {
        let mut hasher = match href.as_bytes() {
            [] | [b'?' | b'#', ..] => return 0,
            [b'/', ..] => base.origin,
            _ if is_odd(href) => return 0,
            _ => base.folder,
        };
        // The fragment is no part of a request's identity.
        let text = href.split('#').next().unwrap_or_default();
        hasher.write(text.as_bytes());
        hasher.finish().max(1)
    }

    /// Whether the link's request is stored.
    pub fn contains(&self, link: u64) -> bool {
        link != 0 && self.slot(link).load(Ordering::Relaxed) == link
    }

    /// Notes that the link's request is stored.
    pub fn insert(&self, link: u64) {
        if link != 0 {
            self.slot(link).store(link, Ordering::Relaxed);
        }
    }

    /// Forgets all: what was stored may be so no more.
    pub fn clear(&self) {
        for slot in &self.slots {
            slot.store(0, Ordering::Relaxed);
        }
    }

    fn slot(&self, link: u64) -> &AtomicU64 {
        &self.slots[link as usize % SLOTS]
    }
}

/// Whether a link may lean on its page in another way than it seems: `http:?page=2` is relative where
/// the page's scheme is the same.
fn is_odd(href: &str) -> bool {
    let end = href.find([':', '/', '?', '#', '\\', '\t', '\r', '\n']);
    let rest = end.map_or("", |end| &href[end..]);
    match rest.as_bytes() {
        [b':', b'/', b'/', ..] => false,
        [b':' | b'\\' | b'\t' | b'\r' | b'\n', ..] => true,
        _ => false,
    }
}

impl std::fmt::Debug for KnownLinks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KnownLinks(..)")
    }
}

impl std::fmt::Debug for LinkBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkBase(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(base: &str, step: &str, href: &str) -> u64 {
        let known = KnownLinks::new([7; 16]);
        let base = known.base(&base.parse().unwrap(), step, &Session::Any);
        known.link(&base, href)
    }

    #[test]
    fn a_named_session_has_links_of_its_own() {
        let known = KnownLinks::new([7; 16]);
        let base = "http://e.x/".parse().unwrap();
        let link = |session| known.link(&known.base(&base, "book", &session), "/c");
        assert_eq!(link(Session::Any), link(Session::Same("1".into())));
        assert_ne!(link(Session::Any), link("ann".into()));
        assert_ne!(link("bob".into()), link("ann".into()));
    }

    #[test]
    fn what_a_link_s_text_depends_on() {
        let check = |one: (&str, &str), two: (&str, &str), same: bool| {
            let (left, right) = (link(one.0, "book", one.1), link(two.0, "book", two.1));
            assert_eq!(left == right, same, "{one:?} {two:?}");
        };
        check(("http://e.x/a/b", "/c"), ("http://e.x/d?e", "/c"), true);
        check(("http://e.x/a/b", "c"), ("http://e.x/a/d", "c"), true);
        check(("http://e.x/a/b", "c"), ("http://e.x/b/d", "c"), false);
        check(("http://e.x/a/b", "/c"), ("https://e.x/a/b", "/c"), false);
        check(("http://e.x/a/b", "/c"), ("http://e.x:81/a/b", "/c"), false);
        check(("http://e.x/a", "/c#top"), ("http://e.x/a", "/c"), true);
        assert_ne!(
            link("http://e.x/", "book", "/c"),
            link("http://e.x/", "list", "/c")
        );
        for href in [
            "",
            "?page=2",
            "#top",
            "http:?page=2",
            "mailto:a",
            "\\x",
            "a\tb",
        ] {
            assert_eq!(link("http://e.x/a", "book", href), 0, "{href}");
        }
    }

    #[test]
    fn only_what_was_inserted_is_known() {
        let known = KnownLinks::new([7; 16]);
        assert!(!known.contains(0));
        known.insert(0);
        assert!(!known.contains(0));
        known.insert(5);
        assert!(known.contains(5));
        let other = 5 + SLOTS as u64;
        assert!(!known.contains(other));
        known.insert(other);
        assert!(known.contains(other) && !known.contains(5));
    }
}
