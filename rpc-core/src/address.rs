//! Where an endpoint is: `scheme://authority/endpoint`, or just `endpoint` in one's own service.
//! Pure.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An endpoint's address, taken apart.
///
/// ```
/// let address: rpc_core::Address = "tcp://host:6123/jobmaster".parse()?;
/// assert_eq!(address.scheme(), Some("tcp"));
/// assert_eq!(address.authority(), "host:6123");
/// assert_eq!(address.endpoint(), "jobmaster");
/// # Ok::<(), rpc_core::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// All of it, the authority in lower case. A clone is the same text.
    text: Arc<str>,
    /// Where the authority begins; 0 if there is none, nor a scheme.
    authority: usize,
    /// Where the endpoint's name begins.
    endpoint: usize,
}

impl Address {
    /// Makes the address of an endpoint that a transport reaches.
    ///
    /// # Errors
    ///
    /// As for [`Address::from_str`].
    pub fn new(scheme: &str, authority: &str, endpoint: &str) -> Result<Self, AddressError> {
        format!("{scheme}://{authority}/{endpoint}").parse()
    }

    /// Returns all of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns which transport reaches it; `None` for an endpoint of one's own service.
    #[must_use]
    pub fn scheme(&self) -> Option<&str> {
        let end = self.authority.checked_sub(SEPARATOR.len())?;
        Some(&self.text[..end])
    }

    /// Returns where the transport finds the service, such as `host:port`.
    #[must_use]
    pub fn authority(&self) -> &str {
        match self.authority {
            0 => "",
            begin => &self.text[begin..self.endpoint - 1],
        }
    }

    /// Returns the endpoint's name.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.text[self.endpoint..]
    }

    /// Returns the authority without its port.
    #[must_use]
    pub fn hostname(&self) -> &str {
        let authority = self.authority();
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|it| it.is_ascii_digit()) => {
                host.trim_start_matches('[').trim_end_matches(']')
            }
            _ => authority,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.text).finish()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = |reason| AddressError {
            address: text.chars().take(256).collect(),
            reason,
        };
        let (scheme, rest) = match text.split_once(SEPARATOR) {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        if scheme.is_some_and(|it| it.is_empty() || !it.bytes().all(|it| it.is_ascii_lowercase())) {
            return Err(error("a scheme is of lower-case letters"));
        }
        let (authority, endpoint) = match scheme {
            Some(_) => rest.split_once('/').unwrap_or((rest, "")),
            None => ("", rest),
        };
        if scheme.is_some() && authority.is_empty() {
            return Err(error("it has no host"));
        }
        if authority.contains('@') {
            return Err(error("nobody is named before a host"));
        }
        if endpoint.is_empty() {
            return Err(error("it names no endpoint"));
        }
        if endpoint.len() > NAME_BYTES_MAX {
            return Err(error("the endpoint's name is too long"));
        }
        if endpoint
            .chars()
            .any(|it| it.is_whitespace() || it.is_control() || it == '/')
        {
            return Err(error("an endpoint's name has neither spaces nor slashes"));
        }
        let Some(scheme) = scheme else {
            return Ok(Self {
                text: endpoint.into(),
                authority: 0,
                endpoint: 0,
            });
        };
        let begin = scheme.len() + SEPARATOR.len();
        let authority = authority.to_ascii_lowercase();
        Ok(Self {
            text: format!("{scheme}{SEPARATOR}{authority}/{endpoint}").into(),
            authority: begin,
            endpoint: begin + authority.len() + 1,
        })
    }
}

/// A text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{address}` is not an address: {reason}")]
pub struct AddressError {
    address: String,
    reason: &'static str,
}

impl AddressError {
    /// Checks that an endpoint, or a channel, can have this name.
    pub(crate) fn check_name(name: &str) -> Result<(), Self> {
        let named: Address = name.parse()?;
        match named.scheme() {
            None => Ok(()),
            Some(_) => Err(Self {
                address: name.to_owned(),
                reason: "it is to be a name",
            }),
        }
    }

    /// Says that an endpoint is to be named like a pattern.
    pub(crate) fn pattern(name: &str) -> Self {
        Self {
            address: name.to_owned(),
            reason: "an endpoint's name does not end in `*`",
        }
    }
}

