//! The same seed is the same run, in one process and in two.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rpc_core::RpcService;
use rpc_core::testing::sim::{self, SimConfig, SimEventKind, SimNetwork, SimRun};
use rpc_core::testing::{Probe, ProbeGateway};

/// Services that call each other while their network breaks; returns how many calls succeeded.
async fn storm(net: SimNetwork) -> u64 {
    let callee = RpcService::builder().transport(net.node("callee").transport());
    let callee = callee.build().await.unwrap();
    let server = callee.start_server("probe", Probe::default()).unwrap();
    server.start();
    let callers: Vec<_> = ["one", "two", "three"]
        .into_iter()
        .map(|name| {
            let (node, address) = (net.node(name), server.address());
            tokio::spawn(async move {
                let service = RpcService::builder().transport(node.transport());
                let service = service.build().await.unwrap();
                let mut succeeded = 0;
                for number in 0..20 {
                    let probe = service.connect::<dyn ProbeGateway>(&address).await;
                    let Ok(probe) = probe else { continue };
                    let called = probe.add(number).timeout(Duration::from_secs(1)).await;
                    succeeded += u64::from(called.is_ok());
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..100))).await;
                }
                service.close().await.unwrap();
                succeeded
            })
        })
        .collect();
    for _ in 0..20 {
        let name = fastrand::choice(["one", "two", "three"]).unwrap();
        match fastrand::u32(0..4) {
            0 => net.partition(name, "callee"),
            1 => net.cut("callee", name),
            2 => net.reset("callee", name),
            _ => net.slow(name, fastrand::u64(1_000..100_000)),
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..500))).await;
        net.heal_all();
    }
    let mut succeeded = 0;
    for caller in callers {
        succeeded += caller.await.unwrap();
    }
    callee.close().await.unwrap();
    succeeded
}

fn run(seed: u64) -> SimRun<u64> {
    sim::run(seed, storm)
}

#[test]
fn a_seed_is_one_run_and_another_seed_another() {
    let (one, again, other) = (run(1), run(1), run(2));
    assert_eq!(one.trace, again.trace);
    assert_eq!(one.output, again.output);
    assert_ne!(one.trace.hash, other.trace.hash);
    // It was a storm, and calls went through it.
    assert!(one.output > 10, "{} calls", one.output);
    assert!(one.trace.count > 200, "{}", one.trace);
    assert!(one.trace.of(SimEventKind::Hold).count() > 0);
}

#[test]
fn a_seed_is_one_run_in_each_process() {
    let own = format!("hash {:016x}", run(1).trace.hash);
    let in_another = |seed: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "determinism::a_run_tells_its_hash",
                "--nocapture",
            ])
            .env(SEED, seed)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let told = in_another("1");
    assert!(told.contains(&own), "{told} is without {own}");
    assert!(!in_another("2").contains(&own));
}

/// Run by the test before, in a process of its own.
#[test]
fn a_run_tells_its_hash() {
    let seed = std::env::var(SEED).map_or(3, |it| it.parse().unwrap());
    let trace = run(seed).trace;
    println!("hash {:016x}", trace.hash);
    let last = trace.to_string().lines().last().unwrap().to_owned();
    assert!(last.ends_with(&format!("hash {:016x}", trace.hash)));
}

const SEED: &str = "SIM_TEST_SEED";

#[test]
fn many_seeds_each_are_one_run() {
    for seed in 0..30 {
        sim::run_twice(SimConfig::seeded(seed), storm);
    }
}

#[test]
fn a_case_that_is_not_deterministic_is_found() {
    let runs = AtomicU64::new(1);
    let case = async |net: SimNetwork| {
        let millis = runs.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let _node = net.node("a");
        net.pause("a");
    };
    let failed = catch_unwind(AssertUnwindSafe(|| {
        sim::run_twice(SimConfig::seeded(1), case);
    }));
    let said = *failed.unwrap_err().downcast::<String>().unwrap();
    let expected =
        "two runs of one seed differ:\n    0.001000 pause     a\n    0.002000 pause     a";
    assert_eq!(said, expected);
    // What is drawn and shows nowhere is found as well.
    let drawn = AtomicU64::new(0);
    let case = async |_net| {
        for _ in 0..drawn.fetch_add(1, Ordering::Relaxed) {
            fastrand::u64(..);
        }
    };
    let failed = catch_unwind(AssertUnwindSafe(|| {
        sim::run_twice(SimConfig::seeded(1), case);
    }));
    assert!(failed.is_err());
}

#[test]
fn a_run_that_waits_for_ever_ends() {
    let failed = catch_unwind(|| sim::run(1, async |_net| std::future::pending::<()>().await));
    let said = *failed.unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains("not done within 86400s"), "{said}");
}

#[test]
fn a_run_leaves_the_generator_of_its_thread_as_it_was() {
    fastrand::seed(5);
    let expected = [fastrand::u64(..), fastrand::u64(..)];
    fastrand::seed(5);
    let before = fastrand::u64(..);
    let within = sim::run(1, async |_net| fastrand::u64(..)).output;
    assert_eq!([before, fastrand::u64(..)], expected);
    assert_eq!(within, sim::run(1, async |_net| fastrand::u64(..)).output);
}

#[test]
fn a_run_takes_nothing_of_its_network_along() {
    let held = Arc::new(());
    let weak = Arc::downgrade(&held);
    sim::run(1, async |net| {
        let node = net.node("a");
        let keeps = (node.clone(), held);
        node.on_crash(move || drop(keeps));
        node.transport()
    });
    assert_eq!(weak.strong_count(), 0);
}
