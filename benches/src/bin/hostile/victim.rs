//! Who is called.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rpc_core::{
    BoxError, Call, MainThread, RpcEndpoint, RpcResult, RpcService, gateways, rpc_endpoint,
    rpc_gateway,
};
use rpc_transport_tcp::Tcp;

/// What a good caller and a hostile one may ask.
#[rpc_gateway]
pub(crate) trait VictimGateway {
    /// Returns the number.
    fn echo(&self, number: u64) -> Call<u64>;
    /// Blocks the main thread for a millisecond.
    fn toil(&self, padding: Bytes) -> Call<()>;
    /// Lets other handlers run for five seconds.
    fn rest(&self, padding: Bytes) -> Call<()>;
    /// Returns so many bytes.
    fn blob(&self, bytes: u32) -> Call<Bytes>;
}

pub(crate) struct Victim;

impl RpcEndpoint for Victim {
    type Gateways = gateways![VictimGateway];
}

#[rpc_endpoint(VictimGateway)]
impl Victim {
    fn echo(&mut self, number: u64) -> RpcResult<u64> {
        Ok(number)
    }

    fn toil(&mut self, _padding: Bytes) -> RpcResult<()> {
        std::thread::park_timeout(Duration::from_millis(1));
        Ok(())
    }

    async fn rest(_main: MainThread<'_, Self>, _padding: Bytes) -> RpcResult<()> {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(())
    }

    fn blob(&mut self, bytes: u32) -> RpcResult<Bytes> {
        Ok(vec![1; bytes as usize].into())
    }
}

/// Returns a service that has these endpoints, and listens.
pub(crate) async fn serve(names: impl Iterator<Item = String>) -> Result<RpcService, BoxError> {
    let tcp = Tcp::bind("127.0.0.1:0");
    let service = RpcService::builder().transport(tcp).build().await?;
    for name in names {
        service.start_server(&name, Victim)?.start();
    }
    Ok(service)
}

/// Returns a service that only dials, and what it has connected to.
pub(crate) async fn dial(address: &str) -> Result<(RpcService, Arc<dyn VictimGateway>), BoxError> {
    let tcp = Tcp::dial_only();
    let service = RpcService::builder().transport(tcp).build().await?;
    match service.connect(address).await {
        Ok(gateway) => Ok((service, gateway)),
        Err(error) => {
            service.close().await?;
            Err(error.into())
        }
    }
}
