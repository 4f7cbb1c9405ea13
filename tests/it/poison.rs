//! Steps that do not come back: they cost their page and a thread, and nothing else.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use nephila::Crawl;
use nephila::engine::{Event, Report, Stop};
use nephila::prelude::*;
use nephila::site::Site;

#[derive(Item)]
#[item(table = "visits")]
struct Visit {
    #[css("h1")]
    title: String,
}

/// What the steps tell each other and the test.
#[derive(Default)]
struct Signs {
    known: Mutex<HashSet<Url>>,
    waiting: AtomicUsize,
    spinning: AtomicBool,
    released: AtomicBool,
    came_back: AtomicBool,
    /// The one that spins comes back before the crawl has ended.
    late: AtomicBool,
    free: Mutex<bool>,
    freed: Condvar,
}

impl Signs {
    fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
        *self.free.lock().unwrap() = true;
        self.freed.notify_all();
    }
}

#[derive(Default)]
struct Poison {
    site: Option<Url>,
    /// Pages for each step.
    spins: usize,
    waits: usize,
    blocks: usize,
    signs: Arc<Signs>,
}

#[spider]
impl Poison {
    async fn start(&self, seeds: Seeds) -> Result {
        let site = self.site.as_ref().ok_or("no site")?;
        let url = |kind, number| site.join(&format!("/graph/{number}?of=99&{kind}"));
        for number in 0..self.spins {
            seeds.push(url("spins", number)?, Self::spins).await?;
        }
        for number in 0..self.waits {
            seeds.push(url("waits", number)?, Self::waits).await?;
        }
        for number in 0..self.blocks {
            seeds.push(url("blocks", number)?, Self::blocks).await?;
        }
        Ok(())
    }

    /// Computes until it is released, once all the others wait.
    async fn spins(&self, page: Page) -> Result<Visit> {
        while self.signs.waiting.load(Ordering::SeqCst) < self.waits {
            tokio::task::yield_now().await;
        }
        self.signs.spinning.store(true, Ordering::SeqCst);
        while !self.signs.released.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
        self.signs.came_back.store(true, Ordering::SeqCst);
        page.item()
    }

    /// Is caught by the one that spins; goes well when it is done again.
    async fn waits(&self, page: Page) -> Result<Visit> {
        let first = self.signs.known.lock().unwrap().insert(page.url().clone());
        if first {
            self.signs.waiting.fetch_add(1, Ordering::SeqCst);
            while !self.signs.spinning.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
            std::future::pending::<()>().await;
        }
        let late = self.signs.late.load(Ordering::SeqCst);
        while late && !self.signs.came_back.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        page.item()
    }

    /// Blocks its thread until it is released.
    async fn blocks(&self, _page: Page) -> Result {
        let free = self.signs.free.lock().unwrap();
        drop(self.signs.freed.wait_while(free, |free| !*free));
        Ok(())
    }
}

/// A site, and signs that release all steps in the end.
struct Trial {
    site: Site,
    signs: Arc<Signs>,
}

impl Trial {
    async fn new() -> Self {
        Self {
            site: Site::start("127.0.0.1:0").await.unwrap(),
            signs: Arc::default(),
        }
    }

    fn crawl(&self, spins: usize, waits: usize, blocks: usize) -> Crawl {
        let poison = Poison {
            site: Some(self.site.url()),
            spins,
            waits,
            blocks,
            signs: Arc::clone(&self.signs),
        };
        Crawl::new(poison).db("sqlite::memory:").with(|settings| {
            settings.step_timeout = Duration::from_secs(1);
            settings.step_threads = Some(1);
        })
    }

    fn hits(&self, kind: &str) -> usize {
        let hits = self.site.log().into_iter();
        hits.filter(|hit| hit.path.ends_with(kind)).count()
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.signs.release();
    }
}

fn is_stuck(event: &Event) -> bool {
    matches!(event, Event::Page(page) if page.reason == Some("step_stuck"))
}

/// One page was lost, by name; those that shared its thread were done again.
fn check(trial: &Trial, report: &Report, waited: usize) {
    assert_eq!(report.stop, Stop::Finished);
    assert_eq!(report.exit_code(), 1);
    let [group] = &*report.statistics.errors else {
        panic!("{:?}", report.statistics.errors);
    };
    assert_eq!((group.reason.as_str(), group.count), ("step_stuck", 1));
    let message = "the step did not come back for 1 s; its thread was given up";
    assert_eq!(group.message, message);
    assert_eq!(
        group.sample,
        trial.site.page("/graph/0?of=99&spins").as_str()
    );
    assert_eq!(report.statistics.pages, waited as u64);
    assert_eq!(report.statistics.item_count(), waited as u64);
    let hits = (trial.hits("spins"), trial.hits("waits"));
    assert_eq!(hits, (1, 2 * waited));
}

