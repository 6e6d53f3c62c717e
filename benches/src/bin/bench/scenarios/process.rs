use benches::harness::{Load, Place};

use crate::figure::Figure;
use crate::scenario::Scenario;

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "process/ask-1",
        title: "How long does a call within a process take, one at a time?",
        load: Load::ask(1, 1),
        figure: Figure::Mean,
        ..ASKED
    },
    Scenario {
        name: "process/ask-64",
        title: "How many calls within a process are answered, 64 being under way?",
        load: Load::ask(1, 64),
        ..ASKED
    },
    Scenario {
        name: "process/ask-512",
        title: "How many calls within a process are answered, 512 being under way?",
        load: Load::ask(1, 512),
        ..ASKED
    },
    Scenario {
        name: "process/ask-8x16",
        title: "How many calls within a process are answered to 8 callers, 16 of each being under way?",
        load: Load::ask(8, 16),
        ..ASKED
    },
    Scenario {
        name: "process/one-way",
        title: "How many one-way messages arrive within a process?",
        load: Load::Tell,
        floor: "service/mpsc-bounded",
        others: &[
            "service/mpsc-unbounded",
            "service/rpc",
            "service/fenced",
            "service/ractor",
            "service/kameo",
            "service/actix",
            "service/irpc",
        ],
        ..ASKED
    },
];

const ASKED: Scenario = Scenario {
    name: "",
    title: "",
    load: Load::Tell,
    place: Place::One,
    figure: Figure::Rate,
    floor: "service/mpsc-unbounded",
    others: &[
        "service/mpsc-bounded",
        "service/rpc",
        "service/fenced",
        "service/interleaving",
        "service/nested",
        "service/ractor",
        "service/kameo",
        "service/actix",
        "service/tarpc",
        "service/irpc",
    ],
};
