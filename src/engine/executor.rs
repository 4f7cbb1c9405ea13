//! Where steps run: one thread per core, each with an executor of its own.
//!
//! User code stays on the thread that began it, so it need not be `Send`. A step that fails, panics,
//! takes too long or does not come back costs its own page and nothing else.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::committer::Finished;
use super::deaths;
use super::dispatcher::Message;
use super::event::Event;
use super::lanes::{Next, Waiting};
use super::life;
use super::login::Pass;
use super::shared::Shared;
use super::step;
use super::watchdog::{Held, SEATS, Seat, StepThread, Watched};
use crate::panics;
use crate::request::{Response, Result, without_logins};
use crate::spider::{Login, Seeds};
use crate::store::Ticket;

/// A page for a step.
pub(super) struct Job {
    pub(super) ticket: Arc<Ticket>,
    pub(super) response: Response,
    pub(super) took: Duration,
    pub(super) call: Call,
    /// Of the session that fetched it, if that had to log in.
    pub(super) pass: Option<Pass>,
}

/// Which method is called.
pub(super) enum Call {
    /// The step itself.
    Step,
    /// The step's error handler, if it has one: the request finally failed.
    Failed {
        reason: &'static str,
        message: String,
        /// Whether an answer came.
        answered: bool,
    },
}

impl Job {
    fn held(&self) -> Held {
        let answered = match &self.call {
            Call::Step => true,
            Call::Failed { answered, .. } => *answered,
        };
        Held {
            ticket: Arc::clone(&self.ticket),
            status: if answered {
                self.response.status.as_u16()
            } else {
                0
            },
            took: self.took,
            bytes: self.response.wire_bytes,
        }
    }
}

/// Threads that may be lost to steps that do not come back; each costs a core as long as it computes.
const MAX_LOST: usize = 32;
/// How long the end of a crawl waits for steps that compute.
const GRACE: Duration = Duration::from_secs(1);

/// The threads that run steps. They end with this.
pub(super) struct Executors {
    shared: Arc<Shared>,
    jobs: Waiting,
    dispatcher: mpsc::Sender<Message>,
    threads: Vec<Watched>,
    started: usize,
    end: CancellationToken,
    living: mpsc::Sender<()>,
    alive: mpsc::Receiver<()>,
}

impl Executors {
    /// Starts `threads` threads. They and their seeds end with `end`.
    pub(super) fn start(
        shared: &Arc<Shared>,
        jobs: Waiting,
        dispatcher: mpsc::Sender<Message>,
        end: CancellationToken,
        threads: usize,
    ) -> std::io::Result<Self> {
        let (living, alive) = mpsc::channel(1);
        let mut executors = Self {
            shared: Arc::clone(shared),
            jobs,
            dispatcher,
            threads: Vec::with_capacity(threads),
            started: 0,
            end,
            living,
            alive,
        };
        for _ in 0..threads {
            executors.add()?;
        }
        Ok(executors)
    }

