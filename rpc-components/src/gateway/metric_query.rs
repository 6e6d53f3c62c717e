//! What a MetricQueryService may be asked: the metrics of its process.

use rpc_core::{Call, rpc_gateway};
use serde::{Deserialize, Serialize};

/// Returns the metrics of a process. Answers to Flink's interface of the same name.
#[rpc_gateway]
pub trait MetricQueryServiceGateway {
    /// Returns all metrics, in order of their names.
    fn query_metrics(&self) -> Call<Vec<Metric>>;
}

/// A metric as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "a wire type")]
pub struct Metric {
    /// Its name, with its scope, as `task.<attempt>.records_in` or `jobmanager.dispatcher.messages_dropped`.
    pub name: String,
    /// Its value.
    pub value: MetricValue,
}

/// The value of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MetricValue {
    /// Something that is counted.
    Counter(u64),
    /// Something that is measured.
    Gauge(f64),
}
