//! What a user submits: a graph of operators, and how records go from one to the next.
//!
//! ```text
//!   TOML file ─┐
//!   word_count ┼▶ JobGraph ── validate ──▶ plan ──▶ JobPlan, whose chains become tasks
//!   by hand   ─┘
//! ```

mod catalog;
mod chain;
mod error;
mod outputs;
mod paths;
mod restart;
mod toml;
mod validate;
mod word_count;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::catalog::{OperatorCatalog, OperatorKind};
pub use self::chain::CHAIN_OPERATORS_MAX;
pub use self::error::{JobFileError, JobGraphError, OperatorSpecError};
pub(crate) use self::outputs::part_number;
pub use self::restart::{RestartStrategy, RestartStrategyError};
pub use self::validate::{EDGES_MAX, PARALLELISM_MAX, VERTICES_MAX};
use crate::id::{JobId, VertexId};

/// A job: vertices, the edges between them, and what it may do without being told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobGraph {
    /// Identifies the job in the cluster.
    pub id: JobId,
    /// What people call it.
    pub name: String,
    /// The operators; a vertex's [`VertexId`] is its place here.
    pub vertices: Vec<Vertex>,
    /// Who feeds whom.
    pub edges: Vec<Edge>,
    /// How long the job may wait for slots that are not free; for ever if `None`. When it restarts
    /// it may wait as long again, and for 10 s at least: the ResourceManager may be the last to
    /// notice that slots are lost.
    pub slot_wait: Option<Duration>,
    /// How the job is restarted when it fails; as the cluster is configured if `None`.
    pub restart: Option<RestartStrategy>,
}

/// One operator of a job, run as several parallel subtasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vertex {
    /// What people call it; unique in the job.
    pub name: String,
    /// What it does.
    pub operator: OperatorSpec,
    /// How many subtasks it has; at least 1.
    pub parallelism: u32,
}

/// Names an operator of the registry, and configures it.
///
/// ```
/// use rpc_components::job_graph::OperatorSpec;
///
/// let operator = OperatorSpec::new("filter").with("contains", "error").with("length_min", 10);
/// assert_eq!(operator.options.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatorSpec {
    /// The name under which the operator is registered.
    pub name: String,
    /// Its options.
    pub options: BTreeMap<String, OptionValue>,
}

impl OperatorSpec {
    /// Names an operator, without options.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            options: BTreeMap::new(),
        }
    }

    /// Sets an option.
    #[must_use]
    pub fn with(mut self, option: impl Into<String>, value: impl Into<OptionValue>) -> Self {
        self.options.insert(option.into(), value.into());
        self
    }
}

/// The value of an operator's option.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OptionValue {
    /// A truth value.
    Bool(bool),
    /// A number with a fraction.
    Float(f64),
    /// A whole number.
    Int(i64),
    /// A text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
}

/// The conversions by which options are written in code.
macro_rules! option_value_from {
    ($($variant:ident($type:ty)),* $(,)?) => {$(
        impl From<$type> for OptionValue {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

option_value_from!(
    Bool(bool),
    Float(f64),
    Int(i64),
    Int(i32),
    Int(u32),
    Text(String),
    Text(&str),
    Texts(Vec<String>),
);

/// Says that one vertex's records go to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The vertex that produces.
    pub from: VertexId,
    /// The vertex that consumes.
    pub to: VertexId,
    /// Which of the consumer's subtasks gets a record.
    pub ship: Ship,
}

/// Which of the consumer's subtasks gets a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Ship {
    /// Every one.
    Broadcast,
    /// The one with the producer's own number; both have the same parallelism.
    Forward,
    /// The one that has the record's key.
    Hash,
    /// Each in turn.
    Rebalance,
}

impl Ship {
    /// Returns how many shares each producer makes for `consumers` subtasks: one for each of them,
    /// but a single one when it is forwarded.
    #[must_use]
    pub const fn subpartitions(self, consumers: u32) -> u32 {
        match self {
            Self::Forward => 1,
            Self::Broadcast | Self::Hash | Self::Rebalance => consumers,
        }
    }

    /// Returns which share of the subtask `producer` the subtask `consumer` reads, if any.
    #[must_use]
    pub const fn subpartition(self, producer: u32, consumer: u32) -> Option<u32> {
        match self {
            Self::Forward if producer == consumer => Some(0),
            Self::Forward => None,
            Self::Broadcast | Self::Hash | Self::Rebalance => Some(consumer),
        }
    }
}

/// What is deployed: the graph after chaining, its vertices in topological order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobPlan {
    /// The job.
    pub job: JobId,
    /// What people call it.
    pub name: String,
    /// Chains of operators, producers before their consumers; a chain's [`VertexId`] is its place
    /// here.
    pub vertices: Vec<PlanVertex>,
    /// Who feeds whom, by place in `vertices`.
    pub edges: Vec<Edge>,
    /// As [`JobGraph::slot_wait`].
    pub slot_wait: Option<Duration>,
    /// As [`JobGraph::restart`].
    pub restart: Option<RestartStrategy>,
}

/// A chain of operators that run in one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanVertex {
    /// The names of the chained vertices, joined by ` -> `.
    pub name: String,
    /// The operators, the first at the front.
    pub operators: Vec<OperatorSpec>,
    /// How many subtasks the chain has.
    pub parallelism: u32,
}

#[cfg(test)]
mod tests;