/// Makes an endpoint's name that no other has in this process: `prefix_0`, `prefix_1`, and so on.
///
/// One of several such endpoints is reached by `prefix_*`; see
/// [`RpcService::connect`](crate::RpcService::connect). Flink's `RpcServiceUtils.createRandomName`.
///
/// ```
/// assert_ne!(rpc_core::unique_name("jobmaster"), rpc_core::unique_name("jobmaster"));
/// ```
#[must_use]
pub fn unique_name(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What stands between the scheme and the authority.
const SEPARATOR: &str = "://";

/// What a name ends in that stands for every name which begins like it.
pub(crate) const WILDCARD: char = '*';

/// The longest name of an endpoint: it travels, and a peer keeps it.
pub(crate) const NAME_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::{Address, NAME_BYTES_MAX};

    // Flink: PekkoUtilsTest#getHostFromRpcURLForRemoteRpcURL,
    // #getHostFromRpcURLHandlesAkkaTcpProtocol, #getHostFromRpcURLHandlesAkkaSslTcpProtocol,
    // #getHostFromRpcURLHandlesIPv4Addresses
    #[test]
    fn an_address_has_a_scheme_an_authority_and_a_name() {
        for (text, scheme, authority, hostname) in [
            (
                "tcp://127.0.0.1:1234/e",
                "tcp",
                "127.0.0.1:1234",
                "127.0.0.1",
            ),
            (
                "tcp://localhost:1234/e",
                "tcp",
                "localhost:1234",
                "localhost",
            ),
            (
                "quic://localhost:1234/e",
                "quic",
                "localhost:1234",
                "localhost",
            ),
            (
                "tcp://192.168.0.1:1234/e",
                "tcp",
                "192.168.0.1:1234",
                "192.168.0.1",
            ),
            // An authority need not have a port.
            ("local://jobmanager/e", "local", "jobmanager", "jobmanager"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.scheme(), Some(scheme));
            assert_eq!(address.authority(), authority);
            assert_eq!(address.hostname(), hostname);
            assert_eq!(address.endpoint(), "e");
            assert_eq!(address.to_string(), text);
            assert_eq!(Address::new(scheme, authority, "e").unwrap(), address);
        }
    }

    // Flink: PekkoUtilsTest#getHostFromRpcURLHandlesIPv6Addresses,
    // #getHostFromRpcURLHandlesIPv6AddressesTcp, #getHostFromRpcURLHandlesIPv6AddressesSsl
    #[test]
    fn the_host_of_an_ipv6_address_is_without_brackets() {
        for scheme in ["tcp", "quic"] {
            let host = "2001:db8:10:11:12:ff00:42:8329";
            let address = Address::new(scheme, &format!("[{host}]:1234"), "jobmanager").unwrap();
            assert_eq!(address.hostname(), host);
            assert_eq!(address.authority(), format!("[{host}]:1234"));
        }
    }

    // Flink: PekkoUtilsTest#getConfigNormalizesHostName
    #[test]
    fn a_host_is_of_lower_case_and_a_name_as_it_is() {
        let address: Address = "tcp://AbC123foOBaR:1234/JobManager".parse().unwrap();
        assert_eq!(address.hostname(), "abc123foobar");
        assert_eq!(address.to_string(), "tcp://abc123foobar:1234/JobManager");
    }

    // Flink: PekkoUtilsTest#getHostFromRpcURLThrowsExceptionIfAddressCannotBeRetrieved
    #[test]
    fn an_endpoint_of_the_own_service_has_neither_scheme_nor_host() {
        let address: Address = "jobmanager_3".parse().unwrap();
        assert_eq!(address.scheme(), None);
        assert_eq!((address.authority(), address.hostname()), ("", ""));
        assert_eq!(address.endpoint(), "jobmanager_3");
        assert_eq!(address.to_string(), "jobmanager_3");
    }

    /// Flink's actor system has a name before the host, and an empty host is the loopback interface.
    // Flink: PekkoUtilsTest#getHostFromRpcURLReturnsHostAfterAtSign, #getConfigDefaultsToLocalHost
    #[test]
    fn what_is_no_address_is_named_with_the_reason() {
        for (text, reason) in [
            ("://host:1/e", "a scheme is of lower-case letters"),
            ("TCP://host:1/e", "a scheme is of lower-case letters"),
            ("t p://host:1/e", "a scheme is of lower-case letters"),
            ("tcp:///e", "it has no host"),
            ("tcp://", "it has no host"),
            ("tcp://flink@host:1/e", "nobody is named before a host"),
            ("tcp://host:1", "it names no endpoint"),
            ("tcp://host:1/", "it names no endpoint"),
            ("", "it names no endpoint"),
            (
                "tcp://host:1/a/b",
                "an endpoint's name has neither spaces nor slashes",
            ),
            ("a/b", "an endpoint's name has neither spaces nor slashes"),
            ("a b", "an endpoint's name has neither spaces nor slashes"),
            ("a\0", "an endpoint's name has neither spaces nor slashes"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("`{text}` is not an address: {reason}")
            );
        }
    }

    #[test]
    fn a_name_has_a_limit_and_so_has_the_error() {
        let longest = "é".repeat(NAME_BYTES_MAX / 2);
        let address: Address = format!("tcp://host:1/{longest}").parse().unwrap();
        assert_eq!(address.endpoint(), longest);
        let error = "é"
            .repeat(1 << 20)
            .parse::<Address>()
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("the endpoint's name is too long"),
            "{error}"
        );
        assert!(error.len() < 1 << 10);
    }
}
