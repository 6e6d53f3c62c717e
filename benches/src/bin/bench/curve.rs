//! How a figure changes while something else grows.

use benches::harness::{Load, Place};
use benches::subjects;

use crate::arguments::Plan;
use crate::chart::{Axis, Chart, Line};
use crate::compare::Comparison;
use crate::figure::Figure;
use crate::table::Table;
use crate::text;

/// A question that has an answer for each of several sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    /// The question, in a sentence.
    pub(crate) title: &'static str,
    pub(crate) growing: Growing,
}

/// What grows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Growing {
    /// How many calls are under way to each of the subjects.
    InFlight(&'static [&'static str]),
    /// How many bytes each of the subjects sends back.
    Bytes(&'static [&'static str]),
    /// How many there are of something, each time another subject.
    Count(&'static [(&'static str, &'static [(usize, &'static str)])]),
}

/// The subjects of one size, and the lines that they belong to.
struct Step {
    size: usize,
    load: Load,
    subjects: Vec<(&'static str, &'static str)>,
}

/// What the lines have at each size.
#[derive(Debug)]
pub(crate) struct Grown {
    growing: Growing,
    sizes: Vec<usize>,
    lines: Vec<Line>,
}

impl Growing {
    fn steps(self) -> Vec<Step> {
        let each = |subjects: &[&'static str]| subjects.iter().map(|it| (*it, *it)).collect();
        match self {
            Self::InFlight(subjects) => {
                let step = |size| Step::new(size, Load::ask(1, size), each(subjects));
                IN_FLIGHT.map(step).into()
            }
            Self::Bytes(subjects) => {
                let step = |size| Step::new(size, Load::echo(size, 1), each(subjects));
                BYTES.map(step).into()
            }
            Self::Count(lines) => COUNTS.map(|size| count_step(lines, size)).into(),
        }
    }

    /// Returns what is compared.
    const fn figure(self) -> Figure {
        match self {
            Self::InFlight(_) | Self::Bytes(_) => Figure::Rate,
            Self::Count(_) => Figure::P50,
        }
    }

    const fn x_title(self) -> &'static str {
        match self {
            Self::InFlight(_) => "calls under way",
            Self::Bytes(_) => "bytes of a message",
            Self::Count(_) => "connections or endpoints, used in turn",
        }
    }

    const fn y_title(self) -> &'static str {
        match self {
            Self::InFlight(_) => "calls per second",
            Self::Bytes(_) => "bytes per second, both ways together",
            Self::Count(_) => "p50 of a call",
        }
    }

    fn x_text(self, size: usize) -> String {
        match self {
            Self::Bytes(_) if size >= 1 << 20 => format!("{} MiB", size >> 20),
            Self::Bytes(_) => format!("{} KiB", size >> 10),
            Self::InFlight(_) | Self::Count(_) => size.to_string(),
        }
    }

    fn y_text(self, value: f64) -> String {
        match self {
            Self::InFlight(_) => text::count(value),
            Self::Bytes(_) => text::bytes(value),
            Self::Count(_) => text::time(value),
        }
    }
}

fn count_step(
    lines: &'static [(&'static str, &'static [(usize, &'static str)])],
    size: usize,
) -> Step {
    let all = lines.iter().flat_map(|(line, points)| {
        let here = points.iter().filter(move |(it, _)| *it == size);
        here.map(move |(_, subject)| (*line, *subject))
    });
    Step::new(size, Load::ask(1, 1), all.collect())
}

impl Step {
    const fn new(size: usize, load: Load, subjects: Vec<(&'static str, &'static str)>) -> Self {
        Self {
            size,
            load,
            subjects,
        }
    }
}

impl Curve {
    /// Measures all sizes, one after the other, and at each the subjects in turns.
    pub(crate) fn measure(&self, plan: Plan) -> Grown {
        let (growing, mut sizes, mut lines) = (self.growing, Vec::new(), Vec::<Line>::new());
        for step in growing.steps() {
            let found = |(line, subject)| Some((line, subjects::find(subject)?));
            let found = step.subjects.into_iter().filter_map(found);
            let (names, entries): (Vec<&str>, Vec<_>) = found.unzip();
            let comparison = Comparison {
                load: step.load,
                place: Place::One,
                figure: growing.figure(),
                entries,
            };
            let bytes = step.load.bytes().max(1) as f64;
            for (name, row) in names.into_iter().zip(&comparison.measure(plan).rows) {
                let value = row.median(|it| growing.figure().of(it));
                let points = match lines.iter_mut().find(|it| it.name == name) {
                    Some(line) => &mut line.points,
                    None => {
                        lines.push(Line {
                            name: name.to_owned(),
                            points: Vec::new(),
                        });
                        &mut lines.last_mut().expect("it was put there").points
                    }
                };
                points.extend(value.map(|it| (step.size as f64, it * bytes)));
            }
            sizes.push(step.size);
        }
        Grown {
            growing,
            sizes,
            lines,
        }
    }
}

impl Grown {
    /// Puts all into a table.
    pub(crate) fn table(&self) -> Table {
        let names = self.lines.iter().map(|it| it.name.as_str());
        let mut table = Table::new(std::iter::once(self.growing.x_title()).chain(names));
        for size in &self.sizes {
            let cell = |line: &Line| {
                let point = line.points.iter().find(|(x, _)| *x == *size as f64);
                point.map_or_else(|| "–".to_owned(), |(_, y)| self.growing.y_text(*y))
            };
            let name = self.growing.x_text(*size);
            table.push(std::iter::once(name).chain(self.lines.iter().map(cell)));
        }
        table
    }

    /// Draws all, if there is any.
    pub(crate) fn chart(self, title: &str) -> Option<Chart> {
        let growing = self.growing;
        self.lines.iter().find(|it| !it.points.is_empty())?;
        let ticks = self.sizes.iter();
        let ticks = ticks.map(|it| (*it as f64, growing.x_text(*it)));
        let values = self.lines.iter().flat_map(|it| &it.points);
        let values = values.map(|(_, y)| *y);
        Some(Chart {
            title: title.to_owned(),
            marked: true,
            x: Axis::with_ticks(growing.x_title(), ticks.collect()),
            y: Axis::over(growing.y_title(), values, |it| growing.y_text(it)),
            lines: self.lines,
        })
    }
}

const IN_FLIGHT: [usize; 6] = [1, 4, 16, 64, 256, 512];
const BYTES: [usize; 6] = [1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
const COUNTS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
