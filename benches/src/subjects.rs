//! All that can be measured, by name.

use crate::floor::{
    Bounded, QUIC_COPY, QuicMultiplex, QuicPingPong, QuicStreams, TCP_COPY, TcpMultiplex,
    TcpPingPong, TlsPingPong, Unbounded,
};
use crate::harness::Entry;
use crate::rpc::{
    Fenced, Interleaving, Local, Nested, OverQuic, OverTcp, OverTls, Quick, Rpc, SameService,
};

/// Finds a subject.
#[must_use]
pub fn find(name: &str) -> Option<Entry> {
    all().find(|it| it.name == name)
}

/// Lists the subjects: ours, floors, and peers where they are built in.
pub fn all() -> impl Iterator<Item = Entry> {
    OURS.into_iter().chain(FLOORS)
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

const FLOORS: [Entry; 10] = [
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
