use std::pin::pin;
use std::sync::Arc;

use rpc_core::RpcService;
use rpc_core::testing::{Probe, ProbeGateway};
use rpc_transport_tcp::Tcp;
use tokio::runtime::Builder;

use super::loopback;

#[test]
fn a_socket_outlives_the_runtime_that_asked_for_it() {
    let lasting = Builder::new_multi_thread().enable_all().build().unwrap();
    let service = |tcp| {
        let service = RpcService::builder().transport(tcp).build();
        lasting.block_on(service).unwrap()
    };
    let (callee, caller) = (service(loopback()), service(Tcp::dial_only()));
    let server = callee.start_server("probe", Probe::default()).unwrap();
    server.start();
    let brief = Builder::new_current_thread().enable_all().build().unwrap();
    let probe = brief.block_on(caller.connect::<dyn ProbeGateway>(&server.address()));
    let probe: Arc<dyn ProbeGateway> = probe.unwrap();
    let mut lost = pin!(probe.closed());
    brief.block_on(async {
        tokio::select! {
            biased;
            lost = &mut lost => panic!("{lost:?}"),
            sum = probe.add(1) => assert_eq!(sum, Ok(1)),
        }
    });
    drop(brief);
    lasting.block_on(async {
        assert_eq!(probe.add(2).await, Ok(1 + 2));
        tokio::select! {
            biased;
            lost = lost => panic!("{lost:?}"),
            sum = probe.add(3) => assert_eq!(sum, Ok(1 + 2 + 3)),
        }
    });
}
