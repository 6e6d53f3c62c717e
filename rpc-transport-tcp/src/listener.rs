use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rpc_core::transport::{Connection, Listener, TransportError};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::connection::{Accepted, Turn};
use crate::dialler::Dialler;
use crate::transport::SCHEME;

/// A bound port.
#[derive(Debug)]
pub(crate) struct Accepting {
    listener: TcpListener,
    authority: String,
    dialler: Dialler,
    handshakes: Handshakes,
}

impl Accepting {
    pub(crate) fn new(listener: TcpListener, authority: String, dialler: Dialler) -> Self {
        Self {
            listener,
            authority,
            handshakes: Handshakes::of(&dialler),
            dialler,
        }
    }
}

#[async_trait]
impl Listener for Accepting {
    fn authority(&self) -> String {
        self.authority.clone()
    }

    async fn accept(&mut self) -> Result<Arc<dyn Connection>, TransportError> {
        loop {
            let error = match self.listener.accept().await {
                Ok((socket, peer)) => {
                    let Some(turn) = self.handshakes.begin(&self.authority) else {
                        continue;
                    };
                    // Without them the peer is gone already: some systems refuse it options then.
                    if self.dialler.prepare(&socket).is_ok() {
                        let dialler = self.dialler.clone();
                        return Ok(Arc::new(Accepted::new(socket, turn, peer, dialler)));
                    }
                    continue;
                }
                Err(error) => error,
            };
            match Concern::of(&error) {
                Concern::Connection => {}
                Concern::Host => {
                    tracing::warn!(authority = self.authority, %error, "cannot accept for now");
                    sleep(BACKOFF).await;
                }
                Concern::Listener => {
                    return Err(TransportError::Bind {
                        scheme: SCHEME,
                        authority: self.authority.clone(),
                        source: error.into(),
                    });
                }
            }
        }
    }
}

/// The TLS handshakes that are under way; without TLS there are none.
#[derive(Debug)]
struct Handshakes {
    turns: Option<Arc<Semaphore>>,
    full: bool,
}

impl Handshakes {
    fn of(dialler: &Dialler) -> Self {
        let turns = dialler.config.handshakes_max.min(Semaphore::MAX_PERMITS);
        let is_mutual = dialler.security.is_mutual();
        Self {
            turns: is_mutual.then(|| Arc::new(Semaphore::new(turns))),
            full: false,
        }
    }

    /// Begins another, unless there are too many: a flood of peers is said once, when it begins.
    fn begin(&mut self, authority: &str) -> Option<Turn> {
        let Some(turns) = &self.turns else {
            return Some(None);
        };
        let turn = Arc::clone(turns).try_acquire_owned().ok();
        if turn.is_none() && !self.full {
            tracing::warn!(authority, "too many TLS handshakes are under way");
        }
        self.full = turn.is_none();
        turn.map(Some)
    }
}

/// What an error of accept concerns.
#[derive(Debug, Eq, PartialEq)]
enum Concern {
    /// The connection ended before it was accepted: the next is as good as any.
    Connection,
    /// Something ran out, such as file descriptors, and may come back.
    Host,
    /// There is nothing to accept from any more.
    Listener,
}

impl Concern {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted => Self::Connection,
            io::ErrorKind::InvalidInput => Self::Listener,
            _ => Self::Host,
        }
    }
}

/// Long enough not to spin while the host is out of descriptors, short enough for a peer that waits.
const BACKOFF: Duration = Duration::from_millis(100);

#[cfg(all(test, unix))]
mod tests {
    use std::io;

    use super::Concern;

    #[test]
    fn only_a_broken_listener_stops_accepting() {
        let (eintr, emfile, econnaborted, einval) = (4, 24, 103, 22);
        for (code, concern) in [
            (eintr, Concern::Connection),
            (emfile, Concern::Host),
            (einval, Concern::Listener),
        ] {
            assert_eq!(Concern::of(&io::Error::from_raw_os_error(code)), concern);
        }
        if cfg!(target_os = "linux") {
            let aborted = io::Error::from_raw_os_error(econnaborted);
            assert_eq!(Concern::of(&aborted), Concern::Connection);
        }
    }
}
