//! What is measured: endpoints behind gateways, and beside each the least that it could cost.

mod counter;
pub mod floor;

pub use self::counter::{Counter, CounterGateway, Remote, SameService};

/// Somebody to be asked: a number goes there, and a number comes back.
pub trait Ask: Send + 'static {
    /// Asks once.
    fn ask(&mut self) -> impl Future<Output = ()> + Send;

    /// Asks this often at once, and waits for all answers.
    fn ask_at_once(&mut self, calls: usize) -> impl Future<Output = ()> + Send;
}
