//! Latencies by how many calls do not exceed them.

use crate::chart::{Axis, Chart, Line};
use crate::compare::{Results, Row};
use crate::text;

/// Draws the latencies of all subjects. That of 99 % stands as far from that of 90 % as that of 99.9 %
/// does: who has one call in a hundred waits for it all the same.
pub(crate) fn chart(title: &str, results: &Results) -> Option<Chart> {
    let lines: Vec<Line> = results.rows.iter().filter_map(line).collect();
    let points = || lines.iter().flat_map(|it| &it.points);
    let last = points().map(|(x, _)| *x).reduce(f64::max)?;
    let ticks = TICKS.iter().take_while(|(at, _)| *at <= last * 10.0);
    let ticks = ticks.map(|(at, text)| (*at, (*text).to_owned()));
    Some(Chart {
        title: title.to_owned(),
        marked: false,
        x: Axis::with_ticks("calls that take no longer", ticks.collect()),
        y: Axis::over("time of a call", points().map(|(_, y)| *y), text::time),
        lines,
    })
}

fn line(row: &Row) -> Option<Line> {
    let latencies = row.latencies();
    // Beyond that it would be a single call.
    let last = latencies.len() as f64 / 3.0;
    let steps = (0..).map(|step| 10f64.powf(f64::from(step) / 10.0));
    let steps = steps.take_while(|it| *it <= last);
    let points: Vec<_> = steps
        .map(|it| (it, latencies.value_at_quantile(1.0 - 1.0 / it) as f64))
        .collect();
    (points.len() > 1).then(|| Line {
        name: row.name.to_owned(),
        points,
    })
}

const TICKS: [(f64, &str); 7] = [
    (1.0, "0 %"),
    (10.0, "90 %"),
    (100.0, "99 %"),
    (1e3, "99.9 %"),
    (1e4, "99.99 %"),
    (1e5, "99.999 %"),
    (1e6, "99.9999 %"),
];
