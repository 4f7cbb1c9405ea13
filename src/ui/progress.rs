//! Progress while a crawl runs.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::tally::Tally;
use super::{Screen, Style, clean, clock, count, duration, shorten};
use crate::engine::Event;
use crate::store::PageState;

/// Percent by which a frontier may have grown lately, so that there is an end to be foreseen.
const GROWING: u64 = 25;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A few lines at the bottom of the terminal, four times a second.
    Bar,
    /// A line every ten seconds.
    Line,
    /// A JSON object every second.
    Json,
    /// Not at all.
    None,
}

impl Mode {
    fn period(self) -> Option<Duration> {
        match self {
            Self::Bar => Some(Duration::from_millis(250)),
            Self::Line => Some(Duration::from_secs(10)),
            Self::Json => Some(Duration::from_secs(1)),
            Self::None => None,
        }
    }

    /// How often the speed is taken.
    fn beat(self) -> Duration {
        self.period()
            .unwrap_or_default()
            .max(Duration::from_secs(1))
    }
}

/// Shows a crawl's progress from its events, until it is [ended](Progress::end).
#[derive(Debug)]
pub struct Progress {
    tally: Arc<Mutex<Tally>>,
    screen: Screen,
    ticker: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to show. Needs a tokio runtime.
    pub fn start(mode: Mode, screen: Screen, style: Style) -> Self {
        let tally = Arc::new(Mutex::new(Tally::new(mode.beat())));
        let ticker = mode.period().map(|period| {
            let (tally, screen) = (Arc::clone(&tally), screen.clone());
            tokio::spawn(tick(mode, period, tally, screen, style))
        });
        Self {
            tally,
            screen,
            ticker,
        }
    }

    /// What to call on every event.
    pub fn hook(&self) -> impl FnMut(&Event) + Send + 'static {
        let tally = Arc::clone(&self.tally);
        move |event| {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.apply(event);
        }
    }

    /// Stops showing, and takes away what stood at the bottom.
    pub async fn end(self) {
        if let Some(ticker) = self.ticker {
            ticker.abort();
            // It may be drawing at this moment.
            let _ = ticker.await;
        }
        self.screen.clear();
    }
}

async fn tick(
    mode: Mode,
    period: Duration,
    tally: Arc<Mutex<Tally>>,
    screen: Screen,
    style: Style,
) {
    let started = Instant::now();
    let mut next_beat = started;
    let mut ticks = tokio::time::interval_at(started + period, period);
    // Without an end: it is aborted when the crawl has ended.
    loop {
        ticks.tick().await;
        let elapsed = started.elapsed();
        let lines = {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            if Instant::now() >= next_beat {
                next_beat += mode.beat();
                tally.beat();
            }
            match mode {
                Mode::Bar => lines(&tally, elapsed, style),
                Mode::Line => vec![line(&tally, elapsed)],
                Mode::Json => vec![object(&tally, elapsed)],
                Mode::None => Vec::new(),
            }
        };
        match mode {
            Mode::Bar => screen.draw(&lines),
            _ => lines.iter().for_each(|line| screen.say(line)),
        }
    }
}

/// The lines at the bottom of a terminal.
fn lines(tally: &Tally, elapsed: Duration, style: Style) -> Vec<String> {
    let run = &tally.statistics;
    let keys = if tally.stopping {
        "finishing what is in flight; ^C again to stop now"
    } else {
        "^C stop (resumable)"
    };
    let (ended, known) = (tally.ended(), tally.known().max(1));
    let eta = match (tally.eta(elapsed), tally.growth()) {
        (None, _) => String::new(),
        (Some(eta), 0..=1) => format!("   ETA ~{}", whole_seconds(eta)),
        (Some(eta), growth @ 2..=GROWING) => {
            format!("   ETA ~{} (frontier grows {growth} %)", whole_seconds(eta))
        }
        (Some(_), _) => "   frontier still grows".to_owned(),
    };
    let mut lines = vec![
        format!(
            " {}  run {}  {}    {}",
            style.bold(clean(&run.spider)),
            run.run,
            clock(elapsed),
            style.dim(keys)
        ),
        format!(
            " pages  {} {} {} % of {} known   {:.0}/s {}{eta}",
            count(ended),
            gauge(ended, known, 28),
            ended * 100 / known,
            count(known),
            tally.speed(elapsed),
            tally.curve(),
        ),
        items(tally),
        statuses(tally),
    ];
    lines.extend(queue(tally));
    lines.extend(empty_fields(tally));
    lines.extend(errors(tally).map(|text| style.yellow(text)));
    lines
}

/// Of a second and more; a forecast is not as exact as milliseconds.
fn whole_seconds(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..10 => format!("{} s", seconds.max(1)),
        seconds => duration(Duration::from_secs(seconds)),
    }
}

fn items(tally: &Tally) -> String {
    let run = &tally.statistics;
    let mut text = format!(" items  {}", count(run.item_count()));
    for (table, items) in run.items.iter().take(4) {
        let _ = write!(text, "  {} {}", clean(table), count(items.emitted));
    }
    let (new, changed, same) = (tally.new, tally.changed, tally.same);
    if changed + same > 0 {
        let _ = write!(
            text,
            "  (new {}, changed {}, same {})",
            count(new),
            count(changed),
            count(same)
        );
    }
    text
}

fn statuses(tally: &Tally) -> String {
    let run = &tally.statistics;
    let mut text = String::from(" http ");
    for class in 2..=5_u16 {
        let of_class = run
            .statuses
            .iter()
            .filter(|(status, _)| **status / 100 == class);
        let total: u64 = of_class.map(|(_, number)| number).sum();
        if total > 0 {
            let _ = write!(text, "  {class}xx {}", count(total));
        }
    }
    for (status, name) in [(404, "404"), (429, "429"), (503, "503"), (0, "no answer")] {
        if let Some(number) = run.statuses.get(&status) {
            let _ = write!(text, "  {name} {}", count(*number));
        }
    }
    if run.retries > 0 {
        let _ = write!(text, "  retries {}", count(run.retries));
    }
    text
}

