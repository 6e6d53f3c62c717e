//! The table of `parity.md`, read.

/// A test of Flink's, or something that Flink does without a test.
#[derive(Debug)]
pub(crate) struct Row {
    /// `7` or `A7`.
    pub(crate) number: String,
    /// The test's name, or the behaviour.
    pub(crate) what: String,
    /// How the row is cited: `Class#test` or `A7`.
    pub(crate) key: String,
    /// The functions that show it here, by name.
    pub(crate) tests: Vec<String>,
    /// Where those are.
    pub(crate) places: Vec<String>,
    pub(crate) status: Status,
    /// What differs, or why there is nothing.
    pub(crate) how: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Tested,
    /// Nothing here corresponds to it.
    Untestable,
}

/// Reads the rows in their order.
pub(crate) fn rows() -> Vec<Row> {
    let mut class = "";
    let mut rows = Vec::new();
    for line in include_str!("parity.md").lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            class = heading;
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", number, what, tests, places, how, ""] = cells[..] else {
            continue;
        };
        if number.ends_with(|it: char| it.is_ascii_digit()) {
            rows.push(row(class, [number, what, tests, places, how]));
        }
    }
    rows
}

fn row(class: &str, [number, what, tests, places, how]: [&str; 5]) -> Row {
    let key = match number.starts_with('A') {
        true => number.to_owned(),
        false => format!("{class}#{what}"),
    };
    let status = match places {
        "none" => Status::Untestable,
        _ => Status::Tested,
    };
    let mut tests = list(tests, "<br>");
    for test in &mut tests {
        *test = test.trim_matches('`').to_owned();
    }
    tests.sort();
    let mut places = list(places, ", ");
    places.sort();
    Row {
        number: number.to_owned(),
        what: what.to_owned(),
        key,
        tests,
        places,
        status,
        how: how.to_owned(),
    }
}

fn list(cell: &str, separator: &str) -> Vec<String> {
    let items = cell.split(separator).map(str::trim);
    items
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect()
}
