//! An endpoint that writes down what it did, where it outlives the crash of its host.

use std::sync::Arc;

use parking_lot::Mutex;
use rpc_core::{
    Call, MainThread, Outcome, RpcEndpoint, RpcResult, gateways, rpc_endpoint, rpc_gateway,
};

/// What is asked of a [`Ledger`].
#[rpc_gateway]
pub(crate) trait LedgerGateway {
    /// Writes a number down, and returns how many there are.
    fn write(&self, number: u64) -> Call<u64>;
    /// Never answers.
    #[rpc(timeout = "none")]
    fn hang(&self) -> Call<()>;
}

/// Numbers, in the order in which they were written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<Vec<u64>>>);

impl Ledger {
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.0.lock().clone()
    }

    /// Checks that what was written is what the callers of rising numbers may believe.
    #[track_caller]
    pub(crate) fn agrees(&self, results: &[(u64, RpcResult<u64>)]) {
        let numbers = self.numbers();
        assert!(numbers.is_sorted(), "out of order: {numbers:?}");
        for (number, result) in results {
            let times = numbers.iter().filter(|it| *it == number).count();
            let outcome = result
                .as_ref()
                .map_or_else(rpc_core::RpcError::outcome, |_| Outcome::Executed);
            let believed = match outcome {
                Outcome::Executed => times == 1,
                Outcome::NotExecuted => times == 0,
                Outcome::Unknown => times <= 1,
            };
            assert!(believed, "{number} was written {times} times: {result:?}");
        }
    }
}

impl RpcEndpoint for Ledger {
    type Gateways = gateways![LedgerGateway];
}

#[rpc_endpoint(LedgerGateway)]
impl Ledger {
    fn write(&mut self, number: u64) -> RpcResult<u64> {
        let mut numbers = self.0.lock();
        numbers.push(number);
        Ok(numbers.len() as u64)
    }

    async fn hang(_: MainThread<'_, Self>) -> RpcResult<()> {
        std::future::pending().await
    }
}
