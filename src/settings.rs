//! Every setting with its default, unit and range.
//!
//! What was typed (a flag, `nephila.toml`, `NEPHILA_*`, a spider's attribute) is a layer of TOML;
//! layers are merged key by key and become one [`Settings`] once, at the edge.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod block_sign;
mod error;
mod expectation;
mod file;
mod host;
mod human;
mod identity;
mod layers;
mod secret;
mod shares;
mod limit;
mod network;
mod table;
mod url_pattern;

pub use block_sign::BlockSign;
pub use error::{Origin, Place, SettingsError};
pub use expectation::{Bound, Expectation, Subject};
pub use file::{FileKind, SettingsFile};
pub use host::{HOST_SETTINGS, HostSettings, Hosts};
pub use human::{parse_bytes, parse_duration, parse_rate};
pub use identity::{AuthByOrigin, AuthSettings, ClientCertificate, SessionSettings, TlsVersion};
pub use layers::{Layer, Origins};
pub use limit::{PrefixBudget, QuietHours};
pub use network::network;
pub use secret::{ProxyUrl, Secret, Unset};
pub use shares::Shares;
pub use table::{SETTINGS, Setting, closest, setting_named};
pub use url_pattern::url_pattern;

use crate::request::ReferrerPolicy;

/// What a crawl may do, and how fast.
///
/// Durations are written as `"500ms"`, `"2s"`, `"10m"`, `"6h"`, `"7d"`; sizes as bytes or
/// `"16 MiB"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own, no state of the others"
)]
pub struct Settings {
    /// Who we say we are. Keep it honest, and add an address where you can be reached.
    pub user_agent: String,
    /// Whether robots.txt is obeyed: `"obey"` or `"ignore"`.
    pub robots: RobotsMode,
    /// Whether a page's own `<meta name="robots">` and `X-Robots-Tag` are obeyed: `noindex` keeps its
    /// items from being stored, `nofollow` its links from being followed.
    pub robots_meta: bool,
    /// Hosts that may be crawled besides the seeds' own: `"shop.example"`, `"*.shop.example"`, or
    /// `"*"` for any.
    pub hosts: Vec<String>,
    /// Networks that are not public, and may be asked all the same: `"10.0.0.0/8"`, `"192.168.1.5"`.
    pub private_networks: Vec<String>,
    /// Patterns of URLs of which a link must match one; see [`url_pattern`]. None: all may be crawled.
    pub include: Vec<String>,
    /// Patterns of URLs that are not crawled.
    pub exclude: Vec<String>,
    /// Parameters that are taken out of URLs: names, `utm_*`, `@tracking`, `@session`.
    pub drop_params: Vec<String>,
    /// Whether the parameters of URLs are sorted by name.
    pub sort_query: bool,
    /// Requests in flight, all hosts together. 1 to 10,000.
    pub concurrency: usize,
    /// Requests in flight per host. 1 to 1,000.
    pub concurrency_per_host: usize,
    /// From the start of one request to a host to the start of the next. Unset: none on loopback,
    /// 1 s elsewhere.
    #[serde(with = "human::optional_duration")]
    pub delay: Option<Duration>,
    /// Whose pace a host keeps: its own, or one shared with all hosts of its registrable domain or at
    /// its address.
    pub politeness: PolitenessBy,
    /// Part of the delay that is added at random: 0 is an exact pace, 0.5 waits 1 to 1.5 delays.
    pub jitter: f64,
    /// Whether the delay follows a host's latency and its refusals, never below `delay`. Unset: off
    /// on loopback, on elsewhere.
    pub autothrottle: Option<bool>,
    /// Requests that a host shall have in its hands on average, if AutoThrottle is on. 0.1 to 100.
    pub autothrottle_target: f64,
    /// The longest delay that AutoThrottle chooses.
    #[serde(with = "human::duration")]
    pub max_autothrottle_delay: Duration,
    /// How long a robots.txt is used before it is fetched anew.
    #[serde(with = "human::duration")]
    pub robots_max_age: Duration,
    /// How much of a robots.txt is read; what is beyond is ignored. 500 KiB to 1 MiB.
    #[serde(with = "human::bytes")]
    pub max_robots: usize,
    /// The longest Crawl-delay of a robots.txt that is obeyed; a longer one is cut to this.
    #[serde(with = "human::duration")]
    pub max_crawl_delay: Duration,
    /// The longest `Retry-After` that is obeyed. A host that asks for longer waits as long as this; a
    /// request is tried once more, after `max_retry_delay` at the most.
    #[serde(with = "human::duration")]
    pub max_retry_after: Duration,
    /// Tries after the first for failures that may pass. 0 to 100.
    pub retries: u16,
    /// The same for single kinds of failure: dns, connect, tls, timeout, reset, a status (503) or
    /// a hundred of them (5xx).
    pub retries_for: BTreeMap<String, u16>,
    /// Pause before the first retry; doubles with each, half of it random.
    #[serde(with = "human::duration")]
    pub retry_delay: Duration,
    /// The longest pause before a retry.
    #[serde(with = "human::duration")]
    pub max_retry_delay: Duration,
    /// What tells a block page, which is a failure and no page: a status `"403"`, a text of the body,
    /// `"title: ..."`, or a `"/pattern/"`; case does not matter.
    pub blocked: Vec<String>,
    /// Whether the challenge pages of well-known services are block pages, too.
    pub challenges: bool,
    /// Failures in a row (no answer, 429, 503) after which a host is given up: without an answer its
    /// requests fail, else they stay in the queue for a later run.
    pub max_host_errors: u32,
    /// Links between a seed and a page. Unset: no limit.
    pub max_depth: Option<u16>,
    /// Pages of this run; then it stops, resumable. Unset: no limit.
    pub max_pages: Option<u64>,
    /// Time of this run; then it stops, resumable. Unset: no limit.
    #[serde(with = "human::optional_duration")]
    pub max_time: Option<Duration>,
    /// Items of this run; then it stops, resumable. Unset: no limit.
    pub max_items: Option<u64>,
    /// Bytes of bodies, on the wire, of this run; then it stops, resumable. Unset: no limit.
    #[serde(with = "human::optional_bytes")]
    pub max_bytes: Option<u64>,
    /// Failed pages of this run, missing ones not counted; then it stops, resumable. Unset: no limit.
    pub max_failed: Option<u64>,
    /// Pages of the crawl per day (UTC), over all of its runs; then it stops, resumable. Unset: no
    /// limit.
    pub max_pages_per_day: Option<u64>,
    /// Pages of parts of a site, over all runs: `"/tag/ 100"`, `"https://shop.example/old/ 1000"`. What
    /// is found beyond is skipped.
    pub budgets: Vec<String>,
    /// Hours of the day in which nothing is sent: `"08:00-18:00"` (UTC) or `"08:00-18:00 +02:00"`.
    pub quiet_hours: Option<String>,
    /// The longest time that a crawl waits if all that is left to do waits for its host or its next
    /// try; if it were longer, the run stops, resumable.
    #[serde(with = "human::duration")]
    pub max_wait: Duration,
    /// Failed pages that a successful crawl may have: a number, or a share like `"1%"`.
    pub max_errors: ErrorBudget,
    /// Whether a crawl may be a success that got no item, or no value of a column that an earlier run filled.
    pub allow_empty: bool,
    /// Bad rows that a page may have: a number, or a share like `"10%"`. They are left out and counted;
    /// a page with more of them fails.
    pub max_bad_rows: ErrorBudget,
    /// What a crawl must find to be a success; see [`Expectation`].
    pub expect: Vec<String>,
    /// The longest URL, in bytes.
    pub max_url_bytes: usize,
    /// The most links taken from one page.
    pub max_links: usize,
    /// The most requests that a host gets in this run, retries not counted. 0: no limit.
    pub max_pages_per_host: u64,
    /// The most segments of a path. 0: no limit.
    pub max_path_depth: u16,
    /// How often a part of a path, like `/a/b`, may come in a row. 0: no limit.
    pub max_path_repeats: u16,
    /// The most URLs of one pattern whose date is far away: calendars. 0: no limit.
    pub max_far_dates: u32,
    /// The most URLs of one path that mix the same few values of three parameters or more. 0: no
    /// limit.
    pub max_query_mixes: u32,
    /// The most pages of one pattern in a row that are all the same. 0: no limit.
    pub max_same_pages: u32,
    /// The largest body, in bytes after decoding; a longer one fails the page. A text in another
    /// charset is read as far as it has no more bytes than that as UTF-8.
    #[serde(with = "human::bytes")]
    pub max_body: usize,
    /// The bytes of all bodies together that are read or wait for their step; more are read once
    /// others are done with. One body may always go beyond it, and 64 KiB of each do not count; one in
    /// br or zstd counts twice, since its decoder holds it too.
    #[serde(with = "human::bytes")]
    pub max_bytes_in_flight: usize,
    /// The largest header of an answer; a longer one fails the page.
    #[serde(with = "human::bytes")]
    pub max_header_bytes: usize,
    /// The longest chain of redirects.
    pub max_redirects: u8,
    /// Whether a page that leads elsewhere by a `Refresh` header or a `<meta http-equiv=refresh>` is a
    /// redirect; else its step reads it.
    pub follow_refresh: bool,
    /// The longest delay of a refresh that is followed, at once; a page with a longer one is read.
    #[serde(with = "human::duration")]
    pub max_refresh_delay: Duration,
    /// CPU time for parsing a page's HTML; what was not read by then is left out, and said so.
    #[serde(with = "human::duration")]
    pub max_parse_time: Duration,
    /// Elements and comments of a page, and half of its attributes; what comes after is left out,
    /// and said so.
    pub max_nodes: usize,
    /// Elements in each other; deeper ones become siblings, as in browsers. 16 to 10,000.
    pub max_element_depth: u16,
    /// Attributes of an element; more are left out, and said so.
    pub max_attributes: usize,
    /// How often the selectors of a step, and whatever else it reads, may look at an element of its
    /// page, in all. A page beyond it fails.
    pub max_looks: u64,
    /// Text that a step may take from its page by selectors, in all. A page beyond it fails.
    #[serde(with = "human::bytes")]
    pub max_text: usize,
    /// Values of an answer that is read as JSON, or of a page's JSON-LD.
    pub max_json_values: usize,
    /// Time to connect, TLS included.
    #[serde(with = "human::duration")]
    pub connect_timeout: Duration,
    /// Time from a request, connecting included, to the end of the answer's head.
    #[serde(with = "human::duration")]
    pub first_byte_timeout: Duration,
    /// Time without a byte of the body.
    #[serde(with = "human::duration")]
    pub idle_timeout: Duration,
    /// Bytes a second with which a body must come at the least, on the average over `idle_timeout`;
    /// 0 for no limit.
    pub min_rate: usize,
    /// Time for a request from first to last byte.
    #[serde(with = "human::duration")]
    pub timeout: Duration,
    /// Time that a request may take while it holds up others: if all slots of its host, or of the
    /// crawl, are held by requests that take longer, those asked for the first time give way and are
    /// asked again later. Four times what is usual for the host, if that is more.
    #[serde(with = "human::duration")]
    pub patience: Duration,
    /// Time for a step, its own waiting included.
    #[serde(with = "human::duration")]
    pub step_timeout: Duration,
    /// Time for requests in flight to finish once a stop was asked for.
    #[serde(with = "human::duration")]
    pub stop_timeout: Duration,
    /// The folder of downloaded files.
    pub files: String,
    /// How they are named: `"hash"`, by their content, or `"url"`, by where they were.
    pub file_names: FileNames,
    /// The largest file, in bytes after decoding; a longer one fails its request.
    #[serde(with = "human::bytes")]
    pub max_file: usize,
    /// Time for a file from first to last byte.
    #[serde(with = "human::duration")]
    pub file_timeout: Duration,
    /// Whether cookies are kept and sent.
    pub cookies: bool,
    /// Whether pages are kept on disk: `"off"`, `"http"` as servers allow it, or `"dev"`, which fetches
    /// every page once and replays it for ever.
    pub cache: CacheMode,
    /// Where they are kept. Unset: `$XDG_CACHE_HOME/nephila`, by default `~/.cache/nephila`.
    pub cache_folder: Option<String>,
    /// How much is kept; what was not used for longest goes first.
    #[serde(with = "human::bytes")]
    pub cache_size: usize,
    /// What was not used for so long is removed. Unset: it is kept until there is too much.
    #[serde(with = "human::optional_duration")]
    pub cache_max_age: Option<Duration>,
    /// The largest cookie, name and value together; a larger one is not kept.
    #[serde(with = "human::bytes")]
    pub max_cookie_bytes: usize,
    /// Cookies of one site (a registrable domain) and session; the oldest go first.
    pub max_cookies_per_site: usize,
    /// Cookies of one session; those of the site that was used longest ago go first.
    pub max_cookies: usize,
    /// Identities by name, each with cookies of its own. Requests that name none rotate over them.
    pub sessions: BTreeMap<String, SessionSettings>,
    /// Identities without a name that requests rotate over, besides those in `sessions`. Unset: one
    /// per proxy if there are neither sessions nor fewer than two proxies, else none. 1 to 1,000.
    pub session_pool: Option<usize>,
    /// Whether what was found on a page is fetched by the identity that fetched the page.
    pub sticky_sessions: bool,
    /// What a login may ask for, by name.
    pub secrets: BTreeMap<String, Secret>,
    /// Credentials by origin: `"https://shop.example"`.
    pub auth: AuthByOrigin,
    /// Headers of every request, besides our own.
    pub headers: BTreeMap<String, String>,
    /// What the header `Referer` may tell, where the page says nothing.
    pub referrer_policy: ReferrerPolicy,
    /// Proxies that requests rotate over; those that fail rest for a while. Empty: as the
    /// environment says.
    pub proxies: Vec<ProxyUrl>,
    /// Hosts that `proxies` are not asked for: `"intern"`, `".corp.example"`, `"10.0.0.0/8"`.
    pub no_proxy: Vec<String>,
    /// Whether HTTP/2 is spoken where the server can.
    pub http2: bool,
    /// The oldest version of TLS that is spoken: `"1.2"` or `"1.3"`.
    pub tls_min_version: TlsVersion,
    /// PEM files of authorities that are trusted besides the public ones.
    pub tls_ca: Vec<String>,
    /// Hosts whose certificates are not verified.
    pub tls_insecure: Vec<String>,
    /// Certificates that we show, by host.
    pub tls_client: BTreeMap<String, ClientCertificate>,
    /// How long the addresses of a name are used.
    #[serde(with = "human::duration")]
    pub dns_ttl: Duration,
    /// Threads that run steps. Unset: one per core.
    pub step_threads: Option<usize>,
    /// Pages written in one transaction, at the most. 1 to 1,000.
    pub commit_pages: usize,
    /// How long a finished page may wait for others to be written with it.
    #[serde(with = "human::duration")]
    pub commit_delay: Duration,
    /// How long the hosts of a process that shows no sign of life are kept from the other processes of
    /// its crawl (PostgreSQL).
    #[serde(with = "human::duration")]
    pub lease: Duration,
    /// What is said of single hosts: `[host."shop.example"]`.
    #[serde(skip_serializing_if = "Hosts::is_empty")]
    pub host: Hosts,
}

