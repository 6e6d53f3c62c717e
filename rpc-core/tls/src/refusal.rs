use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription as Alert, Error};

/// Why a TLS handshake failed, in words.
///
/// Its source is what the implementation of TLS says.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub struct TlsError {
    words: String,
    source: Box<dyn StdError + Send + Sync>,
}

impl TlsError {
    /// Says what this side has found wrong with the peer: the code of the alert that it sent for
    /// it, and the text of the error of rustls.
    #[must_use]
    pub fn found(
        alert: u8,
        text: &str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            words: found(Alert::from(alert), text),
            source: source.into(),
        }
    }

    /// Says what the peer has found wrong with this side: the code of the alert that it sent.
    #[must_use]
    pub fn told(alert: u8, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            words: told(Alert::from(alert)),
            source: source.into(),
        }
    }

    /// Says something else, of an error that is no alert.
    #[must_use]
    pub fn because(
        words: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            words: words.into(),
            source: source.into(),
        }
    }
}

impl From<Error> for TlsError {
    fn from(error: Error) -> Self {
        let words = match &error {
            Error::AlertReceived(alert) => told(*alert),
            Error::InvalidCertificate(what) => found(what.clone().into(), &error.to_string()),
            Error::InappropriateHandshakeMessage { .. }
            | Error::InappropriateMessage { .. }
            | Error::InvalidMessage(_) => "the peer does not speak TLS".to_owned(),
            Error::NoApplicationProtocol => found(Alert::NoApplicationProtocol, ""),
            Error::NoCertificatesPresented => found(Alert::CertificateRequired, ""),
            Error::PeerIncompatible(_) => found(Alert::ProtocolVersion, ""),
            other => format!("the TLS handshake failed: {other}"),
        };
        Self {
            words,
            source: error.into(),
        }
    }
}

/// Puts an error of a TLS stream into words; any other error it returns as it was.
#[must_use]
pub fn explain(error: io::Error) -> io::Error {
    let kind = error.kind();
    match error.downcast::<Error>() {
        Ok(error) => io::Error::new(kind, TlsError::from(error)),
        Err(error) => error,
    }
}

fn found(alert: Alert, text: &str) -> String {
    let words = match alert {
        Alert::BadCertificate if text.contains("not valid for name") => {
            "the peer's certificate is not valid for the host that was dialled"
        }
        Alert::CertificateExpired if text.contains("not valid yet") => {
            "the peer's certificate is not valid yet, by the clock of this host"
        }
        Alert::CertificateExpired => {
            "the peer's certificate has expired, by the clock of this host"
        }
        Alert::CertificateRequired => "the peer shows no certificate",
        // What rustls makes of the errors of other verifiers, of which there is that of pins.
        Alert::CertificateUnknown if text.contains("OtherError(") => {
            let (_, inner) = text.split_once("OtherError(").unwrap_or_default();
            inner.trim_end_matches(')')
        }
        Alert::NoApplicationProtocol => "the peer speaks another protocol, or another version",
        Alert::ProtocolVersion => "the peer does not speak TLS 1.3, or not as it should",
        Alert::UnknownCA => "the peer's certificate comes from no authority that is trusted here",
        Alert::UnsupportedCertificate => {
            "the peer's certificate is not for its side of the connection"
        }
        _ => return format!("the TLS handshake failed: {text}"),
    };
    words.to_owned()
}

fn told(alert: Alert) -> String {
    let words = match alert {
        Alert::BadCertificate => {
            "the peer refuses our certificate: it may not be valid for the host that was dialled"
        }
        Alert::CertificateExpired => {
            "the peer refuses our certificate: by its clock it has expired, or is not valid yet"
        }
        Alert::CertificateRequired => "the peer demands a certificate, and we have shown none",
        Alert::CertificateUnknown => {
            "the peer refuses our certificate: it may be none of those pinned there"
        }
        Alert::NoApplicationProtocol => "the peer speaks another protocol, or another version",
        Alert::ProtocolVersion => "the peer does not speak TLS 1.3, or not as it should",
        Alert::UnknownCA => {
            "the peer refuses our certificate: it comes from no authority that is trusted there"
        }
        Alert::UnsupportedCertificate => {
            "the peer refuses our certificate: it is not for our side of the connection"
        }
        _ => return format!("the peer refuses the TLS handshake: {alert:?}"),
    };
    words.to_owned()
}
