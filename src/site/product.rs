//! The books of the shop, computed from their numbers.

use std::time::{Duration, SystemTime};

use super::words::{Dice, mix};

/// The categories; book 1 is in the first, book 2 in the second, book 11 in the first again.
pub const CATEGORIES: [&str; 10] = [
    "Travel",
    "Mystery",
    "Historical Fiction",
    "Science & Nature",
    "Poetry",
    "Art",
    "Music",
    "Childrens",
    "Food and Drink",
    "Philosophy",
];

const ADJECTIVES: [&str; 24] = [
    "Amber",
    "Quiet",
    "Silver",
    "Broken",
    "Hidden",
    "Golden",
    "Crooked",
    "Distant",
    "Gentle",
    "Hollow",
    "Idle",
    "Jade",
    "Lonely",
    "Midnight",
    "Northern",
    "Old",
    "Patient",
    "Restless",
    "Scarlet",
    "Tender",
    "Unwritten",
    "Velvet",
    "Wandering",
    "Young",
];
const NOUNS: [&str; 28] = [
    "Harbour", "Lantern", "River", "Garden", "Letter", "Orchard", "Mirror", "Island", "Winter",
    "Weaver", "Sparrow", "Bridge", "Kettle", "Window", "Thread", "Market", "Shadow", "Compass",
    "Attic", "Meadow", "Clock", "Voyage", "Library", "Candle", "Mountain", "Stranger", "Song",
    "Map",
];
const NAMES: [&str; 12] = [
    "Ada", "Bruno", "Clara", "Dorian", "Edith", "Felix", "Greta", "Hugo", "Iris", "Jonas", "Klara",
    "Leo",
];

/// 2026-01-01T00:00:00Z.
const FIRST_DAY: u64 = 1_767_225_600;
const DAY: u64 = 86_400;

/// A book of the shop: what a spider should find at `/book/{id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Product {
    /// Its number, from 1.
    pub id: usize,
    /// The text of `h1`. Not unique; some have an ampersand or an apostrophe.
    pub title: String,
    /// One of [`CATEGORIES`].
    pub category: &'static str,
    /// The price in pence; the page says `£51.77`.
    pub pence: u32,
    /// From 1 to 5; one book in ten has none, and then the page has no such element.
    pub stars: Option<u8>,
    /// Sixteen hexadecimal digits, unique.
    pub upc: String,
    /// The number in "In stock (22 available)".
    pub stock: u32,
}

impl Product {
    /// The book as the site shows it in a run. Only prices differ between runs, each time those of
    /// about a tenth of the books.
    pub fn of(id: usize, run: u64) -> Self {
        let mut dice = Dice::new(id as u64);
        let base = 1000 + dice.below(5000) as u32;
        let stars = 1 + dice.below(5) as u8;
        // Once in every decade, each time at another digit.
        let unrated = (id / 10 + id) % 10 == 3;
        Self {
            id,
            pence: price(base, id, run),
            stars: (!unrated).then_some(stars),
            stock: 1 + dice.below(30) as u32,
            // mix is a bijection, so no two books share it.
            upc: format!("{:016x}", mix(id as u64 ^ 0xb00c)),
            category: CATEGORIES[category(id)],
            title: title(&mut dice),
        }
    }

    /// The price as the page shows it.
    pub fn price(&self) -> String {
        format!("£{}.{:02}", self.pence / 100, self.pence % 100)
    }

    /// When the book's page says that it was changed.
    pub(super) fn modified(&self, run: u64) -> SystemTime {
        let mut seconds = FIRST_DAY + mix(self.id as u64) % (300 * DAY);
        if run > 0 && self.pence != Self::of(self.id, 0).pence {
            seconds += (300 + run % 1000) * DAY;
        }
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }
}

/// The number of a book's category.
pub(super) fn category(id: usize) -> usize {
    id.wrapping_sub(1) % CATEGORIES.len()
}

/// How many of the first `products` books are in a category.
pub(super) fn in_category(products: usize, category: usize) -> usize {
    (products + CATEGORIES.len() - 1).saturating_sub(category) / CATEGORIES.len()
}

/// The part of a category's URL that names it.
pub(super) fn slug(category: usize) -> String {
    let name = CATEGORIES.get(category).copied().unwrap_or_default();
    let words = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

fn price(base: u32, id: usize, run: u64) -> u32 {
    let mut dice = Dice::new(mix(run) ^ id as u64);
    if run > 0 && dice.below(10) == 0 {
        base + 1 + dice.below(999) as u32
    } else {
        base
    }
}

fn title(dice: &mut Dice) -> String {
    let (adjective, noun) = (dice.pick(&ADJECTIVES), dice.pick(&NOUNS));
    match dice.below(5) {
        0 => format!("The {adjective} {noun}"),
        1 => format!("{adjective} {noun} & {}", dice.pick(&NOUNS)),
        2 => format!("{}'s {adjective} {noun}", dice.pick(&NAMES)),
        3 => format!("A {noun} in the {}", dice.pick(&NOUNS)),
        _ => format!(
            "The {noun} of {} (#{})",
            dice.pick(&NAMES),
            1 + dice.below(9)
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{CATEGORIES, Product, category, in_category, slug};

    #[test]
    fn the_books_are_spread_as_promised() {
        let books: Vec<_> = (1..=1000).map(|id| Product::of(id, 0)).collect();
        assert_eq!(
            books.iter().filter(|book| book.stars.is_none()).count(),
            100
        );
        let stars: HashSet<_> = books.iter().map(|book| book.stars).collect();
        assert_eq!(stars.len(), 6);
        let upcs: HashSet<_> = books.iter().map(|book| &book.upc).collect();
        assert_eq!(upcs.len(), 1000);
        for name in CATEGORIES {
            let count = books.iter().filter(|book| book.category == name).count();
            assert_eq!(count, 100, "{name}");
            let unrated = books
                .iter()
                .filter(|b| b.category == name && b.stars.is_none())
                .count();
            assert_eq!(unrated, 10, "{name}");
        }
    }

    #[test]
    fn a_run_changes_some_prices_and_nothing_else() {
        let before = |id| Product::of(id, 0);
        let changed: Vec<_> = (1..=1000)
            .filter(|&id| Product::of(id, 3) != before(id))
            .collect();
        assert!((60..140).contains(&changed.len()), "{}", changed.len());
        for id in changed {
            let after = Product::of(id, 3);
            assert_ne!(after.pence, before(id).pence);
            assert_eq!(
                Product { pence: 0, ..after },
                Product {
                    pence: 0,
                    ..before(id)
                }
            );
        }
        assert_eq!(Product::of(5, 3), Product::of(5, 3));
    }

    #[test]
    fn categories_are_counted_as_they_are_given() {
        for products in [0, 1, 9, 10, 11, 25, 1000] {
            for number in 0..CATEGORIES.len() {
                let counted = (1..=products).filter(|&id| category(id) == number).count();
                assert_eq!(
                    in_category(products, number),
                    counted,
                    "{products} {number}"
                );
            }
        }
        assert_eq!(slug(0), "travel");
        assert_eq!(slug(3), "science-nature");
    }
}
