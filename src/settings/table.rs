//! The settings by name: what each expects, for messages and `nephila config`.

use std::time::Duration;

use super::{
    BlockSign, Expectation, PrefixBudget, QuietHours, Settings, identity, network, url_pattern,
};

/// A setting as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key.
    pub name: &'static str,
    /// What it takes, as a noun phrase.
    pub expects: &'static str,
    /// Whether its value may hold credentials, so that no message shows it.
    pub secret: bool,
}

pub(super) const fn setting(name: &'static str, expects: &'static str) -> Setting {
    Setting {
        name,
        expects,
        secret: false,
    }
}

const fn secret(name: &'static str, expects: &'static str) -> Setting {
    Setting {
        name,
        expects,
        secret: true,
    }
}

pub(super) const DURATION: &str = "a duration like 500ms, 2s, 10m or 6h";
pub(super) const SWITCH: &str = "true or false";
const URLS: &str =
    "a list of patterns: [\"/book/*\", \"https://a.example/**\", \"re:page=\\\\d+\"]";
const LIMIT: &str = "a whole number; 0 is no limit";

/// All of them, in the order of [`Settings`](super::Settings).
pub const SETTINGS: &[Setting] = &[
    setting(
        "user_agent",
        "a name, best with an address: \"mybot/1.0 (+https://my.example)\"",
    ),
    setting("robots", "obey or ignore"),
    setting("robots_meta", SWITCH),
    setting(
        "hosts",
        "a list of hosts: [\"shop.example\", \"*.shop.example\"]",
    ),
    setting(
        "private_networks",
        "a list of networks: [\"10.0.0.0/8\", \"192.168.1.5\"]",
    ),
    setting("include", URLS),
    setting("exclude", URLS),
    setting(
        "drop_params",
        "a list of names: [\"utm_*\", \"ref\"], or [\"@tracking\", \"@session\"]",
    ),
    setting("sort_query", SWITCH),
    setting("concurrency", "a whole number, 1 to 10000"),
    setting("concurrency_per_host", "a whole number, 1 to 1000"),
    setting("delay", DURATION),
    setting("politeness", "host, domain or address"),
    setting("jitter", "a number, 0 to 1"),
    setting("autothrottle", SWITCH),
    setting("autothrottle_target", "a number, 0.1 to 100"),
    setting("max_autothrottle_delay", DURATION),
    setting("robots_max_age", DURATION),
    setting("max_robots", "a size of 500 KiB to 1 MiB"),
    setting("max_crawl_delay", DURATION),
    setting("max_retry_after", DURATION),
    setting("retries", "a whole number, 0 to 100"),
    setting(
        "retries_for",
        "tries by failure, 0 to 100: { dns = 1, timeout = 2, 429 = 5, 5xx = 1 }",
    ),
    setting("retry_delay", DURATION),
    setting("max_retry_delay", DURATION),
    setting(
        "blocked",
        "a list of texts, statuses or /patterns/: [\"Access denied\", \"title: Robot\", \"403\"]",
    ),
    setting("challenges", SWITCH),
    setting("max_host_errors", "a whole number"),
    setting("max_depth", "a whole number, 0 to 65535"),
    setting("max_pages", "a whole number, at least 1"),
    setting("max_time", DURATION),
    setting("max_items", "a whole number, at least 1"),
    setting("max_bytes", "a size, like \"500 MB\""),
    setting("max_failed", "a whole number, at least 1"),
    setting("max_pages_per_day", "a whole number, at least 1"),
    setting(
        "budgets",
        "a list of prefixes with pages: [\"/tag/ 100\", \"https://shop.example/old/ 1000\"]",
    ),
    setting(
        "quiet_hours",
        "hours of the day, like \"08:00-18:00\" (UTC) or \"08:00-18:00 +02:00\"",
    ),
    setting("max_wait", DURATION),
    setting("max_errors", "a number of pages, or a share like \"1%\""),
    setting("allow_empty", SWITCH),
    setting("max_bad_rows", "a number of rows, or a share like \"10%\""),
    setting(
        "expect",
        "a list of expectations: [\"items >= 900\", \"books.price >= 95%\", \"list: items >= 1\"]",
    ),
    setting("max_url_bytes", "a whole number, 64 to 1000000"),
    setting("max_links", "a whole number, at least 1"),
    setting("max_pages_per_host", LIMIT),
    setting("max_path_depth", LIMIT),
    setting("max_path_repeats", LIMIT),
    setting("max_far_dates", LIMIT),
    setting("max_query_mixes", LIMIT),
    setting("max_same_pages", LIMIT),
    setting("max_body", "a size of at least 1 KB, like \"16 MiB\""),
    setting("max_bytes_in_flight", "a size, like \"16 MiB\""),
    setting(
        "max_header_bytes",
        "a size of at least 1 KB and at most 400 KB",
    ),
    setting("max_redirects", "a whole number, 0 to 255"),
    setting("follow_refresh", SWITCH),
    setting("max_refresh_delay", DURATION),
    setting("max_parse_time", DURATION),
    setting("max_nodes", "a whole number, at least 100"),
    setting("max_element_depth", "a whole number, 16 to 10000"),
    setting("max_attributes", "a whole number, 1 to 10000"),
    setting("max_looks", "a whole number, at least 10000"),
    setting("max_text", "a size of at least 1 KB, like \"32 MiB\""),
    setting("max_json_values", "a whole number, at least 1000"),
    setting("connect_timeout", DURATION),
    setting("first_byte_timeout", DURATION),
    setting("idle_timeout", DURATION),
    setting("min_rate", "a whole number of bytes per second"),
    setting("timeout", DURATION),
    setting("patience", DURATION),
    setting("step_timeout", DURATION),
    setting("stop_timeout", DURATION),
    setting("files", "a folder"),
    setting("file_names", "hash or url"),
    setting("max_file", "a size of at least 1 KB, like \"1 GiB\""),
    setting("file_timeout", DURATION),
    setting("cookies", SWITCH),
    setting("cache", "off, http, dev or keep"),
    setting("cache_folder", "a folder"),
    setting("cache_size", "a size of at least 1 MB, like \"1 GiB\""),
    setting("cache_max_age", DURATION),
    setting("max_cookie_bytes", "a size, 1 to 65536 bytes"),
    setting("max_cookies_per_site", "a whole number, 1 to 10000"),
    setting("max_cookies", "a whole number, 1 to 1000000"),
    secret(
        "sessions",
        "a table of sessions: { ann = { proxy = .., user_agent = .., headers = .., auth = .., secrets = .. } }",
    ),
    setting("session_pool", "a whole number, 1 to 1000"),
    setting("sticky_sessions", SWITCH),
    secret("secrets", "a table of secrets: { pin = { env = \"PIN\" } }"),
    secret(
        "auth",
        "a table by origin: { \"https://shop.example\" = { bearer = { env = \"TOKEN\" } } }, or user and password, or headers",
    ),
    secret(
        "headers",
        "a table of headers, credentials left out: { accept-language = \"en\" }",
    ),
    setting(
        "referrer_policy",
        "a policy of the web: no-referrer, origin, same-origin, strict-origin-when-cross-origin…",
    ),
    secret(
        "proxies",
        "a list of proxies: [\"http://user:password@proxy:3128\", \"socks5://proxy:1080\", \"direct\"]",
    ),
    setting(
        "no_proxy",
        "a list of hosts: [\"intern\", \".corp.example\"]",
    ),
    setting("http2", SWITCH),
    setting("tls_min_version", "\"1.2\" or \"1.3\""),
    setting("tls_ca", "a list of PEM files"),
    setting("tls_insecure", "a list of hosts: [\"old.example\"]"),
    setting(
        "tls_client",
        "a table by host: { \"api.example\" = { cert = \"me.pem\", key = \"me.key\" } }",
    ),
    setting("dns_ttl", DURATION),
    setting("step_threads", "a whole number, 1 to 1000"),
    setting("commit_pages", "a whole number, 1 to 1000"),
    setting("commit_delay", DURATION),
    setting("lease", "a duration of 100ms to 1h, like 30s"),
];

