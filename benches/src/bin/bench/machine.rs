//! What machine it is, and when.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use crate::table::Table;

/// Tells what figures depend on.
pub(crate) fn facts() -> Table {
    let mut table = Table::new(["what", "is"]);
    let processors = available_parallelism().map_or(0, usize::from);
    table.push([
        "processors".to_owned(),
        format!("{processors} of {}", model()),
    ]);
    table.push(["kernel".to_owned(), output("uname", &["-sr"])]);
    table.push(["compiler".to_owned(), output("rustc", &["--version"])]);
    table.push(["build".to_owned(), build().to_owned()]);
    table.push(["commit".to_owned(), commit()]);
    table.push([
        "date".to_owned(),
        output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
    ]);
    table.push(["load average".to_owned(), read("/proc/loadavg")]);
    table
}

fn model() -> String {
    let text = read("/proc/cpuinfo");
    let line = text.lines().find(|it| it.starts_with("model name"));
    let model = line.and_then(|it| it.split_once(": "));
    model.map_or_else(unknown, |(_, model)| model.to_owned())
}

const fn build() -> &'static str {
    match cfg!(debug_assertions) {
        true => "debug: the figures say nothing",
        false => "release",
    }
}

fn commit() -> String {
    let commit = output("git", &["rev-parse", "--short", "HEAD"]);
    match output("git", &["status", "--porcelain", "--untracked-files=no"]) {
        changes if changes == unknown() => commit,
        _ => format!("{commit}, with changes"),
    }
}

/// Returns what a program prints, or that it prints nothing.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    text.ok()
        .filter(|it| !it.is_empty())
        .unwrap_or_else(unknown)
}

fn read(file: &str) -> String {
    let text = fs::read_to_string(file);
    text.map_or_else(|_| unknown(), |it| it.trim().to_owned())
}

fn unknown() -> String {
    "unknown".to_owned()
}
