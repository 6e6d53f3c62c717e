//! Whatever is done to the network, a stream delivers a beginning of what was written to it.

use std::task::Poll;

use super::super::config::SimConfig;
use super::{A, B, Net, Socket, ms};

/// A stream under test, and what each side has written and read.
struct Pair {
    sockets: [Socket; 2],
    written: [Vec<u8>; 2],
    read: [Vec<u8>; 2],
}

#[test]
fn streams_deliver_a_beginning_of_what_was_written_and_leave_nothing() {
    let (mut whole, mut torn) = (0, 0);
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut net = Net::with_latency(ms(1)..=ms(random.u64(1..200)));
        net.world.config = SimConfig {
            seed,
            ..net.world.config
        };
        let mut pairs: Vec<Pair> = (0..3).map(|_| pair(&mut net)).collect();
        for _ in 0..200 {
            step(&mut net, &mut random, &mut pairs);
        }
        settle(&mut net, &mut pairs);
        for pair in &pairs {
            for side in [0, 1] {
                let (read, written) = (&pair.read[1 - side], &pair.written[side]);
                assert!(written.starts_with(read), "seed {seed}");
                *(if read == written {
                    &mut whole
                } else {
                    &mut torn
                }) += 1;
            }
        }
        for pair in pairs {
            net.drop_both((pair.sockets[0], pair.sockets[1]));
        }
        net.pass(60_000);
        assert!(net.world.connections.is_empty(), "seed {seed}");
        assert_eq!(net.world.due(), None, "seed {seed}");
    }
    // Both were met, so that the test shows both.
    assert!(whole > 100 && torn > 100, "{whole} whole, {torn} torn");
}

fn pair(net: &mut Net) -> Pair {
    let (ours, theirs) = net.connect();
    Pair {
        sockets: [ours, theirs],
        written: Default::default(),
        read: Default::default(),
    }
}

fn step(net: &mut Net, random: &mut fastrand::Rng, pairs: &mut [Pair]) {
    let route = *random.choice([(A, B), (B, A)].iter()).unwrap();
    let side = random.usize(0..2);
    let pair = random.usize(0..pairs.len());
    match random.u32(0..1000) {
        0..500 => {
            let pair = &mut pairs[pair];
            let bytes: Vec<u8> = (0..random.usize(1..60)).map(|_| random.u8(..)).collect();
            if let Poll::Ready(Ok(count)) = net.write(pair.sockets[side], &bytes) {
                pair.written[side].extend(&bytes[..count]);
            }
        }
        500..800 => read(net, &mut pairs[pair], side),
        800..850 => net.world.cut(net.now, route),
        850..920 => net.world.heal(net.now, route),
        920..940 => net.world.pause(net.now, route.0),
        940..980 => net.world.resume(net.now, route.0),
        980..990 => net
            .world
            .slow(net.now, route.0, Some(random.u64(10..10_000))),
        990..995 => net.world.slow(net.now, route.0, None),
        995..997 => net.world.reset(net.now, [A, B]),
        997 => net.world.crash(net.now, route.0),
        _ => net.pass(25_000),
    }
    net.pass(random.u64(0..50));
}

fn read(net: &mut Net, pair: &mut Pair, side: usize) {
    if let Poll::Ready(Ok(bytes)) = net.read(pair.sockets[side]) {
        pair.read[side].extend(bytes);
    }
}

/// Heals all, and lets everything arrive.
fn settle(net: &mut Net, pairs: &mut [Pair]) {
    net.world.heal_all(net.now);
    for node in [A, B] {
        net.world.slow(net.now, node, None);
        net.world.resume(net.now, node);
    }
    for _ in 0..20 {
        net.pass(1000);
        for pair in &mut *pairs {
            read(net, pair, 0);
            read(net, pair, 1);
        }
    }
}
