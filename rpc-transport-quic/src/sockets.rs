use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use rpc_core::transport::BindAuthority;

/// The UDP sockets of one transport.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The listener owns it, so that its port is free again once the listener is gone.
    listening: Weak<Endpoint>,
    dialling_v4: Option<Endpoint>,
    dialling_v6: Option<Endpoint>,
}

impl Sockets {
    /// Binds the first of the ports that is not in use, at the first address that can be bound.
    pub(crate) fn listen(
        &self,
        bind: &BindAuthority<'_>,
        addresses: &[SocketAddr],
        server: ServerConfig,
    ) -> io::Result<Arc<Endpoint>> {
        let socket = bind_first(bind, addresses)?;
        let endpoint = Arc::new(endpoint(socket, Some(server))?);
        self.state.lock().listening = Arc::downgrade(&endpoint);
        Ok(endpoint)
    }

    /// Returns what dials `peer`: the listening socket if it can, or one on any free port.
    pub(crate) fn dialling(&self, peer: SocketAddr) -> io::Result<Endpoint> {
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
        let endpoint = endpoint(UdpSocket::bind((any, 0))?, None)?;
        Ok(kept.insert(endpoint).clone())
    }
}

fn bind_first(bind: &BindAuthority<'_>, addresses: &[SocketAddr]) -> io::Result<UdpSocket> {
    let mut in_use = None;
    for port in bind.ports() {
        let mut refusal = None;
        for address in addresses {
            match UdpSocket::bind((address.ip(), port)) {
                Ok(socket) => return Ok(socket),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => in_use = Some(error),
                Err(error) => refusal = Some(error),
            }
        }
        // No other port will do when none of the addresses is one of this host.
        if in_use.is_none()
            && let Some(refusal) = refusal
        {
            return Err(refusal);
        }
    }
    Err(in_use.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

fn endpoint(socket: UdpSocket, server: Option<ServerConfig>) -> io::Result<Endpoint> {
    let runtime = Arc::new(TokioRuntime);
    Endpoint::new(EndpointConfig::default(), server, socket, runtime)
}

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
