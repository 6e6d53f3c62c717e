use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rpc_core::RpcService;

use super::{MetricQueryService, MetricRegistry};
use crate::gateway::{MetricQueryServiceGateway, MetricValue};

#[tokio::test]
async fn metrics_are_read_when_they_are_asked_for() {
    // Flink: MetricQueryServiceTest#testCreateDump, in part
    let rpc = RpcService::local();
    let server = rpc
        .start_server("metrics", MetricQueryService::default())
        .unwrap();
    server.start();
    let gateway = rpc
        .connect::<dyn MetricQueryServiceGateway>("metrics")
        .await
        .unwrap();
    let registry = MetricRegistry::new(server.main_thread());
    let count = Arc::new(AtomicU64::new(1));
    for name in ["task.b.records", "task.a.records"] {
        let count = Arc::clone(&count);
        registry.add(name, move || {
            MetricValue::Counter(count.load(Ordering::Relaxed))
        });
    }
    let counters = async || {
        let metrics = gateway.query_metrics().await.unwrap();
        let own = metrics
            .into_iter()
            .filter(|it| it.name.starts_with("task."));
        own.map(|it| (it.name, it.value)).collect::<Vec<_>>()
    };
    let counted = |name: &str, count| (name.to_owned(), MetricValue::Counter(count));
    let both = |count| {
        vec![
            counted("task.a.records", count),
            counted("task.b.records", count),
        ]
    };
    assert_eq!(counters().await, both(1));
    count.store(2, Ordering::Relaxed);
    assert_eq!(counters().await, both(2));
    registry.remove("task.a.");
    assert_eq!(counters().await, [counted("task.b.records", 2)]);
    // Every process has some of its own.
    let metrics = gateway.query_metrics().await.unwrap();
    assert!(metrics.iter().any(|it| it.name == "process.uptime_seconds"));
}
