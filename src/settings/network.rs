//! Networks by their addresses.

use std::net::IpAddr;

use ipnet::IpNet;

/// The network that is written so, an address and the length of its prefix (`10.0.0.0/8`), or the single
/// address; none if it is neither.
///
/// ```
/// use nephila::settings::network;
///
/// let own = network("10.0.0.0/8").unwrap();
/// assert!(own.contains(&std::net::IpAddr::from([10, 1, 2, 3])));
/// assert_eq!(network("127.0.0.1"), network("127.0.0.1/32"));
/// assert_eq!(network("shop.example"), None);
/// ```
pub fn network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>();
    network
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .ok()
}
