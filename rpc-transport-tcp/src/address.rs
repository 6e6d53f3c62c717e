use std::io;
use std::net::SocketAddr;

use rpc_core::transport::Authority;
use tokio::net::lookup_host;

/// Returns every address of the host, at least one.
pub(crate) async fn resolve(authority: Authority<'_>) -> io::Result<Vec<SocketAddr>> {
    let host = (authority.host(), authority.port());
    let addresses: Vec<_> = lookup_host(host).await?.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        ));
    }
    Ok(addresses)
}
