//! Where a transport over IP reaches a service: `host:port`. Pure; resolving names and binding are the
//! transports'.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use crate::transport::TransportError;

/// The part of an address between `://` and the next `/`, as transports over IP write it.
///
/// The host is a DNS name or an IP address; an IPv6 address is in brackets.
///
/// ```
/// use rpc_core::transport::Authority;
///
/// let authority = Authority::parse("tcp", "[::1]:6123")?;
/// assert_eq!(authority.host(), "::1");
/// assert_eq!(authority.port(), 6123);
/// assert_eq!(authority.to_string(), "[::1]:6123");
/// # Ok::<(), rpc_core::transport::TransportError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    host: &'a str,
    port: u16,
}

impl<'a> Authority<'a> {
    /// Takes an authority apart; `scheme` is the transport's, for the error.
    ///
    /// # Errors
    ///
    /// [`TransportError::Address`] for a text that is not `host:port`.
    pub fn parse(scheme: &'static str, text: &'a str) -> Result<Self, TransportError> {
        Self::split(text).ok_or_else(|| TransportError::Address {
            scheme,
            authority: text.to_owned(),
            reason: String::from("it is written `host:port`, with an IPv6 address in brackets"),
        })
    }

    /// Returns the authority by which others reach a socket: what was advertised, or what was bound.
    ///
    /// An advertised port 0 stands for the port that was bound.
    ///
    /// # Errors
    ///
    /// [`TransportError::Address`] if what is advertised is not `host:port`, and
    /// [`TransportError::Config`] if nothing is and the socket is bound to every address of the host.
    pub fn reached_by(
        scheme: &'static str,
        bound: SocketAddr,
        advertised: Option<&str>,
    ) -> Result<String, TransportError> {
        let Some(advertised) = advertised else {
            if bound.ip().is_unspecified() {
                let reason = format!(
                    "{bound} is every address of this host: advertise the one others reach it by"
                );
                return Err(TransportError::Config { scheme, reason });
            }
            return Ok(bound.to_string());
        };
        let mut authority = Authority::parse(scheme, advertised)?;
        if authority.port == 0 {
            authority.port = bound.port();
        }
        Ok(authority.to_string())
    }

    /// Returns the host: a DNS name, or an IP address without brackets.
    #[must_use]
    pub const fn host(&self) -> &'a str {
        self.host
    }

    /// Returns the port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    fn split(text: &'a str) -> Option<Self> {
        let (host, port) = split_host(text)?;
        let port = parse_port(port)?;
        Some(Self { host, port })
    }
}

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}

/// Where a transport over IP listens: a host, and the ports that are tried in their order.
///
/// The ports are written as one, as a range, or as a list of both; port 0 stands for any free port.
/// As Flink's port ranges.
///
/// ```
/// use rpc_core::transport::BindAuthority;
///
/// let bind = BindAuthority::parse("tcp", "127.0.0.1:50100-50102,50200")?;
/// assert_eq!(bind.host(), "127.0.0.1");
/// assert!(bind.ports().eq([50_100, 50_101, 50_102, 50_200]));
/// # Ok::<(), rpc_core::transport::TransportError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindAuthority<'a> {
    host: &'a str,
    ports: Vec<RangeInclusive<u16>>,
}

