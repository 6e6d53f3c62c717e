//! From an address to a service that listens there, or dials there: the only file that knows which
//! transports were compiled in.
//!
//! A cargo feature makes a transport available; the scheme of the address chooses it. An address
//! whose transport was not compiled in is an error that names the feature.

use std::path::PathBuf;
use std::sync::Arc;

use rpc_core::transport::Transport;
use rpc_core::{BuildError, RpcConfig, RpcService};
use thiserror::Error;

/// What the services of a process have in common: their certificates, and the in-process network.
#[derive(Clone, Debug)]
pub struct Network {
    #[cfg_attr(
        not(any(feature = "quic", feature = "tcp")),
        expect(dead_code, reason = "only these two prove who they are")
    )]
    security: Security,
    #[cfg(any(feature = "quic", feature = "tcp"))]
    certificates: Option<rpc_tls::CertificateStore>,
    #[cfg(feature = "local")]
    local: rpc_transport_local::LocalNetwork,
}

/// How the services of a process prove who they are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Security {
    /// By a certificate that is made for this process only: all peers are in the process.
    Embedded,
    /// Not at all, also where other hosts reach them.
    Insecure,
    /// By certificates on both sides, read from PEM files.
    MutualTls {
        /// The certificate, with those between it and the authority's.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
        /// The certificates of the authorities that peers' are judged by.
        authority: PathBuf,
    },
    /// Not at all, and only on the loopback interface.
    None,
}

/// Why a service does not listen or dial.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The transport cannot be set up.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The certificates are of no use.
    #[error("the certificates are of no use")]
    Certificates {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The transport was not compiled in.
    #[error("`{address}`: this program was built without the cargo feature `{feature}`")]
    FeatureOff {
        /// The address.
        address: String,
        /// The feature.
        feature: &'static str,
    },
    /// There is no such transport.
    #[error("`{address}` begins with none of local://, quic:// and tcp://")]
    Scheme {
        /// The address.
        address: String,
    },
}

impl Network {
    /// Makes the network of a process.
    ///
    /// # Errors
    ///
    /// The certificates cannot be read, or are of no use.
    pub fn new(security: Security) -> Result<Self, NetworkError> {
        Ok(Self {
            #[cfg(any(feature = "quic", feature = "tcp"))]
            certificates: security.certificates()?.map(Into::into),
            security,
            #[cfg(feature = "local")]
            local: rpc_transport_local::LocalNetwork::new(),
        })
    }

    /// Reads the files of [`Security::MutualTls`] again, for all connections that are yet to be made.
    ///
    /// Those that are established live on. It reads files, which blocks. A network without
    /// certificates has nothing to read.
    ///
    /// # Errors
    ///
    /// The error's source names the file that cannot be read or used; the old certificates stay.
    pub fn reload(&self) -> Result<(), NetworkError> {
        #[cfg(any(feature = "quic", feature = "tcp"))]
        if let Some(certificates) = &self.certificates {
            let reloaded = certificates.reload();
            reloaded.map_err(|error| NetworkError::Certificates {
                source: Box::new(error),
            })?;
        }
        Ok(())
    }

    /// Makes a service that listens at an address such as `tcp://127.0.0.1:6123`, and is reached by
    /// others at `advertise` if that is given.
    ///
    /// # Errors
    ///
    /// The address is none, or cannot be bound, or the certificates are of no use.
    pub async fn listen(
        &self,
        address: &str,
        advertise: Option<&str>,
        config: RpcConfig,
    ) -> Result<RpcService, NetworkError> {
        self.service(address, true, advertise, config).await
    }

    /// Makes a service that only dials, by the transport of `address`.
    ///
    /// # Errors
    ///
    /// As for [`listen`](Self::listen).
    pub async fn dial(&self, address: &str, config: RpcConfig) -> Result<RpcService, NetworkError> {
        self.service(address, false, None, config).await
    }

    async fn service(
        &self,
        address: &str,
        listens: bool,
        advertise: Option<&str>,
        config: RpcConfig,
    ) -> Result<RpcService, NetworkError> {
        let scheme_error = || NetworkError::Scheme {
            address: address.to_owned(),
        };
        let (scheme, authority) = address.split_once("://").ok_or_else(scheme_error)?;
        let authority = authority.trim_end_matches('/');
        let request = Request {
            bind: listens.then_some(authority),
            advertise,
        };
        let made = match scheme {
            "local" => self.local(&request),
            "quic" => self.quic(&request),
            "tcp" => self.tcp(&request),
            _ => return Err(scheme_error()),
        };
        let transport = made.map_err(|feature| NetworkError::FeatureOff {
            address: address.to_owned(),
            feature,
        })?;
        let builder = RpcService::builder().transport(transport).config(config);
        Ok(builder.build().await?)
    }
}

