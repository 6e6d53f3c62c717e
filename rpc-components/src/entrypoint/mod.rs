//! What makes a process of the cluster: its components, put together.

mod config;
mod data_channels;
mod job_manager;
mod task_manager;

use rpc_core::{BoxError, RpcService};

pub use self::config::{ClusterConfig, ConfigError};
pub use self::job_manager::JobManager;
pub use self::task_manager::TaskManager;

/// Closes the service of a process whose components could not be started.
async fn close_unless_started<T>(
    rpc: &RpcService,
    started: Result<T, BoxError>,
) -> Result<T, BoxError> {
    if started.is_err() {
        // Why it did not start says more than how it ended.
        let _ = rpc.close().await;
    }
    started
}
