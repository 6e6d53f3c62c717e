use std::time::Duration;

/// The limits of a [`Tcp`](crate::Tcp) transport.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TcpConfig {
    /// How long resolving a name and connecting to one of its addresses may take together. Too
    /// short, and a distant or busy host is unreachable; too long, and it takes as long to learn
    /// that a host is gone. An address that does not answer uses only its share of the time.
    /// Default: 10 s.
    pub connect_timeout: Duration,
    /// How long a TLS handshake may take, on either side. Too short, and a busy host cannot shake
    /// hands; too long, and a peer that says nothing keeps its socket for that time. Default: 5 s.
    pub handshake_timeout: Duration,
    /// How many TLS handshakes with peers that have dialled may be under way. With fewer, a burst of
    /// peers is turned away and has to dial again; with more, a flood of peers that say nothing
    /// keeps more sockets for `handshake_timeout`. Over it the newest is dropped. Default: 1024.
    pub handshakes_max: usize,
    /// How long a socket is idle before the system probes whether the peer is there; it then probes
    /// thrice as often. Too short, and idle sockets cause traffic; too long or `None`, and a
    /// peer whose host vanished is noticed late, or only by whoever waits for an answer of it.
    /// Counted in whole seconds. Default: 30 s.
    pub keepalive: Option<Duration>,
    /// How long the system waits for a peer to confirm what was sent to it, or a probe of
    /// `keepalive`, before the socket fails: `TCP_USER_TIMEOUT`, which only Linux has. Too short,
    /// and a busy network loses connections; too long or `None`, and a write to a peer whose host
    /// vanished goes nowhere for a quarter of an hour. Counted in milliseconds. Default: 30 s.
    pub user_timeout: Option<Duration>,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(5),
            handshakes_max: 1024,
            keepalive: Some(Duration::from_secs(30)),
            user_timeout: Some(Duration::from_secs(30)),
        }
    }
}
