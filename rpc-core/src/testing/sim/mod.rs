//! A network in memory, in virtual time, on which everything follows from a seed.
//!
//! It is one more [`Transport`](crate::transport::Transport), with the scheme `sim`, so that services
//! run on it as they are. A test says what goes wrong: partitions, one-way cuts, slow links, resets,
//! pauses and crashes. A run that has found a bug is repeated by its seed.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use rpc_core::testing::{Probe, ProbeGateway, sim};
//! use rpc_core::{RpcError, RpcService};
//!
//! let run = sim::run(42, async |net| {
//!     let callee = RpcService::builder().transport(net.node("b").transport());
//!     let callee = callee.build().await.unwrap();
//!     let probe = callee.start_server("probe", Probe::default()).unwrap();
//!     probe.start();
//!     assert_eq!(probe.address(), "sim://b/probe");
//!
//!     let caller = RpcService::builder().transport(net.node("a").transport());
//!     let caller = caller.build().await.unwrap();
//!     let probe: Arc<dyn ProbeGateway> = caller.connect("sim://b/probe").await.unwrap();
//!
//!     net.partition("a", "b");
//!     let lost = probe.add(1).timeout(Duration::from_secs(5)).await;
//!     assert!(matches!(lost, Err(RpcError::Timeout { .. })));
//!     net.heal("a", "b");
//!     // The connection has outlived the partition.
//!     assert!(probe.add(2).await.is_ok());
//! });
//! println!("{}", run.trace);
//! ```
//!
//! # What the network is
//!
//! A connection is as one of TCP's, with any number of streams on it. What one side sends arrives in
//! order, each segment after a latency of its own or with the one before it, and none is lost:
//!
//! | what is done | what follows |
//! |---|---|
//! | [`partition`], [`cut`] | segments are held; healed in time, nobody notices but by the clock |
//! | … for longer | who got no acknowledgement for [`give_up_after`] fails with `TimedOut`; its peer hears nothing until it sends, and is reset then |
//! | [`swizzle`] | nodes are isolated one by one, and healed in another order |
//! | dial over a cut of either way | no answer, for as long |
//! | dial to a node that does not listen | refused, after a round trip |
//! | [`slow`] | a node's bytes leave and come at that rate; a stream's window fills, and its writer waits |
//! | [`reset`] | both sides fail with `ConnectionReset`, at once |
//! | [`duplicate`] | chunks arrive twice, which no transport does, but a replay |
//! | [`crash`] | peers fail with `ConnectionReset` after what was sent, unless they are cut off: then they are half-open, and hear of it only if they send |
//!
//! [`partition`]: SimNetwork::partition
//! [`cut`]: SimNetwork::cut
//! [`swizzle`]: SimNetwork::swizzle
//! [`give_up_after`]: SimConfig::give_up_after
//! [`slow`]: SimNetwork::slow
//! [`reset`]: SimNetwork::reset
//! [`duplicate`]: SimNetwork::duplicate
//! [`crash`]: SimNetwork::crash
//!
//! # What a pause and a crash are
//!
//! All nodes share one thread, one runtime and one clock, and a service spawns tasks that nobody but
//! it knows. So they are what they can be from outside:
//!
//! * **A paused node** is stopped at its sockets: its reads, writes, dials and accepts stay pending,
//!   what comes is kept up to the window, and what it closes is closed when it goes on. The tasks of
//!   [`SimNode::run`] and [`SimNode::spawn`] are not polled. But the tasks that a service spawned by
//!   itself run on, and so do their timers: an endpoint of a paused node notices a time-out *during*
//!   the pause, where that of a stopped process notices it *after*. A test that needs the difference
//!   runs the code in question in `SimNode::run`.
//! * **A crashed node** is cut off from its sockets, for good, and its tasks are dropped. A service on
//!   it is a ghost then: it can reach nobody, but its endpoints live. Drop or abort it where it
//!   crashes, with [`SimNode::on_crash`] if that is elsewhere. Do not close it: a close would run
//!   `on_stop`, which no crash does.
//!
//! # What makes a run repeatable
//!
//! [`run`] has one thread, a paused clock, and one seed for the network and for the thread's
//! [`fastrand`] generator. What code under test has to do for its part: take its time from
//! `tokio::time`, its random numbers from `fastrand`, write `biased` into each `select!`, let no hash
//! map's order decide anything, and let no two tasks wait for one `tokio::sync::watch`, which wakes
//! them in random order. [`run_twice`] finds where it does not.
//!
//! # Non-goals
//!
//! Packets: nothing is lost or reordered below the stream. Corruption: a frame's checksum is tested on
//! frames. Disks, and clocks that differ. Speed: a network of thousands of connections is slow to heal.

mod config;
mod end;
mod faults;
mod flow;
mod network;
mod node;
mod runner;
mod stream;
mod swizzle;
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