fn queue(tally: &Tally) -> Option<String> {
    let left = tally.statistics.left();
    let paused = tally.paused().map(|paused| shorten(&paused, 90));
    let paused = paused.map_or_else(String::new, |paused| format!("   {paused}"));
    let limit = tally
        .statistics
        .limit()
        .map_or_else(String::new, |(by, share)| {
            format!("   limited by {}, {:.0} %", shorten(by, 60), share * 100.0)
        });
    (left > 0).then(|| format!(" queue  {}{limit}{paused}", count(left)))
}

/// Columns that are not always filled.
fn empty_fields(tally: &Tally) -> Option<String> {
    let mut text = String::new();
    for items in tally.statistics.items.values() {
        for (column, empty) in items.empty.iter().take(6) {
            let filled = items.emitted.saturating_sub(*empty) * 100 / items.emitted.max(1);
            let _ = write!(text, "  {} {filled} %", clean(column));
        }
    }
    (!text.is_empty()).then(|| format!(" fields{text}"))
}

fn errors(tally: &Tally) -> Option<String> {
    let run = &tally.statistics;
    let mut groups: Vec<_> = run
        .errors
        .iter()
        .filter(|group| group.state == PageState::Failed)
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    let shown = groups.iter().take(3).map(|group| {
        format!(
            "   {} ({})",
            shorten(&group.message, 50),
            count(group.count)
        )
    });
    (run.failed > 0).then(|| format!(" errors {}{}", count(run.failed), shown.collect::<String>()))
}

/// `━━━━╸━━`: the left part is done.
fn gauge(part: u64, whole: u64, width: u64) -> String {
    let done = (part.min(whole) * width / whole.max(1)) as usize;
    let rest = width as usize - done;
    format!("{}{}", "━".repeat(done), "┄".repeat(rest))
}

/// A line for logs.
fn line(tally: &Tally, elapsed: Duration) -> String {
    let run = &tally.statistics;
    let slow = tally.paused().map(|paused| shorten(&paused, 90));
    let slow = slow.map_or_else(String::new, |paused| format!(", {paused}"));
    let speed = tally.speed(elapsed);
    format!(
        "{}  run {}  {}  {} pages ({speed:.0}/s), {} items, {} queued, {} failed{slow}",
        clean(&run.spider),
        run.run,
        clock(elapsed),
        count(tally.ended()),
        count(run.item_count()),
        count(run.left()),
        count(run.failed),
    )
}

/// An object for programs.
fn object(tally: &Tally, elapsed: Duration) -> String {
    let run = &tally.statistics;
    serde_json::json!({
        "at": crate::clock::now().to_string(),
        "spider": run.spider,
        "run": run.run,
        "elapsed": elapsed.as_secs_f64(),
        "ended": tally.ended(),
        "known": tally.known(),
        "queued": run.left(),
        "pages": run.pages,
        "failed": run.failed,
        "skipped": run.skipped,
        "redirects": run.redirects,
        "retries": run.retries,
        "items": run.item_count(),
        "bytes": run.bytes,
        "pages_per_second": tally.speed(elapsed),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ItemCount, SlowedCount};

    fn tally() -> Tally {
        let mut tally = Tally::new(Duration::from_secs(1));
        for pages in [100, 600] {
            let run = &mut tally.statistics;
            run.spider = "books".into();
            run.run = 42;
            run.queued = 1_000;
            run.pages = pages;
            run.failed = 7;
            run.statuses = [(200, pages), (404, 7), (0, 2)].into();
            let books = ItemCount {
                emitted: pages,
                empty: [("stars".to_owned(), pages / 10)].into(),
            };
            run.items = [("books".to_owned(), books)].into();
            tally.beat();
        }
        tally.new = 400;
        tally.same = 200;
        let paused = SlowedCount {
            why: "429 \u{1b}[31m".into(),
            until: jiff::Timestamp::UNIX_EPOCH,
            count: 1,
            in_a_row: 1,
            used_up: false,
        };
        tally.statistics.slowed = [("http://e.x".to_owned(), paused)].into();
        tally
    }

    #[test]
    fn at_the_bottom_of_a_terminal() {
        let text = lines(&tally(), Duration::from_secs(97), Style::PLAIN).join("\n");
        insta::assert_snapshot!(text, @r"
         books  run 42  00:01:37    ^C stop (resumable)
         pages  607 ━━━━━━━━━━━━━━━━┄┄┄┄┄┄┄┄┄┄┄┄ 60 % of 1 000 known   500/s █   ETA ~1 s
         items  600  books 600  (new 400, changed 0, same 200)
         http   2xx 600  4xx 7  404 7  no answer 2
         queue  393   paused http://e.x until 00:00:00 UTC: 429 \u{1b}[31m
         fields  stars 90 %
         errors 7
        ");
    }

    #[test]
    fn in_a_log() {
        let text = line(&tally(), Duration::from_secs(97));
        insta::assert_snapshot!(
            text,
            @r"books  run 42  00:01:37  607 pages (500/s), 600 items, 393 queued, 7 failed, paused http://e.x until 00:00:00 UTC: 429 \u{1b}[31m"
        );
    }

    #[test]
    fn gauges() {
        assert_eq!(gauge(0, 0, 4), "┄┄┄┄");
        assert_eq!(gauge(1, 2, 4), "━━┄┄");
        assert_eq!(gauge(9, 2, 4), "━━━━");
    }
}
