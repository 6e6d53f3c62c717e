//! Who is to be told when an endpoint ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::IncomingConnection;
use crate::mutant::{self, Mutant};

/// The gateways of peers to one endpoint. There are no more than their connections may resolve.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Mutex<Watching>);

#[derive(Debug, Default)]
struct Watching {
    gateways: BTreeMap<(u64, u32), Weak<IncomingConnection>>,
    ended: bool,
}

/// A gateway of a peer, by the connection and its number there.
pub(crate) struct Watcher {
    connection: Arc<IncomingConnection>,
    gateway: u32,
}

impl Watcher {
    pub(super) fn new(connection: &Arc<IncomingConnection>, gateway: u32) -> Self {
        Self {
            connection: Arc::clone(connection),
            gateway,
        }
    }
}

impl Watchers {
    pub(super) fn add(&self, watcher: Watcher) {
        let Watcher {
            connection,
            gateway,
        } = watcher;
        let mut watching = self.0.lock();
        if watching.ended {
            drop(watching);
            // The endpoint has ended while its gateway was looked up.
            connection.gone(gateway);
        } else {
            let key = (connection.id, gateway);
            watching.gateways.insert(key, Arc::downgrade(&connection));
        }
    }

    pub(super) fn remove(&self, connection: u64, gateway: u32) {
        self.0.lock().gateways.remove(&(connection, gateway));
    }

    /// Tells all peers that the endpoint has ended.
    pub(crate) fn endpoint_ended(&self) {
        let gateways = {
            let mut watching = self.0.lock();
            watching.ended = true;
            std::mem::take(&mut watching.gateways)
        };
        for ((_, gateway), connection) in gateways {
            if let Some(connection) = connection.upgrade()
                && !mutant::is(Mutant::GoneNotSent)
            {
                connection.gone(gateway);
            }
        }
    }
}

impl std::fmt::Debug for IncomingConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IncomingConnection")
            .field("peer", &self.wire.peer)
            .finish_non_exhaustive()
    }
}
