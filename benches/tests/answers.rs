//! Every subject answers.

use std::time::Duration;

use benches::harness::{Load, Place};
use benches::subjects;

/// Names behind the first slash of what cannot be asked several things at once, or at all.
const OTHERS: [&str; 3] = ["copy", "start-and-stop", "task-start-and-stop"];

#[test]
fn every_subject_that_is_alone_answers() {
    let load = Load::Ask {
        callers: 1,
        in_flight: 4,
    };
    for entry in subjects::all() {
        let (_, name) = entry.name.split_once('/').unwrap();
        if name.contains('/') || OTHERS.contains(&name) {
            continue;
        }
        let running = entry.start(Place::One).unwrap();
        let sample = running.run(load, Duration::from_millis(20)).unwrap();
        assert!(sample.calls > 0, "{}", entry.name);
    }
}

#[test]
fn no_two_subjects_have_one_name() {
    let mut names: Vec<_> = subjects::all().map(|it| it.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}
