use crate::curve::{Curve, Growing};

/// Lists all, in the order of the report.
pub(crate) const CURVES: &[Curve] = &[
    Curve {
        name: "process/in-flight",
        title: "Calls within a process, by how many are under way",
        growing: Growing::InFlight(&[
            "service/mpsc-unbounded",
            "service/rpc",
            "service/ractor",
            "service/kameo",
            "service/actix",
            "service/tarpc",
        ]),
    },
    Curve {
        name: "tcp/in-flight",
        title: "Calls over TCP, by how many are under way",
        growing: Growing::InFlight(&[
            "tcp/multiplexer",
            "tcp/rpc",
            "tcp/tarpc",
            "tcp/tonic",
            "tcp/remoc",
        ]),
    },
    Curve {
        name: "payload",
        title: "Bytes over TCP and QUIC, by how many are in a message",
        growing: Growing::Bytes(&["tcp/copy", "tcp/rpc", "quic/copy", "quic/rpc"]),
    },
    Curve {
        name: "growth",
        title: "A call over TCP, by how many connections and endpoints there are",
        growing: Growing::Count(&[
            (
                "rpc, connections",
                &[
                    (1, "tcp/rpc"),
                    (10, "tcp/rpc/10-connections"),
                    (100, "tcp/rpc/100-connections"),
                    (1_000, "tcp/rpc/1000-connections"),
                ],
            ),
            (
                "ping-pong, connections",
                &[
                    (1, "tcp/ping-pong"),
                    (10, "tcp/ping-pong/10-connections"),
                    (100, "tcp/ping-pong/100-connections"),
                    (1_000, "tcp/ping-pong/1000-connections"),
                ],
            ),
            (
                "rpc, endpoints",
                &[
                    (1, "tcp/rpc/1-endpoint"),
                    (10, "tcp/rpc/10-endpoints"),
                    (100, "tcp/rpc/100-endpoints"),
                    (1_000, "tcp/rpc/1000-endpoints"),
                    (10_000, "tcp/rpc/10000-endpoints"),
                ],
            ),
        ]),
    },
];
