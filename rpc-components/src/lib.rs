//! The cluster: Dispatcher, JobMaster, ResourceManager, TaskExecutor and MetricQueryService, as in
//! Apache Flink, on the RPC of [`rpc_core`].
//!
//! ```text
//!                    JobManager process                          TaskManager processes
//!           ┌────────────────────────────────────┐          ┌───────────────────────────────┐
//!  client ──▶ Dispatcher ── starts ─▶ JobMaster ───── tasks ──▶ TaskExecutor ── Task, Task… │
//!           │                            │       │          │     ▲     ╚══ records ══╗     │
//!           │        ResourceManager ◀ needs     │          └─────│───────────────────║─────┘
//!           └─────────────│──────────────────────┘                │             other TaskManagers
//!                         └───────────── gives slots ─────────────┘
//! ```
//!
//! A [job](job_graph::JobGraph) is a graph of [operators](operator). The Dispatcher takes it and
//! starts a JobMaster for it, which declares to the ResourceManager how many slots it needs.
//! TaskExecutors offer the slots that they are told to give, the JobMaster deploys the job's tasks
//! into them, and follows them to their end. Records go from task to task [with
//! credit](shuffle): a slow one slows those before it.
//!
//! ```
//! use std::sync::Arc;
//!
//! use rpc_components::job_graph::JobGraph;
//! use rpc_components::mini_cluster::{MiniCluster, MiniClusterConfig};
//! use rpc_components::operator::OperatorRegistry;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let mut config = MiniClusterConfig::default();
//! config.task_managers = 2;
//! let cluster = MiniCluster::start(Arc::new(OperatorRegistry::new()), config).await?;
//! let client = cluster.client().await?;
//!
//! let graph = JobGraph::word_count(vec!["Cargo.toml".into()], None, 2);
//! let job = client.submit(graph).await?;
//! let mut counts = Vec::new();
//! client
//!     .follow_results(job, |piece| {
//!         counts.extend_from_slice(&piece);
//!         std::future::ready(())
//!     })
//!     .await?;
//! assert!(String::from_utf8(counts)?.contains("workspace\t"));
//! cluster.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Read next: [`gateway`] for the whole wire contract, [`entrypoint`] for what makes a process,
//! [`operator::Operator`] for what to implement.
//!
//! # What happens when a process dies
//!
//! A TaskManager that dies fails the tasks that it has, and its slots are gone. Their jobs are
//! [restarted](job_graph::RestartStrategy), in the slots that are left and in others; the other jobs
//! go on, and when it is started again it registers by itself. A JobManager that dies takes its jobs
//! with it: TaskManagers fail the tasks, look for it for
//! [as long as they may](TaskExecutorConfig::registration_timeout), and register at the one that
//! comes next, whose term is later, so that calls meant for its predecessor are refused.
//!
//! A process that is stopped says so before it goes. One that dies is noticed as its connections
//! break: it is given no task from then on, and its tasks fail unless it is reached again
//! [within moments](HeartbeatConfig::reconnect_timeout), as after a short break of the network. Where
//! nothing breaks, as when a host has lost its power, it is noticed by the first
//! [two calls](HeartbeatConfig::rpc_failures_max) that fail, or by its silence.
//!
//! # What happens when a job restarts
//!
//! All of its tasks are ended and run again, from the beginning of what they read: a job has an end,
//! and its sources can be read again. New attempts begin when none of the old ones is left and the
//! delay is over, and an old one that comes back to life has no say: the JobMaster does not know it
//! any more, and its hidden files are gone. The `file-sink` replaces a file when it is complete, so
//! that each has what one attempt wrote. What was printed and given to nobody is forgotten; once a
//! client was given some of it the job fails instead, for all of it would be printed again.
//!
//! Not restarted is a job that would fail again in the same way: for what is
//! [in its records](operator::OperatorError::is_fatal), or for want of slots.
//!
//! # Features
//!
//! A feature makes a transport available; the scheme of an address chooses it, and an address whose
//! transport is not there is an error that names the feature.
//!
//! | feature | default | addresses |
//! |---|---|---|
//! | `local` | yes | `local://name`, within the process |
//! | `quic` | no | `quic://host:port`, always with TLS |
//! | `tcp` | yes | `tcp://host:port`, plain on the loopback interface or with mutual TLS |
//!
//! # Non-goals
//!
//! So far a job is not checkpointed, and one JobManager leads for as long as it lives. What several
//! subtasks write to files is replaced file by file, and not all at once when the job ends: a job that
//! fails may leave some of its parts, and a TaskManager that hung while the job restarted and ended
//! without it may yet finish a part and replace that of the later attempt. Whoever may submit a job may read and write files as the cluster's processes may.

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
