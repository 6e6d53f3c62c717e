use std::fmt;
use std::future::ready;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use quinn::{Endpoint, EndpointConfig, ServerConfig};
use rpc_core::transport::BindAuthority;
use socket2::SockRef;

use crate::driver::Tokio;

/// The UDP sockets of one transport.
#[derive(Default)]
pub(crate) struct Sockets {
    /// `None` for those of the system.
    make: Option<Box<MakeEndpoint>>,
    state: Mutex<State>,
}

/// Binds a UDP socket to an address, and makes what speaks QUIC over it.
pub(crate) type MakeEndpoint =
    dyn Fn(SocketAddr, Option<ServerConfig>) -> io::Result<Endpoint> + Send + Sync;

#[derive(Debug, Default)]
struct State {
    /// The listener owns it, so that its port is free again once the listener is gone.
    listening: Weak<Endpoint>,
    dialling_v4: Option<Endpoint>,
    dialling_v6: Option<Endpoint>,
}

impl Sockets {
    pub(crate) fn new(make: Box<MakeEndpoint>) -> Self {
        Self {
            make: Some(make),
            state: Mutex::default(),
        }
    }

    fn make(
        &self,
        address: SocketAddr,
        server: Option<ServerConfig>,
        buffer_bytes: usize,
    ) -> io::Result<Endpoint> {
        match &self.make {
            Some(make) => make(address, server),
            None => make_of_system(address, server, buffer_bytes),
        }
    }

    /// Binds the first of the ports that is not in use, at the first address that can be bound.
    pub(crate) async fn listen(
        &self,
        bind: &BindAuthority<'_>,
        addresses: &[SocketAddr],
        server: ServerConfig,
        buffer_bytes: usize,
    ) -> io::Result<Arc<Endpoint>> {
        let make = |address| ready(self.make(address, Some(server.clone()), buffer_bytes));
        let endpoint = Arc::new(bind.bind_first(addresses, make).await?);
        self.state.lock().listening = Arc::downgrade(&endpoint);
        Ok(endpoint)
    }

    /// Returns what dials `peer`: the listening socket if it can, or one on any free port.
    pub(crate) fn dialling(&self, peer: SocketAddr, buffer_bytes: usize) -> io::Result<Endpoint> {
        let mut state = self.state.lock();
        if let Some(listening) = state.listening.upgrade()
            && reaches(listening.local_addr()?, peer)
        {
            return Ok(Endpoint::clone(&listening));
        }
        let (kept, any): (_, IpAddr) = match peer {
            SocketAddr::V4(_) => (&mut state.dialling_v4, Ipv4Addr::UNSPECIFIED.into()),
            SocketAddr::V6(_) => (&mut state.dialling_v6, Ipv6Addr::UNSPECIFIED.into()),
        };
        if let Some(endpoint) = kept {
            return Ok(endpoint.clone());
        }
        let endpoint = self.make((any, 0).into(), None, buffer_bytes)?;
        Ok(kept.insert(endpoint).clone())
    }

    /// What has dialled such a peer is of no use any more.
    pub(crate) fn forget_dialling(&self, peer: SocketAddr) {
        let mut state = self.state.lock();
        match peer {
            SocketAddr::V4(_) => state.dialling_v4 = None,
            SocketAddr::V6(_) => state.dialling_v6 = None,
        }
    }
}

/// Makes one of the system's sockets. What arrives faster than it is read is lost beyond the buffer, and
/// has to be sent again.
fn make_of_system(
    address: SocketAddr,
    server: Option<ServerConfig>,
    buffer_bytes: usize,
) -> io::Result<Endpoint> {
    let socket = UdpSocket::bind(address)?;
    let (asked, bytes) = (SockRef::from(&socket), buffer_bytes.min(BUFFER_BYTES_MAX));
    // The system gives what it allows; some give nothing then, and say so.
    let given = asked.set_recv_buffer_size(bytes);
    if let Err(error) = given.and_then(|()| asked.set_send_buffer_size(bytes)) {
        tracing::debug!(bytes, %error, "the system has no such buffers");
    }
    Endpoint::new(EndpointConfig::default(), server, socket, Arc::new(Tokio))
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Systems count a socket's buffers so.
const BUFFER_BYTES_MAX: usize = i32::MAX as usize;

/// A socket reaches addresses of its family only, and from loopback no other host.
fn reaches(local: SocketAddr, peer: SocketAddr) -> bool {
    local.is_ipv4() == peer.is_ipv4() && (!local.ip().is_loopback() || peer.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::reaches;

    #[test]
    fn a_socket_reaches_its_family_and_from_loopback_only_loopback() {
        let reaches =
            |local: &str, peer: &str| reaches(local.parse().unwrap(), peer.parse().unwrap());
        assert!(reaches("127.0.0.1:1", "127.0.0.1:2"));
        assert!(reaches("0.0.0.0:1", "10.0.0.1:2"));
        assert!(reaches("10.0.0.2:1", "10.0.0.1:2"));
        assert!(!reaches("127.0.0.1:1", "10.0.0.1:2"));
        assert!(!reaches("0.0.0.0:1", "[::1]:2"));
        assert!(!reaches("[::]:1", "127.0.0.1:2"));
    }
}