impl Default for Settings {
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn default() -> Self {
        Self {
            user_agent: concat!("nephila/", env!("CARGO_PKG_VERSION")).to_owned(),
            robots: RobotsMode::Obey,
            robots_meta: false,
            hosts: Vec::new(),
            private_networks: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            drop_params: Vec::new(),
            sort_query: false,
            concurrency: 32,
            concurrency_per_host: 8,
            delay: None,
            politeness: PolitenessBy::Host,
            jitter: 0.25,
            autothrottle: None,
            autothrottle_target: 2.0,
            max_autothrottle_delay: Duration::from_mins(1),
            robots_max_age: Duration::from_hours(24),
            max_robots: 1024 * 1024,
            max_crawl_delay: Duration::from_mins(1),
            max_retry_after: Duration::from_mins(10),
            retries: 3,
            retries_for: BTreeMap::new(),
            retry_delay: Duration::from_secs(1),
            max_retry_delay: Duration::from_mins(2),
            blocked: Vec::new(),
            challenges: true,
            max_host_errors: 10,
            max_depth: None,
            max_pages: None,
            max_time: None,
            max_items: None,
            max_bytes: None,
            max_failed: None,
            max_pages_per_day: None,
            budgets: Vec::new(),
            quiet_hours: None,
            max_wait: Duration::from_mins(15),
            max_errors: ErrorBudget::Pages(0),
            allow_empty: false,
            max_bad_rows: ErrorBudget::Share(0.5),
            expect: Vec::new(),
            max_url_bytes: 8 * 1024,
            max_links: 50_000,
            max_pages_per_host: 1_000_000,
            max_path_depth: 20,
            max_path_repeats: 2,
            max_far_dates: 1_000,
            max_query_mixes: 20_000,
            max_same_pages: 200,
            max_body: 16 * 1024 * 1024,
            max_bytes_in_flight: 4 * 1024 * 1024,
            max_header_bytes: 256 * 1024,
            max_redirects: 10,
            follow_refresh: true,
            max_refresh_delay: Duration::from_secs(10),
            max_parse_time: Duration::from_millis(500),
            max_nodes: 100_000,
            max_element_depth: 512,
            max_attributes: 1_000,
            max_looks: 30_000_000,
            max_text: 32 * 1024 * 1024,
            max_json_values: 500_000,
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(20),
            min_rate: 100,
            timeout: Duration::from_mins(1),
            patience: Duration::from_millis(750),
            step_timeout: Duration::from_mins(1),
            stop_timeout: Duration::from_secs(10),
            files: "files".to_owned(),
            file_names: FileNames::Hash,
            max_file: 1024 * 1024 * 1024,
            file_timeout: Duration::from_hours(1),
            cookies: true,
            cache: CacheMode::Off,
            cache_folder: None,
            cache_size: 1024 * 1024 * 1024,
            cache_max_age: None,
            max_cookie_bytes: 4096,
            max_cookies_per_site: 180,
            max_cookies: 3_000,
            sessions: BTreeMap::new(),
            session_pool: None,
            sticky_sessions: false,
            secrets: BTreeMap::new(),
            auth: BTreeMap::new(),
            headers: BTreeMap::new(),
            referrer_policy: ReferrerPolicy::default(),
            proxies: Vec::new(),
            no_proxy: Vec::new(),
            http2: true,
            tls_min_version: TlsVersion::V1_2,
            tls_ca: Vec::new(),
            tls_insecure: Vec::new(),
            tls_client: BTreeMap::new(),
            dns_ttl: Duration::from_mins(1),
            step_threads: None,
            commit_pages: 100,
            commit_delay: Duration::from_millis(25),
            lease: Duration::from_secs(30),
            host: Hosts::new(),
        }
    }
}

