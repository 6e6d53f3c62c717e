use benches::harness::{Load, Place};

use crate::figure::Figure;
use crate::scenario::Scenario;

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "many/64-endpoints",
        title: "How long does a call over TCP take if 64 endpoints behind one connection are asked in turn?",
        others: &["tcp/rpc/64-endpoints"],
        ..AMONG
    },
    Scenario {
        name: "many/1000-connections",
        title: "How long does a call over TCP take if 1,000 connections are used in turn?",
        others: &["tcp/rpc/1000-connections"],
        ..AMONG
    },
    Scenario {
        name: "many/1000-connections-floor",
        title: "How much of that is the connections' own?",
        floor: "tcp/ping-pong",
        others: &["tcp/ping-pong/1000-connections"],
        ..AMONG
    },
    Scenario {
        name: "mixed/tcp",
        title: "How long do the slowest of small calls over TCP take beside 1 MiB that goes forth and back all the time?",
        others: &["tcp/rpc/beside-echoes"],
        figure: Figure::P99,
        ..AMONG
    },
    Scenario {
        name: "mixed/quic",
        title: "How long do the slowest of small calls over QUIC take beside 1 MiB that goes forth and back all the time?",
        floor: "quic/rpc",
        others: &["quic/rpc/beside-echoes"],
        figure: Figure::P99,
        ..AMONG
    },
    Scenario {
        name: "endpoints/start-and-stop",
        title: "How long does it take to start an endpoint, and to stop it, one after the other?",
        floor: "service/task-start-and-stop",
        others: &["service/start-and-stop"],
        figure: Figure::Mean,
        ..AMONG
    },
];

const AMONG: Scenario = Scenario {
    name: "",
    title: "",
    load: Load::ask(1, 1),
    place: Place::One,
    figure: Figure::P50,
    floor: "tcp/rpc",
    others: &[],
};
