//! What calls cost that somebody watches: with metrics that are recorded, and with traces, against the
//! same calls that nobody watches. Both are of a whole process, so that each kind has processes of its
//! own, which take turns.

use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use benches::harness::Place;
use clap::ValueEnum;
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use rpc_core::BoxError;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};

use crate::arguments::Plan;
use crate::compare::Spread;
use crate::table::Table;
use crate::{parse, text};

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Watched {
    /// Nothing.
    Nothing,
    /// Each message is counted and timed.
    Metrics,
    /// Each call has ids, which travel with it, and a span, of which nothing is kept.
    Traces,
    /// The fields of each span are also written as text, which nobody reads.
    Text,
}

impl Watched {
    const fn text(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Metrics => "metrics",
            Self::Traces => "traces",
            Self::Text => "traces, as text",
        }
    }

    fn begin(self) -> Result<(), BoxError> {
        match self {
            Self::Nothing => {}
            Self::Metrics => metrics::set_global_recorder(Recording)?,
            Self::Traces => tracing::subscriber::set_global_default(Listening)?,
            Self::Text => tracing_subscriber::fmt().with_writer(io::sink).try_init()?,
        }
        Ok(())
    }

    /// Loads a subject in another process. Returns how many nanoseconds a call takes.
    fn measure(self, load: &str, name: &str, time: Duration) -> Result<f64, BoxError> {
        let watched = self.to_possible_value().expect("all have names");
        let time = time.as_millis().to_string();
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["watched", watched.get_name(), load, name, &time]);
        let output = command.output()?;
        let number = String::from_utf8_lossy(&output.stdout);
        let number = number.trim().parse();
        number.map_err(|_| format!("it ended: {}", output.status).into())
    }
}

/// Measures all kinds under some loads. The first of each is what the others are compared to.
pub(crate) fn table(plan: Plan) -> Table {
    let mut table = Table::new(["what", "watched", "ratio (min–max)", "time of a call"]);
    for (load, name) in LOADS {
        let mut rounds = Vec::new();
        for _ in 0..plan.rounds {
            let kinds = Watched::value_variants().iter();
            let round: Result<Vec<f64>, _> =
                kinds.map(|it| it.measure(load, name, plan.time)).collect();
            match round {
                Ok(round) => rounds.push(round),
                Err(error) => table.push([name, "", &format!("failed: {error}")]),
            }
        }
        for (place, watched) in Watched::value_variants().iter().enumerate() {
            let ratio = Spread::of(rounds.iter().map(|it| it[place] / it[0]));
            let time = Spread::of(rounds.iter().map(|it| it[place]));
            let (Some(ratio), Some(time)) = (ratio, time) else {
                continue;
            };
            table.push([
                format!("{name}, {load}"),
                watched.text().to_owned(),
                ratio.text(),
                text::time(time.median),
            ]);
        }
    }
    table
}

/// Is the other process: returns what it prints.
pub(crate) fn child(
    watched: Watched,
    load: &str,
    name: &str,
    time: Duration,
) -> Result<String, BoxError> {
    watched.begin()?;
    let (load, subject) = (parse::load(load)?, parse::subject(name)?);
    let running = subject.start(Place::One)?;
    // The first does not count.
    running.run(load, time)?;
    Ok(running.run(load, time)?.mean_ns().to_string())
}

/// Hears of each span, and forgets it.
struct Listening;

impl Subscriber for Listening {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Records what is counted and timed, and tells nobody.
struct Recording;

impl Recorder for Recording {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(AtomicU64::new(0)))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(AtomicU64::new(0)))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Buckets::default()))
    }
}

/// How many values there were of each power of two of nanoseconds.
struct Buckets([AtomicU64; 65]);

impl Default for Buckets {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; 65])
    }
}

impl HistogramFn for Buckets {
    fn record(&self, seconds: f64) {
        self.record_many(seconds, 1);
    }

    fn record_many(&self, seconds: f64, count: usize) {
        let nanoseconds = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let nanoseconds = nanoseconds.as_nanos() as u64;
        let bucket = &self.0[(u64::BITS - nanoseconds.leading_zeros()) as usize];
        bucket.fetch_add(count as u64, Ordering::Relaxed);
    }
}

const LOADS: [(&str, &str); 4] = [
    ("ask:1x1", "tcp/rpc"),
    ("ask:1x64", "tcp/rpc"),
    ("ask:1x1", "service/rpc"),
    ("ask:1x64", "service/rpc"),
];
