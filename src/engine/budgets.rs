//! What a crawl may use up, and what it has.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use url::Url;

use crate::clock;
use crate::settings::{PrefixBudget, Settings};
use crate::store::Spent;

/// The name of the budget per day in the store; a prefix can't be called so.
const PER_DAY: &str = "day";

/// What was used of a budget: by this run, and by others.
#[derive(Default)]
struct Used {
    own: AtomicU64,
    others: AtomicU64,
}

impl Used {
    fn all(&self) -> u64 {
        self.own.load(Ordering::Relaxed) + self.others.load(Ordering::Relaxed)
    }
}

/// Counts of this run, and of budgets that hold over runs. The committer counts, the dispatcher reads.
#[derive(Default)]
pub(super) struct Budgets {
    prefixes: Vec<(PrefixBudget, Used)>,
    per_day: Option<u64>,
    today: AtomicI64,
    pages_today: Used,
    /// Of this run.
    pub(super) items: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl Budgets {
    pub(super) fn new(settings: &Settings, spent: &[Spent]) -> Self {
        let prefixes = settings.budgets.iter();
        let prefixes =
            prefixes.filter_map(|text| Some((PrefixBudget::parse(text)?, Used::default())));
        let budgets = Self {
            prefixes: prefixes.collect(),
            per_day: settings.max_pages_per_day,
            today: AtomicI64::new(today()),
            ..Self::default()
        };
        budgets.note_others(spent);
        budgets
    }

    /// Whether nothing has to be counted over runs.
    fn is_empty(&self) -> bool {
        self.prefixes.is_empty() && self.per_day.is_none()
    }

    /// The budget that a URL counts against: the first that fits.
    pub(super) fn of(&self, url: &Url) -> Option<usize> {
        self.prefixes
            .iter()
            .position(|(budget, _)| budget.is_of(url))
    }

    /// The numbers of the budgets for parts of a site.
    pub(super) fn numbers(&self) -> std::ops::Range<usize> {
        0..self.prefixes.len()
    }

    /// Pages left of a budget.
    pub(super) fn left(&self, budget: usize) -> u64 {
        self.prefixes
            .get(budget)
            .map_or(u64::MAX, |(budget, used)| {
                budget.pages.saturating_sub(used.all())
            })
    }

    /// Why a page is skipped whose budget is used up.
    pub(super) fn why(&self, budget: usize) -> String {
        self.prefixes
            .get(budget)
            .map_or_else(String::new, |(budget, _)| {
                format!(
                    "the budget of {} ({} pages) is used up",
                    budget.prefix, budget.pages
                )
            })
    }

    /// Pages left of today, if that is limited.
    pub(super) fn left_today(&self) -> Option<u64> {
        let max = self.per_day?;
        let is_today = self.today.load(Ordering::Relaxed) == today();
        let used = self.pages_today.all() * u64::from(is_today);
        Some(max.saturating_sub(used))
    }

    /// What pages with these URLs use up, for the store.
    pub(super) fn spent<'a>(&self, pages: impl Iterator<Item = &'a Url>) -> Vec<Spent> {
        let mut spent = Vec::<Spent>::new();
        if self.is_empty() {
            return spent;
        }
        let mut add =
            |budget: &str, day| match spent.iter_mut().find(|spent| spent.budget == budget) {
                Some(spent) => spent.pages += 1,
                None => spent.push(Spent {
                    budget: budget.to_owned(),
                    day,
                    pages: 1,
                }),
            };
        let today = today();
        for url in pages {
            if let Some((budget, _)) = self.of(url).and_then(|at| self.prefixes.get(at)) {
                add(&budget.prefix, 0);
            }
            if self.per_day.is_some() {
                add(PER_DAY, today);
            }
        }
        spent
    }

    /// Counts what is stored.
    pub(super) fn count(&self, spent: &[Spent]) {
        for Spent { budget, day, pages } in spent {
            if budget == PER_DAY {
                if self.today.swap(*day, Ordering::Relaxed) != *day {
                    self.pages_today.own.store(0, Ordering::Relaxed);
                    self.pages_today.others.store(0, Ordering::Relaxed);
                }
                self.pages_today.own.fetch_add(*pages, Ordering::Relaxed);
            }
            if let Some(used) = self.named(budget) {
                used.own.fetch_add(*pages, Ordering::Relaxed);
            }
        }
    }

    /// Takes in what other runs have used so far.
    pub(super) fn note_others(&self, spent: &[Spent]) {
        for Spent { budget, day, pages } in spent {
            if budget == PER_DAY && *day == self.today.load(Ordering::Relaxed) {
                self.pages_today.others.store(*pages, Ordering::Relaxed);
            }
            if let Some(used) = self.named(budget) {
                used.others.store(*pages, Ordering::Relaxed);
            }
        }
    }

    fn named(&self, budget: &str) -> Option<&Used> {
        let mut prefixes = self.prefixes.iter();
        prefixes
            .find(|(known, _)| known.prefix == budget)
            .map(|(_, used)| used)
    }

    /// The first limit of this run that is reached.
    pub(super) fn reached(&self, settings: &Settings) -> Option<&'static str> {
        let used_up = |used: &AtomicU64, max: Option<u64>| {
            max.is_some_and(|max| used.load(Ordering::Relaxed) >= max)
        };
        let limits = [
            ("max_items", used_up(&self.items, settings.max_items)),
            ("max_bytes", used_up(&self.bytes, settings.max_bytes)),
            ("max_failed", used_up(&self.failed, settings.max_failed)),
            ("max_pages_per_day", self.left_today() == Some(0)),
        ];
        limits
            .iter()
            .find(|(_, reached)| *reached)
            .map(|(name, _)| *name)
    }
}

fn today() -> i64 {
    clock::now().as_second().div_euclid(86_400)
}
