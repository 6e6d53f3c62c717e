use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, NoopRecorder, Recorder, SharedString, Unit,
};

use super::calls::CallMeter;
use super::endpoint::EndpointMeter;
use super::is_recorded;

/// Records gauges, and nothing of them.
struct Gauges;

impl Recorder for Gauges {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0)))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn nothing_is_metered_unless_somebody_records() {
    assert!(!is_recorded());
    assert!(EndpointMeter::new("a", &[]).is_none());
    assert!(CallMeter::new("a", 3).is_none());
    metrics::with_local_recorder(&NoopRecorder, || assert!(!is_recorded()));
    metrics::with_local_recorder(&Gauges, || {
        assert!(is_recorded());
        assert!(EndpointMeter::new("a", &[]).is_some());
        assert!(CallMeter::new("a", 3).is_some());
    });
}
