//! Main threads that are kept from their work are told.

use std::sync::mpsc;
use std::time::Duration;

use rpc_core::{Call, RpcEndpoint, RpcResult, RpcService, gateways, rpc_endpoint, rpc_gateway};
use tokio::runtime::Builder;

use crate::log::{Log, pass_time};

#[rpc_gateway]
trait BlockerGateway {
    fn block(&self) -> Call<()>;
}

struct Blocker {
    begun: mpsc::Sender<()>,
    go: mpsc::Receiver<()>,
}

impl RpcEndpoint for Blocker {
    type Gateways = gateways![BlockerGateway];
}

#[rpc_endpoint(BlockerGateway)]
impl Blocker {
    fn block(&mut self) -> RpcResult<()> {
        self.begun.send(()).unwrap();
        self.go.recv().unwrap();
        Ok(())
    }
}

#[test]
fn a_handler_that_blocks_its_main_thread_is_told_once() {
    let (log, _guard) = Log::keep();
    let watching = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let blocked = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    watching.block_on(async {
        let service = RpcService::local();
        // The watch runs where the service is made, and the blocker elsewhere.
        let (begun, has_begun) = mpsc::channel();
        let (go, gone) = mpsc::channel();
        let blocker = Blocker { begun, go: gone };
        let server = {
            let _elsewhere = blocked.enter();
            service.start_server("blocker", blocker).unwrap()
        };
        server.start();
        let gateway = server.gateway::<dyn BlockerGateway>();
        let call = gateway.block().without_timeout();
        // Not awaited: the clock would run meanwhile.
        has_begun.recv().unwrap();
        pass_time(Duration::from_secs(20)).await;
        let running = &service.diagnostics().endpoints[0].running;
        assert_eq!(running.as_deref(), Some("BlockerGateway::block"));
        go.send(()).unwrap();
        call.await.unwrap();
        let told = log.of("rpc_core::service::observe");
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].fields.get("endpoint"), "blocker");
        assert_eq!(told[0].fields.get("method"), "BlockerGateway::block");
    });
}
