use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{CertificateError, Certificates};

/// Certificates that can be replaced while transports use them.
///
/// A clone is another handle to the same certificates: one is given to the transports, another kept
/// to [`replace`](Self::replace) or [`reload`](Self::reload). A connection is judged by what is
/// there when its handshake begins; those that are established live on. No session is ever resumed,
/// so that nobody comes back whom the new authorities would refuse.
///
/// ```
/// use rpc_tls::{CertificateAuthority, CertificateStore};
///
/// # fn main() -> Result<(), rpc_tls::CertificateError> {
/// let authority = CertificateAuthority::generate()?;
/// let store = CertificateStore::new(authority.issue(&["node-1.example"])?);
/// let transports = store.clone();
///
/// let renewed = authority.issue(&["node-1.example"])?;
/// store.replace(renewed.clone());
/// assert_eq!(transports.current().cert_pem(), renewed.cert_pem());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CertificateStore {
    current: Arc<Mutex<Certificates>>,
    /// Held by whoever replaces them, so that what is read of files does not undo what was replaced
    /// meanwhile.
    replacing: Arc<Mutex<()>>,
}

impl CertificateStore {
    /// Makes a store that holds these certificates for now.
    #[must_use]
    pub fn new(certificates: Certificates) -> Self {
        Self {
            current: Arc::new(Mutex::new(certificates)),
            replacing: Arc::default(),
        }
    }

    /// Returns the certificates by which the next handshake is done.
    #[must_use]
    pub fn current(&self) -> Certificates {
        self.current.lock().clone()
    }

    /// Replaces the certificates for all handshakes that are yet to begin. It waits for a
    /// [`reload`](Self::reload) that is under way.
    pub fn replace(&self, certificates: Certificates) {
        let _replacing = self.replacing.lock();
        *self.current.lock() = certificates;
    }

    /// Reads the files again from which the certificates came, and takes what is in them.
    ///
    /// What is pinned stays pinned. It reads files, which blocks.
    ///
    /// # Errors
    ///
    /// The error names the file that cannot be read or used, and the old certificates stay; they
    /// stay as well when one of the files is new and the others are still old. An error it is too,
    /// [`CertificateError::NoFiles`], if the certificates did not come from files.
    pub fn reload(&self) -> Result<(), CertificateError> {
        let _replacing = self.replacing.lock();
        let renewed = self.current().reread()?;
        *self.current.lock() = renewed;
        Ok(())
    }
}

impl From<Certificates> for CertificateStore {
    fn from(certificates: Certificates) -> Self {
        Self::new(certificates)
    }
}

impl fmt::Debug for CertificateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CertificateStore")
            .field(&self.current())
            .finish()
    }
}
