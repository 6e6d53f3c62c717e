//! What is written where: results to the standard output, everything else to the standard error.

use std::io::{self, Write};

use rpc_components::gateway::JobInfo;

use crate::error::CliError;

/// Writes results.
pub(crate) fn results(piece: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(piece).and_then(|()| out.flush())
}

/// Writes what was asked for.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    match results(text.as_bytes()) {
        // Whoever closed the pipe does not want it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| CliError::failed(UNWRITTEN, &error)),
    }
}

/// Says something that is no result.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says what went wrong.
pub(crate) fn complain(text: &str) {
    say(&format!("rpc-cluster: {text}"));
}

/// Says what went wrong, in somebody else's words.
pub(crate) fn complain_raw(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// How often a job was restarted, and how often it may be.
pub(crate) fn restarts(info: &JobInfo) -> String {
    match info.restarts_max {
        Some(max) => format!("{} of {max}", info.details.restarts),
        None => info.details.restarts.to_string(),
    }
}

/// Makes a text that may have come from anywhere one that does nothing to a terminal.
pub(crate) fn shown(text: &str) -> String {
    let shown = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Lays out rows in columns as wide as their widest cell.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let shown = |row: &Vec<String>| row.iter().map(|cell| shown(cell)).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(shown).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What is said of a standard output that takes nothing.
pub(crate) const UNWRITTEN: &str = "cannot write to the standard output";

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn a_cell_does_nothing_to_the_terminal() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let rows = [row(["a\u{1b}[31m\n", "b"]), row(["c", "d"])];
        assert_eq!(table(&rows), "a\\u{1b}[31m\\n  b\nc              d\n");
    }
}
