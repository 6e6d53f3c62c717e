//! The endpoints of a service, by name.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use parking_lot::RwLock;

use super::StartError;
use crate::address::{AddressError, WILDCARD};
use crate::connection::Listing;
use crate::diagnostics::EndpointDiagnostics;
use crate::endpoint::RpcEndpoint;
use crate::error::EndpointError;
use crate::gateway::Exposed;
use crate::pulse::Doing;
use crate::server::RpcServer;
use crate::shared::EndpointCore;
use crate::watchdog::Progress;

#[derive(Default)]
pub(super) struct Registry {
    endpoints: RwLock<BTreeMap<Arc<str>, Entry>>,
}

struct Entry {
    listing: Listing,
    owner: Arc<dyn AnyServer>,
}

/// An endpoint of whatever type.
pub(super) trait AnyServer: Send + Sync {
    /// Stops the endpoint, whether the future is polled or not.
    fn close(&self) -> BoxFuture<'static, Result<(), EndpointError>>;
    fn name(&self) -> &Arc<str>;
    fn incarnation(&self) -> u64;
    fn report(&self) -> EndpointDiagnostics;
    fn progress(&self) -> Progress;
    /// What such code is called.
    fn name_of(&self, doing: Doing) -> Option<String>;
}

impl<E: RpcEndpoint> AnyServer for RpcServer<E> {
    fn close(&self) -> BoxFuture<'static, Result<(), EndpointError>> {
        self.terminate();
        let server = self.clone();
        async move { server.terminated().await }.boxed()
    }

    fn name(&self) -> &Arc<str> {
        &self.core().name
    }

    fn incarnation(&self) -> u64 {
        self.core().incarnation
    }

    fn report(&self) -> EndpointDiagnostics {
        self.core().report()
    }

    fn progress(&self) -> Progress {
        self.core().progress()
    }

    fn name_of(&self, doing: Doing) -> Option<String> {
        self.core().name_of(doing)
    }
}

impl Registry {
    pub(super) fn insert<E: RpcEndpoint>(
        &self,
        core: &Arc<EndpointCore<E>>,
        exposed: Arc<[Exposed]>,
    ) -> Result<(), StartError> {
        if core.name.ends_with(WILDCARD) {
            return Err(StartError::Name(AddressError::pattern(&core.name)));
        }
        let mut endpoints = self.endpoints.write();
        if endpoints.contains_key(&core.name) {
            return Err(StartError::Taken {
                name: core.name.to_string(),
            });
        }
        let owner = Arc::new(RpcServer::new(Arc::clone(core), Arc::clone(&exposed)));
        let listing = Listing {
            exposed,
            incarnation: core.incarnation,
            watchers: Arc::default(),
        };
        endpoints.insert(Arc::clone(&core.name), Entry { listing, owner });
        Ok(())
    }

    /// Forgets an endpoint that has ended, and tells those who watch it.
    pub(super) fn remove(&self, name: &str) {
        let entry = self.endpoints.write().remove(name);
        if let Some(entry) = entry {
            entry.listing.watchers.endpoint_ended();
        }
    }

    /// Returns what is known of an endpoint. `prefix*` is the first whose name begins so.
    pub(super) fn find(&self, name: &str) -> Option<Listing> {
        let endpoints = self.endpoints.read();
        let entry = match name.strip_suffix(WILDCARD) {
            None => endpoints.get(name),
            Some(prefix) => {
                let from = (Bound::Included(prefix), Bound::Unbounded);
                let mut candidates = endpoints.range::<str, _>(from);
                let first = candidates.next().filter(|(it, _)| it.starts_with(prefix));
                first.map(|(_, entry)| entry)
            }
        };
        entry.map(|entry| entry.listing.clone())
    }

    /// Returns all endpoints, by name.
    pub(super) fn servers(&self) -> Vec<Arc<dyn AnyServer>> {
        let endpoints = self.endpoints.read();
        endpoints.values().map(|it| Arc::clone(&it.owner)).collect()
    }

    pub(super) fn reports(&self) -> Vec<EndpointDiagnostics> {
        self.servers().iter().map(|it| it.report()).collect()
    }

    /// Tells whether an endpoint of this service owns this very name.
    pub(super) fn has(&self, name: &Arc<str>) -> bool {
        let endpoints = self.endpoints.read();
        let entry = endpoints.get(name);
        entry.is_some_and(|it| Arc::ptr_eq(it.owner.name(), name))
    }

    /// Stops all endpoints at once, and waits for all of them.
    pub(super) async fn terminate_all(&self) -> Result<(), EndpointError> {
        let closing: Vec<_> = self.servers().iter().map(|it| it.close()).collect();
        // In turn: polled together, those that the runtime puts off would all be polled again, and
        // again, so that many endpoints would take the square of their number.
        let mut result = Ok(());
        for closing in closing {
            result = result.and(closing.await);
        }
        result
    }
}
