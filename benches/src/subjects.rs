//! All that can be measured, by name.

use crate::floor::{
    Bounded, QUIC_COPY, QuicMultiplex, QuicPingPong, QuicStreams, ShortLivedTask, TCP_COPY,
    TcpMultiplex, TcpPingPong, TlsPingPong, Unbounded,
};
use crate::harness::{Entry, InTurn};
#[cfg(feature = "peers")]
use crate::peer::PEERS;
use crate::rpc::{
    Carrier, Crowded, Endpoints, Fenced, Interleaving, Local, Nested, OverQuic, OverTcp, OverTls,
    Quick, Rpc, SameService, ShortLived,
};

/// Finds a subject.
#[must_use]
pub fn find(name: &str) -> Option<Entry> {
    all().find(|it| it.name == name)
}

/// Lists the subjects: ours, floors, and peers where they are built in.
pub fn all() -> impl Iterator<Item = Entry> {
    OURS.into_iter().chain(MANY).chain(FLOORS).chain(PEERS)
}

const OURS: [Entry; 12] = [
    Entry::new::<Rpc<SameService, Quick>>("service/rpc"),
    Entry::new::<Rpc<SameService, Fenced>>("service/fenced"),
    Entry::new::<Rpc<SameService, Interleaving>>("service/interleaving"),
    Entry::new::<Rpc<SameService, Nested>>("service/nested"),
    Entry::new::<Rpc<Local, Quick>>("local/rpc"),
    Entry::new::<Rpc<OverTcp, Quick>>("tcp/rpc"),
    Entry::new::<Rpc<OverTcp, Fenced>>("tcp/fenced"),
    Entry::new::<Rpc<OverTcp, Interleaving>>("tcp/interleaving"),
    Entry::new::<Rpc<OverTcp, Nested>>("tcp/nested"),
    Entry::new::<Rpc<OverTls, Quick>>("tls/rpc"),
    Entry::new::<Rpc<OverQuic, Quick>>("quic/rpc"),
    Entry::new::<Rpc<OverQuic, Fenced>>("quic/fenced"),
];

/// What is behind a slash after the name: how many there are, and of what.
const MANY: [Entry; 15] = [
    Entry::new::<ShortLived>("service/start-and-stop"),
    Entry::new::<Endpoints<OverTcp, 1>>("tcp/rpc/1-endpoint"),
    Entry::new::<Endpoints<OverTcp, 10>>("tcp/rpc/10-endpoints"),
    Entry::new::<Endpoints<OverTcp, 64>>("tcp/rpc/64-endpoints"),
    Entry::new::<Endpoints<OverTcp, 100>>("tcp/rpc/100-endpoints"),
    Entry::new::<Endpoints<OverTcp, 1_000>>("tcp/rpc/1000-endpoints"),
    Entry::new::<Endpoints<OverTcp, 10_000>>("tcp/rpc/10000-endpoints"),
    Entry::new::<InTurn<Rpc<OverTcp, Quick>, 10>>("tcp/rpc/10-connections"),
    Entry::new::<InTurn<Rpc<OverTcp, Quick>, 100>>("tcp/rpc/100-connections"),
    Entry::new::<InTurn<Rpc<OverTcp, Quick>, 1_000>>("tcp/rpc/1000-connections"),
    Entry::new::<InTurn<TcpPingPong, 10>>("tcp/ping-pong/10-connections"),
    Entry::new::<InTurn<TcpPingPong, 100>>("tcp/ping-pong/100-connections"),
    Entry::new::<InTurn<TcpPingPong, 1_000>>("tcp/ping-pong/1000-connections"),
    crowded::<OverTcp>("tcp/rpc/beside-echoes"),
    crowded::<OverQuic>("quic/rpc/beside-echoes"),
];

const fn crowded<C: Carrier>(name: &'static str) -> Entry {
    const BYTES: usize = 1 << 20;
    Entry::driven(
        name,
        Crowded::<C, BYTES>::serve,
        Crowded::<C, BYTES>::connect,
    )
}

const FLOORS: [Entry; 11] = [
    Entry::new::<ShortLivedTask>("service/task-start-and-stop"),
    Entry::new::<Bounded>("service/mpsc-bounded"),
    Entry::new::<Unbounded>("service/mpsc-unbounded"),
    Entry::new::<TcpPingPong>("tcp/ping-pong"),
    Entry::new::<TcpMultiplex>("tcp/multiplexer"),
    TCP_COPY,
    Entry::new::<TlsPingPong>("tls/ping-pong"),
    Entry::new::<QuicPingPong>("quic/ping-pong"),
    Entry::new::<QuicMultiplex>("quic/multiplexer"),
    Entry::new::<QuicStreams>("quic/stream-per-call"),
    QUIC_COPY,
];

#[cfg(not(feature = "peers"))]
const PEERS: [Entry; 0] = [];
