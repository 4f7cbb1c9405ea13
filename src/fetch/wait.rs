//! How long an answer may take: to its head, without a byte, and at what rate.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::failure::{bytes_as_text, time_as_text};
use super::{FailureKind, FetchError};

/// The waits of one crawl.
#[derive(Debug)]
pub(super) struct Wait {
    /// From the request, connecting included, to the end of the answer's head.
    pub(super) first_byte: Duration,
    /// Without a byte of the body.
    pub(super) idle: Duration,
    /// Bytes a second that a body must come with, on the average over `idle`.
    pub(super) min_rate: usize,
}

/// The wait for one body.
#[derive(Debug)]
pub(super) struct BodyWait<'a> {
    wait: &'a Wait,
    /// Waited since the rate was last looked at; what the crawl itself takes does not count.
    waited: Duration,
    bytes: usize,
}

impl Wait {
    /// Waits for the head of an answer.
    pub(super) async fn head<T>(&self, head: impl Future<Output = T>) -> Result<T, FetchError> {
        timeout(self.first_byte, head)
            .await
            .map_err(|_| late(format!("no answer in {}", time_as_text(self.first_byte))))
    }

    pub(super) fn body(&self) -> BodyWait<'_> {
        BodyWait {
            wait: self,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }
}

impl BodyWait<'_> {
    /// Waits for the next piece of a body.
    pub(super) async fn piece<E>(
        &mut self,
        piece: impl Future<Output = Result<Option<Bytes>, E>>,
    ) -> Result<Result<Option<Bytes>, E>, FetchError> {
        let Wait { idle, min_rate, .. } = *self.wait;
        let started = Instant::now();
        let Ok(piece) = timeout(idle, piece).await else {
            return Err(late(format!("no byte for {}", time_as_text(idle))));
        };
        self.waited += started.elapsed();
        let Ok(Some(bytes)) = &piece else {
            return Ok(piece);
        };
        self.bytes += bytes.len();
        if self.waited >= idle {
            let needed = min_rate as f64 * self.waited.as_secs_f64();
            if (self.bytes as f64) < needed {
                let (rate, time) = (bytes_as_text(min_rate), time_as_text(idle));
                return Err(late(format!("less than {rate} a second for {time}")));
            }
            (self.waited, self.bytes) = (Duration::ZERO, 0);
        }
        Ok(piece)
    }
}

fn late(message: String) -> FetchError {
    FetchError::new(FailureKind::Timeout, message)
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const WAIT: Wait = Wait {
        first_byte: Duration::from_secs(5),
        idle: Duration::from_secs(10),
        min_rate: 100,
    };

    /// How a body ends whose pieces of `bytes` come every `pause`, and the seconds until then.
    async fn check(bytes: usize, pause: Duration, expected: Result<(), &str>, seconds: u64) {
        let mut body = WAIT.body();
        let started = Instant::now();
        let mut outcome = Ok(());
        for _ in 0..100 {
            let piece = async {
                sleep(pause).await;
                Ok::<_, ()>(Some(Bytes::from(vec![0; bytes])))
            };
            if let Err(error) = body.piece(piece).await {
                outcome = Err(error.message);
                break;
            }
            // What is done with a piece takes time that is not the server's.
            sleep(SECOND).await;
        }
        assert_eq!(outcome, expected.map_err(str::to_owned));
        let own =
            SECOND * (started.elapsed().as_secs_f64() / (pause + SECOND).as_secs_f64()) as u32;
        let waited = started.elapsed().saturating_sub(own);
        assert_eq!(waited.as_secs(), seconds);
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_come_at_a_rate() {
        check(200, SECOND, Ok(()), 100).await;
        check(100, SECOND, Ok(()), 100).await;
        check(99, SECOND, Err("less than 100 bytes a second for 10 s"), 10).await;
        check(5_000, SECOND * 9, Ok(()), 900).await;
        check(
            1,
            SECOND * 9,
            Err("less than 100 bytes a second for 10 s"),
            18,
        )
        .await;
        check(5_000, SECOND * 11, Err("no byte for 10 s"), 10).await;
    }

    #[tokio::test(start_paused = true)]
    async fn heads_come_in_time() {
        assert!(WAIT.head(sleep(SECOND * 4)).await.is_ok());
        let error = WAIT.head(sleep(SECOND * 6)).await.unwrap_err();
        assert_eq!(error.message, "no answer in 5 s");
    }
}
