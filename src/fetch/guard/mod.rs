//! The address guard: no page leads a crawl to machines that only the crawler can reach.
//!
//! A hostile page links to `http://169.254.169.254/` or to a name that resolves to `10.0.0.1`,
//! perhaps on the second look only. So addresses are judged where connections are made: the resolver
//! hands out nothing but addresses that were allowed, and addresses written in a URL, which no
//! resolver sees, are judged before. Hosts that the user named himself (seeds, `hosts` without a
//! wildcard) may be private, and so may all in the networks that he named (`private_networks`).
//!
//! Behind a proxy, names are resolved by the proxy: then only written addresses can be refused.

mod address;
mod resolver;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use ipnet::IpNet;
use url::{Host, Url};

use address::{Special, special};
pub(crate) use resolver::address_of;
pub(super) use resolver::{Resolver, Unresolved};

/// Names of proxies that are allowed to be private.
const MAX_PROXIES: usize = 10_000;

/// Decides which addresses may be connected to. A clone shares its hosts.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allowed: Arc<RwLock<Allowed>>,
}

#[derive(Debug, Default)]
struct Allowed {
    everything: bool,
    hosts: HashSet<String>,
    networks: Vec<IpNet>,
    /// Proxies that the user set up. Not allowed as hosts of URLs.
    proxies: HashSet<String>,
}

/// An address that may not be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {}", special.name())]
pub struct Refused {
    /// The address.
    pub address: IpAddr,
    special: Special,
}

impl Guard {
    /// Refuses all addresses that are not public.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses nothing: for tests, and for crawls inside of one's own network.
    pub fn open() -> Self {
        let allowed = Allowed {
            everything: true,
            ..Allowed::default()
        };
        Self {
            allowed: Arc::new(RwLock::new(allowed)),
        }
    }

    /// Lets `host` (a name or an address, with no port) be private. A name may then be a private,
    /// loopback or provider-shared address, but never a link-local one or a cloud's metadata.
    pub fn allow_host(&self, host: &str) {
        self.change(|allowed| allowed.hosts.insert(normal(host)));
    }

    /// Lets every host be in `network`, whatever it is.
    pub fn allow_network(&self, network: IpNet) {
        self.change(|allowed| {
            allowed.networks.push(network);
            true
        });
    }

    /// Lets the name of a proxy be private, without allowing URLs to it.
    pub(super) fn allow_proxy(&self, host: &str) {
        let host = normal(host);
        let is_new = |allowed: &Allowed| {
            allowed.proxies.len() < MAX_PROXIES && !allowed.proxies.contains(&host)
        };
        if self.with(is_new) {
            self.change(|allowed| allowed.proxies.insert(host));
        }
    }

