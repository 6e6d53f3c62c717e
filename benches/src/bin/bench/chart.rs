//! Plots, as SVG by hand.

use std::fmt::Write;

/// Lines over two logarithmic axes.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) title: String,
    /// Whether one sees which points the lines connect.
    pub(crate) marked: bool,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) lines: Vec<Line>,
}

/// A logarithmic axis.
#[derive(Debug)]
pub(crate) struct Axis {
    title: String,
    /// Where it begins and ends.
    range: (f64, f64),
    ticks: Vec<(f64, String)>,
}

/// What a subject has shown.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Axis {
    /// Makes one that has these ticks only, and ends with them.
    pub(crate) fn with_ticks(title: &str, ticks: Vec<(f64, String)>) -> Self {
        let mut range = (f64::INFINITY, 0.0);
        ticks.iter().for_each(|(at, _)| widen(&mut range, *at));
        Self {
            title: title.to_owned(),
            range,
            ticks,
        }
    }

    /// Makes one that has room for these values, of which there are some, and round ticks.
    pub(crate) fn over(
        title: &str,
        values: impl Iterator<Item = f64>,
        text: impl Fn(f64) -> String,
    ) -> Self {
        let mut range = (f64::INFINITY, 0.0);
        values.for_each(|it| widen(&mut range, it));
        let all = round_numbers(range);
        // From the last of them below to the first above.
        let first = all.iter().rposition(|it| *it <= range.0).unwrap_or(0);
        let last = all.iter().position(|it| *it >= range.1);
        let within = &all[first..=last.unwrap_or(all.len() - 1)];
        let range = (within[0], within[within.len() - 1]);
        let digits: &[f64] = match range.1 / range.0 {
            ..10.0 => &ROUND,
            10.0..1e3 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let is_tick = |it: &&f64| digits.contains(&first_digits(**it));
        // Of their digits, the first matter.
        let text = |it| text(it).replacen(".00", "", 1).replacen(".0", "", 1);
        let ticks = within.iter().filter(is_tick);
        Self {
            title: title.to_owned(),
            range,
            ticks: ticks.map(|it| (*it, text(*it))).collect(),
        }
    }

    /// Returns how far along the axis a value is, from 0 to 1.
    fn part(&self, value: f64) -> f64 {
        (value / self.range.0).ln() / (self.range.1 / self.range.0).ln()
    }
}

/// Returns the numbers of all decades of a range that an axis may end with.
fn round_numbers(range: (f64, f64)) -> Vec<f64> {
    let (low, high) = (range.0.log10().floor(), range.1.log10().ceil());
    let decades = (low as i32..=high as i32).map(|it| 10f64.powi(it));
    let numbers = decades.flat_map(|decade| ROUND.map(|it| it * decade));
    numbers.collect()
}

/// Returns which of the round numbers it is in its decade.
fn first_digits(number: f64) -> f64 {
    let decade = 10f64.powf((number * 1.001).log10().floor());
    (number / decade * 10.0).round() / 10.0
}

fn widen(range: &mut (f64, f64), value: f64) {
    *range = (range.0.min(value), range.1.max(value));
}

impl Chart {
    /// Draws it.
    pub(crate) fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
        );
        text(&mut svg, (LEFT, 26.0), "font-size=\"16\"", &self.title);
        self.draw_axes(&mut svg);
        for (number, line) in self.lines.iter().enumerate() {
            self.draw_line(&mut svg, number, line);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = (self.x.part(x), self.y.part(y));
        (LEFT + x * (RIGHT - LEFT), BOTTOM - y * (BOTTOM - TOP))
    }

    fn draw_axes(&self, svg: &mut String) {
        for (value, label) in &self.x.ticks {
            let (x, _) = self.at(*value, self.y.range.0);
            rule(svg, (x, TOP), (x, BOTTOM));
            text(svg, (x, BOTTOM + 18.0), "text-anchor=\"middle\"", label);
        }
        for (value, label) in &self.y.ticks {
            let (_, y) = self.at(self.x.range.0, *value);
            rule(svg, (LEFT, y), (RIGHT, y));
            text(svg, (LEFT - 6.0, y + 4.0), "text-anchor=\"end\"", label);
        }
        let middle = f64::midpoint(LEFT, RIGHT);
        text(
            svg,
            (middle, BOTTOM + 44.0),
            "text-anchor=\"middle\"",
            &self.x.title,
        );
        let (x, y) = (18.0, f64::midpoint(TOP, BOTTOM));
        let turned = format!("text-anchor=\"middle\" transform=\"rotate(-90 {x} {y})\"");
        text(svg, (x, y), &turned, &self.y.title);
    }

    /// Draws a line, and its name with a piece of it in the legend.
    fn draw_line(&self, svg: &mut String, number: usize, line: &Line) {
        let colour = COLOURS[number % COLOURS.len()];
        let dashes = DASHES[number % DASHES.len()];
        let style = format!(
            "fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\""
        );
        let mut points = String::new();
        for (x, y) in line.points.iter().map(|(x, y)| self.at(*x, *y)) {
            let _ = write!(points, "{x:.1},{y:.1} ");
            if self.marked {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
                );
            }
        }
        let _ = writeln!(svg, "<polyline points=\"{}\" {style}/>", points.trim_end());
        let (x, y) = (RIGHT + 18.0, TOP + 10.0 + 22.0 * number as f64);
        let _ = writeln!(
            svg,
            "<polyline points=\"{x},{y} {},{y}\" {style}/>",
            x + 36.0
        );
        text(svg, (x + 44.0, y + 4.0), "", &line.name);
    }
}

fn rule(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, at: (f64, f64), style: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" {style}>{text}</text>",
        at.0, at.1
    );
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 520.0;
/// Where the axes are: the legend is right of them.
const LEFT: f64 = 90.0;
const RIGHT: f64 = 680.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 460.0;

/// What an axis ends with in each decade.
const ROUND: [f64; 8] = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0];

/// Colours that people tell from each other who do not see all of them.
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31",
];
/// Not as many as colours, so that both together repeat late.
const DASHES: [&str; 3] = ["none", "8 4", "2 3"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_with_round_ticks() {
        let ticks = |low: f64, high: f64| {
            let axis = Axis::over("s", [low, high].into_iter(), |it| format!("{it}"));
            let ticks = axis.ticks.into_iter().map(|(_, text)| text);
            (axis.range, ticks.collect::<Vec<_>>().join(" "))
        };
        assert_eq!(ticks(32.0, 70.0), ((30.0, 80.0), "30 40 50 60 80".into()));
        assert_eq!(ticks(32.0, 700.0), ((30.0, 800.0), "50 100 200 500".into()));
        assert_eq!(ticks(0.5, 700.0), ((0.5, 800.0), "1 10 100".into()));
    }

    #[test]
    fn a_point_stands_where_its_axes_say() {
        let ends = || vec![(1.0, String::new()), (100.0, String::new())];
        let chart = Chart {
            title: String::new(),
            marked: false,
            x: Axis::with_ticks("", ends()),
            y: Axis::with_ticks("", ends()),
            lines: Vec::new(),
        };
        assert_eq!(chart.at(1.0, 100.0), (LEFT, TOP));
        let (x, y) = chart.at(10.0, 10.0);
        assert!((x - f64::midpoint(LEFT, RIGHT)).abs() < 1e-9);
        assert!((y - f64::midpoint(TOP, BOTTOM)).abs() < 1e-9);
    }
}
