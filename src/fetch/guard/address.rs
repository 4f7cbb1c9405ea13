//! Which addresses are not on the public internet.
//!
//! From the IANA registries of special-purpose addresses
//! ([IPv4](https://www.iana.org/assignments/iana-ipv4-special-registry),
//! [IPv6](https://www.iana.org/assignments/iana-ipv6-special-registry)), and what clouds put there.
//! Addresses that carry an IPv4 address inside (mapped, NAT64, 6to4) are what they carry.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address that is not public is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    Private,
    Loopback,
    Shared,
    LinkLocal,
    Metadata,
    Documentation,
    Multicast,
    Unspecified,
    Reserved,
}

impl Special {
    /// With its article.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Private => "a private address",
            Self::Loopback => "a loopback address",
            Self::Shared => "a shared address of a provider",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "the address of a cloud's metadata",
            Self::Documentation => "an address for documentation",
            Self::Multicast => "a multicast address",
            Self::Unspecified => "no host's address",
            Self::Reserved => "a reserved address",
        }
    }

    /// Whether a host name that may be private may be this. Names of servers never are the rest:
    /// those are what a name would be bound to in an attack.
    pub(super) fn may_be_named(self) -> bool {
        matches!(self, Self::Private | Self::Loopback | Self::Shared)
    }
}

/// What `address` is for, or nothing if it is public.
pub(super) fn special(address: IpAddr) -> Option<Special> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<Special> {
    Some(match address.octets() {
        [169, 254, 169, 254] | [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16] => {
            Special::Metadata
        }
        [0, ..] => Special::Unspecified,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Special::Private,
        [100, 64..=127, ..] => Special::Shared,
        [127, ..] => Special::Loopback,
        [169, 254, ..] => Special::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Special::Documentation,
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18 | 19, ..] | [240..=255, ..] => {
            Special::Reserved
        }
        [224..=239, ..] => Special::Multicast,
        _ => return None,
    })
}

fn special_v6(address: Ipv6Addr) -> Option<Special> {
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Special::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Special::Loopback,
        // Mapped, compatible (deprecated) and translated addresses.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            return special_v4(carried(high, low));
        }
        [0x2002, high, low, ..] => return special_v4(carried(high, low)),
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => {
            Special::Metadata
        }
        [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Special::Private,
        [0xfe80..=0xfebf, ..] => Special::LinkLocal,
        [0xff00..=0xffff, ..] => Special::Multicast,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Special::Documentation,
        // Protocol assignments, Teredo among them.
        [0x2001, 0..=0x1ff, ..] => Special::Reserved,
        [0x2000..=0x3fff, ..] => return None,
        _ => Special::Reserved,
    })
}

fn carried(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(addresses: &[&str], expected: Option<Special>) {
        for address in addresses {
            assert_eq!(special(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn public() {
        check(
            &[
                "8.8.8.8",
                "1.1.1.1",
                "172.15.255.255",
                "172.32.0.0",
                "100.63.255.255",
            ],
            None,
        );
        check(
            &[
                "100.128.0.0",
                "128.0.0.1",
                "191.255.255.255",
                "223.255.255.255",
            ],
            None,
        );
        check(
            &[
                "2606:4700::1111",
                "2a00:1450:4001::1",
                "2001:200::1",
                "3ffe::1",
            ],
            None,
        );
        check(
            &["::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"],
            None,
        );
    }

    #[test]
    fn special_purpose() {
        let private = [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "fd00::1",
        ];
        check(&private, Some(Special::Private));
        check(
            &["fc00::", "fdff::1", "fec0::1", "64:ff9b:1::1"],
            Some(Special::Private),
        );
        check(
            &["127.0.0.1", "127.255.0.9", "::1"],
            Some(Special::Loopback),
        );
        check(&["100.64.0.1", "100.127.255.255"], Some(Special::Shared));
        check(
            &["169.254.0.1", "fe80::1", "febf::1"],
            Some(Special::LinkLocal),
        );
        let metadata = [
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
        ];
        check(&metadata, Some(Special::Metadata));
        let documentation = [
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "2001:db8::1",
            "3fff::1",
        ];
        check(&documentation, Some(Special::Documentation));
        check(
            &["224.0.0.1", "239.255.255.255", "ff02::1"],
            Some(Special::Multicast),
        );
        check(&["0.0.0.0", "0.1.2.3", "::"], Some(Special::Unspecified));
        check(
            &["240.0.0.1", "255.255.255.255", "192.0.0.1", "198.18.0.1"],
            Some(Special::Reserved),
        );
        check(
            &["2001::1", "100::1", "4000::1", "5f00::1", "fe00::1"],
            Some(Special::Reserved),
        );
    }

    #[test]
    fn carriers_are_what_they_carry() {
        let private = [
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:a00:1::1",
            "::10.0.0.1",
        ];
        check(&private, Some(Special::Private));
        check(
            &["::ffff:127.0.0.1", "64:ff9b::7f00:1"],
            Some(Special::Loopback),
        );
        check(&["::ffff:169.254.169.254"], Some(Special::Metadata));
        check(&["::ffff:0.0.0.0", "::2"], Some(Special::Unspecified));
    }
}
