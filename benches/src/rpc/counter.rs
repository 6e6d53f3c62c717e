use std::sync::Arc;

use rpc_core::{
    Call, Context, FencingToken, MainThread, Payload, RpcEndpoint, RpcResult, gateways,
    rpc_endpoint, rpc_gateway,
};

/// A gateway whose calls cost nothing but themselves.
#[rpc_gateway]
pub trait CounterGateway {
    /// Adds to the sum, and returns it.
    fn add(&self, number: u64) -> Call<u64>;
    /// The same, by a handler that may await.
    fn add_interleaving(&self, number: u64) -> Call<u64>;
    /// The same, by a call to another endpoint.
    fn add_elsewhere(&self, number: u64) -> Call<u64>;
    /// Adds to the sum.
    fn note(&self, number: u64);
    /// Returns the bytes.
    fn echo(&self, bytes: Payload) -> Call<Payload>;
}

/// The same, for callers that follow a leader.
#[rpc_gateway(fenced)]
pub trait FencedCounterGateway {
    /// Adds to the sum, and returns it.
    fn add_fenced(&self, number: u64) -> Call<u64>;
    /// Adds to the sum.
    fn note_fenced(&self, number: u64);
}

/// The endpoint behind them.
#[derive(Debug, Default)]
pub struct Counter {
    sum: u64,
    /// Whom it asks in its turn.
    elsewhere: Option<Arc<dyn CounterGateway>>,
}

impl Counter {
    /// Makes one that asks another.
    #[must_use]
    pub const fn before(elsewhere: Arc<dyn CounterGateway>) -> Self {
        Self {
            sum: 0,
            elsewhere: Some(elsewhere),
        }
    }

    const fn count(&mut self, number: u64) -> u64 {
        self.sum = self.sum.wrapping_add(number);
        self.sum
    }
}

impl RpcEndpoint for Counter {
    type Gateways = gateways![CounterGateway, FencedCounterGateway];

    fn on_start(&mut self, cx: &mut Context<Self>) -> Result<(), rpc_core::BoxError> {
        Ok(cx.set_fencing_token(Some(TOKEN))?)
    }
}

#[rpc_endpoint(CounterGateway)]
impl Counter {
    fn add(&mut self, number: u64) -> RpcResult<u64> {
        Ok(self.count(number))
    }

    async fn add_interleaving(main: MainThread<'_, Self>, number: u64) -> RpcResult<u64> {
        Ok(main.run(|counter, _| counter.count(number)))
    }

    async fn add_elsewhere(main: MainThread<'_, Self>, number: u64) -> RpcResult<u64> {
        let elsewhere = main.run(|counter, _| counter.elsewhere.clone());
        elsewhere.expect("it was made so").add(number).await
    }

    fn note(&mut self, number: u64) {
        self.count(number);
    }

    fn echo(&mut self, bytes: Payload) -> RpcResult<Payload> {
        Ok(bytes)
    }
}

#[rpc_endpoint(FencedCounterGateway)]
impl Counter {
    fn add_fenced(&mut self, number: u64) -> RpcResult<u64> {
        Ok(self.count(number))
    }

    fn note_fenced(&mut self, number: u64) {
        self.count(number);
    }
}

/// The token of every counter.
pub const TOKEN: FencingToken = FencingToken::new(7);
