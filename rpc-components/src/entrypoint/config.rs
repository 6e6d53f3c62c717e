//! The configuration of a process, and its TOML file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rpc_core::RpcConfig;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use crate::dispatcher::DispatcherConfig;
use crate::heartbeat::{HeartbeatConfig, HeartbeatConfigError};
use crate::job_graph::RestartStrategy;
use crate::operator::count;
use crate::registration::RegistrationConfig;
use crate::resource_manager::ResourceManagerConfig;
use crate::shuffle::ShuffleConfig;
use crate::task_executor::TaskExecutorConfig;

/// How the components of a process behave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterConfig {
    /// How the components watch each other; it holds for all of them.
    pub heartbeat: HeartbeatConfig,
    /// How components register at each other; it holds for all of them. Unlike Flink's the default
    /// waits 1 s after an error or a refusal, so that processes may be started in any order.
    pub registration: RegistrationConfig,
    /// How calls behave.
    pub rpc: RpcConfig,
    /// How jobs are taken and run.
    pub dispatcher: DispatcherConfig,
    /// How slots are given.
    pub resource_manager: ResourceManagerConfig,
    /// How records travel between tasks.
    pub shuffle: ShuffleConfig,
    /// How tasks are run.
    pub task_executor: TaskExecutorConfig,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        let registration = RegistrationConfig {
            error_delay: Duration::from_secs(1),
            refused_delay: Duration::from_secs(1),
            ..RegistrationConfig::default()
        };
        Self {
            heartbeat: HeartbeatConfig::default(),
            registration,
            rpc: RpcConfig::default(),
            dispatcher: DispatcherConfig::default(),
            resource_manager: ResourceManagerConfig::default(),
            shuffle: ShuffleConfig::default(),
            task_executor: TaskExecutorConfig::default(),
        }
    }
}

/// Why a configuration file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The heartbeats make no sense.
    #[error("{}: heartbeat_timeout_ms", path.display())]
    Heartbeat {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: HeartbeatConfigError,
    },
    /// It is no TOML, or has a key that is not known, or a value of another type.
    #[error("{}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A value is too small to work with.
    #[error("{}: {key} is {value}, and cannot be less than {least}", path.display())]
    TooSmall {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What the file says.
        value: u64,
        /// The smallest value.
        least: u64,
    },
}

/// What a file may say; all times in milliseconds, but those of a restart strategy.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    heartbeat_interval_ms: Option<u64>,
    heartbeat_timeout_ms: Option<u64>,
    registration_error_delay_ms: Option<u64>,
    registration_refused_delay_ms: Option<u64>,
    slot_activation_timeout_ms: Option<u64>,
    task_cancellation_timeout_ms: Option<u64>,
    call_timeout_ms: Option<u64>,
    frame_bytes_max: Option<usize>,
    results_timeout_ms: Option<u64>,
    #[serde(deserialize_with = "strategy")]
    restart: Option<RestartStrategy>,
    jobs_running_max: Option<usize>,
    jobs_completed_max: Option<usize>,
}

impl ClusterConfig {
    /// Reads a TOML file; what it does not say has its default. It has no tables.
    ///
    /// | key | sets |
    /// |---|---|
    /// | `heartbeat_interval_ms`, `heartbeat_timeout_ms` | the times of [`heartbeat`](Self::heartbeat) |
    /// | `registration_error_delay_ms`, `registration_refused_delay_ms` | the delays of [`registration`](Self::registration) |
    /// | `call_timeout_ms`, `frame_bytes_max` | the same of [`rpc`](Self::rpc) |
    /// | `restart` | the restart strategy of jobs that name none, as `--restart` does |
    /// | `results_timeout_ms` | how long a job waits for somebody who fetches what it prints |
    /// | `jobs_running_max`, `jobs_completed_max` | how many jobs may run, and are remembered |
    /// | `slot_activation_timeout_ms`, `task_cancellation_timeout_ms` | the same of [`task_executor`](Self::task_executor) |
    ///
    /// # Errors
    ///
    /// The file cannot be read, or says something that cannot be used; the error names it.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let file: File = toml::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            message: one_line(&text, &error),
        })?;
        if let Some((key, value, least)) = file.too_small() {
            return Err(ConfigError::TooSmall {
                path: path.to_owned(),
                key,
                value,
                least,
            });
        }
        let config = file.apply();
        config
            .heartbeat
            .validate()
            .map_err(|source| ConfigError::Heartbeat {
                path: path.to_owned(),
                source,
            })?;
        Ok(config)
    }

    /// Gives the components what holds for all of them.
    pub(crate) fn shared(mut self) -> Self {
        self.dispatcher.job_master.heartbeat = self.heartbeat.clone();
        self.dispatcher.job_master.registration = self.registration.clone();
        self.resource_manager.heartbeat = self.heartbeat.clone();
        self.task_executor.heartbeat = self.heartbeat.clone();
        self.task_executor.registration = self.registration.clone();
        self
    }
}