/// The setting called `name`.
pub fn setting_named(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The known name that was probably meant, if one is near enough.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= limit || is_part(name, known))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// `delay` for `download_delay`: one is the other with a word more.
fn is_part(name: &str, known: &str) -> bool {
    let (short, long) = if name.len() < known.len() {
        (name, known)
    } else {
        (known, name)
    };
    short.len() >= 4 && long.split(['_', '-']).any(|word| word == short)
}

impl Settings {
    /// The first setting that is out of its range, by name.
    #[expect(clippy::too_many_lines, reason = "a table")]
    pub fn out_of_range(&self) -> Option<&'static str> {
        let ranges = [
            ("user_agent", is_header(&self.user_agent)),
            (
                "private_networks",
                self.private_networks
                    .iter()
                    .all(|text| network(text).is_some()),
            ),
            ("include", are_patterns(&self.include)),
            ("exclude", are_patterns(&self.exclude)),
            ("drop_params", are_names(&self.drop_params)),
            ("concurrency", (1..=10_000).contains(&self.concurrency)),
            (
                "concurrency_per_host",
                (1..=1_000).contains(&self.concurrency_per_host),
            ),
            ("jitter", (0.0..=1.0).contains(&self.jitter)),
            (
                "autothrottle_target",
                (0.1..=100.0).contains(&self.autothrottle_target),
            ),
            ("retries", self.retries <= 100),
            (
                "blocked",
                self.blocked
                    .iter()
                    .all(|sign| BlockSign::parse(sign).is_valid()),
            ),
            ("retries_for", self.retries_for.iter().all(is_budget)),
            ("max_pages", self.max_pages != Some(0)),
            ("max_items", self.max_items != Some(0)),
            ("max_bytes", self.max_bytes != Some(0)),
            ("max_failed", self.max_failed != Some(0)),
            ("max_pages_per_day", self.max_pages_per_day != Some(0)),
            (
                "budgets",
                self.budgets
                    .iter()
                    .all(|text| PrefixBudget::parse(text).is_some()),
            ),
            (
                "quiet_hours",
                self.quiet_hours
                    .as_ref()
                    .is_none_or(|text| QuietHours::parse(text).is_some()),
            ),
            (
                "expect",
                self.expect
                    .iter()
                    .all(|text| text.parse::<Expectation>().is_ok()),
            ),
            (
                "max_robots",
                (500 * 1024..=1024 * 1024).contains(&self.max_robots),
            ),
            (
                "max_url_bytes",
                (64..=1_000_000).contains(&self.max_url_bytes),
            ),
            ("max_links", self.max_links >= 1),
            ("max_body", self.max_body >= 1_000),
            (
                "max_header_bytes",
                (1_000..=400_000).contains(&self.max_header_bytes),
            ),
            ("max_parse_time", !self.max_parse_time.is_zero()),
            ("max_nodes", self.max_nodes >= 100),
            (
                "max_element_depth",
                (16..=10_000).contains(&self.max_element_depth),
            ),
            (
                "max_attributes",
                (1..=10_000).contains(&self.max_attributes),
            ),
            ("max_looks", self.max_looks >= 10_000),
            ("max_text", self.max_text >= 1_000),
            ("max_json_values", self.max_json_values >= 1_000),
            ("files", !self.files.is_empty()),
            ("max_file", self.max_file >= 1_000),
            ("file_timeout", !self.file_timeout.is_zero()),
            ("cache_size", self.cache_size >= 1_000_000),
            (
                "step_threads",
                self.step_threads
                    .is_none_or(|threads| (1..=1_000).contains(&threads)),
            ),
            (
                "max_cookie_bytes",
                (1..=65_536).contains(&self.max_cookie_bytes),
            ),
            (
                "max_cookies_per_site",
                (1..=10_000).contains(&self.max_cookies_per_site),
            ),
            ("max_cookies", (1..=1_000_000).contains(&self.max_cookies)),
            ("sessions", identity::are_sessions(&self.sessions)),
            (
                "session_pool",
                self.session_pool
                    .is_none_or(|size| (1..=1_000).contains(&size)),
            ),
            ("auth", identity::is_auth(&self.auth)),
            ("headers", identity::are_headers(&self.headers)),
            ("proxies", self.proxies.iter().all(identity::is_proxy)),
            ("commit_pages", (1..=1_000).contains(&self.commit_pages)),
            (
                "lease",
                (Duration::from_millis(100)..=Duration::from_hours(1)).contains(&self.lease),
            ),
            ("connect_timeout", !self.connect_timeout.is_zero()),
            ("first_byte_timeout", !self.first_byte_timeout.is_zero()),
            ("idle_timeout", !self.idle_timeout.is_zero()),
            ("timeout", !self.timeout.is_zero()),
            ("patience", !self.patience.is_zero()),
            ("step_timeout", !self.step_timeout.is_zero()),
        ];
        ranges.iter().find(|(_, fits)| !fits).map(|(name, _)| *name)
    }
}

