use std::io;

use rpc_core::transport::Authority;
use tokio::net::TcpStream;

use super::{Shaken, plain};
use crate::socket::Sockets;

/// Plain TCP, always.
#[derive(Clone, Debug, Default)]
pub(crate) struct Security;

impl Security {
    pub(crate) fn is_mutual(&self) -> bool {
        false
    }

    pub(crate) async fn dialled(
        &self,
        socket: TcpStream,
        _authority: Authority<'_>,
        sockets: &Sockets,
    ) -> io::Result<Shaken> {
        plain(socket, sockets)
    }

    pub(crate) async fn accepted(
        &self,
        socket: TcpStream,
        sockets: &Sockets,
    ) -> io::Result<Shaken> {
        plain(socket, sockets)
    }
}
