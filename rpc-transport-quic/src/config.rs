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
    /// How many bytes of a handshake that arrive out of order are kept. Too few, and a long chain of
    /// certificates does not survive a reordering network; more, and whoever has proved nothing yet
    /// costs more memory. Default: 16 KiB.
    pub crypto_buffer_bytes: usize,
    /// How long the handshake of an accepted connection may take. Too short, and a busy host cannot
    /// shake hands; too long, and a peer that says nothing costs memory for that time.
    /// Default: 5 s.
    pub handshake_timeout: Duration,
    /// How many handshakes with peers that have dialled may be under way. With fewer, a burst of
    /// peers is turned away and has to dial again; with more, a flood of peers that say nothing
    /// costs more memory for `handshake_timeout`. Over it the newest is refused. Default: 1024.
    pub handshakes_max: usize,
    /// How many handshakes may be under way before a further peer has to prove first that it is
    /// where its packets say they come from (a Retry, RFC 9000, section 8.1.2). With fewer, peers
    /// wait for one more round trip; with more, whoever forges addresses makes this host work, and
    /// answer to others, more often. Zero demands it of everyone. Default: 64.
    pub handshakes_unproven_max: usize,
    /// How long nothing may be heard of a peer before its connection is lost. The shorter of both
    /// sides' counts. Too short, and a pause loses connections; too long, and a lost peer is
    /// noticed late. Counted in milliseconds; zero is forever. Default: 30 s.
    pub idle_timeout: Duration,
    /// How many bytes of one connection that waits to be accepted are kept, besides its first packet.
    /// Too few, and the rest of a handshake has to be sent again; more, and whoever has proved
    /// nothing yet costs more memory. Default: 64 KiB.
    pub incoming_buffer_bytes: u64,
    /// The same for all connections that wait, together. Default: 8 MiB.
    pub incoming_buffer_bytes_total: u64,
    /// How many connections may wait to be accepted. With fewer, a burst of peers is refused; with
    /// more, a flood of them costs more memory. Default: 1024.
    pub incoming_max: usize,
    /// After how long a silence something is sent to keep the connection; well below
    /// `idle_timeout`. With `None`, a connection on which nobody calls is lost. Default: 5 s.
    pub keep_alive: Option<Duration>,
    /// How many bytes the system is asked to keep that have arrived at a socket or are about to leave it.
    /// What comes beyond it is lost and sent again, so that too few make a burst slow; the system may
    /// give less, on Linux `net.core.rmem_max` and `net.core.wmem_max`. Default: 1 MiB.
    pub socket_buffer_bytes: usize,
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
            .crypto_buffer_size(self.crypto_buffer_bytes)
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
            crypto_buffer_bytes: 16 * 1024,
            handshake_timeout: Duration::from_secs(5),
            handshakes_max: 1024,
            handshakes_unproven_max: 64,
            idle_timeout: Duration::from_secs(30),
            incoming_buffer_bytes: 64 * 1024,
            incoming_buffer_bytes_total: 8 * 1024 * 1024,
            incoming_max: 1024,
            keep_alive: Some(Duration::from_secs(5)),
            socket_buffer_bytes: 1024 * 1024,
            stream_window_bytes: 1024 * 1024,
            streams_max: 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::QuicConfig;
    use crate::security::Security;

    /// `Debug` is the only way to see what quinn was told.
    #[test]
    fn quinn_is_told_every_limit() {
        let config = QuicConfig {
            connection_window_bytes: 1001,
            crypto_buffer_bytes: 1002,
            idle_timeout: Duration::from_millis(1003),
            incoming_buffer_bytes: 1004,
            incoming_buffer_bytes_total: 1005,
            incoming_max: 1006,
            keep_alive: Some(Duration::from_secs(1007)),
            stream_window_bytes: 1008,
            streams_max: 1009,
            ..QuicConfig::default()
        };

        let server = Security::insecure().server(&config).unwrap();
        let told = format!("{server:?} {:?}", config.to_quinn());
        for limit in [
            " receive_window: 1001",
            "send_window: 1001",
            "crypto_buffer_size: 1002",
            "max_idle_timeout: Some(1003)",
            "incoming_buffer_size: 1004",
            "incoming_buffer_size_total: 1005",
            "max_incoming: 1006",
            "keep_alive_interval: Some(1007s)",
            "stream_receive_window: 1008",
            "max_concurrent_bidi_streams: 1009",
            "max_concurrent_uni_streams: 0",
            "datagram_receive_buffer_size: None",
        ] {
            assert!(told.contains(limit), "no `{limit}` in {told}");
        }
    }
}
