//! Connections: accept, read, answer, break off.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::call::Call;
use super::reply::{Broken, Payload, Reply};
use super::route;
use super::state::State;

/// Connections that are open at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4096;
/// The longest body of a request, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// How long to let connections end when there are no descriptors left for new ones.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Server {
    pub(super) state: Arc<State>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Server {
    pub(super) async fn accept(self, listener: TcpListener) {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.accept_all(listener)).await;
    }

    async fn accept_all(self, listener: TcpListener) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let serve = serve(stream, Arc::clone(&self.state), slot);
                    let stop = self.stop.clone();
                    self.tasks
                        .spawn(async move { stop.run_until_cancelled(serve).await });
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }
}

/// Serves one connection until the peer has enough. There is no time-out for an idle peer: the
/// clients are ours, a stop ends it, and closing a kept-alive connection would race with its next
/// request.
async fn serve(stream: TcpStream, state: Arc<State>, _slot: OwnedSemaphorePermit) {
    // Without it a small answer may wait for the acknowledgement of the one before: slow, not wrong.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(Arc::clone(&state), request));
    let mut connection = http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    let Err(error) = (&mut connection).await else {
        return;
    };
    let broken = error
        .source()
        .and_then(|source| source.downcast_ref::<Broken>());
    if broken == Some(&Broken::BeforeHead) {
        // A close with zero linger is a reset; where that fails the peer sees an early end instead.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Payload>, Broken> {
    let (parts, body) = request.into_parts();
    let mut call = Call::new(parts, state.address);
    let open = state.log.open(&call);
    let reply = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => {
            call.body = body.to_bytes();
            route::reply(&state, &call)
        }
        Err(_) => Reply::status(StatusCode::PAYLOAD_TOO_LARGE),
    };
    let delay = state.options.latency + reply.delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if let Some(open) = open
        && !reply.is_reset()
    {
        open.answer(reply.status.as_u16());
    }
    reply.into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::super::Site;
    use super::super::client::{ask, get, site};

    #[tokio::test]
    async fn a_connection_is_kept() {
        let site = site().await;
        let mut stream = TcpStream::connect(site.address())
            .await
            .expect("a connection");
        for _ in 0..3 {
            stream
                .write_all(b"GET /status/204 HTTP/1.1\r\nHost: a\r\n\r\n")
                .await
                .expect("sent");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("more"));
            }
            assert!(head.starts_with(b"HTTP/1.1 204 No Content\r\n"));
        }
        assert_eq!(site.hits(), 3);
    }

    #[tokio::test]
    async fn a_proxy_request_names_its_host() {
        let site = site().await;
        let path = "http://other.test:81/echo?a=1";
        let answer = ask(&site, "GET", path, &[], "")
            .await
            .expect("an answer")
            .text();
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["host"], "other.test:81");
        assert_eq!(answer["path"], "/echo?a=1");
    }

    #[tokio::test]
    async fn a_large_body_is_refused() {
        let site = site().await;
        let check = async |bytes: usize, expected: u16| {
            let body = "x".repeat(bytes);
            let answer = ask(&site, "POST", "/echo", &[], &body)
                .await
                .expect("an answer");
            assert_eq!(answer.status, expected, "{bytes}");
        };
        check(super::MAX_BODY, 200).await;
        check(super::MAX_BODY + 1, 413).await;
    }

    #[tokio::test]
    async fn a_stopped_site_breaks_off_and_frees_its_port() {
        let site = site().await;
        let address = site.address();
        let mut idle = TcpStream::connect(address).await.expect("a connection");
        idle.write_all(b"GET /slow?ms=60000 HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .expect("sent");
        while site.hits() == 0 {
            tokio::task::yield_now().await;
        }
        site.stop().await;
        site.wait().await;
        assert_eq!(idle.read(&mut [0; 10]).await.unwrap_or(0), 0);
        TcpStream::connect(address)
            .await
            .expect_err("nobody listens");
        let again = Site::start(&address.to_string())
            .await
            .expect("the same port");
        assert_eq!(get(&again, "/").await.status, 200);
    }

    #[tokio::test]
    async fn a_dropped_site_stops() {
        let site = site().await;
        let tasks = site.tasks.clone();
        let _idle = TcpStream::connect(site.address())
            .await
            .expect("a connection");
        drop(site);
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn urls_have_the_port() {
        let site = site().await;
        let port = site.address().port();
        let check = |url: url::Url, expected: String| assert_eq!(url.as_str(), expected);
        check(site.url(), format!("http://127.0.0.1:{port}/"));
        check(site.page("/a?b"), format!("http://127.0.0.1:{port}/a?b"));
        check(
            site.page_on("a.localhost", "/"),
            format!("http://a.localhost:{port}/"),
        );
        check(site.page_on("::1", "/"), format!("http://[::1]:{port}/"));
    }
}
