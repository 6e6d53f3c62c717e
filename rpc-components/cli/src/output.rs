//! What is written where: results to the standard output, everything else to the standard error.

use std::io::{self, Write};

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

/// Lays out rows in columns as wide as their widest cell.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
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
