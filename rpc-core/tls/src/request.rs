use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::peer::ROLE_PREFIX;

/// What a certificate is to say.
///
/// ```
/// use rpc_tls::{CertificateAuthority, CertificateRequest};
///
/// # fn main() -> Result<(), rpc_tls::CertificateError> {
/// let mut request = CertificateRequest::default();
/// request.names = vec!["node-1.example".to_owned()];
/// request.roles = vec!["task-executor".to_owned()];
/// let certificates = CertificateAuthority::generate()?.issue_with(&request)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CertificateRequest {
    /// The DNS names and IP addresses by which the node is reached. Default: none.
    pub names: Vec<String>,
    /// What the node is in the cluster, each a word of ASCII letters, digits, `-`, `_` and `.`.
    /// Default: none.
    pub roles: Vec<String>,
    /// Whether it is valid for `localhost`, `127.0.0.1` and `::1` as well. Default: yes.
    pub loopback: bool,
    /// When it becomes valid, counted in seconds. Default: long ago.
    pub not_before: Option<SystemTime>,
    /// When it expires, counted in seconds. Default: never.
    pub not_after: Option<SystemTime>,
    /// On which side of a connection it may be shown. Default: on both.
    pub usage: Usage,
}

impl Default for CertificateRequest {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            roles: Vec::new(),
            loopback: true,
            not_before: None,
            not_after: None,
            usage: Usage::Both,
        }
    }
}

/// On which side of a connection a certificate may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Usage {
    /// By either side, as nodes need that dial and are dialled.
    Both,
    /// Only by the side that dials.
    Client,
    /// Only by the side that is dialled.
    Server,
}

impl CertificateRequest {
    /// Names what is asked for, in messages.
    pub(crate) fn subject(&self) -> String {
        self.names.join(", ")
    }

    pub(crate) fn to_params(&self) -> Result<CertificateParams, Refused> {
        let mut subjects = self.names.clone();
        for name in LOOPBACK {
            if self.loopback && !subjects.iter().any(|it| it == name) {
                subjects.push(name.to_owned());
            }
        }
        let common_name = subjects.first().map_or("node", |it| it).to_owned();
        let mut params = CertificateParams::new(subjects)?;
        for role in &self.roles {
            if !is_word(role) {
                return Err(format!("`{role}` is not a word that a role can be called by").into());
            }
            let uri = Ia5String::try_from(format!("{ROLE_PREFIX}{role}"))?;
            params.subject_alt_names.push(SanType::URI(uri));
        }
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match self.usage {
            Usage::Both => vec![CLIENT, SERVER],
            Usage::Client => vec![CLIENT],
            Usage::Server => vec![SERVER],
        };
        if let Some(time) = self.not_before {
            params.not_before = date_time_ymd(1970, 1, 1) + since_epoch(time)?;
        }
        if let Some(time) = self.not_after {
            params.not_after = date_time_ymd(1970, 1, 1) + since_epoch(time)?;
        }
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        Ok(params)
    }
}

fn is_word(role: &str) -> bool {
    let fits = |it: u8| it.is_ascii_alphanumeric() || b"-_.".contains(&it);
    !role.is_empty() && role.bytes().all(fits)
}

fn since_epoch(time: SystemTime) -> Result<Duration, Refused> {
    let since = time.duration_since(UNIX_EPOCH)?;
    match since < YEAR_10_000 {
        true => Ok(since),
        false => Err("a certificate cannot say a time after the year 9999".into()),
    }
}

type Refused = Box<dyn std::error::Error + Send + Sync>;

const CLIENT: ExtendedKeyUsagePurpose = ExtendedKeyUsagePurpose::ClientAuth;
const SERVER: ExtendedKeyUsagePurpose = ExtendedKeyUsagePurpose::ServerAuth;

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// When the years of a certificate's times, which have four digits, have run out.
const YEAR_10_000: Duration = Duration::from_secs(253_402_300_800);
