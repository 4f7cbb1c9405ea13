//! Hosts that several processes of a crawl share: into how many parts they are divided.

use serde::{Deserialize, Serialize};
use url::Url;

use super::host::{Hosts, closest};
use super::{HostSettings, PolitenessBy, Settings};

/// Into how many parts hosts are divided, each of which is asked by one process at a time, with its part of
/// the host's rate and concurrency.
///
/// It decides under which key a request is known, so it is that of the settings with which a crawl began, for
/// as long as the crawl goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shares(Hosts);

impl Shares {
    /// By the settings. Hosts that share one pace with others have one process together.
    pub fn new(settings: &Settings) -> Self {
        let is_shared = settings.host.values().any(|host| host.processes > Some(1));
        if !is_shared || settings.politeness != PolitenessBy::Host {
            return Self::default();
        }
        let own = |host: &HostSettings| HostSettings {
            concurrency: host.concurrency,
            processes: host.processes,
            ..HostSettings::default()
        };
        let hosts = settings.host.iter();
        let mut hosts: Hosts = hosts
            .map(|(pattern, host)| (pattern.clone(), own(host)))
            .collect();
        let all = hosts.entry("*".to_owned()).or_default();
        all.concurrency = all.concurrency.or(Some(settings.concurrency_per_host));
        Self(hosts)
    }

    /// Whether no host is divided.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parts of the host of `url`: no more than requests that it may have in flight, so that each
    /// has one.
    ///
    /// ```
    /// use nephila::settings::{Settings, Shares};
    ///
    /// let settings = Settings::for_spider(
    ///     "[host.'shop.example']\nprocesses = 3\n[host.'*.example']\nconcurrency = 2",
    /// )?;
    /// let shares = Shares::new(&settings);
    /// assert_eq!(shares.of(&"https://shop.example/".parse().unwrap()), 2);
    /// assert_eq!(shares.of(&"https://other.example/".parse().unwrap()), 1);
    /// # Ok::<(), nephila::settings::SettingsError>(())
    /// ```
    pub fn of(&self, url: &Url) -> usize {
        if self.is_empty() {
            return 1;
        }
        let host = closest(&self.0, url);
        let most = host.concurrency.unwrap_or(usize::MAX);
        host.processes.unwrap_or(1).min(most).max(1)
    }
}
