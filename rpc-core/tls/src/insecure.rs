use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};

use crate::certificates::provider;
use crate::judges::{harden_client, harden_server};
use crate::{CertificateAuthority, CertificateError};

/// Returns a server configuration that **accepts every client**.
///
/// It shows a certificate that is generated on the spot and known to nobody. It is for protocols
/// which cannot go without TLS, such as QUIC, where everybody who can reach the socket is trusted:
/// on the loopback interface of one's own machine.
///
/// # Errors
///
/// [`CertificateError::Generate`] when the system gives no random bytes.
pub fn insecure_server_config(alpn: &[u8]) -> Result<ServerConfig, CertificateError> {
    let shown = CertificateAuthority::generate()?.issue(&[])?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("the ring provider has TLS 1.3")
        .with_no_client_auth()
        .with_cert_resolver(shown.shown());
    harden_server(&mut config, alpn);
    Ok(config)
}

/// Returns a client configuration that **believes every server** and shows no certificate.
///
/// Whoever can redirect the client's packets can read and change all it says. It is the other half
/// of [`insecure_server_config`], and for the same places.
#[must_use]
pub fn insecure_client_config(alpn: &[u8]) -> ClientConfig {
    let provider = provider();
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .expect("the ring provider has TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(BelieveAnyone { provider }))
        .with_no_client_auth();
    harden_client(&mut config, alpn);
    config
}

/// Takes any certificate for anybody's; only the signature of the handshake is checked.
#[derive(Debug)]
struct BelieveAnyone {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for BelieveAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
