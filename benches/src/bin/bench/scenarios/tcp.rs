use benches::harness::{Load, Place};

use super::{KIB, MIB};
use crate::figure::Figure;
use crate::scenario::Scenario;

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "tcp/ask-1",
        title: "How long does a call over TCP take within one process, one at a time?",
        ..ALONE
    },
    Scenario {
        name: "tcp/ask-1-two",
        title: "How long does a call over TCP to another process take, one at a time?",
        place: Place::Two,
        others: WITHOUT_NESTED,
        ..ALONE
    },
    Scenario {
        name: "tcp/ask-1-pinned",
        title: "How long does a call over TCP to another process on the same processor take, one at a time?",
        place: Place::TwoPinned,
        others: WITHOUT_NESTED,
        ..ALONE
    },
    Scenario {
        name: "tls/ask-1",
        title: "How long does a call over TCP with TLS take, one at a time?",
        floor: "tls/ping-pong",
        others: &["tls/rpc"],
        ..ALONE
    },
    Scenario {
        name: "tcp/ask-64",
        title: "How many calls over TCP are answered within one process, 64 being under way?",
        load: Load::ask(1, 64),
        ..MANY
    },
    Scenario {
        name: "tcp/ask-64-pinned",
        title: "How many calls over TCP are answered on one processor, 64 being under way?",
        load: Load::ask(1, 64),
        place: Place::TwoPinned,
        ..MANY
    },
    Scenario {
        name: "tcp/ask-512",
        title: "How many calls over TCP are answered within one process, 512 being under way?",
        load: Load::ask(1, 512),
        ..MANY
    },
    Scenario {
        name: "tcp/ask-512-pinned",
        title: "How many calls over TCP are answered on one processor, 512 being under way?",
        load: Load::ask(1, 512),
        place: Place::TwoPinned,
        ..MANY
    },
    Scenario {
        name: "tcp/ask-64x1",
        title: "How many calls over TCP are answered to 64 tasks, one of each being under way?",
        load: Load::ask(64, 1),
        ..MANY
    },
    Scenario {
        name: "tcp/ask-8x16",
        title: "How many calls over TCP are answered to 8 callers, 16 of each being under way?",
        load: Load::ask(8, 16),
        ..MANY
    },
    Scenario {
        name: "tcp/one-way",
        title: "How many one-way messages arrive over TCP?",
        load: Load::Tell,
        others: &["tcp/rpc", "tcp/fenced", "tcp/remoc"],
        ..MANY
    },
    Scenario {
        name: "tcp/cpu-64",
        title: "How long does a call over TCP use the processors, on both sides, 64 being under way?",
        load: Load::ask(1, 64),
        figure: Figure::Cpu,
        ..MANY
    },
    Scenario {
        name: "tcp/echo-1KiB-1",
        title: "How many bytes go over TCP and back in messages of 1 KiB, one at a time?",
        load: Load::echo(KIB, 1),
        ..BYTES
    },
    Scenario {
        name: "tcp/echo-1KiB-16",
        title: "How many bytes go over TCP and back in messages of 1 KiB, 16 at once?",
        load: Load::echo(KIB, 16),
        ..BYTES
    },
    Scenario {
        name: "tcp/echo-64KiB-1",
        title: "How many bytes go over TCP and back in messages of 64 KiB, one at a time?",
        load: Load::echo(64 * KIB, 1),
        ..BYTES
    },
    Scenario {
        name: "tcp/echo-64KiB-16",
        title: "How many bytes go over TCP and back in messages of 64 KiB, 16 at once?",
        load: Load::echo(64 * KIB, 16),
        ..BYTES
    },
    Scenario {
        name: "tcp/echo-1MiB-1",
        title: "How many bytes go over TCP and back in messages of 1 MiB, one at a time?",
        load: Load::echo(MIB, 1),
        ..BYTES
    },
    Scenario {
        name: "tcp/echo-1MiB-16",
        title: "How many bytes go over TCP and back in messages of 1 MiB, 16 at once?",
        load: Load::echo(MIB, 16),
        ..BYTES
    },
];

const ALONE: Scenario = Scenario {
    name: "",
    title: "",
    load: Load::ask(1, 1),
    place: Place::One,
    figure: Figure::P50,
    floor: "tcp/ping-pong",
    others: &[
        "tcp/multiplexer",
        "tcp/rpc",
        "tcp/fenced",
        "tcp/interleaving",
        "tcp/nested",
        "tcp/tarpc",
        "tcp/tonic",
        "tcp/remoc",
    ],
};

const WITHOUT_NESTED: &[&str] = &[
    "tcp/multiplexer",
    "tcp/rpc",
    "tcp/fenced",
    "tcp/interleaving",
    "tcp/tarpc",
    "tcp/tonic",
    "tcp/remoc",
];

const MANY: Scenario = Scenario {
    figure: Figure::Rate,
    floor: "tcp/multiplexer",
    others: &[
        "tcp/rpc",
        "tcp/fenced",
        "tcp/interleaving",
        "tcp/tarpc",
        "tcp/tonic",
        "tcp/remoc",
    ],
    ..ALONE
};

const BYTES: Scenario = Scenario {
    floor: "tcp/copy",
    others: &["tcp/rpc", "tcp/tarpc", "tcp/tonic", "tcp/remoc"],
    ..MANY
};