/// Whether robots.txt is obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RobotsMode {
    /// Fetched once per host and obeyed (RFC 9309).
    Obey,
    /// Not fetched. Only where you may.
    Ignore,
}

/// How downloaded files are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileNames {
    /// By content: what is the same is there once.
    Hash,
    /// By host and path, and a few digits that tell URLs apart.
    Url,
}

/// Whether pages are kept on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheMode {
    /// Every request goes out.
    Off,
    /// A private cache by RFC 9111.
    Http,
    /// Every page is fetched once and replayed from then on. For writing a spider.
    Dev,
    /// Every request goes out, and what comes is kept, to be read again.
    Keep,
}

impl Settings {
    /// The folder of the cache: the setting, else the user's own by the XDG rules; none if there is
    /// no home.
    pub fn cache_root(&self) -> Option<PathBuf> {
        if let Some(folder) = &self.cache_folder {
            return Some(PathBuf::from(folder));
        }
        let absolute = |name| {
            let path = PathBuf::from(std::env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let root = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Some(root.join("nephila"))
    }

    /// What a login of a session may ask for, or why it is not to be had: the crawl's secrets, and over them
    /// the session's own.
    pub(crate) fn secrets_of(
        &self,
        session: Option<&str>,
    ) -> BTreeMap<String, Result<String, String>> {
        let own = session.and_then(|name| self.sessions.get(name));
        let own = own.into_iter().flat_map(|session| &session.secrets);
        let revealed = |secret: &Secret| secret.reveal().map_err(|error| error.to_string());
        let all = self.secrets.iter().chain(own);
        all.map(|(name, secret)| (name.clone(), revealed(secret)))
            .collect()
    }
}

/// What keeps one pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolitenessBy {
    /// Each host: scheme, name and port.
    Host,
    /// All hosts of a registrable domain, as the list of public suffixes has it.
    Domain,
    /// All hosts whose names resolve to the same address.
    Address,
}

/// How many of all may be bad where that still counts as a success.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "human::RawBudget", into = "human::RawBudget")]
pub enum ErrorBudget {
    /// A number of pages, or of rows.
    Pages(u64),
    /// A share of all of them, 0 to 1.
    Share(f64),
}

impl ErrorBudget {
    /// Whether `failed` of `pages` is within the budget.
    pub fn allows(self, failed: u64, pages: u64) -> bool {
        match self {
            Self::Pages(budget) => failed <= budget,
            Self::Share(share) => failed as f64 <= pages as f64 * share,
        }
    }
}