    /// Judges an address that is written in `url`; names are judged when they are resolved.
    ///
    /// # Errors
    /// If the address is not allowed.
    pub fn check(&self, url: &Url) -> Result<(), Refused> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        match special(address) {
            Some(special)
                if !self.is_allowed(&normal(&address.to_string()))
                    && !self.is_in_network(address) =>
            {
                Err(Refused { address, special })
            }
            _ => Ok(()),
        }
    }

    /// Judges one address that `name` resolved to.
    fn check_resolved(&self, name: &str, address: IpAddr) -> Result<(), Refused> {
        let Some(special) = special(address) else {
            return Ok(());
        };
        let name = normal(name);
        let is_allowed = self.is_allowed(&name) && special.may_be_named()
            || self.is_in_network(address)
            || self.with(|allowed| allowed.everything || allowed.proxies.contains(&name));
        if is_allowed {
            Ok(())
        } else {
            Err(Refused { address, special })
        }
    }

    /// Whether `url` names a proxy, which only the user may do.
    pub(super) fn is_proxy(&self, url: &Url) -> bool {
        let host = normal(url.host_str().unwrap_or_default());
        self.with(|allowed| allowed.proxies.contains(&host)) && !self.is_allowed(&host)
    }

    fn is_in_network(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.with(|allowed| {
            let mut networks = allowed.networks.iter();
            networks.any(|network| network.contains(&address))
        })
    }

    fn is_allowed(&self, host: &str) -> bool {
        self.with(|allowed| allowed.everything || allowed.hosts.contains(host))
    }

    fn with<T>(&self, look: impl FnOnce(&Allowed) -> T) -> T {
        look(&self.allowed.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Allowed) -> bool) {
        change(&mut self.allowed.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// One spelling per host: lower case, no brackets, no root dot, addresses as the URL standard
/// writes them.
fn normal(host: &str) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.to_string();
    }
    match Host::parse(bare) {
        Ok(Host::Ipv4(address)) => address.to_string(),
        Ok(Host::Domain(name)) => name.trim_end_matches('.').to_owned(),
        Ok(Host::Ipv6(_)) | Err(_) => bare.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allowed: &[&str], url: &str, expected: &str) {
        let guard = Guard::new();
        for host in allowed {
            guard.allow_host(host);
        }
        let outcome = guard.check(&url.parse().unwrap());
        let said = outcome.map_or_else(|refused| refused.to_string(), |()| String::new());
        assert_eq!(said, expected, "{url} with {allowed:?}");
    }

    #[test]
    fn written_addresses() {
        check(&[], "http://8.8.8.8/", "");
        check(&[], "http://example.com/", "");
        check(&[], "http://10.0.0.1/", "10.0.0.1 is a private address");
        check(
            &[],
            "http://127.0.0.1:81/",
            "127.0.0.1 is a loopback address",
        );
        check(&[], "http://2130706433/", "127.0.0.1 is a loopback address");
        check(&[], "http://0x7f.1/", "127.0.0.1 is a loopback address");
        check(
            &[],
            "http://017700000001/",
            "127.0.0.1 is a loopback address",
        );
        check(&[], "http://127.1/", "127.0.0.1 is a loopback address");
        check(&[], "http://[::1]/", "::1 is a loopback address");
        check(
            &[],
            "http://[::ffff:127.0.0.1]/",
            "::ffff:127.0.0.1 is a loopback address",
        );
        check(
            &[],
            "http://[::ffff:7f00:1]/",
            "::ffff:127.0.0.1 is a loopback address",
        );
        let metadata = "169.254.169.254 is the address of a cloud's metadata";
        check(&[], "http://169.254.169.254/", metadata);
    }

    #[test]
    fn what_the_user_named_is_allowed() {
        check(&["127.0.0.1"], "http://127.0.0.1:81/", "");
        check(&["127.0.0.1"], "http://0x7f.1/", "");
        check(&["0x7f.1"], "http://127.0.0.1/", "");
        check(
            &["127.0.0.1"],
            "http://127.0.0.2/",
            "127.0.0.2 is a loopback address",
        );
        check(
            &["localhost"],
            "http://127.0.0.1/",
            "127.0.0.1 is a loopback address",
        );
        let mapped = "http://[::ffff:127.0.0.1]/";
        check(
            &["127.0.0.1"],
            mapped,
            "::ffff:127.0.0.1 is a loopback address",
        );
        check(&["[::1]"], "http://[::1]/", "");
        check(&["::1"], "http://[0:0::1]/", "");
        check(&["169.254.169.254"], "http://169.254.169.254/", "");
    }

    fn check_resolved(allowed: &[&str], name: &str, address: &str, expected: bool) {
        let guard = Guard::new();
        for host in allowed {
            guard.allow_host(host);
        }
        let outcome = guard.check_resolved(name, address.parse().unwrap());
        assert_eq!(
            outcome.is_ok(),
            expected,
            "{name} at {address} with {allowed:?}"
        );
    }

    #[test]
    fn names() {
        check_resolved(&[], "a.example", "8.8.8.8", true);
        check_resolved(&[], "a.example", "10.0.0.1", false);
        check_resolved(&["a.example"], "a.example", "10.0.0.1", true);
        check_resolved(&["A.Example."], "a.example", "10.0.0.1", true);
        check_resolved(&["a.example"], "a.example.", "10.0.0.1", true);
        check_resolved(&["a.example"], "b.a.example", "10.0.0.1", false);
        check_resolved(&["10.0.0.1"], "a.example", "10.0.0.1", false);
        check_resolved(&["a.example"], "a.example", "169.254.169.254", false);
        check_resolved(&["a.example"], "a.example", "fe80::1", false);
    }

    #[test]
    fn networks_are_open_to_names_and_addresses() {
        let guard = Guard::new();
        guard.allow_network("10.1.0.0/16".parse().unwrap());
        guard.allow_network("fd00:1::/32".parse().unwrap());
        let resolved = |address: &str| guard.check_resolved("a.example", address.parse().unwrap());
        let written = |url: &str| guard.check(&url.parse().unwrap());
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"] {
            assert!(resolved(address).is_ok(), "{address}");
        }
        for address in ["10.2.0.1", "127.0.0.1", "fd00:2::5", "169.254.169.254"] {
            assert!(resolved(address).is_err(), "{address}");
        }
        assert!(written("http://10.1.0.9/").is_ok());
        assert!(written("http://[::ffff:10.1.0.9]/").is_ok());
        assert!(written("http://10.0.0.9/").is_err());
    }

    #[test]
    fn proxies_are_reached_but_not_as_hosts() {
        let guard = Guard::new();
        guard.allow_proxy("proxy.corp");
        let url = "http://proxy.corp:3128/".parse().unwrap();
        assert!(
            guard
                .check_resolved("proxy.corp", IpAddr::from([10, 0, 0, 1]))
                .is_ok()
        );
        assert!(guard.is_proxy(&url));
        guard.allow_host("proxy.corp");
        assert!(!guard.is_proxy(&url));
    }

    #[test]
    fn an_open_guard_refuses_nothing() {
        let guard = Guard::open();
        assert!(
            guard
                .check(&"http://169.254.169.254/".parse().unwrap())
                .is_ok()
        );
        assert!(
            guard
                .check_resolved("a.example", IpAddr::from([0, 0, 0, 0]))
                .is_ok()
        );
    }
}
