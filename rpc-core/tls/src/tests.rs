use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, Connection, HandshakeKind, ServerConfig, ServerConnection,
};

use crate::testing::{Client, refusals};
use crate::{
    ALPN, CertificateAuthority, CertificateError, CertificateRequest, CertificateStore,
    Certificates, Fingerprint, PeerCertificate, explain, insecure_client_config,
    insecure_server_config,
};

#[test]
fn nodes_of_one_authority_trust_each_other() {
    let authority = CertificateAuthority::generate().unwrap();
    let server = authority.issue(&["server.example", "10.1.2.3"]).unwrap();
    let client = authority.issue(&[]).unwrap();

    for host in [
        "server.example",
        "10.1.2.3",
        "localhost",
        "127.0.0.1",
        "::1",
    ] {
        shake_hands(server.server_config(ALPN), client.client_config(ALPN), host).unwrap();
    }
}

#[test]
fn a_server_of_another_name_is_refused() {
    let certificates = Certificates::generate(&["server.example"]).unwrap();
    let (server, client) = configs(&certificates);
    let refusal = shake_hands(server, client, "other.example").unwrap_err();
    assert!(refusal.to_string().contains("other.example"), "{refusal}");
}

#[test]
fn a_certificate_of_another_authority_is_refused_on_both_sides() {
    let ours = Certificates::generate(&[]).unwrap();
    let theirs = Certificates::generate(&[]).unwrap();
    let mixed = |shown: &Certificates, trusted: &Certificates| {
        Certificates::from_pem(shown.cert_pem(), shown.key_pem(), trusted.ca_pem()).unwrap()
    };

    // The client trusts the server, but not the other way round; and the reverse.
    let client = mixed(&theirs, &ours);
    let refusal =
        shake_hands(ours.server_config(ALPN), client.client_config(ALPN), HOST).unwrap_err();
    assert!(refusal.to_string().contains("UnknownIssuer"), "{refusal}");
    let server = mixed(&theirs, &ours);
    shake_hands(server.server_config(ALPN), ours.client_config(ALPN), HOST).unwrap_err();
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let certificates = Certificates::generate(&[]).unwrap();
    let server = certificates.server_config(ALPN);
    let refusal = shake_hands(server, insecure_client_config(ALPN), HOST).unwrap_err();
    assert!(
        refusal.to_string().contains("sent no certificates"),
        "{refusal}"
    );
}

#[test]
fn the_insecure_pair_trusts_blindly() {
    let server = insecure_server_config(ALPN).unwrap();
    shake_hands(server, insecure_client_config(ALPN), HOST).unwrap();
}

#[test]
fn another_protocol_is_refused() {
    let certificates = Certificates::generate(&[]).unwrap();
    let server = certificates.server_config(ALPN);
    shake_hands(server, certificates.client_config(b"h2"), HOST).unwrap_err();
}

#[test]
fn pem_survives_the_round_trip() {
    let made = Certificates::generate(&["node.example"]).unwrap();
    let read = Certificates::from_pem(made.cert_pem(), made.key_pem(), made.ca_pem()).unwrap();
    assert_eq!(read.cert_pem(), made.cert_pem());
    assert_eq!(read.key_pem(), made.key_pem());
    assert_eq!(read.ca_pem(), made.ca_pem());
}

