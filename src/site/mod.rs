//! The bundled site: a web server in the binary, to scrape without a network.
//!
//! `nephila demo` crawls it, the tests crawl it, `nephila bench` measures against it. It is a shop
//! of books with everything around it that makes the real web hard: a login with a CSRF token, a
//! JSON API, redirects and loops, slow and flaky answers, fifteen ways to get a charset wrong, and
//! pages that attack their reader. `/zoo` lists all of it.
//!
//! Every page is computed from its URL, so that two sites with the same [`Options`] give the same
//! bytes. What a spider should have found is therefore known without asking the site:
//! [`Product::of`], [`CHARSETS`], [`ENCODINGS`], [`ORDERS`], [`QUOTES`].
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use nephila::site::Site;
//!
//! let site = Site::start("127.0.0.1:0").await?;
//! assert_eq!(site.shop_pages(), 1100);
//! assert!(site.page("/book/7").as_str().ends_with("/book/7"));
//! site.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! The site binds one address and answers to any `Host`, so `http://a.localhost:PORT/` and
//! `http://b.localhost:PORT/` are two hosts for a crawler. It also answers requests in absolute
//! form, which is what a client sends to a proxy. Do not put it on a public address: it trusts
//! everybody, and redirects to anywhere.

mod api;
mod book;
mod call;
mod charsets;
mod encodings;
mod faults;
mod graph;
mod hostile;
mod html;
mod log;
mod orders;
mod product;
mod redirects;
mod reply;
mod route;
mod server;
mod shop;
mod sitemap;
mod state;
mod template;
mod words;
mod zoo;
#[cfg(test)]
mod client;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

pub use self::api::QUOTES;
pub use self::charsets::{CHARSETS, Charset};
pub use self::encodings::{ENCODED_H1, ENCODINGS};
pub use self::log::{Hit, MAX_HITS};
pub use self::orders::{ORDERS, PASSWORD, USER};
pub use self::product::{CATEGORIES, Product};
use self::state::State;

/// How the site is: its size, its speed, what it remembers.
#[derive(Clone, Debug)]
pub struct Options {
    /// Books in the shop, numbered from 1. Default 1000.
    pub products: usize,
    /// About how many bytes of HTML a book's page has; pages differ by a fifth up or down, and
    /// none is under about 13 kB. Default 20 000.
    pub page_bytes: usize,
    /// How long every answer waits. Default zero.
    pub latency: Duration,
    /// Whether requests are remembered for [`Site::log`]. Default true.
    pub log: bool,
    /// Which prices are shown where a URL has no `run=N`. In a run other than 0 every tenth book
    /// costs something else. Default 0.
    pub run: u64,
    /// Which layout is shown where a URL has no `layout=N`: 1, or 2 with other tags and class
    /// names. Default 1.
    pub layout: u8,
    /// Status and text of `/robots.txt`, in place of the site's own. Default none.
    pub robots: Option<(u16, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            products: 1000,
            page_bytes: 20_000,
            latency: Duration::ZERO,
            log: true,
            run: 0,
            layout: 1,
            robots: None,
        }
    }
}

/// A running site. It stops when dropped.
#[derive(Debug)]
pub struct Site {
    state: Arc<State>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Site {
    /// Starts a site with the default [`Options`]; port 0 picks a free one.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(addr: &str) -> io::Result<Self> {
        Self::start_with(addr, Options::default()).await
    }

    /// Starts a site. Its tasks run on the caller's runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start_with(addr: &str, options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let site = Self {
            state: Arc::new(State::new(options, listener.local_addr()?)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let server = server::Server {
            state: Arc::clone(&site.state),
            tasks: site.tasks.clone(),
            stop: site.stop.clone(),
        };
        site.tasks.spawn(server.accept(listener));
        Ok(site)
    }

    /// The address that is bound.
    pub fn address(&self) -> SocketAddr {
        self.state.address
    }

    /// The home page, for example `http://127.0.0.1:8123/`.
    pub fn url(&self) -> Url {
        self.page("/")
    }

    /// The URL of a path (and query), which begins with `/`.
    pub fn page(&self, path: &str) -> Url {
        self.page_on(&self.address().ip().to_string(), path)
    }

    /// The same under another host name, for example `a.localhost`.
    pub fn page_on(&self, host: &str, path: &str) -> Url {
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let port = self.address().port();
        Url::parse(&format!("http://{host}:{port}{path}")).expect("a host, a port and a path")
    }

    /// How many pages a crawl from the home page finds when it follows every link of the shop: the
    /// home page, the list pages and the books. 1100 by default.
    ///
    /// The home page is the first of the pages that list all books (`li.next a`, 50 by default),
    /// and leads to the lists by category (5 pages each).
    pub fn shop_pages(&self) -> usize {
        shop::pages(self.state.options.products)
    }

    /// A book as the site shows it now.
    pub fn product(&self, id: usize) -> Product {
        Product::of(id, self.state.run())
    }

    /// The requests so far, in the order in which they came; the first [`MAX_HITS`] of them.
    pub fn log(&self) -> Vec<Hit> {
        self.state.log.hits()
    }

    /// How many requests have come, remembered or not.
    pub fn hits(&self) -> usize {
        self.state.log.count()
    }

    /// Forgets the log, so that a second crawl can be told from the first.
    pub fn clear_log(&self) {
        self.state.log.clear();
    }

    /// Shows the prices of another run from now on, see [`Options::run`].
    pub fn set_run(&self, run: u64) {
        self.state.set_run(run);
    }

    /// Shows another layout from now on, see [`Options::layout`].
    pub fn set_layout(&self, layout: u8) {
        self.state.set_layout(layout);
    }

    /// Ends all sessions: who was logged in is sent to `/login` again.
    pub fn expire_sessions(&self) {
        self.state.expire_sessions();
    }

    /// Waits until the site is stopped, as `nephila demo --serve` does.
    ///
    /// # Cancel safety
    /// Can be dropped at any time; the site goes on.
    pub async fn wait(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Stops, breaks open connections off, and waits until the port is free.
    ///
    /// # Cancel safety
    /// When dropped the site stops all the same.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.wait().await;
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
