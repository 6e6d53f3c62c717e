use std::io;
use std::net::SocketAddr;

use rpc_core::transport::TransportError;
use tokio::net::lookup_host;

use crate::transport::SCHEME;

/// The part of an address between `://` and the next `/`, taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authority<'a> {
    /// A DNS name or an IP address, the latter without brackets.
    host: &'a str,
    port: u16,
}

impl<'a> Authority<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, TransportError> {
        Self::split(text).ok_or_else(|| TransportError::Address {
            scheme: SCHEME,
            authority: text.to_owned(),
            reason: "it is written `host:port`, with an IPv6 address in brackets".to_owned(),
        })
    }

    fn split(text: &'a str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(address) => address.strip_suffix(']')?,
            None if host.contains(':') => return None,
            None => host,
        };
        let port = port.parse().ok()?;
        (!host.is_empty()).then_some(Self { host, port })
    }

    pub(crate) fn host(&self) -> &'a str {
        self.host
    }

    /// Returns every address of the host, at least one.
    pub(crate) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let addresses: Vec<_> = lookup_host((self.host, self.port)).await?.collect();
        if addresses.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            ));
        }
        Ok(addresses)
    }
}

/// Returns the authority by which others reach a socket: what was advertised, or what was bound.
pub(crate) fn reached_by(
    bound: SocketAddr,
    advertised: Option<&str>,
) -> Result<String, TransportError> {
    let Some(advertised) = advertised else {
        if bound.ip().is_unspecified() {
            return Err(TransportError::Config {
                scheme: SCHEME,
                reason: format!(
                    "{bound} is every address of this host: advertise the one others reach it by"
                ),
            });
        }
        return Ok(bound.to_string());
    };
    let Authority { port, .. } = Authority::parse(advertised)?;
    Ok(match port {
        0 => format!("{}{}", advertised.trim_end_matches('0'), bound.port()),
        _ => advertised.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Authority, reached_by};

    #[test]
    fn an_authority_is_a_host_and_a_port() {
        for (text, host, port) in [
            ("node-1.example:6123", "node-1.example", 6123),
            ("127.0.0.1:0", "127.0.0.1", 0),
            ("[::1]:80", "::1", 80),
        ] {
            let authority = Authority::parse(text).unwrap();
            assert_eq!((authority.host, authority.port), (host, port));
        }
        for text in [
            "",
            "host",
            ":80",
            "host:",
            "host:x",
            "host:65536",
            "::1:80",
            "[::1:80",
        ] {
            let refusal = Authority::parse(text).unwrap_err().to_string();
            assert!(refusal.contains(&format!("`{text}`")), "{refusal}");
        }
    }

    #[test]
    fn what_is_advertised_comes_before_what_is_bound() {
        let bound = "10.0.0.1:6123".parse().unwrap();
        assert_eq!(reached_by(bound, None).unwrap(), "10.0.0.1:6123");
        assert_eq!(reached_by(bound, Some("node:7")).unwrap(), "node:7");
        assert_eq!(reached_by(bound, Some("node:0")).unwrap(), "node:6123");
        reached_by(bound, Some("node")).unwrap_err();
        reached_by("0.0.0.0:6123".parse().unwrap(), None).unwrap_err();
    }
}
