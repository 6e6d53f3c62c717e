//! Calls through partitions, crashes and pauses, held against the promises of the crate's page.
//!
//! A run is a seed: services on a simulated network, callers that call whatever comes to their mind,
//! and faults that befall them; then everything heals, and what really happened is compared with what
//! the callers heard. Each run has a partition, a one-way cut, a crash, a pause and repeated bytes.
//! `CHAOS_SEEDS=1..10001 cargo test --release -p rpc-core --all-features chaos` runs ten thousand.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it is a test, in several files"
)]

mod calm;
mod clerk;
mod client;
mod ledger;
mod mutants;
mod world;

use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep};

use self::world::{World, config};
use crate::RpcService;
use crate::testing::sim::{self, SimConfig, SimNetwork, SimRun};

/// What a run showed.
#[derive(Debug)]
struct Report {
    complaints: Vec<String>,
    calls: usize,
    answered: usize,
}

/// Runs one seed.
fn run(seed: u64) -> SimRun<Report> {
    sim::run_with(sim_config(seed), world)
}

fn sim_config(seed: u64) -> SimConfig {
    SimConfig {
        give_up_after: Some(Duration::from_secs(4)),
        time_limit: Duration::from_secs(300),
        trace_events_max: 100_000,
        ..SimConfig::seeded(seed)
    }
}

async fn world(net: SimNetwork) -> Report {
    let world = World::new(net.clone(), SERVERS).await;
    let until = Instant::now() + CHAOS;
    let mut clients = JoinSet::new();
    let mut services = Vec::new();
    for index in 0..CLIENTS {
        let node = net.node(&format!("c{index}"));
        let builder = RpcService::builder().config(config());
        let service = builder.transport(node.transport()).build().await.unwrap();
        for server in 0..SERVERS {
            clients.spawn(client::run(world.clone(), service.clone(), server, until));
        }
        services.push(service);
    }
    chaos(&world, until).await;
    net.heal_all();
    for index in 0..SERVERS {
        if world.server(index).is_none() {
            world.start(index).await;
        }
    }
    let ended = async { while clients.join_next().await.is_some() {} };
    if tokio::time::timeout(PATIENCE, ended).await.is_err() {
        world.complain("calls did not end");
    }
    clients.shutdown().await;
    calm::check(&world, &services).await;
    for service in services {
        let _ = service.close().await;
    }
    for index in 0..SERVERS {
        world.close(index).await;
    }
    calm::check_nothing_is_left(&world).await;
    let (calls, answered) = world.ledger.counts();
    Report {
        complaints: world.ledger.complaints(),
        calls,
        answered,
    }
}

/// Lets faults befall the world, each kind at least once.
async fn chaos(world: &World, until: Instant) {
    let mut faults: Vec<Fault> = Fault::ALL.to_vec();
    while faults.len() < FAULTS {
        faults.push(Fault::ALL[fastrand::usize(..Fault::ALL.len())]);
    }
    fastrand::shuffle(&mut faults);
    let mut under_way = JoinSet::new();
    let share = CHAOS / FAULTS as u32;
    for fault in faults {
        under_way.spawn(befall(world.clone(), fault));
        sleep(share.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
    tokio::time::sleep_until(until).await;
    while under_way.join_next().await.is_some() {}
}

/// What may befall the world.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Crash,
    Cut,
    Duplicate,
    Elect,
    Goodbye,
    Partition,
    Pause,
    Replace,
    Reset,
    Slow,
    StaleLeader,
}

impl Fault {
    const ALL: [Self; 11] = [
        Self::Crash,
        Self::Cut,
        Self::Duplicate,
        Self::Elect,
        Self::Goodbye,
        Self::Partition,
        Self::Pause,
        Self::Replace,
        Self::Reset,
        Self::Slow,
        Self::StaleLeader,
    ];
}

/// Lets a fault befall the world, and undoes it.
async fn befall(world: World, fault: Fault) {
    let net = &world.net;
    let index = fastrand::usize(..SERVERS);
    let server = format!("s{index}");
    let client = format!("c{}", fastrand::usize(..CLIENTS));
    let while_ = Duration::from_millis(fastrand::u64(50..3000));
    match fault {
        Fault::Crash => {
            world.kill(index);
            sleep(while_).await;
            if world.server(index).is_none() {
                world.start(index).await;
            }
        }
        Fault::Cut => {
            let (from, to) = match fastrand::bool() {
                true => (&client, &server),
                false => (&server, &client),
            };
            net.cut(from, to);
            sleep(while_).await;
            net.heal(from, to);
        }
        Fault::Duplicate => {
            net.duplicate(&client, &server, 0.3);
            net.duplicate(&server, &client, 0.1);
            sleep(while_).await;
            net.duplicate(&client, &server, 0.0);
            net.duplicate(&server, &client, 0.0);
        }
        Fault::Elect => {
            world.elect();
            for index in 0..SERVERS {
                sleep(while_ / 4).await;
                world.lead(index, 0).await;
            }
        }
        Fault::Goodbye => {
            world.close(index).await;
            sleep(while_ / 2).await;
            if world.server(index).is_none() {
                world.start(index).await;
            }
        }
        Fault::Partition => {
            net.partition(&client, &server);
            sleep(while_).await;
            net.heal(&client, &server);
        }
        Fault::Pause => {
            let node = if fastrand::bool() { &client } else { &server };
            net.pause(node);
            sleep(while_).await;
            net.resume(node);
        }
        Fault::Replace => world.replace_endpoint(index).await,
        Fault::Reset => net.reset(&client, &server),
        Fault::Slow => {
            net.slow(&server, 20_000);
            sleep(while_).await;
            net.slow(&server, None);
        }
        Fault::StaleLeader => world.lead(index, 1).await,
    }
}

const SERVERS: usize = 2;
const CLIENTS: usize = 2;
/// How many faults befall each world.
const FAULTS: usize = 14;
/// For how long.
const CHAOS: Duration = Duration::from_secs(8);
/// How long calls may take to end once everything has healed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The seeds to run: few as a part of all tests, many when asked for.
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("CHAOS_SEEDS") else {
        return 1..SEEDS_MIN;
    };
    let range = text.split_once("..").expect("CHAOS_SEEDS is `from..to`");
    let number = |text: &str| text.parse().expect("CHAOS_SEEDS is of numbers");
    number(range.0)..number(range.1)
}

const SEEDS_MIN: u64 = 41;

#[test]
fn every_call_ends_once_in_a_way_that_it_may() {
    let mut calls = 0;
    let mut answered = 0;
    for seed in seeds() {
        let run = run(seed).output;
        assert!(
            run.complaints.is_empty(),
            "seed {seed}:\n{}",
            run.complaints.join("\n")
        );
        calls += run.calls;
        answered += run.answered;
    }
    println!("{calls} calls, of which {answered} were answered");
    assert!(answered * 4 > calls, "too few calls get through");
}

/// A request was still under way on a connection that its caller had given up, and was executed after
/// a later one over the next connection: the callee served both.
#[test]
fn seed_8820_nothing_of_a_lost_connection_comes_after_the_next() {
    assert_eq!(run(8820).output.complaints, [""; 0]);
}

/// An idempotent call was executed, its answer lost, and it was made again to an endpoint that had
/// ended meanwhile: that it was not executed the second time was taken for all of it.
#[test]
fn seed_7363_a_call_that_is_made_again_may_have_been_executed_before() {
    assert_eq!(run(7363).output.complaints, [""; 0]);
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 1..4 {
        sim::run_twice(sim_config(seed), world);
    }
}
