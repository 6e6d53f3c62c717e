use std::error::Error;
use std::io;
use std::time::Duration;

use rpc_core::transport::{Authority, TransportError};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::address::resolve;
use crate::config::TcpConfig;
use crate::socket::Sockets;
use crate::tls::{Security, Shaken};
use crate::transport::SCHEME;

/// What makes a stream of an address, or of an accepted socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dialler {
    pub(crate) config: TcpConfig,
    pub(crate) security: Security,
}

impl Dialler {
    /// Dials, and shakes hands.
    pub(crate) async fn dial(
        &self,
        authority: &str,
        sockets: &Sockets,
    ) -> Result<Shaken, TransportError> {
        let failed = |source: io::Error| failed(authority, source);
        let parsed = Authority::parse(SCHEME, authority)?;
        let socket = self.reach(parsed).await.map_err(failed)?;
        self.prepare(&socket).map_err(failed)?;
        let handshake = self.security.dialled(socket, parsed, sockets);
        match timeout(self.config.handshake_timeout, handshake).await {
            Ok(shaken) => shaken.map_err(failed),
            Err(_elapsed) => Err(failed(too_slow("the TLS handshake took too long"))),
        }
    }

    /// Shakes hands with a peer that has dialled.
    pub(crate) async fn welcome(
        &self,
        socket: TcpStream,
        peer: &str,
        sockets: &Sockets,
    ) -> Result<Shaken, TransportError> {
        let failed = |source: io::Error| failed(peer, source);
        let handshake = self.security.accepted(socket, sockets);
        match timeout(self.config.handshake_timeout, handshake).await {
            Ok(shaken) => shaken.map_err(failed),
            Err(_elapsed) => Err(failed(too_slow("the TLS handshake took too long"))),
        }
    }

    /// Sets what every socket needs, whoever dialled.
    pub(crate) fn prepare(&self, socket: &TcpStream) -> io::Result<()> {
        // A call is a small write that somebody waits for; frames are gathered above.
        socket.set_nodelay(true)?;
        if let Some(idle) = self.config.keepalive {
            let keepalive = TcpKeepalive::new()
                .with_time(idle.clamp(KEEPALIVE_MIN, KEEPALIVE_MAX))
                .with_interval((idle / 3).clamp(KEEPALIVE_MIN, KEEPALIVE_MAX));
            SockRef::from(socket).set_tcp_keepalive(&keepalive)?;
        }
        self.bound_silence(socket)
    }

    /// Has the system give up a peer that confirms nothing.
    #[cfg(target_os = "linux")]
    fn bound_silence(&self, socket: &TcpStream) -> io::Result<()> {
        // Linux takes zero for its own default, and counts in milliseconds, in 31 bits.
        let timeout = self
            .config
            .user_timeout
            .map(|it| it.clamp(USER_TIMEOUT_MIN, USER_TIMEOUT_MAX));
        match timeout {
            Some(timeout) => SockRef::from(socket).set_tcp_user_timeout(Some(timeout)),
            None => Ok(()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn bound_silence(&self, _socket: &TcpStream) -> io::Result<()> {
        Ok(())
    }

    /// Connects to the first address of a host that answers.
    async fn reach(&self, authority: Authority<'_>) -> io::Result<TcpStream> {
        let deadline = Instant::now() + self.config.connect_timeout.min(CONNECT_TIMEOUT_MAX);
        let addresses = timeout_at(deadline, resolve(authority.host(), authority.port()))
            .await
            .map_err(|_elapsed| too_slow("the name was not resolved in time"))??;

        let mut failure = None;
        let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for (address, left) in addresses.into_iter().zip((1..=count).rev()) {
            // A share of the time for each, or an address that swallows packets would use it up.
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(socket)) => return Ok(socket),
                Ok(Err(error)) => failure = Some(error),
                Err(_elapsed) => failure = Some(too_slow("the host did not answer in time")),
            }
        }
        Err(failure.unwrap_or_else(|| too_slow("the host has no address")))
    }
}

fn failed(authority: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> TransportError {
    TransportError::Connect {
        scheme: SCHEME,
        authority: authority.to_owned(),
        source: source.into(),
    }
}

fn too_slow(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, message)
}

/// Longer than anybody waits, and within the clock's range.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Systems count keepalive in seconds, Linux up to these; outside, no socket could be set up.
const KEEPALIVE_MIN: Duration = Duration::from_secs(1);
const KEEPALIVE_MAX: Duration = Duration::from_secs(32_767);

#[cfg(target_os = "linux")]
const USER_TIMEOUT_MIN: Duration = Duration::from_millis(1);
#[cfg(target_os = "linux")]
const USER_TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use socket2::SockRef;
    use tokio::net::{TcpListener, TcpStream};

    use super::Dialler;

    /// That the system keeps to them shows only when packets are lost.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_socket_gives_up_a_peer_that_confirms_nothing() {
        let seconds = Duration::from_secs;
        for (configured, set) in [
            (Some(seconds(7)), Some(seconds(7))),
            (Some(Duration::ZERO), Some(Duration::from_millis(1))),
            (
                Some(Duration::MAX),
                Some(Duration::from_millis(0x7fff_ffff)),
            ),
            (None, None),
        ] {
            let mut dialler = Dialler::default();
            assert_eq!(dialler.config.user_timeout, Some(seconds(30)));
            dialler.config.user_timeout = configured;
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let socket = TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            dialler.prepare(&socket).unwrap();
            let socket = SockRef::from(&socket);
            assert_eq!(socket.tcp_user_timeout().unwrap(), set);
            assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        }
    }
}
