//! Numbers and words that look random and are always the same.

use super::html::Html;

const WORDS: [&str; 64] = [
    "amber", "harbour", "walk", "over", "under", "quiet", "river", "stone", "letter", "winter",
    "garden", "lantern", "between", "seven", "morning", "paper", "house", "north", "copper",
    "ocean", "silver", "thread", "weaver", "golden", "island", "market", "evening", "never",
    "always", "the", "a", "of", "and", "to", "in", "with", "from", "without", "until", "before",
    "after", "again", "story", "voice", "window", "road", "mirror", "field", "summer", "salt",
    "wonder", "small", "great", "old", "young", "first", "last", "light", "shadow", "bridge",
    "orchard", "kettle", "sparrow", "map",
];

/// Spreads a number over all 64 bits (the finaliser of SplitMix64), so that neighbours look
/// unrelated.
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A row of such numbers.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 up to, not including, `end`; 0 when there is none.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    pub(super) fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let index = self.below(words.len() as u64) as usize;
        words.get(index).copied().unwrap_or_default()
    }

    /// Eight to fifteen words; one throw gives ten of them.
    pub(super) fn sentence(&mut self, html: &mut Html) {
        let words = 8 + self.below(8);
        let mut bits = 0;
        for number in 0..words {
            if number % 10 == 0 {
                bits = self.next();
            }
            let word = WORDS[(bits % 64) as usize];
            bits >>= 6;
            if number == 0 {
                let (head, tail) = word.split_at(1);
                html.push(&head.to_ascii_uppercase());
                html.push(tail);
            } else {
                html.push(" ");
                html.push(word);
            }
        }
        html.push(". ");
    }
}

#[cfg(test)]
mod tests {
    use super::{Dice, Html};

    #[test]
    fn a_seed_gives_the_same_sentence_always() {
        let mut html = Html::default();
        Dice::new(7).sentence(&mut html);
        let first = html.into_string();
        let mut html = Html::default();
        Dice::new(7).sentence(&mut html);
        assert_eq!(html.into_string(), first);
        assert!(
            first.ends_with(". ") && first.starts_with(char::is_uppercase),
            "{first}"
        );
        assert!(
            (8..=15).contains(&first.split_whitespace().count()),
            "{first}"
        );
    }
}
