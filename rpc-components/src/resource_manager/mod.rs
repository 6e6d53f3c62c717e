//! The ResourceManager: it knows the slots of the cluster, and gives them to the jobs that need some.
//!
//! ```text
//!  TaskExecutor ── register, report ──▶ ResourceManager ◀── register, declare ── JobMaster
//!       ▲                                  │ SlotManager                            ▲
//!       └───────── request_slot ───────────┘          └──── not enough ─────────────┘
//! ```
//!
//! What is decided stands in [`slot_manager`]; the endpoint does it. Answers to Flink's
//! `StandaloneResourceManager`: it starts no workers, and takes every TaskExecutor that comes.

mod endpoint;
mod handlers;
pub(crate) mod slot_manager;

pub use self::endpoint::{ResourceManager, ResourceManagerConfig};

#[cfg(test)]
mod tests;
