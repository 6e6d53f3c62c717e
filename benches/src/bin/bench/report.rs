//! Everything, as one file.

use std::fs;
use std::path::Path;

use rpc_core::BoxError;

use crate::arguments::{Plan, ReportArguments};
use crate::chart::Chart;
use crate::curve::Curve;
use crate::figure::Figure;
use crate::latency_chart;
use crate::machine;
use crate::memory;
use crate::observed;
use crate::scenario::Scenario;
use crate::scenarios;
use crate::word_count;

/// A part of the report.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Chapter {
    /// Subjects beside each other.
    Compare(Scenario),
    /// The same for several sizes.
    Grow(Curve),
    /// Endpoints that do nothing.
    Memory,
    /// Calls that are watched, and not.
    Observed,
    /// A whole job.
    WordCount,
}

/// Lists all, in their order.
pub(crate) fn chapters() -> impl Iterator<Item = Chapter> {
    let curves = scenarios::CURVES.iter().copied().map(Chapter::Grow);
    let whole = [Chapter::Memory, Chapter::Observed, Chapter::WordCount];
    scenarios::all()
        .map(Chapter::Compare)
        .chain(curves)
        .chain(whole)
}

impl Chapter {
    /// Returns what one chooses it by.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Compare(scenario) => scenario.name,
            Self::Grow(curve) => curve.name,
            Self::Memory => "endpoints/memory",
            Self::Observed => "observed",
            Self::WordCount => "word-count",
        }
    }

    /// Returns the question.
    pub(crate) const fn title(&self) -> &'static str {
        match self {
            Self::Compare(scenario) => scenario.title,
            Self::Grow(curve) => curve.title,
            Self::Memory => "How much memory does each of a million idle endpoints have?",
            Self::Observed => "How long does a call take that is counted, or traced?",
            Self::WordCount => "How long does it take to count the words of a file, beside a loop?",
        }
    }

    /// Answers it: what is printed, and what is drawn.
    fn answer(&self, plan: Plan) -> (String, Option<Chart>) {
        match self {
            Self::Compare(scenario) => {
                let results = scenario.comparison().measure(plan);
                let text = format!("{}\n\n{}", results.what_is_compared(), results.table());
                let latencies = matches!(scenario.figure, Figure::P50 | Figure::P99);
                let title = format!("{}, {}", scenario.name, scenario.place.text());
                let chart = latencies.then(|| latency_chart::chart(&title, &results));
                (text, chart.flatten())
            }
            Self::Grow(curve) => {
                let grown = curve.measure(plan);
                (grown.table().to_string(), grown.chart(curve.title))
            }
            Self::Memory => (memory::table().to_string(), None),
            Self::Observed => (observed::table(plan).to_string(), None),
            Self::WordCount => match word_count::table(plan) {
                Ok(table) => (table.to_string(), None),
                Err(error) => (format!("failed: {error}\n"), None),
            },
        }
    }

    /// Answers it, and draws a plot into a folder.
    fn section(&self, plan: Plan, folder: &Path) -> Result<String, BoxError> {
        let (text, chart) = self.answer(plan);
        let mut section = format!("\n## {}\n\n{}\n\n{text}", self.name(), self.title());
        if let Some(chart) = chart {
            let file = format!("{}.svg", self.name().replace('/', "-"));
            fs::write(folder.join(&file), chart.svg())?;
            section.push_str(&format!("\n![{}]({file})\n", self.title()));
        }
        Ok(section)
    }
}

/// Runs the chapters that are wanted, and writes the report after each, so that of one that is
/// interrupted something is there.
pub(crate) fn write(arguments: &ReportArguments) -> Result<(), BoxError> {
    let wanted = |it: &Chapter| it.name().contains(&arguments.only);
    let chapters: Vec<Chapter> = chapters().filter(wanted).collect();
    if chapters.is_empty() {
        return Err(format!("no scenario has '{}' in its name; see list", arguments.only).into());
    }
    fs::create_dir_all(&arguments.out)?;
    let file = arguments.out.join("report.md");
    let mut report = format!("# What calls cost\n\n{}\n{HOW_TO_READ}", machine::facts());
    println!("{report}");
    for (number, chapter) in (1..).zip(&chapters) {
        eprintln!("{number} of {}: {}", chapters.len(), chapter.name());
        let section = chapter.section(arguments.plan, &arguments.out)?;
        println!("{section}");
        report.push_str(&section);
        fs::write(&file, &report)?;
    }
    eprintln!("{}", file.display());
    Ok(())
}

const HOW_TO_READ: &str = "\
Look at the ratios first. The subjects of a scenario are loaded in turn, round by round; a ratio is \
that of a subject to the first one in the same round, and what is shown is the median of all rounds, \
with the least and the greatest. What else the machine did befell both. The other columns are of this \
machine at this time: medians over the rounds, and percentiles of all calls that were timed.

CPU is that of the process of the caller, in user and in kernel; where that has both sides, of both.
MB/s counts the bytes of both ways.
";
