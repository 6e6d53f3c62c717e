//! The targets of the fuzzer, over what it has kept and over mutations that are always the same.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::{fs, panic};

use rpc_core::testing::fuzz::{TARGETS, Target, mutate};

#[test]
fn the_codec_bears_anything() {
    bears_anything("codec", 4_000);
}

#[test]
fn a_connection_bears_anything() {
    bears_anything("connection", 1_000);
}

#[test]
fn frames_are_cut_out_of_anything() {
    bears_anything("frame", 4_000);
}

#[test]
fn a_handshake_bears_anything() {
    bears_anything("handshake", 4_000);
}

/// The corpus holds the layouts of this version.
#[test]
fn the_seeds_are_kept() {
    for target in TARGETS {
        let kept = corpus(target);
        for (number, seed) in (target.seeds)().iter().enumerate() {
            let found = kept.contains(seed);
            assert!(found, "run `soak seeds`: seed {number} of {}", target.name);
        }
        assert!(kept.len() <= 100, "{}", target.name);
        assert!(kept.iter().all(|it| it.len() <= 4 << 10), "{}", target.name);
    }
}

fn bears_anything(name: &str, mutations: u64) {
    WATCH.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            report(info);
        }));
    });
    let target = TARGETS.iter().find(|it| it.name == name).unwrap();
    let corpus = corpus(target);
    for input in &corpus {
        (target.run)(input);
    }
    for seed in 0..mutations {
        (target.run)(&mutate(&corpus, seed));
    }
    // A task's panic is caught by its runtime, which runs it on this thread.
    assert_eq!(PANICS.get(), 0);
}

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let files = fs::read_dir(folder.join(target.name)).unwrap();
    let mut files: Vec<PathBuf> = files.map(|it| it.unwrap().path()).collect();
    files.sort();
    files.iter().map(|it| fs::read(it).unwrap()).collect()
}

static WATCH: Once = Once::new();

thread_local! {
    static PANICS: Cell<usize> = const { Cell::new(0) };
}