impl<'a> BindAuthority<'a> {
    /// Takes it apart; `scheme` is the transport's, for the error.
    ///
    /// # Errors
    ///
    /// [`TransportError::Address`] for a text that is not a host and ports.
    pub fn parse(scheme: &'static str, text: &'a str) -> Result<Self, TransportError> {
        let refusal = |reason| TransportError::Address {
            scheme,
            authority: text.to_owned(),
            reason,
        };
        let (host, ports) = split_host(text).ok_or_else(|| {
            refusal(String::from(
                "it is written `host:port`, with an IPv6 address in brackets",
            ))
        })?;
        let ports = ports
            .split(',')
            .map(|range| {
                parse_range(range).ok_or_else(|| {
                    refusal(format!(
                        "`{range}` is no port and no range of ports, which are written \
                         `50100`, `50100-50200` or `50100-50110,50200`"
                    ))
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { host, ports })
    }

    /// Returns the host: a DNS name, or an IP address without brackets.
    #[must_use]
    pub const fn host(&self) -> &'a str {
        self.host
    }

    /// Returns the ports to try, in their order.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.ports.iter().cloned().flatten()
    }

    /// Binds the first of the ports that is not in use, at the first of the host's addresses that can
    /// be bound. The ports of the addresses do not matter.
    ///
    /// # Errors
    ///
    /// That the last port is in use, as all before it; or, if the first port is refused for another
    /// reason, that reason: no other port will do when none of the addresses is one of this host.
    pub async fn bind_first<T, F: Future<Output = io::Result<T>>>(
        &self,
        addresses: &[SocketAddr],
        bind: impl Fn(SocketAddr) -> F,
    ) -> io::Result<T> {
        let mut in_use = None;
        for port in self.ports() {
            let mut refusal = None;
            for address in addresses {
                match bind(SocketAddr::new(address.ip(), port)).await {
                    Ok(bound) => return Ok(bound),
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => in_use = Some(error),
                    Err(error) => refusal = Some(error),
                }
            }
            if in_use.is_none()
                && let Some(refusal) = refusal
            {
                return Err(refusal);
            }
        }
        Err(in_use.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
    }
}

fn split_host(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let (host, bracketed) = match host.strip_prefix('[') {
        Some(address) => (address.strip_suffix(']')?, true),
        None => (host, false),
    };
    let fits = !host.is_empty()
        && host.contains(':') == bracketed
        && !host.contains(|it: char| it.is_whitespace() || it.is_control() || "[]/".contains(it));
    fits.then_some((host, port))
}

fn parse_port(text: &str) -> Option<u16> {
    // A sign is a number's for `parse`, and not a port's.
    let digits = text.bytes().all(|it| it.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (parse_port(first)?, parse_port(last)?);
    (first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::{Authority, BindAuthority, io};

    #[test]
    fn an_authority_is_a_host_and_a_port() {
        for (text, host, port) in [
            ("node-1.example:6123", "node-1.example", 6123),
            ("NODE:65535", "NODE", 65_535),
            ("127.0.0.1:0", "127.0.0.1", 0),
            ("[::1]:80", "::1", 80),
            ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
        ] {
            let authority = Authority::parse("tcp", text).unwrap();
            assert_eq!((authority.host(), authority.port()), (host, port));
            assert_eq!(authority.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_authority_is_named() {
        for text in [
            "",
            ":",
            "host",
            ":80",
            "host:",
            "host:x",
            "host:+1",
            "host:65536",
            "host/path:80",
            "ho st:80",
            "::1:80",
            "[::1:80",
            "[::1]",
            "[]:80",
            "[host]:80",
            "[[::1]]:80",
        ] {
            let refusal = Authority::parse("tcp", text).unwrap_err().to_string();
            let named = format!("`{text}` is not an address of the tcp transport");
            assert!(refusal.starts_with(&named), "{refusal}");
        }
    }

    // Flink: PekkoUtilsTest#getConfigHandlesIPv6Address
    // Flink, untested: A15
    #[test]
    fn what_is_advertised_comes_before_what_is_bound() {
        let bound = "10.0.0.1:6123".parse().unwrap();
        let reached_by = |advertised| Authority::reached_by("tcp", bound, advertised);
        assert_eq!(reached_by(None).unwrap(), "10.0.0.1:6123");
        assert_eq!(reached_by(Some("node:7")).unwrap(), "node:7");
        assert_eq!(reached_by(Some("node:0")).unwrap(), "node:6123");
        assert_eq!(reached_by(Some("[::1]:0")).unwrap(), "[::1]:6123");
        reached_by(Some("node")).unwrap_err();
    }

    #[test]
    fn every_address_of_the_host_is_none_to_be_reached_by() {
        for bound in ["0.0.0.0:6123", "[::]:6123"] {
            let bound = bound.parse().unwrap();
            let refusal = Authority::reached_by("tcp", bound, None).unwrap_err();
            assert!(refusal.to_string().contains("advertise"), "{refusal}");
            assert_eq!(
                Authority::reached_by("tcp", bound, Some("a:0")).unwrap(),
                "a:6123"
            );
        }
    }

    #[test]
    fn ports_to_bind_are_one_or_a_range_or_a_list() {
        let cases: [(&str, &str, &[u16]); 6] = [
            ("node:0", "node", &[0]),
            ("[::1]:6123", "::1", &[6123]),
            (
                "127.0.0.1:50100-50102",
                "127.0.0.1",
                &[50_100, 50_101, 50_102],
            ),
            ("node:1,2,5-7", "node", &[1, 2, 5, 6, 7]),
            ("node:9-9,3", "node", &[9, 3]),
            ("node:65535-65535", "node", &[65_535]),
        ];
        for (text, host, ports) in cases {
            let bind = BindAuthority::parse("tcp", text).unwrap();
            assert_eq!(bind.host(), host);
            assert_eq!(bind.ports().collect::<Vec<_>>(), ports, "{text}");
        }
    }

    /// What becomes of an attempt to bind some ports, of which only some are free.
    async fn bind(ports: &str, free: &[u16], kind: io::ErrorKind) -> (Vec<u16>, io::Result<u16>) {
        let text = format!("node:{ports}");
        let bind = BindAuthority::parse("tcp", &text).unwrap();
        let addresses = ["10.0.0.1:9".parse().unwrap()];
        let tried = RefCell::new(Vec::new());
        let bound = bind.bind_first(&addresses, async |address| {
            tried.borrow_mut().push(address.port());
            let is_free = free.contains(&address.port());
            is_free.then_some(address.port()).ok_or_else(|| kind.into())
        });
        let bound = bound.await;
        (tried.into_inner(), bound)
    }

    #[tokio::test]
    async fn ports_are_tried_until_one_is_not_in_use() {
        use io::ErrorKind::{AddrInUse, AddrNotAvailable};
        let (tried, bound) = bind("1-3,7", &[3], AddrInUse).await;
        assert_eq!((tried, bound.unwrap()), (vec![1, 2, 3], 3));
        let (tried, bound) = bind("1-2", &[], AddrInUse).await;
        assert_eq!((tried, bound.unwrap_err().kind()), (vec![1, 2], AddrInUse));
        let (tried, bound) = bind("1-2", &[2], AddrNotAvailable).await;
        let refusal = bound.unwrap_err().kind();
        assert_eq!((tried, refusal), (vec![1], AddrNotAvailable));
    }

    #[test]
    fn what_is_no_range_of_ports_is_named() {
        for ports in [
            "", "x", "1-", "-1", "2-1", "1-2-3", "1,", ",1", "1,,2", "65536", "+1", "1 - 2",
        ] {
            let text = format!("node:{ports}");
            let refusal = BindAuthority::parse("tcp", &text).unwrap_err().to_string();
            let named = format!("`{text}` is not an address of the tcp transport");
            assert!(refusal.starts_with(&named), "{refusal}");
            assert!(refusal.contains("no range of ports"), "{refusal}");
        }
        let refusal = BindAuthority::parse("tcp", "::1:1-2").unwrap_err();
        assert!(refusal.to_string().contains("brackets"), "{refusal}");
    }
}
