//! Behaviours of endpoints in one service. What holds over transports too is in the conformance
//! suite, which each transport's own tests run.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod batches;
mod closing;
mod ends;
mod executor;
mod fencing;
mod gateways;
mod lending;
mod life_cycle;
mod macros;
mod main_thread;
mod names;
mod panics;
mod resources;
mod resting;
mod spans;
mod timers;
mod times;
mod turns;
