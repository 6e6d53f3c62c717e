use rpc_core::{RpcConfig, RpcService};
use rpc_transport_tcp::Tcp;

use super::loopback;

#[tokio::test]
async fn a_channel_is_one_of_the_connections_until_it_is_dropped() {
    let mut config = RpcConfig::default();
    config.connections_max = 1;
    let callee = RpcService::builder().config(config).transport(loopback());
    let callee = callee.build().await.unwrap();
    let caller = RpcService::builder().transport(Tcp::dial_only());
    let caller = caller.build().await.unwrap();
    let mut channels = callee.accept_channels("bulk").unwrap();
    let address = callee.address_of("bulk");

    let _ours = caller.open_channel(&address).await.unwrap();
    let channel = channels.accept().await.unwrap();
    caller.open_channel(&address).await.unwrap_err();
    drop(channel.reader);
    caller.open_channel(&address).await.unwrap_err();
    drop(channel.writer);
    caller.open_channel(&address).await.unwrap();
    for service in [caller, callee] {
        service.close().await.unwrap();
    }
}