    fn add(&mut self) -> std::io::Result<()> {
        let notes = self.shared.deaths.as_ref();
        let notes = notes.map(|deaths| (self.started, Arc::clone(deaths)));
        let thread = StepThread::new(self.end.child_token(), self.living.clone(), notes);
        let thread = Arc::new(thread);
        let mut threads = self
            .shared
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| thread.strong_count() > 0);
        threads.push(Arc::downgrade(&thread));
        drop(threads);
        self.threads.push(Watched::new(Arc::clone(&thread)));
        let worker = Worker {
            shared: Arc::clone(&self.shared),
            jobs: self.jobs.clone(),
            dispatcher: self.dispatcher.clone(),
            thread,
        };
        let name = format!("nephila-step-{}", self.started);
        self.started += 1;
        let work = move || async move { worker.work().await }.boxed_local();
        (self.shared.threads_by)(name, Box::new(work))
    }

    /// Watches over the threads until the crawl ends them, and waits for that.
    pub(super) async fn watch(mut self) {
        let limit = self.shared.settings.step_timeout;
        let pause = (limit / 8).clamp(Duration::from_millis(1), Duration::from_secs(1));
        let end = self.end.clone();
        while end
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_some()
        {
            for at in (0..self.threads.len()).rev() {
                if let Some((stuck, others)) = self.threads[at].look(pause, limit) {
                    self.threads.swap_remove(at);
                    self.replace(&stuck, &others).await;
                }
            }
            self.poke();
            if self.threads.iter().all(|watched| watched.thread.is_gone()) {
                self.give_up("no thread can be had to run steps".to_owned())
                    .await;
            }
        }
        self.join().await;
    }

    /// Settles what a lost thread had in its hands, and starts another in its place.
    async fn replace(&mut self, stuck: &Held, others: &[Held]) {
        let limit = self.shared.settings.step_timeout.as_secs_f32();
        let message = format!("the step did not come back for {limit} s; its thread was given up");
        life::commit(&self.shared, stuck.failed("step_stuck", message)).await;
        let others = others.iter().map(|held| held.ticket.key).collect();
        // Only fails when the crawl is being torn down.
        let _ = self.dispatcher.send(Message::Returned(others)).await;
        let lost = self.lost();
        if lost > MAX_LOST {
            self.give_up(format!("{lost} steps did not come back"))
                .await;
        } else if let Err(error) = self.add() {
            self.give_up(format!("can't start another thread for steps: {error}"))
                .await;
        }
    }

    /// A lost thread that waited for jobs, too, may have been the one that was told of the latest.
    fn poke(&self) {
        if self.lost() > 0 && !self.jobs.is_empty() {
            for watched in &self.threads {
                watched.thread.poke.notify_one();
            }
        }
    }

    fn lost(&self) -> usize {
        self.started - self.threads.len()
    }

    async fn give_up(&self, reason: String) {
        let _ = self.dispatcher.send(Message::Broken(reason)).await;
    }

    /// Waits until all threads have ended, but for those whose steps compute on and on.
    async fn join(mut self) {
        let (nobody, _) = mpsc::channel(1);
        self.living = nobody;
        if tokio::time::timeout(GRACE, self.alive.recv()).await.is_ok() {
            return;
        }
        for watched in &self.threads {
            if let Some(held) = watched.thread.at() {
                let (step, url) = (&held.ticket.request.step.name, &held.ticket.request.url);
                let why = format!("step `{step}` goes on after the stop, on {url}");
                self.shared.bus.emit(&Event::Warning(why));
            }
        }
    }
}

/// Runs the spider's `seeds` on a thread of its own until `end`, and says how it went.
pub(super) fn run_seeds(
    shared: &Arc<Shared>,
    seeds: Seeds,
    end: CancellationToken,
) -> oneshot::Receiver<Result> {
    let spider = Arc::clone(&shared.spider);
    let call = async move || spider.seeds(seeds).await;
    run_once(shared, "start", "the crawl has ended", end, call)
}

/// Runs the spider's `login` on a thread of its own until `end`, and says how it went.
pub(super) fn run_login(
    shared: &Arc<Shared>,
    login: Login,
    end: CancellationToken,
) -> oneshot::Receiver<Result> {
    let spider = Arc::clone(&shared.spider);
    let call = async move || spider.login(login).await;
    run_once(shared, "login", "it was given up", end, call)
}

/// Calls user code on a thread of its own until `end`, which `ended` says.
fn run_once(
    shared: &Shared,
    name: &str,
    ended: &'static str,
    end: CancellationToken,
    call: impl AsyncFnOnce() -> Result + Send + 'static,
) -> oneshot::Receiver<Result> {
    let (done, outcome) = oneshot::channel();
    let work = move || {
        let run = async move {
            let call = AssertUnwindSafe(call()).catch_unwind();
            // Nobody may want to know any more.
            let _ = done.send(match end.run_until_cancelled(call).await {
                Some(Ok(outcome)) => outcome,
                Some(Err(panic)) => Err(panics::described(&*panic).into()),
                None => Err(ended.into()),
            });
        };
        run.boxed_local()
    };
    // If no thread can be had, the receiver sees a closed channel.
    let _ = (shared.threads_by)(format!("nephila-{name}"), Box::new(work));
    outcome
}

