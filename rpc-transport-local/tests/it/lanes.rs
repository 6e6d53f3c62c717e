use std::sync::Arc;

use rpc_core::testing::{Probe, ProbeGateway};
use rpc_core::{RpcConfig, RpcService};
use rpc_transport_local::{Local, LocalConfig, LocalNetwork};

async fn service(transport: Local, bulk_bytes_min: usize) -> RpcService {
    let mut config = RpcConfig::default();
    config.bulk_bytes_min = bulk_bytes_min;
    let builder = RpcService::builder().config(config);
    builder.transport(transport).build().await.unwrap()
}

/// Makes a large call and then a small one by another gateway. Returns whether the small one is answered
/// while the large one is on its way.
async fn is_overtaken(bulk_bytes_min: usize) -> bool {
    let mut config = LocalConfig::default();
    config.pipe_bytes = 1_000;
    let network = LocalNetwork::with_config(config);
    let callee = service(network.bind("callee"), bulk_bytes_min).await;
    let caller = service(network.dial_only(), bulk_bytes_min).await;
    let server = callee.start_server("probe", Probe::default()).unwrap();
    server.start();
    let address = server.address();
    let large: Arc<dyn ProbeGateway> = caller.connect(&address).await.unwrap();
    let small: Arc<dyn ProbeGateway> = caller.connect(&address).await.unwrap();
    // Where there is a stream for what is large, the first of it opens it.
    for _ in 0..2 {
        large.echo(vec![1; 200_000]).await.unwrap();
    }

    let mut large = large.echo(vec![1; 2_000_000]);
    let small = small.add(1);
    let overtakes = tokio::select! {
        biased;
        answer = &mut large => {
            assert_eq!(answer.unwrap().len(), 2_000_000);
            return false;
        }
        answer = small => {
            assert_eq!(answer, Ok(1));
            true
        }
    };
    assert_eq!(large.await.unwrap().len(), 2_000_000);
    overtakes
}

#[tokio::test]
async fn a_small_call_does_not_wait_for_a_large_one() {
    assert!(is_overtaken(100_000).await);
}

#[tokio::test]
async fn a_small_call_waits_for_a_large_one_where_there_is_one_stream() {
    assert!(!is_overtaken(usize::MAX).await);
}
