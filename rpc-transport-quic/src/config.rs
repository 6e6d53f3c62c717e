use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, TransportConfig, VarInt};

/// The limits of a [`Quic`](crate::Quic) transport.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QuicConfig {
    /// How long resolving a name and connecting to one of its addresses may take together. Too
    /// short, and a distant or busy host is unreachable; too long, and it takes as long to learn
    /// that a host is gone, or that nobody listens there: UDP has no refusal. An address that does
    /// not answer uses only its share of the time. Default: 10 s.
    pub connect_timeout: Duration,
    /// How many bytes a peer may send on all its streams before they are read. Too few, and a fast
    /// distant peer waits; a hostile peer keeps as much memory busy. It bounds what is sent and not
    /// yet acknowledged as well. Default: 16 MiB.
    pub connection_window_bytes: u32,
    /// How long the handshake of an accepted connection may take. Too short, and a busy host cannot
    /// shake hands; too long, and a peer that says nothing costs memory for that time.
    /// Default: 5 s.
    pub handshake_timeout: Duration,
    /// How long nothing may be heard of a peer before its connection is lost. The shorter of both
    /// sides' counts. Too short, and a pause loses connections; too long, and a lost peer is
    /// noticed late. Counted in milliseconds; zero is forever. Default: 30 s.
    pub idle_timeout: Duration,
    /// How many connections may wait to be accepted. With fewer, a burst of peers is refused; with
    /// more, a flood of them costs more memory. Default: 1024.
    pub incoming_max: usize,
    /// After how long a silence something is sent to keep the connection; well below
    /// `idle_timeout`. With `None`, a connection on which nobody calls is lost. Default: 5 s.
    pub keep_alive: Option<Duration>,
    /// How many bytes a peer may send on one stream before they are read. Too few, and a large
    /// payload from a distant peer is slow; too many, and few streams fill `connection_window_bytes`
    /// and keep the others waiting. Default: 1 MiB.
    pub stream_window_bytes: u32,
    /// How many streams that a peer has opened may be open at once. With fewer, opening one waits;
    /// with more, a hostile peer costs more memory. Default: 1024.
    pub streams_max: u32,
}

impl QuicConfig {
    pub(crate) fn to_quinn(&self) -> Arc<TransportConfig> {
        let idle_millis = u32::try_from(self.idle_timeout.as_millis()).unwrap_or(u32::MAX);
        let mut config = TransportConfig::default();
        config
            .datagram_receive_buffer_size(None)
            .keep_alive_interval(self.keep_alive)
            .max_concurrent_bidi_streams(VarInt::from_u32(self.streams_max))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle_millis))))
            .receive_window(VarInt::from_u32(self.connection_window_bytes))
            .send_window(self.connection_window_bytes.into())
            .stream_receive_window(VarInt::from_u32(self.stream_window_bytes));
        Arc::new(config)
    }
}

impl Default for QuicConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            connection_window_bytes: 16 * 1024 * 1024,
            handshake_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            incoming_max: 1024,
            keep_alive: Some(Duration::from_secs(5)),
            stream_window_bytes: 1024 * 1024,
            streams_max: 1024,
        }
    }
}
