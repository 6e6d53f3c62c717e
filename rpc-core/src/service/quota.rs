//! How many of something peers may have: in all, and of each host. Pure but for its lock.

use std::collections::BTreeMap;
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
        if counts.hosts.get(host).copied().unwrap_or_default() >= host_max {
            return Err(Excess::Host);
        }
        counts.all += 1;
        *counts.hosts.entry(host.to_owned()).or_default() += 1;
        Ok(Share {
            quota: Arc::clone(self),
            host: host.to_owned(),
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

/// Returns what peers of the same host have in common.
fn host_of(peer: &str) -> &str {
    peer.rsplit_once(':').map_or(peer, |(host, _)| host)
}