#[tokio::test]
async fn a_step_that_spins_costs_its_page_only() {
    let trial = Trial::new().await;
    let folder = tempfile::tempdir().unwrap();
    let db = format!("sqlite:{}", folder.path().join("crawl.db").display());
    // With one job left, it matters that the lost thread was the first to wait for it.
    let report = trial.crawl(1, 1, 0).db(&db).run().await.unwrap();
    check(&trial, &report, 1);
    assert!(!trial.signs.came_back.load(Ordering::SeqCst));
    // Though the step still spins, the database is free.
    nephila::store::open(&db).await.unwrap();
}

#[tokio::test]
async fn a_step_that_comes_back_too_late_is_not_counted() {
    let trial = Trial::new().await;
    trial.signs.late.store(true, Ordering::SeqCst);
    let signs = Arc::clone(&trial.signs);
    let crawl = trial.crawl(1, 3, 0).on_event(move |event| {
        if is_stuck(event) {
            signs.release();
        }
    });
    check(&trial, &crawl.run().await.unwrap(), 3);
    assert!(trial.signs.came_back.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_step_that_spins() {
    let trial = Trial::new().await;
    let crawl = trial.crawl(1, 0, 0).with(|settings| {
        settings.step_timeout = Duration::from_hours(1);
        settings.stop_timeout = Duration::from_millis(100);
    });
    let (stop, signs) = (crawl.stop_handle(), Arc::clone(&trial.signs));
    let stop_when_it_spins = async move {
        while !signs.spinning.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        stop.stop();
    };
    let (report, ()) = tokio::join!(crawl.run(), stop_when_it_spins);
    let report = report.unwrap();
    assert_eq!(report.stop, Stop::Interrupted);
    assert_eq!(report.statistics.left(), 1);
    let url = trial.site.page("/graph/0?of=99&spins");
    let warning = format!("step `spins` goes on after the stop, on {url}");
    assert_eq!(report.statistics.warnings, [warning]);
}

#[tokio::test]
async fn a_stop_drops_a_step_that_waits() {
    let trial = Trial::new().await;
    let crawl = trial.crawl(0, 1, 0).with(|settings| {
        settings.step_timeout = Duration::from_hours(1);
        settings.stop_timeout = Duration::from_millis(100);
    });
    let (stop, signs) = (crawl.stop_handle(), Arc::clone(&trial.signs));
    let stop_when_it_waits = async move {
        while signs.waiting.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        stop.stop();
    };
    let (report, ()) = tokio::join!(crawl.run(), stop_when_it_waits);
    let report = report.unwrap();
    assert_eq!(report.stop, Stop::Interrupted);
    assert_eq!(report.statistics.left(), 1);
    assert!(report.statistics.warnings.is_empty());
}

#[tokio::test]
async fn a_crawl_whose_steps_never_come_back_breaks() {
    let trial = Trial::new().await;
    let crawl = trial.crawl(0, 0, 60).with(|settings| {
        settings.step_timeout = Duration::from_millis(50);
        settings.step_threads = Some(8);
    });
    let report = crawl.run().await.unwrap();
    let Stop::Broken(reason) = &report.stop else {
        panic!("{:?}", report.stop);
    };
    assert_eq!(reason, "33 steps did not come back");
    assert!(report.statistics.failed < 60);
}

/// Of huge pages one is read at a time: what a lost thread held of that right goes on to the next.
#[tokio::test]
async fn a_huge_page_whose_step_spins_does_not_hold_up_the_others() {
    let huge = |title: &str| format!("<h1>{title}</h1>{}", " ".repeat(1 << 20));
    let url = |name: &str| format!("http://huge.example/{name}");
    let pages = nephila::testing::Pages::new()
        .html(&url("spins"), huge("a"))
        .html(&url("1"), huge("b"))
        .html(&url("2"), huge("c"));
    let signs = Arc::<Signs>::default();
    let spider = Huge {
        signs: Arc::clone(&signs),
    };
    let report = Crawl::new(spider)
        .db("sqlite::memory:")
        .with(|settings| {
            settings.step_timeout = Duration::from_secs(1);
            settings.step_threads = Some(2);
            settings.delay = Some(Duration::ZERO);
        })
        .fetch(pages)
        .run()
        .await;
    signs.release();
    let report = report.unwrap();
    assert_eq!(report.stop, Stop::Finished);
    assert_eq!((report.statistics.pages, report.statistics.failed), (2, 1));
    assert_eq!(report.statistics.errors[0].reason, "step_stuck");
}

#[derive(Default)]
struct Huge {
    signs: Arc<Signs>,
}

#[spider(start = [
    "http://huge.example/spins",
    "http://huge.example/1",
    "http://huge.example/2",
])]
impl Huge {
    async fn read(&self, page: Page) -> Result<Visit> {
        let spins = page.url().path() == "/spins";
        while spins && !self.signs.released.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
        page.item()
    }
}
