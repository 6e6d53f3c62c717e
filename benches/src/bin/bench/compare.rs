//! Subjects that are loaded in turn.

use benches::harness::{Entry, Failed, Load, Place, Running, Sample};
use hdrhistogram::Histogram;

use crate::arguments::Plan;
use crate::figure::Figure;
use crate::table::Table;
use crate::text;

/// Subjects under one load. The first is what the others are compared to.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) load: Load,
    pub(crate) place: Place,
    pub(crate) figure: Figure,
    pub(crate) entries: Vec<Entry>,
}

/// What a comparison has shown.
#[derive(Debug)]
pub(crate) struct Results {
    load: Load,
    place: Place,
    figure: Figure,
    pub(crate) rows: Vec<Row>,
}

/// What a subject has shown in each round.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) samples: Result<Vec<Sample>, Failed>,
}

impl Comparison {
    /// Starts all subjects, then loads one after the other in each round. The first round does not
    /// count.
    pub(crate) fn measure(&self, plan: Plan) -> Results {
        let start = |it: &Entry| (it.start(self.place), Row::new(it.name));
        let mut all: Vec<_> = self.entries.iter().map(start).collect();
        for round in 0..=plan.rounds {
            for (running, row) in &mut all {
                let sample = match running {
                    Ok(running) => running.run(self.load, plan.time),
                    Err(error) => Err(error.clone()),
                };
                match sample {
                    Ok(sample) if round > 0 => row.push(sample),
                    Ok(_) => {}
                    Err(error) => row.fail(running, error),
                }
            }
        }
        Results {
            load: self.load,
            place: self.place,
            figure: self.figure,
            rows: all.into_iter().map(|(_, row)| row).collect(),
        }
    }
}

impl Row {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            samples: Ok(Vec::new()),
        }
    }

    fn push(&mut self, sample: Sample) {
        if let Ok(samples) = &mut self.samples {
            samples.push(sample);
        }
    }

    /// Ends a subject that has failed once.
    fn fail(&mut self, running: &mut Result<Running, Failed>, error: Failed) {
        *running = Err(error.clone());
        self.samples = Err(error);
    }

    /// Returns the median of a figure over the rounds.
    pub(crate) fn median(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        let samples = self.samples.as_ref().ok()?;
        Spread::of(samples.iter().filter_map(figure)).map(|it| it.median)
    }

    /// Returns the latencies of all rounds.
    pub(crate) fn latencies(&self) -> Histogram<u64> {
        let mut all = Sample::default().latencies;
        for sample in self.samples.iter().flatten() {
            all.add(&sample.latencies).expect("a histogram grows");
        }
        all
    }
}

impl Results {
    /// Tells what the table is about, and what its ratios mean.
    pub(crate) fn what_is_compared(&self) -> String {
        let batch = match self.load {
            Load::Ask { in_flight, .. } if in_flight > 1 => {
                format!(" The percentiles are those of {in_flight} calls made at once.")
            }
            _ => String::new(),
        };
        let place = self.place.text();
        let ratio = self
            .rows
            .first()
            .map_or_else(String::new, |floor| self.figure.ratio(floor.name));
        format!("In {place}. Ratio: {ratio}.{batch}")
    }

    /// Puts all into a table.
    pub(crate) fn table(&self) -> Table {
        let mut names = vec!["subject", "ratio (min–max)"];
        let rated = self.figure == Figure::Rate || !self.load.is_alone();
        names.push(if rated { "calls/s" } else { "mean" });
        names.extend(["p50", "p99", "p99.9"]);
        names.push(match self.place {
            Place::One => "CPU per call",
            Place::Two | Place::TwoPinned => "caller's CPU per call",
        });
        if self.load.bytes() > 0 {
            names.push("MB/s");
        }
        let mut table = Table::new(names);
        for row in &self.rows {
            table.push(self.cells(row, rated));
        }
        table
    }

    fn cells(&self, row: &Row, rated: bool) -> Vec<String> {
        if let Err(error) = &row.samples {
            return vec![row.name.to_owned(), format!("failed: {error}")];
        }
        let shown = |it: Option<f64>, text: fn(f64) -> String| it.map_or_else(none, text);
        let ratio = self.ratio(row).map_or_else(none, |it| it.text());
        let figure = match rated {
            true => shown(row.median(|it| Some(it.rate())), text::count),
            false => shown(row.median(|it| Some(it.mean_ns())), text::time),
        };
        let mut cells = vec![row.name.to_owned(), ratio, figure];
        let latencies = row.latencies();
        cells.extend(
            [50.0, 99.0, 99.9].map(|percent| match latencies.is_empty() {
                true => none(),
                false => text::time(latencies.value_at_percentile(percent) as f64),
            }),
        );
        cells.push(shown(row.median(|it| Some(it.cpu_ns())), text::time));
        if self.load.bytes() > 0 {
            let bytes = |it: &Sample| Some(it.rate() * self.load.bytes() as f64 / 1e6);
            cells.push(shown(row.median(bytes), text::digits));
        }
        cells
    }

    /// Returns how a subject compares with the first, by what both have shown in the same rounds.
    fn ratio(&self, row: &Row) -> Option<Spread> {
        let floor = self.rows.first()?.samples.as_ref().ok()?;
        let rounds = row.samples.as_ref().ok()?.iter().zip(floor);
        Spread::of(
            rounds.filter_map(|(sample, floor)| {
                Some(self.figure.of(sample)? / self.figure.of(floor)?)
            }),
        )
    }
}

/// The median of several, and how far they are spread.
pub(crate) struct Spread {
    pub(crate) median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let upper = *values.get(values.len() / 2)?;
        let lower = values[(values.len() - 1) / 2];
        Some(Self {
            median: lower.midpoint(upper),
            min: *values.first()?,
            max: *values.last()?,
        })
    }

    pub(crate) fn text(&self) -> String {
        let [median, min, max] = [self.median, self.min, self.max].map(text::digits);
        format!("{median} ({min}–{max})")
    }
}

fn none() -> String {
    "–".to_owned()
}
