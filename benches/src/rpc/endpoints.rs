use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use rpc_core::RpcService;

use super::carrier::{Carrier, keep};
use super::client::{Quick, RpcClient};
use super::counter::Counter;
use crate::harness::{Client, Subject, Turns};

/// So many counters of one service, which are asked in turn over one connection.
pub struct Endpoints<C, const N: usize>(PhantomData<C>);

impl<C: Carrier, const N: usize> Subject for Endpoints<C, N> {
    type Client = Turns<RpcClient<Quick>>;

    async fn serve() -> String {
        let service = C::callee().await;
        for number in 0..N {
            let server = service.start_server(&name(number), Counter::default());
            server.expect("the service is new").start();
        }
        let address = service.address_of("");
        keep(service);
        address
    }

    async fn connect(address: String) -> Self::Client {
        let service = C::caller().await;
        let mut clients = Vec::with_capacity(N);
        for number in 0..N {
            let address = format!("{address}{}", name(number));
            clients.push(RpcClient::connect(&service, &address).await);
        }
        Turns::new(clients)
    }
}

fn name(number: usize) -> String {
    format!("counter{number}")
}

impl<C, const N: usize> fmt::Debug for Endpoints<C, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoints").field(&N).finish()
    }
}

/// An endpoint that lives for one call: each starts one, and closes it.
#[derive(Debug)]
pub struct ShortLived;

/// Starts endpoints.
#[derive(Clone)]
pub struct Starter(Arc<RpcService>);

impl Subject for ShortLived {
    type Client = Starter;

    async fn connect(_: String) -> Starter {
        Starter(Arc::new(RpcService::local()))
    }
}

impl Client for Starter {
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin {
        Box::pin(async move {
            let server = self.0.start_server("counter", Counter::default());
            let server = server.expect("the one before is closed");
            server.start();
            server.close().await.expect("it does not fail");
            number
        })
    }
}

impl fmt::Debug for Starter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Starter").finish_non_exhaustive()
    }
}
