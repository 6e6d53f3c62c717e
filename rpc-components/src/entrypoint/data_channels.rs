//! The channels between the tasks of different TaskManagers, as channels of their RPC services.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rpc_core::transport::Stream;
use rpc_core::{BoxError, RpcService, StartError};

use crate::id::ResourceId;
use crate::shuffle::{Dialer, ShuffleConfig, ShuffleEnvironment};

/// The name of the channels.
pub(super) const DATA_CHANNEL: &str = "shuffle";

/// Makes the shuffle environment of a TaskManager, whose partitions others may read from now on.
pub(super) fn serve(
    rpc: &RpcService,
    resource: ResourceId,
    config: ShuffleConfig,
) -> Result<ShuffleEnvironment, StartError> {
    let dialer = Arc::new(ServiceDialer(rpc.clone()));
    let shuffle = ShuffleEnvironment::new(config, resource, dialer);
    let mut channels = rpc.accept_channels(DATA_CHANNEL)?;
    let (service, serving) = (rpc.clone(), shuffle.clone());
    rpc.spawn(async move {
        while let Some(stream) = channels.accept().await {
            let served = serving.serve(stream);
            service.spawn(async move {
                if let Err(error) = served.await {
                    tracing::debug!(%error, "a consumer did not get all of its partition");
                }
            });
        }
    });
    Ok(shuffle)
}

/// Opens channels to other TaskManagers.
#[derive(Debug)]
struct ServiceDialer(RpcService);

impl Dialer for ServiceDialer {
    fn open(&self, address: String) -> BoxFuture<'static, Result<Stream, BoxError>> {
        let service = self.0.clone();
        async move { Ok(service.open_channel(&address).await?) }.boxed()
    }
}
