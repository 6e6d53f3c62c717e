//! The peers that a transport with certificates has to refuse, for the transports' own tests.

use std::time::{Duration, UNIX_EPOCH};

use rustls::ClientConfig;

use crate::{
    ALPN, CertificateAuthority, CertificateRequest, Certificates, Usage, insecure_client_config,
};

/// Two sides that must not come together.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// What is wrong.
    pub name: &'static str,
    /// By what the side that is dialled judges, and what it shows.
    pub server: Certificates,
    /// The side that dials.
    pub client: Client,
    /// What the side that is dialled says of it.
    pub server_says: String,
    /// What the side that dials says of it.
    pub client_says: String,
}

/// The side that dials.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a test takes care of each")]
pub enum Client {
    /// The transport itself, with these certificates.
    Ours(Certificates),
    /// Another client of TLS, which the transport cannot be.
    Other(Box<ClientConfig>),
}

/// Returns every case that is the same for each transport.
///
/// # Panics
///
/// It does if the system gives no random bytes.
#[must_use]
pub fn refusals() -> Vec<Refusal> {
    let authority = CertificateAuthority::generate().expect("random bytes");
    let node = issue(&authority, |_| ());
    let mut refusals = of_clients(&authority, &node);
    refusals.extend(of_servers(&authority, &node));
    refusals.push(Refusal {
        name: "a client of another version of the protocol",
        server: node.clone(),
        client: Client::Other(Box::new(node.client_config(b"arpc/0"))),
        server_says: "another protocol".to_owned(),
        client_says: "another protocol".to_owned(),
    });
    refusals
}

/// Cases in which the server refuses the client, who has found nothing wrong.
fn of_clients(authority: &CertificateAuthority, node: &Certificates) -> Vec<Refusal> {
    let case =
        |name, server: &Certificates, client, server_says: &str, client_says: &str| Refusal {
            name,
            server: server.clone(),
            client,
            server_says: server_says.to_owned(),
            client_says: client_says.to_owned(),
        };
    let brief = brief(authority);
    let pinned = node.clone().pin([node.fingerprint()]);
    let unpinned = issue(authority, |_| ());
    let server_only = issue(authority, |it| it.usage = Usage::Server);
    vec![
        case(
            "a client without a certificate",
            node,
            Client::Other(Box::new(insecure_client_config(ALPN))),
            "shows no certificate",
            "demands a certificate",
        ),
        case(
            "a client of another authority",
            node,
            Client::Ours(stranger(node)),
            "no authority that is trusted here",
            "no authority that is trusted there",
        ),
        case(
            "a client whose certificate has expired",
            &node
                .clone()
                .judging_at(UNIX_EPOCH + Duration::from_secs(END + 1)),
            Client::Ours(brief.clone()),
            "has expired",
            "by its clock",
        ),
        case(
            "a client whose certificate is not valid yet",
            &node
                .clone()
                .judging_at(UNIX_EPOCH + Duration::from_secs(START - 1)),
            Client::Ours(brief),
            "is not valid yet",
            "by its clock",
        ),
        case(
            "a client with the certificate of a server",
            node,
            Client::Ours(server_only),
            "not for its side",
            "not for our side",
        ),
        case(
            "a client that is not pinned",
            &pinned,
            Client::Ours(unpinned.clone()),
            &format!("its fingerprint is {}", unpinned.fingerprint()),
            "none of those pinned there",
        ),
    ]
}

/// Cases in which the client refuses the server.
fn of_servers(authority: &CertificateAuthority, node: &Certificates) -> Vec<Refusal> {
    let case = |name, server, client, server_says: &str, client_says: &str| Refusal {
        name,
        server,
        client: Client::Ours(client),
        server_says: server_says.to_owned(),
        client_says: client_says.to_owned(),
    };
    let at = |seconds| {
        node.clone()
            .judging_at(UNIX_EPOCH + Duration::from_secs(seconds))
    };
    let brief = brief(authority);
    let pinned = node.clone().pin([node.fingerprint()]);
    let unpinned = issue(authority, |_| ());
    let fingerprint = format!("its fingerprint is {}", unpinned.fingerprint());
    vec![
        case(
            "a server of another authority",
            stranger(node),
            node.clone(),
            "no authority that is trusted there",
            "no authority that is trusted here",
        ),
        case(
            "a server of another name",
            issue(authority, |it| {
                it.names = vec!["elsewhere.example".to_owned()];
                it.loopback = false;
            }),
            node.clone(),
            "may not be valid for the host",
            "not valid for the host",
        ),
        case(
            "a server whose certificate has expired",
            brief.clone(),
            at(END + 1),
            "by its clock",
            "has expired",
        ),
        case(
            "a server whose certificate is not valid yet",
            brief,
            at(START - 1),
            "by its clock",
            "is not valid yet",
        ),
        case(
            "a server with the certificate of a client",
            issue(authority, |it| it.usage = Usage::Client),
            node.clone(),
            "not for our side",
            "not for its side",
        ),
        case(
            "a server that is not pinned",
            unpinned,
            pinned,
            "none of those pinned there",
            &fingerprint,
        ),
    ]
}

fn issue(
    authority: &CertificateAuthority,
    ask: impl FnOnce(&mut CertificateRequest),
) -> Certificates {
    let mut request = CertificateRequest::default();
    ask(&mut request);
    authority.issue_with(&request).expect("a plain request")
}

/// A certificate that is valid for an hour only.
fn brief(authority: &CertificateAuthority) -> Certificates {
    issue(authority, |it| {
        it.not_before = Some(UNIX_EPOCH + Duration::from_secs(START));
        it.not_after = Some(UNIX_EPOCH + Duration::from_secs(END));
    })
}

/// Somebody who trusts a node's authority, but has a certificate of another.
fn stranger(node: &Certificates) -> Certificates {
    let shown = Certificates::generate(&[]).expect("random bytes");
    let mixed = Certificates::from_pem(shown.cert_pem(), shown.key_pem(), node.ca_pem());
    mixed.expect("these were certificates before")
}

const START: u64 = 1_000_000_000;
const END: u64 = START + 3600;