fn are_patterns(texts: &[String]) -> bool {
    texts.iter().all(|text| url_pattern(text).is_ok())
}

/// Names of parameters, or of the lists that there are.
fn are_names(names: &[String]) -> bool {
    names.iter().all(|name| match name.strip_prefix('@') {
        Some(list) => matches!(list, "tracking" | "session"),
        None => !name.is_empty() && !name.contains(['&', '=', ' ']),
    })
}

/// Whether a kind of failure is one, and its tries are not too many.
fn is_budget((kind, tries): (&String, &u16)) -> bool {
    let is_status = match kind.as_bytes() {
        [b'4' | b'5', b'x', b'x'] => true,
        [b'1'..=b'9', tens, ones] => tens.is_ascii_digit() && ones.is_ascii_digit(),
        _ => ["dns", "connect", "tls", "timeout", "reset", "blocked"].contains(&kind.as_str()),
    };
    is_status && *tries <= 100
}

/// What may stand in the User-Agent header.
pub(super) fn is_header(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().all(|c| c == ' ' || c.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        let check = |name, expected| {
            let names = SETTINGS.iter().map(|setting| setting.name);
            assert_eq!(closest(name, names), expected, "{name}");
        };
        check("concurency", Some("concurrency"));
        check("downlod_delay", Some("delay"));
        check("max_page", Some("max_pages"));
        check("cookie", Some("cookies"));
        check("colour", None);
        check("x", None);
    }
}
