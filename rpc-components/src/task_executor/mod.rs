//! The TaskExecutor: it has slots, gives them to jobs, and runs their tasks in them.
//!
//! ```text
//!  ResourceManager ── request_slot ──▶ TaskExecutor ── offer_slots ──▶ JobMaster
//!                                        │  Task, a thread each ◀── submit_task ──┘
//!                                        └── update_task_execution_state ──▶
//! ```
//!
//! What is decided of slots stands in [`slot_table`]; the endpoint does it.

mod endpoint;
mod handlers;
mod links;
pub(crate) mod slot_table;
mod tasks;
mod watch;

pub use self::endpoint::{TaskExecutor, TaskExecutorConfig, TaskExecutorServices};

#[cfg(test)]
mod tests;
