use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use rpc_core::{Call, Payload, RpcService};

use super::carrier::{Carrier, keep};
use super::counter::{Counter, CounterGateway, FencedCounterGateway, TOKEN};
use crate::harness::{Client, Subject};

/// A counter that is asked over a carrier, in one of several ways.
pub struct Rpc<C, A>(PhantomData<(C, A)>);

/// How a counter is asked.
pub trait Asking: Send + Sync + 'static {
    /// The gateway that is asked.
    type Gateway: ?Sized + Send + Sync;

    /// Connects to the counter of another service, or of this.
    fn connect(
        service: &RpcService,
        address: &str,
    ) -> impl Future<Output = Arc<Self::Gateway>> + Send;

    /// Asks.
    fn ask(gateway: &Self::Gateway, number: u64) -> Call<u64>;

    /// Sends a one-way message.
    fn tell(gateway: &Self::Gateway, number: u64);

    /// Sends bytes that come back.
    fn echo(_: &Self::Gateway, _: Payload) -> Call<Payload> {
        panic!("a scenario wants an echo of a counter that has none")
    }
}

/// By a quick handler.
#[derive(Debug)]
pub struct Quick;

/// By a handler that may await.
#[derive(Debug)]
pub struct Interleaving;

/// By a handler that asks another counter, of its own service.
#[derive(Debug)]
pub struct Nested;

/// By a quick handler, with a fencing token.
#[derive(Debug)]
pub struct Fenced;

/// How a counter is asked without a token.
trait Plain: Send + Sync + 'static {
    fn ask(gateway: &dyn CounterGateway, number: u64) -> Call<u64>;
}

impl Plain for Quick {
    fn ask(gateway: &dyn CounterGateway, number: u64) -> Call<u64> {
        gateway.add(number)
    }
}

impl Plain for Interleaving {
    fn ask(gateway: &dyn CounterGateway, number: u64) -> Call<u64> {
        gateway.add_interleaving(number)
    }
}

impl Plain for Nested {
    fn ask(gateway: &dyn CounterGateway, number: u64) -> Call<u64> {
        gateway.add_elsewhere(number)
    }
}

impl<P: Plain> Asking for P {
    type Gateway = dyn CounterGateway;

    async fn connect(service: &RpcService, address: &str) -> Arc<Self::Gateway> {
        let gateway = service.connect(address).await;
        gateway.expect("the counter is there")
    }

    fn ask(gateway: &Self::Gateway, number: u64) -> Call<u64> {
        <P as Plain>::ask(gateway, number)
    }

    fn tell(gateway: &Self::Gateway, number: u64) {
        gateway.note(number);
    }

    fn echo(gateway: &Self::Gateway, bytes: Payload) -> Call<Payload> {
        gateway.echo(bytes)
    }
}

impl Asking for Fenced {
    type Gateway = dyn FencedCounterGateway;

    async fn connect(service: &RpcService, address: &str) -> Arc<Self::Gateway> {
        let gateway = service.connect_fenced(address, TOKEN).await;
        gateway.expect("the counter is there")
    }

    fn ask(gateway: &Self::Gateway, number: u64) -> Call<u64> {
        gateway.add_fenced(number)
    }

    fn tell(gateway: &Self::Gateway, number: u64) {
        gateway.note_fenced(number);
    }
}

/// Asks a counter.
pub struct RpcClient<A: Asking> {
    gateway: Arc<A::Gateway>,
    _service: RpcService,
}

impl<C: Carrier, A: Asking> Subject for Rpc<C, A> {
    type Client = RpcClient<A>;

    async fn serve() -> String {
        let service = C::callee().await;
        let address = start_counters(&service).await;
        keep(service);
        address
    }

    async fn connect(address: String) -> RpcClient<A> {
        let service = C::caller().await;
        let address = match address.contains("://") {
            true => address,
            false => start_counters(&service).await,
        };
        RpcClient::connect(&service, &address).await
    }
}

impl<A: Asking> RpcClient<A> {
    /// Connects a gateway of its own; the connection is the service's.
    pub(super) async fn connect(service: &RpcService, address: &str) -> Self {
        Self {
            gateway: A::connect(service, address).await,
            _service: service.clone(),
        }
    }
}

/// Starts a counter, and another before it. Returns the address of the latter.
async fn start_counters(service: &RpcService) -> String {
    let inner = service.start_server("inner", Counter::default());
    let inner = inner.expect("the service is new");
    inner.start();
    let outer = service.start_server("counter", Counter::before(inner.gateway()));
    let outer = outer.expect("the service is new");
    outer.start();
    outer.address()
}

impl<A: Asking> Client for RpcClient<A> {
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin {
        A::ask(&self.gateway, number).map(|sum| sum.expect("the counter adds"))
    }

    async fn tell(&self, number: u64) {
        A::tell(&self.gateway, number);
        // Nothing here waits, and other tasks are to have their turn.
        tokio::task::consume_budget().await;
    }

    fn echo(&self, bytes: Bytes) -> impl Future<Output = usize> + Send + Unpin {
        A::echo(&self.gateway, bytes.into()).map(|bytes| bytes.expect("the counter echoes").len())
    }
}

impl<A: Asking> Clone for RpcClient<A> {
    fn clone(&self) -> Self {
        Self {
            gateway: Arc::clone(&self.gateway),
            _service: self._service.clone(),
        }
    }
}

impl<A: Asking> fmt::Debug for RpcClient<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcClient").finish_non_exhaustive()
    }
}

impl<C, A> fmt::Debug for Rpc<C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rpc").finish_non_exhaustive()
    }
}
