use benches::harness::{Load, Place};

use super::{KIB, MIB};
use crate::figure::Figure;
use crate::scenario::Scenario;

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "quic/ask-1",
        title: "How long does a call over QUIC take within one process, one at a time?",
        ..ALONE
    },
    Scenario {
        name: "quic/ask-1-two",
        title: "How long does a call over QUIC to another process take, one at a time?",
        place: Place::Two,
        ..ALONE
    },
    Scenario {
        name: "quic/ask-1-pinned",
        title: "How long does a call over QUIC to another process on the same processor take, one at a time?",
        place: Place::TwoPinned,
        ..ALONE
    },
    Scenario {
        name: "quic/ask-64",
        title: "How many calls over QUIC are answered within one process, 64 being under way?",
        load: Load::ask(1, 64),
        ..MANY
    },
    Scenario {
        name: "quic/ask-64-pinned",
        title: "How many calls over QUIC are answered on one processor, 64 being under way?",
        load: Load::ask(1, 64),
        place: Place::TwoPinned,
        ..MANY
    },
    Scenario {
        name: "quic/ask-512",
        title: "How many calls over QUIC are answered within one process, 512 being under way?",
        load: Load::ask(1, 512),
        ..MANY
    },
    Scenario {
        name: "quic/ask-512-pinned",
        title: "How many calls over QUIC are answered on one processor, 512 being under way?",
        load: Load::ask(1, 512),
        place: Place::TwoPinned,
        ..MANY
    },
    Scenario {
        name: "quic/ask-64x1",
        title: "How many calls over QUIC are answered to 64 tasks, one of each being under way?",
        load: Load::ask(64, 1),
        ..MANY
    },
    Scenario {
        name: "quic/ask-8x16",
        title: "How many calls over QUIC are answered to 8 callers, 16 of each being under way?",
        load: Load::ask(8, 16),
        ..MANY
    },
    Scenario {
        name: "quic/one-way",
        title: "How many one-way messages arrive over QUIC?",
        load: Load::Tell,
        others: &["quic/rpc", "quic/fenced"],
        ..MANY
    },
    Scenario {
        name: "quic/echo-1KiB-1",
        title: "How many bytes go over QUIC and back in messages of 1 KiB, one at a time?",
        load: Load::echo(KIB, 1),
        ..BYTES
    },
    Scenario {
        name: "quic/echo-1KiB-16",
        title: "How many bytes go over QUIC and back in messages of 1 KiB, 16 at once?",
        load: Load::echo(KIB, 16),
        ..BYTES
    },
    Scenario {
        name: "quic/echo-64KiB-1",
        title: "How many bytes go over QUIC and back in messages of 64 KiB, one at a time?",
        load: Load::echo(64 * KIB, 1),
        ..BYTES
    },
    Scenario {
        name: "quic/echo-64KiB-16",
        title: "How many bytes go over QUIC and back in messages of 64 KiB, 16 at once?",
        load: Load::echo(64 * KIB, 16),
        ..BYTES
    },
    Scenario {
        name: "quic/echo-1MiB-1",
        title: "How many bytes go over QUIC and back in messages of 1 MiB, one at a time?",
        load: Load::echo(MIB, 1),
        ..BYTES
    },
    Scenario {
        name: "quic/echo-1MiB-16",
        title: "How many bytes go over QUIC and back in messages of 1 MiB, 16 at once?",
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
    floor: "quic/ping-pong",
    others: &[
        "quic/multiplexer",
        "quic/stream-per-call",
        "quic/rpc",
        "quic/fenced",
        "quic/tarpc",
    ],
};

const MANY: Scenario = Scenario {
    figure: Figure::Rate,
    floor: "quic/multiplexer",
    others: &[
        "quic/stream-per-call",
        "quic/rpc",
        "quic/fenced",
        "quic/tarpc",
    ],
    ..ALONE
};

const BYTES: Scenario = Scenario {
    floor: "quic/copy",
    others: &["quic/rpc", "quic/tarpc"],
    ..MANY
};
