//! An endpoint that hands a call on to the next of a list, and waits for it.

use std::sync::Arc;

use rpc_core::{
    Call, Failure, MainThread, RpcEndpoint, RpcError, RpcResult, RpcServer, RpcService, gateways,
    rpc_endpoint, rpc_gateway,
};
use tokio::sync::Notify;

use crate::log::seen;

#[rpc_gateway]
pub(crate) trait RelayGateway {
    /// Goes through all of these addresses; the last answers when it is let go.
    fn pass(&self, addresses: Vec<String>) -> Call<u32>;
    fn note(&self, number: u32);
    fn fail(&self) -> Call<u32>;
    fn make_bytes(&self, count: u32) -> Call<Vec<u8>>;
}

#[derive(Default)]
pub(crate) struct Relay {
    pub(crate) signals: Arc<Signals>,
}

#[derive(Default)]
pub(crate) struct Signals {
    /// A call has come to the end of its list.
    pub(crate) arrived: Notify,
    /// Lets it go.
    pub(crate) go: Notify,
    /// Its handler has ended.
    pub(crate) gone: Notify,
}

impl RpcEndpoint for Relay {
    type Gateways = gateways![RelayGateway];
}

#[rpc_endpoint(RelayGateway)]
impl Relay {
    async fn pass(main: MainThread<'_, Self>, mut addresses: Vec<String>) -> RpcResult<u32> {
        seen("pass");
        let (service, signals) = main.run(|it, cx| (cx.service(), Arc::clone(&it.signals)));
        if addresses.is_empty() {
            let _gone = NotifyOnDrop(Arc::clone(&signals));
            signals.arrived.notify_one();
            signals.go.notified().await;
            seen("go");
            return Ok(0);
        }
        let service = service.ok_or_else(|| Failure::message("the service is gone"))?;
        let address = addresses.remove(0);
        let next = service.connect::<dyn RelayGateway>(&address);
        let next = next.await.map_err(|error| RpcError::failed(&error))?;
        Ok(next.pass(addresses).await? + 1)
    }

    fn note(&mut self, _number: u32) {
        seen("note");
    }

    fn fail(&mut self) -> RpcResult<u32> {
        Err(Failure::message("as it was asked to").into())
    }

    fn make_bytes(&mut self, count: u32) -> RpcResult<Vec<u8>> {
        Ok(vec![7; count as usize])
    }
}

struct NotifyOnDrop(Arc<Signals>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.gone.notify_one();
    }
}

/// Starts a relay under this name.
pub(crate) fn relay(service: &RpcService, name: &str) -> (RpcServer<Relay>, Arc<Signals>) {
    let relay = Relay::default();
    let signals = Arc::clone(&relay.signals);
    let server = service.start_server(name, relay).unwrap();
    server.start();
    (server, signals)
}
