//! The Dispatcher: it takes jobs, starts a JobMaster for each, and knows how they ended.
//!
//! ```text
//!  client ── submit, cancel, list ──▶ Dispatcher ── start ──▶ JobMaster (one for each job)
//!  client ◀── results, state ────────┘    └◀── ended ────────┘
//! ```
//!
//! What is decided stands in [`jobs`]; the endpoint does it. Answers to Flink's
//! `StandaloneDispatcher`.

mod endpoint;
mod handlers;
pub(crate) mod jobs;

pub use self::endpoint::{Dispatcher, DispatcherConfig, DispatcherServices};

#[cfg(test)]
mod tests;
