//! Where endpoints run.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::runtime::{Handle, Id};

use super::{RpcService, WeakService};
use crate::endpoint::RpcEndpoint;
use crate::endpoint_core::EndpointCore;

/// The endpoints of a service that were started in the same runtime have the same home.
pub(crate) struct Home {
    runtime: Handle,
    service: WeakService,
    /// What the addresses of the endpoints begin with.
    address: String,
}

/// The homes of a service, by their runtime.
pub(super) type Homes = HashMap<Id, Arc<Home>>;

/// Ends the endpoints of a home when their runtime is shut down: those that rest have no task that
/// would be dropped with it.
struct Shelter(Arc<Home>);

impl RpcService {
    /// Returns the home of endpoints that run on this runtime.
    pub(super) fn home(&self, runtime: Handle) -> Arc<Home> {
        let mut homes = self.inner.homes.lock();
        if let Some(home) = homes.get(&runtime.id()) {
            return Arc::clone(home);
        }
        let home = Arc::new(Home {
            runtime,
            service: self.downgrade(),
            address: self.address_of(""),
        });
        homes.insert(home.runtime.id(), Arc::clone(&home));
        drop(homes);
        let shelter = Shelter(Arc::clone(&home));
        let mut closed = self.inner.closed.subscribe();
        // Until the service is dropped; at once, and in here, if the runtime is shut down already.
        home.runtime.spawn(async move {
            let _shelter = shelter;
            while closed.changed().await.is_ok() {}
        });
        home
    }
}

impl Home {
    pub(crate) const fn service(&self) -> &WeakService {
        &self.service
    }

    /// Returns the address of an endpoint with this name.
    pub(crate) fn address_of(&self, name: &str) -> String {
        format!("{}{name}", self.address)
    }

    /// Tells whether this is a thread of the runtime.
    pub(crate) fn is_here(&self) -> bool {
        Handle::try_current().is_ok_and(|it| it.id() == self.runtime.id())
    }

    /// Runs a task of an endpoint.
    pub(crate) fn begin<E: RpcEndpoint>(
        &self,
        endpoint: &Arc<EndpointCore<E>>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        if let Some(service) = self.service.upgrade() {
            service.inner.awake.add(endpoint);
        }
        self.runtime.spawn(task);
    }
}

impl Drop for Shelter {
    fn drop(&mut self) {
        let Self(home) = self;
        let Some(service) = home.service.upgrade() else {
            return;
        };
        service.inner.homes.lock().remove(&home.runtime.id());
        let endpoints = service.inner.registry.endpoints();
        let here = endpoints.iter().filter(|it| Arc::ptr_eq(it.home(), home));
        here.for_each(|it| it.abort());
    }
}
