//! An endpoint whose calls a test answers.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::main_thread::Batch;
use crate::{Gateway, Handles, RpcEndpoint};

/// Serves a gateway by handing each call to a test, which answers it when it likes, or never.
///
/// What a mock is to the code that holds a gateway, this is to everything between a gateway and its
/// endpoint: addresses, connections, fencing, time-outs.
///
/// ```
/// # use rpc_core::testing::{ProbeGateway, ProbeGatewayRequest, TestEndpoint};
/// # use rpc_core::RpcService;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let service = RpcService::local();
/// let (endpoint, mut calls) = TestEndpoint::<dyn ProbeGateway>::new(16);
/// service.start_server("probe", endpoint)?.start();
/// let probe = service.connect::<dyn ProbeGateway>("probe").await?;
///
/// let call = probe.add(20);
/// let Some(ProbeGatewayRequest::Add(number, reply)) = calls.recv().await else {
///     panic!("another call was made");
/// };
/// reply.answer(Ok(number + 22));
/// assert_eq!(call.await?, 42);
/// # Ok(())
/// # }
/// ```
pub struct TestEndpoint<G: Gateway + ?Sized> {
    calls: mpsc::Sender<G::Request>,
}

impl<G: Gateway + ?Sized> TestEndpoint<G> {
    /// Makes an endpoint, and where its calls are found; it holds so many of them, and drops what
    /// comes beyond, which fails those calls.
    #[must_use]
    pub fn new(calls_max: usize) -> (Self, mpsc::Receiver<G::Request>) {
        let (calls, receiver) = mpsc::channel(calls_max);
        (Self { calls }, receiver)
    }
}

impl<G: Gateway + ?Sized> RpcEndpoint for TestEndpoint<G> {
    type Gateways = (Arc<G>,);
}

impl<G: Gateway + ?Sized> Handles<G> for TestEndpoint<G> {
    fn handle(batch: &mut Batch<'_, Self>, request: G::Request) {
        // One that is turned away is dropped, and its call fails.
        let _ = batch.run(|endpoint, _| endpoint.calls.try_send(request));
    }
}

impl<G: Gateway + ?Sized> fmt::Debug for TestEndpoint<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestEndpoint")
            .field("gateway", &G::NAME)
            .finish_non_exhaustive()
    }
}
