//! What makes a process of the cluster: its components, put together.

mod config;
mod data_channels;
mod job_manager;
mod task_manager;

pub use self::config::{ClusterConfig, ConfigError};
pub use self::job_manager::JobManager;
pub use self::task_manager::TaskManager;
