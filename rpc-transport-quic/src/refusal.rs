use std::error::Error;

use quinn::{ConnectionError, TransportErrorCode};
use rpc_tls::TlsError;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// Puts into words why a connection failed, where it is a matter of TLS.
pub(crate) fn explain(error: ConnectionError) -> BoxError {
    match &error {
        // What the peer has sent us.
        ConnectionError::ConnectionClosed(close) => match alert(close.error_code) {
            Some(alert) => TlsError::told(alert, error).into(),
            None if close.error_code == TransportErrorCode::CONNECTION_REFUSED => {
                TlsError::because("the peer turns connections away for now", error).into()
            }
            None => error.into(),
        },
        // What we have found.
        ConnectionError::TransportError(broken) => match alert(broken.code) {
            Some(alert) => TlsError::found(alert, &broken.reason.clone(), error).into(),
            None => error.into(),
        },
        _ => error.into(),
    }
}

/// Tells whether it is a refusal to shake hands, be it one that comes only after the handshake.
pub(crate) fn is_refusal(error: &ConnectionError) -> bool {
    let code = match error {
        ConnectionError::ConnectionClosed(close) => close.error_code,
        ConnectionError::TransportError(broken) => broken.code,
        _ => return false,
    };
    alert(code).is_some()
}

/// The alert of TLS that an error code of QUIC is (RFC 9001, section 4.8).
fn alert(code: TransportErrorCode) -> Option<u8> {
    let alert = u64::from(code).checked_sub(0x100)?;
    alert.try_into().ok()
}