/// Certificates that were made for the processes of a cluster, in PEM.
#[derive(Clone)]
#[expect(clippy::exhaustive_structs, reason = "three files")]
pub struct GeneratedCertificates {
    /// The certificate of the authority.
    pub authority: String,
    /// The certificate of the processes.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl std::fmt::Debug for GeneratedCertificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GeneratedCertificates")
            .finish_non_exhaustive()
    }
}

/// Makes an authority, and a certificate of it that is valid for localhost and for `hosts`.
///
/// # Errors
///
/// A host is no name, or no transport with certificates was compiled in.
#[cfg(any(feature = "quic", feature = "tcp"))]
pub fn generate_certificates(hosts: &[&str]) -> Result<GeneratedCertificates, NetworkError> {
    let certificates = rpc_tls::Certificates::generate(hosts);
    let certificates = certificates.map_err(|error| NetworkError::Certificates {
        source: Box::new(error),
    })?;
    Ok(GeneratedCertificates {
        authority: certificates.ca_pem(),
        certificate: certificates.cert_pem(),
        key: certificates.key_pem(),
    })
}

/// Makes an authority, and a certificate of it that is valid for localhost and for `hosts`.
///
/// # Errors
///
/// Always: no transport with certificates was compiled in.
#[cfg(not(any(feature = "quic", feature = "tcp")))]
pub fn generate_certificates(_: &[&str]) -> Result<GeneratedCertificates, NetworkError> {
    Err(NetworkError::FeatureOff {
        address: String::from("certificates"),
        feature: "tcp",
    })
}

/// What is asked of a transport.
#[cfg_attr(
    not(any(feature = "quic", feature = "tcp")),
    expect(dead_code, reason = "only these two have addresses of others' making")
)]
struct Request<'a> {
    /// Where to listen; `None` to dial only.
    bind: Option<&'a str>,
    advertise: Option<&'a str>,
}

/// A transport, or the cargo feature that would have had it compiled in.
type Made = Result<Arc<dyn Transport>, &'static str>;

#[cfg(any(feature = "quic", feature = "tcp"))]
impl Security {
    fn certificates(&self) -> Result<Option<rpc_tls::Certificates>, NetworkError> {
        let certificates = match self {
            Self::Embedded => rpc_tls::Certificates::generate(&[]),
            Self::MutualTls {
                certificate,
                key,
                authority,
            } => rpc_tls::Certificates::from_pem_files(certificate, key, authority),
            Self::Insecure | Self::None => return Ok(None),
        };
        certificates
            .map(Some)
            .map_err(|error| NetworkError::Certificates {
                source: Box::new(error),
            })
    }
}

impl Network {
    #[cfg(feature = "local")]
    #[expect(
        clippy::unnecessary_wraps,
        reason = "its twin, without the feature, fails"
    )]
    fn local(&self, request: &Request<'_>) -> Made {
        Ok(Arc::new(match request.bind {
            Some("") => self.local.bind_any(),
            Some(name) => self.local.bind(name),
            None => self.local.dial_only(),
        }))
    }

    #[cfg(feature = "quic")]
    #[expect(
        clippy::unnecessary_wraps,
        reason = "its twin, without the feature, fails"
    )]
    fn quic(&self, request: &Request<'_>) -> Made {
        use rpc_transport_quic::Quic;
        let mut quic = request.bind.map_or_else(Quic::dial_only, Quic::bind);
        if let Some(certificates) = &self.certificates {
            quic = quic.mtls(certificates.clone());
        }
        if matches!(self.security, Security::Insecure) {
            quic = quic.insecure();
        }
        Ok(Arc::new(match request.advertise {
            Some(authority) => quic.advertise(authority),
            None => quic,
        }))
    }

    #[cfg(feature = "tcp")]
    #[expect(
        clippy::unnecessary_wraps,
        reason = "its twin, without the feature, fails"
    )]
    fn tcp(&self, request: &Request<'_>) -> Made {
        use rpc_transport_tcp::Tcp;
        let mut tcp = request.bind.map_or_else(Tcp::dial_only, Tcp::bind);
        // Peers that are all in one process need no TLS between them.
        if !matches!(self.security, Security::Embedded)
            && let Some(certificates) = &self.certificates
        {
            tcp = tcp.mtls(certificates.clone());
        }
        if matches!(self.security, Security::Insecure) {
            tcp = tcp.insecure();
        }
        Ok(Arc::new(match request.advertise {
            Some(authority) => tcp.advertise(authority),
            None => tcp,
        }))
    }
}

/// What stands in for a transport that was not compiled in.
macro_rules! feature_off {
    ($feature:literal, $function:ident) => {
        #[cfg(not(feature = $feature))]
        impl Network {
            const fn $function(&self, _: &Request<'_>) -> Made {
                Err($feature)
            }
        }
    };
}

feature_off!("local", local);
feature_off!("quic", quic);
feature_off!("tcp", tcp);