impl File {
    /// Finds a value with which nothing would go: its key, the value, and the smallest that does.
    fn too_small(&self) -> Option<(&'static str, u64, u64)> {
        let values = [
            ("heartbeat_interval_ms", self.heartbeat_interval_ms, 1),
            ("heartbeat_timeout_ms", self.heartbeat_timeout_ms, 1),
            (
                "registration_error_delay_ms",
                self.registration_error_delay_ms,
                1,
            ),
            (
                "registration_refused_delay_ms",
                self.registration_refused_delay_ms,
                1,
            ),
            (
                "slot_activation_timeout_ms",
                self.slot_activation_timeout_ms,
                1,
            ),
            (
                "task_cancellation_timeout_ms",
                self.task_cancellation_timeout_ms,
                1,
            ),
            ("call_timeout_ms", self.call_timeout_ms, 1),
            ("results_timeout_ms", self.results_timeout_ms, 1),
            (
                "frame_bytes_max",
                self.frame_bytes_max.map(count),
                FRAME_BYTES_MIN,
            ),
            ("jobs_running_max", self.jobs_running_max.map(count), 1),
            // Whoever waits for a job is told of its end by the list of those that have.
            ("jobs_completed_max", self.jobs_completed_max.map(count), 1),
        ];
        let mut given = values
            .into_iter()
            .filter_map(|(key, value, least)| Some((key, value?, least)));
        given.find(|(_, value, least)| value < least)
    }

    fn apply(self) -> ClusterConfig {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        let time = |ms: Option<u64>| ms.map(Duration::from_millis);
        let mut config = ClusterConfig::default();
        set(
            &mut config.heartbeat.interval,
            time(self.heartbeat_interval_ms),
        );
        set(
            &mut config.heartbeat.timeout,
            time(self.heartbeat_timeout_ms),
        );
        let registration = &mut config.registration;
        set(
            &mut registration.error_delay,
            time(self.registration_error_delay_ms),
        );
        set(
            &mut registration.refused_delay,
            time(self.registration_refused_delay_ms),
        );
        let slots = &mut config.task_executor.slots;
        set(
            &mut slots.activation_timeout,
            time(self.slot_activation_timeout_ms),
        );
        set(
            &mut config.task_executor.cancellation_timeout,
            time(self.task_cancellation_timeout_ms),
        );
        set(&mut config.rpc.call_timeout, time(self.call_timeout_ms));
        set(&mut config.rpc.frame_bytes_max, self.frame_bytes_max);
        set(
            &mut config.dispatcher.job_master.results_timeout,
            time(self.results_timeout_ms),
        );
        set(&mut config.dispatcher.job_master.restart, self.restart);
        set(
            &mut config.dispatcher.jobs.running_max,
            self.jobs_running_max,
        );
        set(
            &mut config.dispatcher.jobs.completed_max,
            self.jobs_completed_max,
        );
        config
    }
}

/// Reads a restart strategy from what the command line takes too.
fn strategy<'de, D>(deserializer: D) -> Result<Option<RestartStrategy>, D::Error>
where
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

/// What is wrong with a file, on one line, with the number of the line that has it and its key.
fn one_line(text: &str, error: &toml::de::Error) -> String {
    let message = error.message();
    let Some(span) = error.span() else {
        return message.to_owned();
    };
    let number = text[..span.start].matches('\n').count();
    let line = text.lines().nth(number).unwrap_or_default();
    match line.split_once('=') {
        Some((key, _)) => format!("line {}: {}: {message}", number + 1, key.trim()),
        None => format!("line {}: {message}", number + 1),
    }
}

/// Results and what else travels in pieces do so in pieces of up to 1 MiB, and need some room around
/// them.
const FRAME_BYTES_MIN: u64 = 2 << 20;
