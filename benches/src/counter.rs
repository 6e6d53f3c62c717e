use std::sync::Arc;

use futures_util::future::join_all;
use rpc_core::transport::Transport;
use rpc_core::{Call, RpcEndpoint, RpcResult, RpcService, gateways, rpc_endpoint, rpc_gateway};

use crate::Ask;

/// A gateway whose calls cost nothing but themselves.
#[rpc_gateway]
pub trait CounterGateway {
    /// Adds to the sum, and returns it.
    fn add(&self, number: u64) -> Call<u64>;
}

/// The endpoint behind it.
#[derive(Debug, Default)]
pub struct Counter {
    sum: u64,
}

impl RpcEndpoint for Counter {
    type Gateways = gateways![CounterGateway];
}

#[rpc_endpoint(CounterGateway)]
impl Counter {
    fn add(&mut self, number: u64) -> RpcResult<u64> {
        self.sum = self.sum.wrapping_add(number);
        Ok(self.sum)
    }
}

/// A counter of one's own service.
#[derive(Debug)]
pub struct SameService {
    gateway: Arc<dyn CounterGateway>,
    _service: RpcService,
}

impl SameService {
    /// Starts the counter.
    #[must_use]
    pub fn start() -> Self {
        let service = RpcService::local();
        Self {
            gateway: start_counter(&service).gateway(),
            _service: service,
        }
    }
}

impl Ask for SameService {
    async fn ask(&mut self) {
        ask(&*self.gateway).await;
    }

    async fn ask_at_once(&mut self, calls: usize) {
        ask_at_once(&*self.gateway, calls).await;
    }
}

/// A counter of another service, reached by a transport.
#[derive(Debug)]
pub struct Remote {
    gateway: Arc<dyn CounterGateway>,
    _caller: RpcService,
    _callee: RpcService,
}

impl Remote {
    /// Starts the counter in a service of its own, and connects another to it.
    pub async fn start(callee: impl Transport, caller: impl Transport) -> Self {
        let callee = RpcService::builder().transport(callee).build().await;
        let callee = callee.expect("the transport can be bound");
        let caller = RpcService::builder().transport(caller).build().await;
        let caller = caller.expect("the transport only dials");
        let address = start_counter(&callee).address();
        let gateway = caller.connect(&address).await;
        Self {
            gateway: gateway.expect("the counter is there"),
            _caller: caller,
            _callee: callee,
        }
    }
}

impl Ask for Remote {
    async fn ask(&mut self) {
        ask(&*self.gateway).await;
    }

    async fn ask_at_once(&mut self, calls: usize) {
        ask_at_once(&*self.gateway, calls).await;
    }
}

fn start_counter(service: &RpcService) -> rpc_core::RpcServer<Counter> {
    let server = service.start_server("counter", Counter::default());
    let server = server.expect("the service has no other endpoint");
    server.start();
    server
}

async fn ask(gateway: &dyn CounterGateway) {
    gateway.add(1).await.expect("the counter adds");
}

async fn ask_at_once(gateway: &dyn CounterGateway, calls: usize) {
    let calls = std::iter::repeat_with(|| gateway.add(1)).take(calls);
    for sum in join_all(calls).await {
        sum.expect("the counter adds");
    }
}
