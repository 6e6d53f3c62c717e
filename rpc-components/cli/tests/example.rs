//! The example, built beside the tests, does what its documentation says.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod child;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::child::Child;

#[test]
fn a_program_with_an_operator_of_its_own_runs_jobs_of_it() {
    let job = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/custom_operator.toml");
    let ended = Child::start(Command::new(example()).arg("run").arg("--job").arg(&job)).end();
    assert_eq!(ended.status, Some(0), "{ended:#?}");
    assert!(ended.stderr.is_empty(), "{ended:#?}");
    assert_eq!(ended.stdout.lines().count(), 3);
    for line in ended.stdout.lines() {
        let words = line.strip_suffix("!!").unwrap();
        assert_eq!(words, words.to_uppercase());
        assert_eq!(words.split(' ').count(), 4);
    }

    // The program that the workspace builds does not know it.
    let mut without = Command::new(env!("CARGO_BIN_EXE_rpc-cluster"));
    let ended = Child::start(without.arg("run").arg("--job").arg(&job)).end();
    assert_eq!(ended.status, Some(2));
    assert!(
        ended.only_line().contains("no operator `shout`"),
        "{ended:#?}"
    );
}

#[test]
fn an_option_that_the_operator_refuses_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job.toml");
    let text = include_str!("../examples/custom_operator.toml");
    fs::write(&job, text.replace("marks = 2", "marks = 4")).unwrap();
    let ended = Child::start(Command::new(example()).arg("run").arg("--job").arg(&job)).end();
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.only_line().contains("`marks`"), "{ended:#?}");
}

/// Cargo builds examples with the tests, and leaves them beside the programs.
fn example() -> PathBuf {
    let programs = Path::new(env!("CARGO_BIN_EXE_rpc-cluster"))
        .parent()
        .unwrap();
    let example = programs.join("examples/custom_operator");
    assert!(
        example.exists(),
        "with a choice of targets, run `cargo build --examples` first"
    );
    example
}
