#![doc = include_str!("parity.md")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod citations;
mod table;

use std::collections::BTreeMap;

use crate::citations::{Cited, citations, functions};
use crate::table::{Row, Status, rows};

#[test]
fn every_row_is_there_once() {
    let numbers: Vec<String> = rows().into_iter().map(|row| row.number).collect();
    let flink = (1..=178).map(|it| it.to_string());
    let untested = (1..=25).map(|it| format!("A{it}"));
    assert_eq!(numbers, flink.chain(untested).collect::<Vec<_>>());
}

#[test]
fn every_row_names_the_tests_that_cite_it() {
    let cited = cited();
    let mut wrong = Vec::new();
    for row in rows() {
        let by = cited.get(&row.key).cloned().unwrap_or_default();
        let named = row.tests == names(&by) && row.places == places(&by);
        match row.status {
            Status::Tested if named && !by.is_empty() => {}
            Status::Untestable if by.is_empty() && row.tests.is_empty() && !row.how.is_empty() => {}
            Status::Tested | Status::Untestable => wrong.push(expected(&row, &by)),
        }
    }
    assert!(
        wrong.is_empty(),
        "the table of tests/parity/parity.md says otherwise:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_citation_is_in_the_table() {
    let keys: Vec<String> = rows().into_iter().map(|row| row.key).collect();
    let strangers: Vec<_> = cited()
        .into_iter()
        .filter(|(key, _)| !keys.contains(key))
        .collect();
    assert!(strangers.is_empty(), "no row has these: {strangers:#?}");
}

#[test]
fn every_citation_is_above_a_test() {
    let functions = functions();
    let idle: Vec<_> = functions
        .iter()
        .filter(|it| !it.cites.is_empty() && !it.is_test)
        .collect();
    assert!(idle.is_empty(), "nobody runs these: {idle:#?}");
    // And none of them is missed because something stands between the two.
    let attached: usize = functions.iter().map(|it| it.cites.len()).sum();
    assert_eq!(attached, citations());
}

/// Returns who cites what, by the key of the row.
fn cited() -> BTreeMap<String, Vec<Cited>> {
    let mut cited: BTreeMap<String, Vec<Cited>> = BTreeMap::new();
    for function in functions() {
        for key in &function.cites {
            cited.entry(key.clone()).or_default().push(Cited {
                name: function.name.clone(),
                place: function.place,
            });
        }
    }
    cited
}

fn names(by: &[Cited]) -> Vec<String> {
    sorted(by.iter().map(|it| it.name.clone()))
}

fn places(by: &[Cited]) -> Vec<String> {
    sorted(by.iter().map(|it| it.place.to_owned()))
}

fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts: Vec<String> = texts.collect();
    texts.sort();
    texts.dedup();
    texts
}

/// Writes the row as the sources have it.
fn expected(row: &Row, by: &[Cited]) -> String {
    let tests = names(by).join("`<br>`");
    let Row {
        number, what, how, ..
    } = row;
    match by {
        [] => format!("| {number} | {what} | no test cites it |"),
        by => format!(
            "| {number} | {what} | `{tests}` | {} | {how} |",
            places(by).join(", ")
        ),
    }
}
