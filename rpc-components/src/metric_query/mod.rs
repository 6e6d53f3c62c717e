//! The MetricQueryService: it knows the metrics of its process, and tells them.
//!
//! Metrics are functions that read a value when somebody asks, so that counting costs nothing more.
//! Answers to Flink's class of the same name; unlike there it shares the RPC service of its process.

use std::collections::BTreeMap;
use std::fmt;

use rpc_core::{
    BoxError, Context, MainThreadExecutor, RpcEndpoint, RpcResult, gateways, rpc_endpoint,
};

use crate::gateway::{Metric, MetricQueryServiceGateway, MetricValue};

/// Knows the metrics of a process.
#[derive(Default)]
pub struct MetricQueryService {
    metrics: BTreeMap<String, Read>,
}

type Read = Box<dyn Fn() -> MetricValue + Send>;

/// Adds and removes the metrics of a process.
#[derive(Clone, Debug)]
pub struct MetricRegistry {
    service: MainThreadExecutor<MetricQueryService>,
}

impl MetricRegistry {
    /// Wraps the main thread of a service.
    #[must_use]
    pub const fn new(service: MainThreadExecutor<MetricQueryService>) -> Self {
        Self { service }
    }

    /// Adds a metric, or replaces the one of its name.
    pub fn add(&self, name: impl Into<String>, read: impl Fn() -> MetricValue + Send + 'static) {
        let name = name.into();
        self.service.run_async(move |service, _| {
            if service.metrics.len() < METRICS_MAX || service.metrics.contains_key(&name) {
                service.metrics.insert(name, Box::new(read));
            }
        });
    }

    /// Removes the metrics whose names begin with `prefix`.
    pub fn remove(&self, prefix: impl Into<String>) {
        let prefix = prefix.into();
        self.service.run_async(move |service, _| {
            service.metrics.retain(|name, _| !name.starts_with(&prefix));
        });
    }
}

impl RpcEndpoint for MetricQueryService {
    type Gateways = gateways![MetricQueryServiceGateway];

    fn on_start(&mut self, _: &mut Context<Self>) -> Result<(), BoxError> {
        process::add(&mut self.metrics);
        Ok(())
    }
}

#[rpc_endpoint(MetricQueryServiceGateway)]
impl MetricQueryService {
    fn query_metrics(&self) -> RpcResult<Vec<Metric>> {
        let read = |(name, read): (&String, &Read)| Metric {
            name: name.clone(),
            value: read(),
        };
        Ok(self.metrics.iter().map(read).collect())
    }
}

impl fmt::Debug for MetricQueryService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.metrics.keys()).finish()
    }
}

/// The metrics of every process.
mod process {
    use std::collections::BTreeMap;

    use super::{MetricValue, Read};

    pub(super) fn add(metrics: &mut BTreeMap<String, Read>) {
        let started = tokio::time::Instant::now();
        let uptime: Read = Box::new(move || MetricValue::Gauge(started.elapsed().as_secs_f64()));
        metrics.insert(String::from("process.uptime_seconds"), uptime);
        if resident_bytes().is_some() {
            let resident: Read = Box::new(|| MetricValue::Gauge(resident_bytes().unwrap_or(0.0)));
            metrics.insert(String::from("process.memory_resident_bytes"), resident);
        }
    }

    /// What Linux tells of the process's memory, in pages of 4 KiB; nothing elsewhere.
    fn resident_bytes() -> Option<f64> {
        let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
        let pages: f64 = statm.split(' ').nth(1)?.parse().ok()?;
        Some(pages * 4096.0)
    }
}

/// More metrics are not taken: the answer has to fit in a frame.
const METRICS_MAX: usize = 50_000;

#[cfg(test)]
mod tests;
