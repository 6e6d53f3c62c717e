//! Addresses of processes, checked before anybody dials them again and again.

use rpc_components::rpc_core::transport::Authority;

use crate::error::CliError;

/// Returns the scheme of an address at which another process can be reached.
pub(crate) fn scheme(address: &str) -> Result<&'static str, CliError> {
    let parts = address.split_once("://");
    let scheme = match parts.map(|(scheme, _)| scheme) {
        Some("quic") => "quic",
        Some("tcp") => "tcp",
        Some("local") => {
            return Err(CliError::usage(format!(
                "`{address}` cannot be reached from another process"
            )));
        }
        _ => {
            return Err(CliError::usage(format!(
                "`{address}` is no address like tcp://127.0.0.1:6123"
            )));
        }
    };
    let authority = parts.map_or("", |(_, authority)| authority.trim_end_matches('/'));
    Authority::parse(scheme, authority).map_err(|error| CliError::wrong(&error))?;
    Ok(scheme)
}
