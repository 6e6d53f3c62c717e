//! The JobMaster: it gets slots for one job, deploys the job's tasks, and follows them to their end.
//!
//! ```text
//!  ResourceManager ◀── declare ── JobMaster ◀── register, offer slots ── TaskExecutor
//!                                  │  │ └────────── submit, cancel ─────────▶ │
//!           Dispatcher ◀── ended ──┘  └◀─────────── task states ──────────────┘
//! ```
//!
//! What is decided stands in [`execution_graph`], [`restart`] and [`slot_pool`]; the endpoint does it.

mod endpoint;
pub(crate) mod execution_graph;
mod handlers;
mod links;
mod restart;
mod results;
pub(crate) mod slot_pool;
mod splits;
mod tasks;

pub(crate) use self::endpoint::now_ms;
pub use self::endpoint::{JobEnd, JobMaster, JobMasterConfig};

#[cfg(test)]
mod tests;
