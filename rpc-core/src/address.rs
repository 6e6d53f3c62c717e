//! Where an endpoint is: `scheme://authority/endpoint`, or just `endpoint` in one's own service.

use std::fmt;
use std::str::FromStr;

/// An endpoint's address, taken apart.
///
/// ```
/// let address: rpc_core::Address = "tcp://host:6123/jobmaster".parse()?;
/// assert_eq!(address.scheme(), Some("tcp"));
/// assert_eq!(address.authority(), "host:6123");
/// assert_eq!(address.endpoint(), "jobmaster");
/// # Ok::<(), rpc_core::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    scheme: Option<String>,
    authority: String,
    endpoint: String,
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

    /// Returns which transport reaches it; `None` for an endpoint of one's own service.
    #[must_use]
    pub fn scheme(&self) -> Option<&str> {
        self.scheme.as_deref()
    }

    /// Returns where the transport finds the service, such as `host:port`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the endpoint's name.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the authority without its port.
    #[must_use]
    pub fn hostname(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|it| it.is_ascii_digit()) => {
                host.trim_start_matches('[').trim_end_matches(']')
            }
            _ => &self.authority,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scheme {
            Some(scheme) => write!(f, "{scheme}://{}/{}", self.authority, self.endpoint),
            None => f.write_str(&self.endpoint),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = |reason| AddressError {
            address: text.chars().take(256).collect(),
            reason,
        };
        let (scheme, rest) = match text.split_once("://") {
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
        if endpoint.is_empty() {
            return Err(error("it names no endpoint"));
        }
        if endpoint.len() > NAME_BYTES_MAX {
            return Err(error("the endpoint's name is too long"));
        }
        if endpoint.chars().any(|it| it.is_whitespace() || it.is_control() || it == '/') {
            return Err(error("an endpoint's name has neither spaces nor slashes"));
        }
        Ok(Self {
            scheme: scheme.map(str::to_owned),
            authority: authority.to_ascii_lowercase(),
            endpoint: endpoint.to_owned(),
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

/// The longest name of an endpoint: it travels, and a peer keeps it.
pub(crate) const NAME_BYTES_MAX: usize = 512;
