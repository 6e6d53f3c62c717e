//! Records the events of a thread, each with the spans that it is in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::{Alone, alone};

/// What a thread told while the log was kept.
#[derive(Clone, Default)]
pub(crate) struct Log {
    events: Arc<Mutex<Vec<Told>>>,
    hides_calls: bool,
}

/// Keeps the log, and other tests out.
pub(crate) struct Keeping(
    #[expect(dead_code, reason = "held for its end")] DefaultGuard,
    #[expect(dead_code, reason = "held for its end")] Alone,
);

/// An event.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) target: String,
    pub(crate) fields: Fields,
    /// The spans around it, the outermost first.
    pub(crate) spans: Vec<(&'static str, Fields)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(BTreeMap<&'static str, String>);

impl Fields {
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl Log {
    /// Keeps a log of this thread until the guard is dropped.
    pub(crate) fn keep() -> (Self, Keeping) {
        Self::default().start()
    }

    /// As [`keep`](Self::keep), by a recorder that wants nothing of the calls.
    pub(crate) fn keep_without_calls() -> (Self, Keeping) {
        let log = Self {
            hides_calls: true,
            ..Self::default()
        };
        log.start()
    }

    fn start(self) -> (Self, Keeping) {
        let alone = alone();
        let subscriber = Registry::default().with(self.clone());
        let kept = tracing::subscriber::set_default(subscriber);
        (self, Keeping(kept, alone))
    }

    pub(crate) fn of(&self, target: &str) -> Vec<Told> {
        let events = self.events.lock().unwrap();
        let of = events.iter().filter(|it| it.target == target);
        of.cloned().collect()
    }

    /// Returns the names of the spans that an edge was seen in, each time that it was.
    pub(crate) fn spans_at(&self, edge: &str) -> Vec<Vec<&'static str>> {
        let events = self.of("edges").into_iter();
        let at = events.filter(|it| it.fields.get("edge") == edge);
        let names = |told: Told| told.spans.iter().map(|(name, _)| *name).collect();
        at.map(names).collect()
    }
}

/// Lets so much time pass on the paused clock, in steps between which all tasks get on.
pub(crate) async fn pass_time(time: Duration) {
    for _ in 0..STEPS {
        tokio::time::advance(time / STEPS).await;
        tokio::task::yield_now().await;
    }
}

const STEPS: u32 = 100;

/// Tells that code runs which a test looks for.
pub(crate) fn seen(edge: &'static str) {
    tracing::info!(target: "edges", edge);
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        !self.hides_calls || metadata.target() != "rpc_core::call"
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        cx.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let spans = cx.event_scope(event).into_iter();
        let spans = spans.flat_map(|scope| scope.from_root());
        let spans = spans.map(|span| {
            let fields = span.extensions().get::<Fields>().cloned();
            (span.name(), fields.unwrap_or_default())
        });
        let told = Told {
            target: event.metadata().target().to_owned(),
            fields,
            spans: spans.collect(),
        };
        self.events.lock().unwrap().push(told);
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
