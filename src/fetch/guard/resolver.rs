//! Names to addresses, each name once in a while, and only to addresses that the guard allows.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::Instant;

use super::Guard;

const MAX_NAMES: usize = 4_096;
/// How long a look-up for politeness alone may take.
const LOOKUP: Duration = Duration::from_secs(5);

type Addresses = Arc<[SocketAddr]>;
/// I/O errors can't be cloned.
type Answer = Result<Addresses, Arc<io::Error>>;
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Lookup = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// A resolver for reqwest, over the system's.
#[derive(Clone)]
pub(in crate::fetch) struct Resolver {
    guard: Guard,
    /// How long an answer is used. The system does not tell how long it holds.
    ttl: Duration,
    lookup: Arc<Lookup>,
    names: Arc<Mutex<HashMap<String, Known>>>,
}

struct Known {
    until: Instant,
    addresses: Shared<BoxFuture<'static, Answer>>,
}

/// The address that stands for a host where hosts at one address are one: the least of its own, or
/// `None` if it has none, or none in time.
pub(crate) async fn address_of(host: &str) -> Option<IpAddr> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return Some(address);
    }
    let lookup = tokio::net::lookup_host((host, 0));
    let found = tokio::time::timeout(LOOKUP, lookup).await.ok()?.ok()?;
    found.map(|address| address.ip()).min()
}

/// A name without addresses.
#[derive(Debug)]
pub(in crate::fetch) struct Unresolved(Arc<io::Error>);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The system's codes are lost in std; this is EAI_AGAIN's text, everywhere.
        if self.0.to_string().contains("emporary failure") {
            f.write_str("the name server does not answer")
        } else {
            f.write_str("no such host")
        }
    }
}

impl std::error::Error for Unresolved {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

impl Resolver {
    pub(in crate::fetch) fn new(guard: Guard, ttl: Duration) -> Self {
        Self::with_lookup(guard, ttl, |name| {
            async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }.boxed()
        })
    }

