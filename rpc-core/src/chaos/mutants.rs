//! Each fault in the protocol is found.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::run;
use crate::mutant::{self, Mutant};

/// Each fault with the first seed that finds it.
const CAUGHT: &[(Mutant, u64)] = &[
    (Mutant::AbandonedBegun, 1),
    (Mutant::BlameNobody, 1),
    (Mutant::BulkOvertaken, 2),
    (Mutant::CancelIgnored, 1),
    (Mutant::CancelNotSent, 1),
    (Mutant::CreditIgnored, 1),
    (Mutant::CreditNotReturned, 1),
    (Mutant::DeadlineNotInherited, 1),
    (Mutant::DeadlineNotSent, 1),
    (Mutant::DeadlineNotSwept, 1),
    (Mutant::ExtendIgnored, 1),
    (Mutant::FrameRepeated, 1),
    (Mutant::GoneNotSent, 1),
    (Mutant::GoodbyeIgnored, 1),
    (Mutant::IncarnationIgnored, 1),
    (Mutant::LostForgotten, 1),
    (Mutant::MailboxUnlimited, 1),
    (Mutant::OldConnectionServed, 1),
    (Mutant::ParkedForgotten, 1),
    (Mutant::ParkedReversed, 3),
    (Mutant::PingNotSent, 1),
    (Mutant::RedialAtOnce, 1),
    (Mutant::ReleaseIgnored, 1),
    (Mutant::RetryAll, 1),
    (Mutant::ReusedCallId, 7),
    (Mutant::StaleTokenTaken, 1),
    (Mutant::TokenIgnored, 1),
    (Mutant::TokenIgnoredOneWay, 1),
];

#[test]
fn every_fault_in_the_protocol_is_found() {
    let escapes = |(mutant, seed): &&(Mutant, u64)| {
        // Whatever changes in the protocol changes what a seed does.
        let mut seeds = std::iter::once(*seed).chain(1..=SEEDS_MAX);
        !seeds.any(|seed| is_found(*mutant, seed))
    };
    let escaped: Vec<_> = CAUGHT.iter().filter(escapes).collect();
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
