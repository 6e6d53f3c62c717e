//! The endpoints of a service, by name.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::future::{BoxFuture, FutureExt};
use parking_lot::RwLock;

use super::{Home, StartError};
use crate::address::{AddressError, WILDCARD};
use crate::connection::{Listing, Watchers};
use crate::diagnostics::EndpointDiagnostics;
use crate::endpoint::RpcEndpoint;
use crate::endpoint_core::{Control, EndpointCore};
use crate::error::EndpointError;
use crate::gateway::Exposed;
use crate::lifecycle::Command;
use crate::pulse::Doing;
use crate::watchdog::Progress;

#[derive(Default)]
pub(super) struct Registry {
    endpoints: RwLock<BTreeMap<Arc<str>, Entry>>,
}

struct Entry {
    endpoint: Arc<dyn AnyEndpoint>,
    /// There are none until a peer connects to the endpoint.
    watchers: Option<Arc<Watchers>>,
}

/// An endpoint of whatever type.
pub(super) trait AnyEndpoint: Send + Sync {
    /// Stops the endpoint, whether the future is polled or not.
    fn close(&self) -> BoxFuture<'static, Result<(), EndpointError>>;
    fn name(&self) -> &Arc<str>;
    /// Makes the ways to its gateways.
    fn expose(self: Arc<Self>) -> Vec<Exposed>;
    fn incarnation(&self) -> u64;
    fn report(&self) -> EndpointDiagnostics;
    fn progress(&self) -> Progress;
    /// Tells whether it has a task: it does not rest, and has not ended.
    fn has_task(&self) -> bool;
    /// Lets it have no task if it has nothing to do.
    fn rest(&self);
    /// Ends it, as if its task were dropped.
    fn abort(&self);
    fn home(&self) -> &Arc<Home>;
    /// Whether it is among those that are watched.
    fn watched(&self) -> &AtomicBool;
    /// What such code is called.
    fn name_of(&self, doing: Doing) -> Option<String>;
}

impl<E: RpcEndpoint> AnyEndpoint for EndpointCore<E> {
    fn close(&self) -> BoxFuture<'static, Result<(), EndpointError>> {
        self.command(Command::Terminate);
        self.termination.wait().boxed()
    }

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn expose(self: Arc<Self>) -> Vec<Exposed> {
        Self::expose(&self)
    }

    fn incarnation(&self) -> u64 {
        self.incarnation
    }

    fn report(&self) -> EndpointDiagnostics {
        self.report()
    }

    fn progress(&self) -> Progress {
        self.progress()
    }

    fn has_task(&self) -> bool {
        self.mailbox.has_reader()
    }

    fn rest(&self) {
        self.control(Control::Rest);
    }

    fn abort(&self) {
        self.control(Control::Abort);
    }

    fn home(&self) -> &Arc<Home> {
        &self.home
    }

    fn watched(&self) -> &AtomicBool {
        &self.watched
    }

    fn name_of(&self, doing: Doing) -> Option<String> {
        self.name_of(doing)
    }
}

impl Registry {
    pub(super) fn insert<E: RpcEndpoint>(
        &self,
        core: &Arc<EndpointCore<E>>,
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
        let entry = Entry {
            endpoint: Arc::clone(core) as _,
            watchers: None,
        };
        endpoints.insert(Arc::clone(&core.name), entry);
        Ok(())
    }

    /// Forgets an endpoint that has ended, and tells those who watch it.
    pub(super) fn remove(&self, name: &str) {
        let entry = self.endpoints.write().remove(name);
        if let Some(watchers) = entry.and_then(|it| it.watchers) {
            watchers.endpoint_ended();
        }
    }

    /// Returns an endpoint. `prefix*` is the first whose name begins so.
    pub(super) fn find(&self, name: &str) -> Option<Arc<dyn AnyEndpoint>> {
        let endpoints = self.endpoints.read();
        find(&endpoints, name).map(|it| Arc::clone(&it.endpoint))
    }

    /// Returns what a peer is told of an endpoint, which is told when that ends.
    pub(super) fn listing(&self, name: &str) -> Option<Listing> {
        let mut endpoints = self.endpoints.write();
        let name = Arc::clone(find(&endpoints, name)?.endpoint.name());
        let entry = endpoints.get_mut(&name)?;
        let endpoint = Arc::clone(&entry.endpoint);
        let watchers = Arc::clone(entry.watchers.get_or_insert_default());
        drop(endpoints);
        Some(Listing {
            name: Arc::clone(endpoint.name()),
            incarnation: endpoint.incarnation(),
            exposed: endpoint.expose(),
            watchers,
        })
    }

    /// Tells whether there is an endpoint under this name that is not this one.
    pub(super) fn has_another(&self, name: &str, incarnation: u64) -> bool {
        let endpoints = self.endpoints.read();
        let entry = endpoints.get(name);
        entry.is_some_and(|it| it.endpoint.incarnation() != incarnation)
    }

    /// Returns all endpoints, by name.
    pub(super) fn endpoints(&self) -> Vec<Arc<dyn AnyEndpoint>> {
        let endpoints = self.endpoints.read();
        endpoints
            .values()
            .map(|it| Arc::clone(&it.endpoint))
            .collect()
    }

    pub(super) fn reports(&self) -> Vec<EndpointDiagnostics> {
        self.endpoints().iter().map(|it| it.report()).collect()
    }

    /// Tells whether an endpoint of this service owns this very name.
    pub(super) fn has(&self, name: &Arc<str>) -> bool {
        let endpoints = self.endpoints.read();
        let entry = endpoints.get(name);
        entry.is_some_and(|it| Arc::ptr_eq(it.endpoint.name(), name))
    }

    /// Stops all endpoints at once, and waits for all of them.
    pub(super) async fn terminate_all(&self) -> Result<(), EndpointError> {
        let closing: Vec<_> = self.endpoints().iter().map(|it| it.close()).collect();
        // In turn: polled together, those that the runtime puts off would all be polled again, and
        // again, so that many endpoints would take the square of their number.
        let mut result = Ok(());
        for closing in closing {
            result = result.and(closing.await);
        }
        result
    }
}

fn find<'a>(endpoints: &'a BTreeMap<Arc<str>, Entry>, name: &str) -> Option<&'a Entry> {
    let Some(prefix) = name.strip_suffix(WILDCARD) else {
        return endpoints.get(name);
    };
    let from = (Bound::Included(prefix), Bound::Unbounded);
    let mut candidates = endpoints.range::<str, _>(from);
    let first = candidates.next().filter(|(it, _)| it.starts_with(prefix));
    first.map(|(_, entry)| entry)
}
