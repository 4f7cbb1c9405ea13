//! Many URLs of one pattern, and always the same body.

use super::sketch::hash;

/// Bytes of a piece of a body, and how many are looked at.
const PIECE: usize = 16;
const PIECES: usize = 16;

/// How the bodies of a pattern went.
#[derive(Debug, Default)]
pub(super) struct Streak {
    /// The last body: a look at some of its bytes, and at all of them if that was needed.
    look: u64,
    whole: Option<u64>,
    last_url: u64,
    /// Equal ones in a row after the first, and all others.
    run: u32,
    others: u32,
}

impl Streak {
    /// Takes account of a body. Most differ in a few bytes already, so that only those that do not are
    /// read as a whole.
    pub(super) fn read(&mut self, url: u64, body: &[u8]) {
        let look = look(body);
        if url == self.last_url {
            return;
        }
        self.last_url = url;
        let whole = (look == self.look).then(|| hash(body));
        if whole.is_some() && (self.whole.is_none() || self.whole == whole) {
            self.run += 1;
        } else {
            self.others += self.run + 1;
            self.run = 0;
        }
        self.look = look;
        self.whole = whole;
    }

    /// Whether there were more than `max` equal ones, and more than others.
    pub(super) fn is_beyond(&self, max: u32) -> bool {
        self.run >= max && self.run >= self.others.saturating_sub(1)
    }
}

fn look(body: &[u8]) -> u64 {
    let mut pieces = [0; PIECE * PIECES + 8];
    let step = body.len() / PIECES;
    for (number, place) in pieces.chunks_exact_mut(PIECE).take(PIECES).enumerate() {
        let piece = &body[number * step..];
        let length = piece.len().min(PIECE);
        place[..length].copy_from_slice(&piece[..length]);
    }
    pieces[PIECE * PIECES..].copy_from_slice(&(body.len() as u64).to_le_bytes());
    hash(&pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs() {
        let check = |bodies: &str, beyond: bool| {
            let mut streak = Streak::default();
            for (url, body) in bodies.chars().enumerate() {
                // Equal where it is looked at, except for `x`.
                let mut bytes = vec![b'a'; 4_000];
                match body {
                    'a' => {}
                    'x' => bytes[0] = b'x',
                    other => bytes[PIECE + 1] = other as u8,
                }
                streak.read(url as u64 + 1, &bytes);
            }
            assert_eq!(streak.is_beyond(4), beyond, "{bodies}");
        };
        check("", false);
        check("aaaa", false);
        check("aaaaa", true);
        check("xaaaa", false);
        check("xaaaaa", true);
        check("aaxaaa", false);
        check("bcdefg", false);
        check("bababababa", false);
        check("xbxcxdxexfaaaaa", false);
        check("xbxcxdxexfaaaaaaaaaaa", true);
        check("aaaaax", false);
    }

    #[test]
    fn the_same_url_is_no_other() {
        let mut streak = Streak::default();
        (0..100).for_each(|_| streak.read(1, b"a"));
        assert!(!streak.is_beyond(1));
        streak.read(2, b"a");
        assert!(streak.is_beyond(1));
    }
}
