//! Each fault in the protocol is found.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::run;
use crate::mutant::{self, Mutant};

/// The seeds that find some of the faults sooner than those from the first on would.
const SOONER: &[(Mutant, u64)] = &[
    (Mutant::BulkOvertaken, 2),
    (Mutant::ParkedReversed, 3),
    (Mutant::ReusedCallId, 7),
];

#[test]
fn every_fault_in_the_protocol_is_found() {
    let escapes = |mutant: &&Mutant| {
        let sooner = SOONER.iter().filter(|(known, _)| known == *mutant);
        // Whatever changes in the protocol changes what a seed does.
        let mut seeds = sooner.map(|(_, seed)| *seed).chain(1..=SEEDS_MAX);
        !seeds.any(|seed| is_found(**mutant, seed))
    };
    let escaped: Vec<_> = Mutant::ALL.iter().filter(escapes).collect();
    assert!(escaped.is_empty(), "{escaped:?} are not found");
}

fn is_found(mutant: Mutant, seed: u64) -> bool {
    mutant::with(Some(mutant), || {
        let run = catch_unwind(AssertUnwindSafe(|| run(seed).output.complaints));
        // A run that ends with a panic has found something too.
        run.map_or(true, |complaints| {
            println!("{mutant:?}, seed {seed}: {:?}", complaints.first());
            !complaints.is_empty()
        })
    })
}

/// A fault that so many seeds do not find escapes the tests.
const SEEDS_MAX: u64 = 100;
