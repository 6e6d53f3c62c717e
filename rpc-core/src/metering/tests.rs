use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, NoopRecorder, Recorder, SharedString, Unit,
};

use super::calls::CallMeter;
use super::endpoint::{EndpointMeter, Queued};
use super::laps::Laps;
use super::tally::{self, MainTally};
use super::{is_recorded, tell};
use crate::method::{CallTimeout, MethodInfo};

/// Keeps the sum of all calls, and the last value of the gauge.
#[derive(Default)]
struct Sums {
    calls: Arc<AtomicU64>,
    gauge: Arc<AtomicU64>,
}

impl Recorder for Sums {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match key.name() {
            "rpc_calls_total" => Counter::from_arc(Arc::clone(&self.calls)),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::clone(&self.gauge))
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
    metrics::with_local_recorder(&Sums::default(), || {
        assert!(is_recorded());
        assert!(EndpointMeter::new("a", &[]).is_some());
        assert!(CallMeter::new("a", 3).is_some());
    });
}

impl Sums {
    fn meter(&self) -> Arc<EndpointMeter> {
        let methods: Vec<_> = std::iter::repeat_n(&METHOD, METHODS).collect();
        let meter = metrics::with_local_recorder(self, || EndpointMeter::new("a", &methods));
        meter.expect("it is recorded")
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

#[test]
fn what_a_turn_has_counted_is_told_though_it_panics() {
    let sums = Sums::default();
    let meter = sums.meter();
    let mut main = MainTally::new(Some(&meter));
    let mut laps = Laps::boxed(&meter);
    for (told, panics) in [(0, false), (3, true), (6, false)] {
        assert_eq!(sums.calls(), told);
        let turn = catch_unwind(AssertUnwindSafe(|| {
            main.lend(|| {
                for _ in 0..3 {
                    laps.begin(1, Queued::now());
                    laps.end();
                }
                laps.interrupt();
                assert_eq!(sums.calls(), told, "it is told at the end");
                assert!(!panics, "on purpose");
            });
        }));
        assert_eq!(turn.is_err(), panics);
    }
    assert_eq!(sums.calls(), 9);
}

#[test]
fn each_method_is_told_of_however_many_there_are() {
    let sums = Sums::default();
    let meter = sums.meter();
    let mut laps = Laps::boxed(&meter);
    MainTally::new(Some(&meter)).lend(|| {
        for method in 0..METHODS {
            laps.begin(method, Queued::now());
            laps.end();
        }
        laps.interrupt();
        tell();
        assert_eq!(sums.calls(), METHODS as u64);
        tell();
        assert_eq!(sums.calls(), METHODS as u64, "once");
    });
}

#[test]
fn a_main_thread_counts_for_its_own_endpoint_only() {
    let sums = Sums::default();
    let (one, other) = (sums.meter(), sums.meter());
    let is_lent = |meter: &EndpointMeter| tally::with(meter, |_| ()).is_some();
    MainTally::new(Some(&one)).lend(|| {
        assert!(is_lent(&one) && !is_lent(&other));
        // One within the other, as a handler may run another runtime.
        MainTally::new(Some(&other)).lend(|| assert!(is_lent(&other) && !is_lent(&one)));
        assert!(is_lent(&one));
    });
    assert!(!is_lent(&one));
}

#[test]
fn what_overtook_a_gauge_is_told_again() {
    let sums = Sums::default();
    let meter = sums.meter();
    let looks = Cell::new(0);
    let put = || {
        looks.set(looks.get() + 1);
        // Somebody takes two after the first look, and puts none.
        if looks.get() == 2 {
            meter.taken(2);
        }
        5
    };
    meter.tell_waiting(put);
    assert_eq!(f64::from_bits(sums.gauge.load(Ordering::Relaxed)), 3.0);
}

#[test]
fn a_turn_tells_of_the_mailbox_once() {
    let sums = Sums::default();
    let meter = sums.meter();
    let asked = [7, 7, 8, 8, 7].map(|thread| meter.is_to_tell(thread));
    assert_eq!(asked, [true, false, true, false, true]);
    meter.tell_waiting(|| 0);
    assert!(meter.is_to_tell(7), "that was another turn");
}

static METHOD: MethodInfo = MethodInfo::internal("add", CallTimeout::Never);
const METHODS: usize = 70;