/// What a thread does; it has left when this is dropped.
struct Worker {
    shared: Arc<Shared>,
    jobs: Waiting,
    dispatcher: mpsc::Sender<Message>,
    thread: Arc<StepThread>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.thread.leave();
    }
}

impl Worker {
    /// Runs jobs until the thread's end.
    async fn work(&self) {
        let permits = Arc::new(Semaphore::new(SEATS));
        let end = &self.thread.end;
        while let Some(Ok(permit)) = end
            .run_until_cancelled(Arc::clone(&permits).acquire_owned())
            .await
            && let Some((job, turn)) = self.next().await
        {
            let held = job.held();
            let Some(seat) = self.thread.sit(held.clone()) else {
                // It was given up between two looks at its end, and its seats are taken away.
                let returned = Message::Returned(vec![held.ticket.key]);
                let _ = self.dispatcher.send(returned).await;
                return;
            };
            seat.keep(turn);
            let shared = Arc::clone(&self.shared);
            tokio::task::spawn_local(async move {
                seat.watch(run(&shared, job, &held, &seat)).await;
                // The seat is free before its permit is.
                drop(seat);
                drop(permit);
            });
            // What has been begun goes first, and other threads have their share.
            tokio::task::yield_now().await;
        }
        // Without an end of its own: every step has its time-out, and the crawl its end.
        let idle = permits.acquire_many(SEATS as u32);
        let _ = end.run_until_cancelled(idle).await;
    }

    /// The next job; none once there can be no more, or the thread is to end.
    async fn next(&self) -> Option<Next> {
        let StepThread { end, poke, .. } = &*self.thread;
        loop {
            if end.is_cancelled() {
                return None;
            }
            if let Some(next) = self.jobs.try_next() {
                return Some(next);
            }
            tokio::select! {
                biased;
                () = end.cancelled() => return None,
                () = poke.notified() => {}
                next = self.jobs.next() => return next,
            }
        }
    }
}

/// Requests and items of a huge page from which on the next one waits until they are stored: all in memory
/// at once would be too much.
const LARGE_COMMIT: usize = 5_000;

/// Runs a job to its end, whatever that is.
async fn run(shared: &Shared, job: Job, held: &Held, seat: &Seat) {
    if let Some(finished) = fatal(shared, held) {
        return life::commit(shared, finished).await;
    }
    let span = life::span(shared, &held.ticket);
    let finished = AssertUnwindSafe(step::run(shared, job, held).instrument(span)).catch_unwind();
    let mut finished = finished
        .await
        .unwrap_or_else(|panic| held.failed("panic", panics::described(&*panic)));
    if finished.commit.requests.len() + finished.commit.records.len() >= LARGE_COMMIT {
        finished.turn = seat.take_turn();
    }
    life::commit(shared, finished).await;
}

/// What becomes of a page that processes have died of; it is read again as long as that may be chance.
fn fatal(shared: &Shared, held: &Held) -> Option<Finished> {
    let deaths = shared.deaths.as_ref()?.of(held.ticket.key.seq);
    if deaths == 0 {
        return None;
    }
    let request = &held.ticket.request;
    let (step, url) = (&request.step.name, without_logins(request.url.as_str()));
    if deaths >= deaths::MOST {
        let message = format!("the process died {deaths} times while step `{step}` read it");
        return Some(held.failed("crash", message));
    }
    let why = format!(
        "the process has died while step `{step}` read {url} ({deaths} of {}); it is read again",
        deaths::MOST
    );
    shared.bus.emit(&Event::Warning(why));
    None
}