// Flink: SSLContextLoaderTest#testCreaseSSLContextLoaderWithUnexistedCertificates
// Flink: SSLContextLoaderTest#testCreaseSSLContextLoaderWithWrongPekkoConfig
#[test]
fn files_are_read_and_named_when_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let made = Certificates::generate(&["node.example"]).unwrap();
    let write = |name: &str, text: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let cert = write("node.pem", made.cert_pem());
    let key = write("node.key", made.key_pem());
    let ca = write("ca.pem", made.ca_pem());
    let absent = directory.path().join("absent.pem");
    let junk = write("junk.pem", "nothing of use".to_owned());
    let cut = write("cut.pem", made.cert_pem().replace("END", "ENDE"));
    let broken_ca = write(
        "broken.pem",
        pem::encode(&pem::Pem::new("CERTIFICATE", b"?".as_slice())),
    );

    Certificates::from_pem_files(&cert, &key, &ca).unwrap();
    let message = |cert, key, ca| {
        Certificates::from_pem_files(cert, key, ca)
            .unwrap_err()
            .to_string()
    };
    let says = |message: String, name: &str, what: &str| {
        assert!(message.contains(name), "{message}");
        assert!(message.contains(what), "{message}");
    };
    says(message(&absent, &key, &ca), "absent.pem", "cannot read");
    says(message(&cert, &absent, &ca), "absent.pem", "cannot read");
    says(message(&junk, &key, &ca), "junk.pem", "no certificate");
    says(message(&cut, &key, &ca), "cut.pem", "not PEM");
    says(message(&cert, &cert, &ca), "node.pem", "no private key");
    says(message(&cert, &key, &key), "node.key", "no CA certificate");
    says(message(&cert, &key, &broken_ca), "broken.pem", "unusable");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let one = Certificates::generate(&[]).unwrap();
    let two = Certificates::generate(&[]).unwrap();
    let refusal = Certificates::from_pem(one.cert_pem(), two.key_pem(), one.ca_pem()).unwrap_err();
    assert!(
        matches!(refusal, CertificateError::Key { .. }),
        "{refusal:?}"
    );
    let cause = refusal.source().unwrap().to_string();
    assert!(cause.contains("KeyMismatch"), "{cause}");
}

#[test]
fn a_name_that_no_certificate_can_carry_is_named() {
    let refusal = Certificates::generate(&["bücher.example"]).unwrap_err();
    assert!(refusal.to_string().contains("bücher.example"), "{refusal}");
}

#[test]
fn the_key_is_not_shown() {
    let certificates = Certificates::generate(&[]).unwrap();
    let shown = format!("{certificates:?}");
    assert_eq!(shown, "Certificates { chain: 1, authorities: 1, .. }");
}

#[test]
fn every_refusal_is_put_into_words_on_both_sides() {
    for case in refusals() {
        let client = match case.client {
            Client::Ours(certificates) => certificates.client(),
            Client::Other(config) => Arc::new(*config),
        };
        let (client_says, server_says) = both_say(case.server.server(), client);
        let name = case.name;
        assert!(
            client_says.contains(&case.client_says),
            "{name}: {client_says}"
        );
        assert!(
            server_says.contains(&case.server_says),
            "{name}: {server_says}"
        );
    }
}

