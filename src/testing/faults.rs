//! Faults on purpose.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http::StatusCode;

use crate::fetch::{FailureKind, FetchError, Middleware, Next};
use crate::request::{Request, Response};

/// A stage that makes the network worse: slow answers, none, bad statuses, pages that are cut short. What
/// befalls a request is drawn; the same seed draws the same row of faults.
///
/// It is a [`Middleware`], see [the module](crate::testing). robots.txt files are spared unless
/// [`of_robots`](Self::of_robots) says otherwise.
#[derive(Debug)]
pub struct Faults {
    random: Mutex<fastrand::Rng>,
    latency: Option<(Duration, Duration)>,
    failing: f64,
    cut: f64,
    statuses: Vec<(StatusCode, f64)>,
    robots: bool,
}

impl Faults {
    /// No faults yet.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            latency: None,
            failing: 0.0,
            cut: 0.0,
            statuses: Vec::new(),
            robots: false,
        }
    }

    /// Each answer takes a time between these two.
    #[must_use]
    pub fn latency(self, least: Duration, most: Duration) -> Self {
        let latency = Some((least, most.max(least)));
        Self { latency, ..self }
    }

    /// This share of requests (0 to 1) gets no answer: the connection breaks.
    #[must_use]
    pub fn failing(self, share: f64) -> Self {
        Self {
            failing: share,
            ..self
        }
    }

    /// This share of requests gets a status and no page instead of an answer; may be said for several.
    ///
    /// # Panics
    /// If it is no status.
    #[must_use]
    #[expect(clippy::panic, reason = "a mistake in a test is to stop it")]
    pub fn status(mut self, status: u16, share: f64) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or_else(|_| panic!("no status {status}"));
        self.statuses.push((status, share));
        self
    }

    /// This share of answers ends half-way, as pages do that a server breaks off without saying so.
    #[must_use]
    pub fn cut(self, share: f64) -> Self {
        Self { cut: share, ..self }
    }

    /// robots.txt files are not spared.
    #[must_use]
    pub fn of_robots(self) -> Self {
        Self {
            robots: true,
            ..self
        }
    }

    fn draw(&self) -> Drawn {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = self
            .latency
            .map(|(least, most)| least + most.saturating_sub(least).mul_f64(random.f64()));
        let fails = random.f64() < self.failing;
        let cut = random.f64() < self.cut;
        let lot = random.f64();
        let mut below = 0.0;
        let status = self.statuses.iter().find(|(_, share)| {
            below += share;
            lot < below
        });
        Drawn {
            pause,
            fails,
            cut,
            status: status.map(|(status, _)| *status),
        }
    }
}

/// What befalls a request.
struct Drawn {
    pause: Option<Duration>,
    fails: bool,
    cut: bool,
    status: Option<StatusCode>,
}

impl Middleware for Faults {
    async fn handle(&self, request: &Request, next: Next) -> Result<Response, FetchError> {
        if request.step.is_robots() && !self.robots {
            return next.fetch(request).await;
        }
        let drawn = self.draw();
        if let Some(pause) = drawn.pause {
            tokio::time::sleep(pause).await;
        }
        if drawn.fails {
            let message = "the connection broke (a fault on purpose)";
            return Err(FetchError::new(FailureKind::Reset, message));
        }
        if let Some(status) = drawn.status {
            let mut response = Response::new(request.url.clone(), "");
            response.status = status;
            return Ok(response);
        }
        let mut response = next.fetch(request).await?;
        if drawn.cut {
            response.body = response.body.slice(..response.body.len() / 2);
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::StepRef;
    use crate::testing::Pages;

    /// What became of so many requests.
    fn fates(faults: &Faults, number: usize) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let url: url::Url = "http://e.x/".parse().unwrap();
        let pages = Pages::new().html("http://e.x/", "0123456789");
        let request = Request::new(url, StepRef::named("page"));
        let fate = async || {
            use crate::fetch::Fetch as _;
            let pages = pages.clone();
            let wire = move |request: Request, _: Next| {
                let pages = pages.clone();
                async move { pages.fetch(&request).await }
            };
            match faults.handle(&request, Next::stage(wire)).await {
                Err(error) => error.message,
                Ok(response) => format!("{} {}", response.status.as_u16(), response.body.len()),
            }
        };
        runtime.block_on(async {
            let mut all = Vec::new();
            for _ in 0..number {
                all.push(fate().await);
            }
            all
        })
    }

    #[test]
    fn shares_are_about_what_was_asked_for_and_repeat() {
        let faults = || {
            Faults::new(7)
                .latency(Duration::from_secs(1), Duration::from_secs(100))
                .failing(0.1)
                .status(503, 0.2)
                .status(404, 0.1)
                .cut(0.1)
        };
        let all = fates(&faults(), 2_000);
        let share =
            |fate: &str| all.iter().filter(|all| all.contains(fate)).count() as f64 / 2_000.0;
        for (fate, expected) in [
            ("broke", 0.1),
            ("503 0", 0.18),
            ("404 0", 0.09),
            ("200 5", 0.06),
        ] {
            let found = share(fate);
            assert!((found - expected).abs() < 0.03, "{fate}: {found}");
        }
        assert_eq!(all, fates(&faults(), 2_000));
        assert!(
            fates(&Faults::new(1), 100)
                .iter()
                .all(|fate| fate == "200 10")
        );
    }
}
