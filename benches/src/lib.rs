//! What is measured: endpoints behind gateways, beside each the least that it could cost, and what a
//! user would pick instead.
//!
//! * [`rpc`]: an endpoint over each transport.
//! * [`floor`]: the same by hand.
//! * `peer`: the same by other frameworks, with the feature `peers`.
//! * [`harness`]: how all of them are started, loaded and timed.
//! * [`subjects`]: their names.

mod certificates;
pub mod floor;
pub mod harness;
#[cfg(feature = "peers")]
pub mod peer;
pub mod rpc;
pub mod subjects;
