//! Runs the targets without a fuzzing engine, on any compiler:
//!
//! ```text
//! soak seeds                          writes the inputs that the code itself makes to the corpus
//! soak TARGET EXECUTIONS SEED         runs mutations of the corpus; the same for the same seed
//! soak TARGET FILE                    runs one input
//! ```
//!
//! An input that panics, holds too much memory or takes too long is written to `artifacts`.

#![allow(clippy::disallowed_methods, reason = "the time that is taken is real")]

mod heap;

use std::path::{Path, PathBuf};
use std::process::abort;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, panic};

use rpc_core::testing::fuzz::{TARGETS, Target, mutate};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    panic::set_hook(Box::new(|info| fail(&info.to_string())));
    match arguments[..] {
        ["seeds"] => TARGETS.iter().for_each(write_seeds),
        [target, file] => {
            let input = fs::read(file).expect("the file can be read");
            println!("{} bytes at most", execute(named(target), "file", input));
        }
        [target, executions, seed] => {
            let executions = executions.parse().expect("a number of executions");
            soak(named(target), executions, seed.parse().expect("a seed"));
        }
        _ => println!("soak seeds | soak TARGET EXECUTIONS SEED | soak TARGET FILE"),
    }
}

fn named(name: &str) -> &'static Target {
    let target = TARGETS.iter().find(|it| it.name == name);
    target.unwrap_or_else(|| panic!("no target is called {name}"))
}

fn soak(target: &'static Target, executions: u64, seed: u64) {
    let corpus = corpus(target);
    let start = Instant::now();
    let mut peak = 0;
    for input in &corpus {
        peak = peak.max(execute(target, "corpus", input.clone()));
    }
    for execution in 0..executions {
        let seed = seed.wrapping_add(execution);
        let input = mutate(&corpus, seed);
        peak = peak.max(execute(target, &seed.to_string(), input));
    }
    println!(
        "{}: {executions} executions in {:?}, {} bytes held at most",
        target.name,
        start.elapsed(),
        peak
    );
}

/// Runs one input, and returns how much memory was held.
fn execute(target: &Target, name: &str, input: Vec<u8>) -> usize {
    *CURRENT.lock().expect("nothing panics with it") =
        Some((format!("{}-{name}", target.name), input.clone()));
    let start = Instant::now();
    let peak = heap::peak_of(|| (target.run)(&input));
    let (limit, elapsed) = (heap_bytes_max(input.len()), start.elapsed());
    assert!(peak <= limit, "{peak} bytes were held, more than {limit}");
    assert!(elapsed <= TIME_MAX, "it took {elapsed:?}");
    peak
}

/// What a message may become by the codec's limits, twice as a vector that grows is there twice,
/// and what a service and what serde reserves take in any case.
fn heap_bytes_max(input_bytes: usize) -> usize {
    2 * (32 * input_bytes + (64 << 10)) + (1 << 20)
}

/// Keeps the input that did harm.
fn fail(reason: &str) -> ! {
    eprintln!("{reason}");
    if let Some((name, input)) = CURRENT.try_lock().ok().and_then(|mut it| it.take()) {
        let path = here("artifacts").join(name);
        let written = fs::create_dir_all(here("artifacts")).and_then(|()| fs::write(&path, input));
        eprintln!("{}: {written:?}", path.display());
    }
    abort();
}

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = here("corpus").join(target.name);
    let files = fs::read_dir(folder).expect("`soak seeds` makes the corpus");
    let mut files: Vec<PathBuf> = files
        .map(|it| it.expect("the corpus can be read").path())
        .collect();
    files.sort();
    let read = |it: &PathBuf| fs::read(it).expect("the corpus can be read");
    files.iter().map(read).collect()
}

fn write_seeds(target: &Target) {
    let folder = here("corpus").join(target.name);
    fs::create_dir_all(&folder).expect("the corpus can be written");
    for file in fs::read_dir(&folder).expect("the corpus can be read") {
        let path = file.expect("the corpus can be read").path();
        if path
            .file_name()
            .is_some_and(|it| it.to_string_lossy().starts_with("seed-"))
        {
            fs::remove_file(path).expect("the corpus can be written");
        }
    }
    for (number, seed) in (target.seeds)().iter().enumerate() {
        let path = folder.join(format!("seed-{number:02}"));
        fs::write(path, seed).expect("the corpus can be written");
    }
}

fn here(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

/// The name of the input that is run, and the input.
static CURRENT: Mutex<Option<(String, Vec<u8>)>> = Mutex::new(None);

/// An input that takes longer than this is as bad as one that hangs.
const TIME_MAX: Duration = Duration::from_secs(5);
