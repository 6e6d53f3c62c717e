//! The handle of an endpoint that was started.

use std::fmt;
use std::sync::Arc;

use crate::endpoint::{Handles, RpcEndpoint};
use crate::endpoint_core::{EndpointCore, local_port};
use crate::error::EndpointError;
use crate::fencing::FencingToken;
use crate::gateway::{Fenced, Gateway, Port, Unfenced};
use crate::lifecycle::Command;
use crate::main_thread::MainThreadExecutor;

/// An endpoint of this service, seen by who started it.
///
/// The endpoint serves after [`start`](Self::start). Dropping the handle leaves it running.
///
/// Answers to Flink's `RpcServer` and to the public face of its `RpcEndpoint`.
pub struct RpcServer<E: RpcEndpoint> {
    core: Arc<EndpointCore<E>>,
}

impl<E: RpcEndpoint> RpcServer<E> {
    pub(crate) const fn new(core: Arc<EndpointCore<E>>) -> Self {
        Self { core }
    }

    /// Lets the endpoint serve: the first time `on_start` runs, and then calls are taken.
    pub fn start(&self) {
        self.core.command(Command::Start);
    }

    /// Lets the endpoint refuse calls until it is started again. Its timers wait.
    pub fn stop(&self) {
        self.core.command(Command::Stop);
    }

    /// Stops the endpoint, and waits until it has stopped and its name is free.
    ///
    /// Calls that already wait are not answered any more once `on_stop` is done.
    ///
    /// # Errors
    ///
    /// How the endpoint ended, if not well.
    ///
    /// # Cancel safety
    ///
    /// The endpoint stops also when the future is dropped.
    pub async fn close(&self) -> Result<(), EndpointError> {
        self.terminate();
        self.terminated().await
    }

    /// Lets the endpoint stop for good.
    pub(crate) fn terminate(&self) {
        self.core.command(Command::Terminate);
    }

    /// Waits until the endpoint has stopped for whatever reason, and its name is free.
    ///
    /// # Errors
    ///
    /// How the endpoint ended, if not well.
    pub async fn terminated(&self) -> Result<(), EndpointError> {
        self.core.termination.wait().await
    }

    /// Returns the endpoint's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Returns the address by which others connect to the endpoint.
    #[must_use]
    pub fn address(&self) -> String {
        self.core.address()
    }

    /// Returns a handle with which code anywhere runs code on the endpoint's main thread.
    ///
    /// Code does not travel: a gateway has no such handle.
    ///
    /// ```compile_fail
    /// # use rpc_core::{Call, rpc_gateway};
    /// # #[rpc_gateway]
    /// # pub trait ClockGateway {
    /// #     fn now(&self) -> Call<u64>;
    /// # }
    /// fn post(clock: &dyn ClockGateway) {
    ///     clock.main_thread().run_async(|_, _| ());
    /// }
    /// ```
    // Flink, untested: A13
    #[must_use]
    pub fn main_thread(&self) -> MainThreadExecutor<E> {
        MainThreadExecutor::new(Arc::clone(&self.core))
    }

    /// Returns a client of the endpoint itself. Flink's `getSelfGateway`.
    ///
    /// # Panics
    ///
    /// When the gateway is not in the endpoint's list.
    #[must_use]
    pub fn gateway<G: Unfenced + ?Sized>(&self) -> Arc<G>
    where
        E: Handles<G>,
    {
        self.client(None)
    }

    /// Returns a client of the endpoint itself that carries `token`.
    ///
    /// # Panics
    ///
    /// When the gateway is not in the endpoint's list.
    #[must_use]
    pub fn gateway_fenced<G: Fenced + ?Sized>(&self, token: impl Into<FencingToken>) -> Arc<G>
    where
        E: Handles<G>,
    {
        self.client(Some(token.into()))
    }

    fn client<G: Gateway + ?Sized>(&self, token: Option<FencingToken>) -> Arc<G> {
        let route = local_port::<G>(&self.core.expose());
        let route = route.expect("the gateway is in the endpoint's list");
        let address = self.core.callee().address.clone();
        let caller = Arc::clone(&self.core.caller);
        let callee = caller.callee(address, caller.service, G::METHODS.len());
        G::client(Port::local(route, callee, token, caller))
    }

    /// Returns how many one-way messages were dropped because the mailbox was full.
    #[must_use]
    pub fn messages_dropped(&self) -> u64 {
        self.core.dropped()
    }
}

impl<E: RpcEndpoint> Clone for RpcServer<E> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.core))
    }
}

impl<E: RpcEndpoint> fmt::Debug for RpcServer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcServer")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}
