//! What is asked of a service that is closed, or is closed meanwhile.

use futures_util::FutureExt;
use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use rpc_core::testing::Probe;
use rpc_core::{ConnectError, RpcService, StartError};

/// Closes a service while it starts an endpoint, as soon as something is to be recorded.
struct Closer(RpcService);

impl Recorder for Closer {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        // It is closed from its first step on.
        let _closing = self.0.close().now_or_never();
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn an_endpoint_is_not_started_when_its_service_is_closed_meanwhile() {
    let service = RpcService::local();
    let started = with_local_recorder(&Closer(service.clone()), || {
        service.start_server("late", Probe::default())
    });
    assert!(service.is_closed(), "while the endpoint was made");
    assert!(matches!(started, Err(StartError::Closed)), "{started:?}");
    assert!(service.diagnostics().endpoints.is_empty());
}

#[tokio::test]
async fn a_closed_service_has_no_channels() {
    let service = RpcService::local();
    let mut before = service.accept_channels("before").unwrap();
    service.close().await.unwrap();
    assert!(before.accept().await.is_none());
    let after = service.accept_channels("after");
    assert!(matches!(after, Err(StartError::Closed)), "{after:?}");
    let opened = service.open_channel("tcp://host:1/before").await;
    assert!(matches!(opened, Err(ConnectError::Closed)), "{opened:?}");
}
