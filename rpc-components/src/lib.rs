//! The components.

pub mod client;
mod dispatcher;
pub mod entrypoint;
pub mod gateway;
mod heartbeat;
pub mod id;
pub mod job_graph;
mod job_master;
mod leader;
mod metric_query;
pub mod mini_cluster;
pub mod operator;
mod registration;
mod resource_manager;
pub mod shuffle;
pub mod task;
mod task_executor;
#[cfg(test)]
mod testing;
pub mod transport;

pub use rpc_core;

pub use self::dispatcher::jobs::JobsConfig;
pub use self::dispatcher::{Dispatcher, DispatcherConfig, DispatcherServices};
pub use self::heartbeat::{HeartbeatConfig, HeartbeatConfigError};
pub use self::job_master::execution_graph::ExecutionGraphConfig;
pub use self::job_master::slot_pool::SlotPoolConfig;
pub use self::job_master::{JobEnd, JobMaster, JobMasterConfig};
pub use self::leader::{LeaderRetrieval, Leaders, RetrievalError, new_term};
pub use self::metric_query::{MetricQueryService, MetricRegistry};
pub use self::registration::RegistrationConfig;
pub use self::resource_manager::slot_manager::{SlotManagerConfig, SlotPlacement};
pub use self::resource_manager::{ResourceManager, ResourceManagerConfig};
pub use self::task_executor::slot_table::SlotTableConfig;
pub use self::task_executor::{TaskExecutor, TaskExecutorConfig, TaskExecutorServices};