#[test]
fn the_words_have_the_error_of_rustls_as_their_source() {
    let error = rustls::Error::NoCertificatesPresented;
    let error = explain(io::Error::new(io::ErrorKind::InvalidData, error));
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let source = error.source().unwrap();
    let source = source.downcast_ref::<rustls::Error>();
    assert_eq!(source, Some(&rustls::Error::NoCertificatesPresented));

    let other = explain(io::ErrorKind::BrokenPipe.into());
    assert_eq!(other.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_certificate_tells_the_roles_and_names_that_were_asked_for() {
    let authority = CertificateAuthority::generate().unwrap();
    let request = CertificateRequest {
        names: vec!["node.example".to_owned(), "10.0.0.1".to_owned()],
        roles: vec!["task-executor".to_owned(), "dispatcher".to_owned()],
        ..CertificateRequest::default()
    };
    let server = authority.issue_with(&request).unwrap();
    let client = authority.issue(&[]).unwrap();

    let (client_side, server_side) =
        shake_hands(server.server(), client.client(), "node.example").unwrap();
    let of = |side: Connection| PeerCertificate::of(side.peer_certificates().unwrap()).unwrap();
    let (server_shown, client_shown) = (of(client_side), of(server_side));
    assert_eq!(server_shown.roles, ["task-executor", "dispatcher"]);
    assert_eq!(server_shown.names, ["node.example", "localhost"]);
    assert_eq!(server_shown.fingerprint, server.fingerprint());
    assert_eq!(client_shown.roles, [""; 0]);
    assert_eq!(client_shown.fingerprint, client.fingerprint());
    assert_eq!(PeerCertificate::of(&[]), None);
}

#[test]
fn what_no_certificate_can_say_is_named() {
    let authority = CertificateAuthority::generate().unwrap();
    for role in ["", "two words", "a:b", "rôle"] {
        let request = CertificateRequest {
            roles: vec![role.to_owned()],
            ..CertificateRequest::default()
        };
        let refusal = authority.issue_with(&request).unwrap_err();
        let cause = refusal.source().unwrap().to_string();
        assert!(cause.contains(&format!("`{role}`")), "{cause}");
    }
    let mut request = CertificateRequest {
        not_after: Some(UNIX_EPOCH + Duration::from_secs(1 << 40)),
        ..CertificateRequest::default()
    };
    authority.issue_with(&request).unwrap_err();
    request.not_after = Some(UNIX_EPOCH - Duration::from_secs(1));
    authority.issue_with(&request).unwrap_err();
}

// Flink: PekkoUtilsTest#getConfigSslEngineProviderWithoutCertFingerprint
// Flink: PekkoUtilsTest#getConfigSslEngineProviderWithCertFingerprint
#[test]
fn a_pinned_certificate_is_admitted_and_without_pins_each_of_the_authority() {
    let authority = CertificateAuthority::generate().unwrap();
    let (one, two) = (authority.issue(&[]).unwrap(), authority.issue(&[]).unwrap());
    shake_hands(one.server(), two.client(), HOST).unwrap();

    let pinned = one.clone().pin([one.fingerprint(), two.fingerprint()]);
    shake_hands(pinned.server(), two.client(), HOST).unwrap();
    shake_hands(two.server(), pinned.client(), HOST).unwrap();
    let nobody = one.clone().pin([]);
    shake_hands(nobody.server(), two.client(), HOST).unwrap_err();
    // A pin alone is not enough: it says nothing for a certificate of another authority.
    let stranger = Certificates::generate(&[]).unwrap();
    let pinned = one.pin([stranger.fingerprint()]);
    let refusal = shake_hands(pinned.server(), stranger.client(), HOST).unwrap_err();
    assert!(refusal.to_string().contains("UnknownIssuer"), "{refusal}");
}

#[test]
fn a_fingerprint_is_read_in_the_ways_it_is_written() {
    let digits = "00:0F:".to_owned() + &"ab".repeat(29) + ":Ff";
    let read: Fingerprint = digits.parse().unwrap();
    assert_eq!(read.to_bytes()[..3], [0, 15, 0xab]);
    assert_eq!(
        read.to_string(),
        "000f".to_owned() + &"ab".repeat(29) + "ff"
    );
    assert_eq!(Fingerprint::from(read.to_bytes()), read);
    for text in [
        "",
        "ab",
        &"x".repeat(64),
        &"a".repeat(63),
        &"a".repeat(65),
        &"é".repeat(64),
    ] {
        let refusal = text.parse::<Fingerprint>().unwrap_err().to_string();
        assert!(refusal.contains(&format!("`{text}`")), "{refusal}");
    }
    let refusal = Fingerprint::of_pem("nothing").unwrap_err();
    assert!(refusal.to_string().contains("no certificate"), "{refusal}");
}

#[test]
fn no_session_is_resumed_and_no_early_data_is_taken() {
    let node = Certificates::generate(&[]).unwrap();
    let (server, client) = (node.server(), node.client());
    let insecure = insecure_server_config(ALPN).unwrap();
    for server in [&*server, &insecure] {
        assert_eq!(server.max_early_data_size, 0);
        assert_eq!(server.send_tls13_tickets, 0);
    }
    assert!(!client.enable_early_data && !insecure_client_config(ALPN).enable_early_data);

    for _ in 0..2 {
        let shaken = shake_hands(Arc::clone(&server), Arc::clone(&client), HOST);
        let (client, server) = shaken.unwrap();
        assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[test]
fn a_store_takes_what_is_in_the_files_when_told_to() {
    let authority = CertificateAuthority::generate().unwrap();
    let old = authority.issue(&[]).unwrap();
    let folder = Folder::of(&old);
    let store = CertificateStore::new(folder.read().pin([old.fingerprint()]));
    let handle = store.clone();

    let renewed = authority.issue(&[]).unwrap();
    folder.write("node.pem", &renewed.cert_pem());
    folder.write("node.key", &renewed.key_pem());
    assert_eq!(handle.current().fingerprint(), old.fingerprint());
    store.reload().unwrap();
    assert_eq!(handle.current().fingerprint(), renewed.fingerprint());

    // What is pinned stays pinned: the renewed certificate is not.
    let server = handle.current().server();
    shake_hands(Arc::clone(&server), old.client(), HOST).unwrap();
    shake_hands(server, renewed.client(), HOST).unwrap_err();
}

#[test]
fn a_reload_that_fails_names_the_file_and_leaves_what_was() {
    let old = Certificates::generate(&[]).unwrap();
    let folder = Folder::of(&old);
    let store = CertificateStore::new(folder.read());
    let fails = |name: &str| {
        let refusal = store.reload().unwrap_err().to_string();
        assert!(refusal.contains(name), "{refusal}");
        assert_eq!(store.current().fingerprint(), old.fingerprint());
        assert_eq!(store.current().ca_pem(), old.ca_pem());
    };
    folder.write("ca.pem", "nothing of use");
    fails("ca.pem");
    folder.write("ca.pem", &old.ca_pem());
    // The certificate is new, and the key is yet to come.
    let renewed = Certificates::generate(&[]).unwrap();
    folder.write("node.pem", &renewed.cert_pem());
    fails("node.key");
    std::fs::remove_file(folder.0.path().join("node.pem")).unwrap();
    fails("node.pem");

    let made = CertificateStore::from(old.clone());
    let refusal = made.reload().unwrap_err();
    assert!(matches!(refusal, CertificateError::NoFiles), "{refusal:?}");
}

#[test]
fn whom_the_new_authority_would_refuse_does_not_come_back() {
    let node = Certificates::generate(&[]).unwrap();
    let peer = node.client();
    let store = CertificateStore::new(node);
    let server = store.current().server();
    shake_hands(server, Arc::clone(&peer), HOST).unwrap();

    let other = Certificates::generate(&[]).unwrap();
    let moved = Certificates::from_pem(
        store.current().cert_pem(),
        store.current().key_pem(),
        other.ca_pem(),
    );
    store.replace(moved.unwrap());
    let refusal = shake_hands(store.current().server(), peer, HOST).unwrap_err();
    assert!(refusal.to_string().contains("UnknownIssuer"), "{refusal}");
}

fn configs(certificates: &Certificates) -> (ServerConfig, ClientConfig) {
    (
        certificates.server_config(ALPN),
        certificates.client_config(ALPN),
    )
}

/// Runs a handshake in memory until both sides are content, or one is not.
fn shake_hands(
    server: impl Into<Arc<ServerConfig>>,
    client: impl Into<Arc<ClientConfig>>,
    host: &str,
) -> io::Result<(Connection, Connection)> {
    let host = ServerName::try_from(host.to_owned()).unwrap();
    let client = ClientConnection::new(client.into(), host).unwrap();
    let server = ServerConnection::new(server.into()).unwrap();
    let (mut client, mut server) = (Connection::from(client), Connection::from(server));
    while client.wants_write() || server.wants_write() {
        pass_on(&mut client, &mut server)?;
        pass_on(&mut server, &mut client)?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok((client, server))
}

fn pass_on(from: &mut Connection, to: &mut Connection) -> io::Result<()> {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire)?;
    }
    let mut unread = wire.as_slice();
    while !unread.is_empty() {
        to.read_tls(&mut unread)?;
        to.process_new_packets().map_err(io::Error::other)?;
    }
    Ok(())
}

/// Returns what each side says of a handshake that fails: the client, and the server.
fn both_say(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> (String, String) {
    let host = ServerName::try_from(HOST).unwrap();
    let mut client = Connection::from(ClientConnection::new(client, host).unwrap());
    let mut server = Connection::from(ServerConnection::new(server).unwrap());
    let (mut client_says, mut server_says) = (None, None);
    while client.wants_write() || server.wants_write() {
        let heard = pass_on(&mut client, &mut server);
        server_says = server_says.or_else(|| heard.err());
        let heard = pass_on(&mut server, &mut client);
        client_says = client_says.or_else(|| heard.err());
    }
    let words = |error: Option<io::Error>| match error {
        Some(error) => explain(error).to_string(),
        None => "all is well".to_owned(),
    };
    (words(client_says), words(server_says))
}

/// As an operator writes them: a file's three parts.
struct Folder(tempfile::TempDir);

impl Folder {
    fn of(certificates: &Certificates) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("node.pem", &certificates.cert_pem());
        folder.write("node.key", &certificates.key_pem());
        folder.write("ca.pem", &certificates.ca_pem());
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn read(&self) -> Certificates {
        let [cert, key, ca] = ["node.pem", "node.key", "ca.pem"].map(|it| self.0.path().join(it));
        Certificates::from_pem_files(cert, key, ca).unwrap()
    }
}

const HOST: &str = "localhost";