    pub(in crate::fetch) fn with_lookup(
        guard: Guard,
        ttl: Duration,
        lookup: impl Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            guard,
            ttl,
            lookup: Arc::new(lookup),
            names: Arc::default(),
        }
    }

    /// The addresses of `name` that may be connected to; at least one.
    async fn allowed(&self, name: &str) -> Result<Vec<SocketAddr>, Failure> {
        let addresses = self.addresses(name).await.map_err(Unresolved)?;
        let mut refused = None;
        let mut allowed = Vec::with_capacity(addresses.len());
        for address in &*addresses {
            match self.guard.check_resolved(name, address.ip()) {
                Ok(()) => allowed.push(*address),
                Err(reason) => refused = Some(reason),
            }
        }
        match refused {
            Some(reason) if allowed.is_empty() => Err(reason.into()),
            _ => Ok(allowed),
        }
    }

    /// All addresses of `name`. Who asks while somebody else does waits for the same answer.
    async fn addresses(&self, name: &str) -> Answer {
        let answer = self.ask(name).await;
        if answer.is_err() {
            self.lock().remove(name);
        }
        answer
    }

    fn ask(&self, name: &str) -> Shared<BoxFuture<'static, Answer>> {
        let now = Instant::now();
        let mut names = self.lock();
        if let Some(known) = names.get(name).filter(|known| now < known.until) {
            return known.addresses.clone();
        }
        if names.len() >= MAX_NAMES {
            names.retain(|_, known| now < known.until);
        }
        if names.len() >= MAX_NAMES {
            // Whoever waits holds his own end of the answer.
            names.clear();
        }
        let found = (self.lookup)(name.to_owned());
        let addresses = async move {
            match found.await {
                Ok(addresses) if addresses.is_empty() => Err(io::ErrorKind::NotFound.into()),
                outcome => outcome,
            }
            .map(Into::into)
            .map_err(Arc::new)
        };
        let addresses = addresses.boxed().shared();
        let until = now + self.ttl;
        let known = Known {
            until,
            addresses: addresses.clone(),
        };
        names.insert(name.to_owned(), known);
        addresses
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.allowed(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// A resolver where every name has `addresses`, and how often it was asked.
    fn resolver(guard: &Guard, addresses: &'static [&str]) -> (Resolver, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let resolver = Resolver::with_lookup(guard.clone(), Duration::from_mins(1), move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            let found = addresses.iter().map(|text| text.parse().unwrap());
            let found: Vec<SocketAddr> = found.map(|ip| SocketAddr::new(ip, 0)).collect();
            async move { Ok(found) }.boxed()
        });
        (resolver, asked)
    }

    async fn check(addresses: &'static [&str], expected: &str) {
        let (resolver, _) = resolver(&Guard::new(), addresses);
        let said = match resolver.allowed("a.example").await {
            Ok(allowed) => format!(
                "{:?}",
                allowed.iter().map(SocketAddr::ip).collect::<Vec<_>>()
            ),
            Err(error) => error.to_string(),
        };
        assert_eq!(said, expected, "{addresses:?}");
    }

    #[tokio::test]
    async fn only_allowed_addresses_are_handed_out() {
        check(&["8.8.8.8", "2606:4700::1"], "[8.8.8.8, 2606:4700::1]").await;
        check(&["10.0.0.1"], "10.0.0.1 is a private address").await;
        check(&["127.0.0.1", "8.8.8.8", "::1"], "[8.8.8.8]").await;
        check(&["::1", "127.0.0.1"], "127.0.0.1 is a loopback address").await;
        check(&[], "no such host").await;
    }

    /// A machine that says it has IPv6, and a server that has not.
    #[tokio::test]
    async fn an_address_where_nobody_listens_is_passed_over() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = tokio::task::JoinSet::new();
        server.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = b"HTTP/1.1 204 No\r\nConnection: close\r\n\r\n";
                let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await;
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
            }
        });
        let guard = Guard::new();
        guard.allow_host("two.example");
        for addresses in [&["::1", "127.0.0.1"], &["127.0.0.1", "::1"]] {
            let (resolver, _) = resolver(&guard, addresses);
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let tls = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth();
            let client = reqwest::Client::builder()
                .no_proxy()
                .tls_backend_preconfigured(tls)
                .dns_resolver(Arc::new(resolver))
                .build()
                .unwrap();
            let url = format!("http://two.example:{port}/");
            assert_eq!(client.get(url).send().await.unwrap().status(), 204);
        }
    }

    #[tokio::test]
    async fn a_host_may_be_allowed_later() {
        let guard = Guard::new();
        let (resolver, _) = resolver(&guard, &["127.0.0.1"]);
        assert!(resolver.allowed("localhost").await.is_err());
        guard.allow_host("localhost");
        assert!(resolver.allowed("localhost").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn answers_hold_a_minute() {
        let (resolver, asked) = resolver(&Guard::new(), &["8.8.8.8"]);
        for (wait, expected) in [(0, 1), (59, 1), (2, 2), (0, 2)] {
            tokio::time::advance(Duration::from_secs(wait)).await;
            resolver.allowed("a.example").await.unwrap();
            assert_eq!(asked.load(Ordering::SeqCst), expected);
        }
        resolver.allowed("b.example").await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn who_asks_at_once_shares_the_answer() {
        let asked = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Semaphore::new(0));
        let (counter, door) = (Arc::clone(&asked), Arc::clone(&gate));
        let resolver = Resolver::with_lookup(Guard::new(), Duration::from_mins(1), move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            let door = Arc::clone(&door);
            async move {
                let _open = door.acquire().await;
                Err(io::Error::other("no such host"))
            }
            .boxed()
        });
        let waiting =
            futures_util::future::join_all((0..10).map(|_| resolver.allowed("a.example")));
        let open = async { gate.add_permits(1) };
        let (answers, ()) = futures_util::future::join(waiting, open).await;
        assert!(answers.iter().all(Result::is_err));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert!(resolver.allowed("a.example").await.is_err());
        assert_eq!(asked.load(Ordering::SeqCst), 2, "failures are not kept");
    }

    #[tokio::test]
    async fn the_table_of_names_is_bounded() {
        let (resolver, _) = resolver(&Guard::new(), &["8.8.8.8"]);
        for n in 0..2 * MAX_NAMES {
            resolver.allowed(&format!("a{n}.example")).await.unwrap();
        }
        assert!(resolver.lock().len() <= MAX_NAMES);
    }
}
