//! What is measured: an endpoint behind a gateway, over each transport.

mod carrier;
mod client;
mod counter;
mod crowded;
mod endpoints;

pub use self::carrier::{Carrier, Local, OverQuic, OverTcp, OverTls, SameService};
pub use self::client::{Asking, Fenced, Interleaving, Nested, Quick, Rpc, RpcClient};
pub use self::counter::{Counter, CounterGateway, FencedCounterGateway, TOKEN};
pub use self::crowded::Crowded;
pub use self::endpoints::{Endpoints, ShortLived, Starter};
