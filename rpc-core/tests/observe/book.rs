//! A recorder that keeps all that it is told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

use crate::alone;

/// Keeps all that is recorded, by name and labels.
#[derive(Clone, Default)]
pub(crate) struct Book(pub(crate) Arc<Mutex<Pages>>);

#[derive(Default)]
pub(crate) struct Pages {
    pub(crate) counters: BTreeMap<String, Arc<AtomicU64>>,
    pub(crate) gauges: BTreeMap<String, Arc<Levels>>,
    pub(crate) histograms: BTreeMap<String, Arc<Values>>,
    pub(crate) described: BTreeMap<String, Option<Unit>>,
    pub(crate) registered: usize,
}

#[derive(Default)]
pub(crate) struct Values(Mutex<Vec<f64>>);

/// All that a gauge has ever said.
pub(crate) struct Levels(Mutex<Vec<f64>>);

impl Default for Levels {
    fn default() -> Self {
        Self(Mutex::new(vec![0.0]))
    }
}

impl Levels {
    fn now(&self) -> f64 {
        *self.0.lock().unwrap().last().unwrap()
    }
}

impl GaugeFn for Levels {
    fn increment(&self, value: f64) {
        self.set(self.now() + value);
    }

    fn decrement(&self, value: f64) {
        self.set(self.now() - value);
    }

    fn set(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

impl HistogramFn for Values {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

impl Book {
    /// Runs a test on a runtime of this thread whose clock stands still.
    pub(crate) fn keep(test: impl AsyncFnOnce(&Self)) {
        let (_alone, book) = (alone(), Self::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        metrics::with_local_recorder(&book, || runtime.block_on(test(&book)));
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        let pages = self.0.lock().unwrap();
        let counter = pages.counters.get(name);
        counter.map_or(0, |it| it.load(Ordering::Relaxed))
    }

    pub(crate) fn gauge(&self, name: &str) -> f64 {
        let pages = self.0.lock().unwrap();
        pages.gauges[name].now()
    }

    /// All that a gauge has said since it was made.
    pub(crate) fn levels(&self, name: &str) -> Vec<f64> {
        let pages = self.0.lock().unwrap();
        pages.gauges[name].0.lock().unwrap().clone()
    }

    pub(crate) fn histogram(&self, name: &str) -> Vec<f64> {
        let pages = self.0.lock().unwrap();
        pages.histograms[name].0.lock().unwrap().clone()
    }

    pub(crate) fn registered(&self) -> usize {
        self.0.lock().unwrap().registered
    }

    fn describe(&self, key: &KeyName, unit: Option<Unit>) {
        let described = &mut self.0.lock().unwrap().described;
        described.insert(key.as_str().to_owned(), unit);
    }
}

/// `name endpoint method ..`: a metric with the values of its labels.
fn text(key: &Key) -> String {
    let labels = key.labels().map(|it| it.value());
    let words: Vec<_> = std::iter::once(key.name()).chain(labels).collect();
    words.join(" ")
}

impl Recorder for Book {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut pages = self.0.lock().unwrap();
        pages.registered += 1;
        Counter::from_arc(Arc::clone(pages.counters.entry(text(key)).or_default()))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let mut pages = self.0.lock().unwrap();
        pages.registered += 1;
        Gauge::from_arc(Arc::clone(pages.gauges.entry(text(key)).or_default()))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let mut pages = self.0.lock().unwrap();
        pages.registered += 1;
        Histogram::from_arc(Arc::clone(pages.histograms.entry(text(key)).or_default()))
    }
}
