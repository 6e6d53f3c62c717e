//! doc

mod config;
mod end;
mod faults;
mod flow;
mod network;
mod node;
mod runner;
mod stream;
mod trace;
mod transport;
mod world;

#[cfg(test)]
mod tests;

pub use self::config::SimConfig;
pub use self::network::SimNetwork;
pub use self::node::{SimCrashed, SimNode};
pub use self::runner::{SimRun, run, run_twice, run_with};
pub use self::trace::{SimEvent, SimEventKind, SimTrace};
pub use self::transport::SimTransport;
