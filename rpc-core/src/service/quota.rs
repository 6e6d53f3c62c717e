//! How many of something peers may have: in all, and of each host. Pure but for its lock.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;

/// Counts what peers have, as long as they have it.
#[derive(Debug, Default)]
pub(super) struct Quota {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// Hosts that have nothing are forgotten.
    hosts: BTreeMap<String, usize>,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    All,
    Host,
}

/// One of those that are counted.
#[must_use = "dropping it gives the share back"]
#[derive(Debug)]
pub(super) struct Share {
    quota: Arc<Quota>,
    host: String,
}

impl Quota {
    /// Gives the peer one more.
    pub(super) fn take(
        self: &Arc<Self>,
        peer: &str,
        all_max: usize,
        host_max: usize,
    ) -> Result<Share, Excess> {
        let host = host_of(peer);
        let mut counts = self.counts.lock();
        if counts.all >= all_max {
            return Err(Excess::All);
        }
        if counts.hosts.get(&host).copied().unwrap_or_default() >= host_max {
            return Err(Excess::Host);
        }
        counts.all += 1;
        *counts.hosts.entry(host.clone()).or_default() += 1;
        Ok(Share {
            quota: Arc::clone(self),
            host,
        })
    }

    #[cfg(test)]
    pub(super) fn has_hosts(&self) -> bool {
        !self.counts.lock().hosts.is_empty()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.quota.counts.lock();
        counts.all -= 1;
        if let Some(count) = counts.hosts.get_mut(&self.host) {
            *count -= 1;
            if *count == 0 {
                counts.hosts.remove(&self.host);
            }
        }
    }
}

/// Returns what peers of the same host have in common: one that has an address of IPv6 has as many as it
/// likes that begin alike.
fn host_of(peer: &str) -> String {
    let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
    let Ok(SocketAddr::V6(address)) = peer.parse() else {
        return host.to_owned();
    };
    match address.ip().to_ipv4_mapped() {
        Some(address) => address.to_string(),
        None => Ipv6Addr::from_bits(address.ip().to_bits() & NETWORK).to_string(),
    }
}

/// The part of an address that a host does not choose.
const NETWORK: u128 = u128::MAX << 64;

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn who_chooses_among_many_addresses_is_one_host() {
        assert_eq!(host_of("192.0.2.7:80"), "192.0.2.7");
        assert_eq!(host_of("[::ffff:192.0.2.7]:80"), "192.0.2.7");
        let one = host_of("[2001:db8:0:1::7]:80");
        assert_eq!(host_of("[2001:db8:0:1:9:9:9:9]:81"), one);
        assert_ne!(host_of("[2001:db8:0:2::7]:80"), one);
        assert_eq!(host_of("name:1"), "name");
        assert_eq!(host_of("name"), "name");
    }
}
