use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use crate::{
    ALPN, CertificateAuthority, CertificateError, Certificates, insecure_client_config,
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

fn configs(certificates: &Certificates) -> (ServerConfig, ClientConfig) {
    (
        certificates.server_config(ALPN),
        certificates.client_config(ALPN),
    )
}

/// Runs a handshake in memory until both sides are content, or one is not.
fn shake_hands(server: ServerConfig, client: ClientConfig, host: &str) -> io::Result<()> {
    let host = ServerName::try_from(host.to_owned()).unwrap();
    let client = ClientConnection::new(Arc::new(client), host).unwrap();
    let server = ServerConnection::new(Arc::new(server)).unwrap();
    let (mut client, mut server) = (Connection::from(client), Connection::from(server));
    while client.wants_write() || server.wants_write() {
        pass_on(&mut client, &mut server)?;
        pass_on(&mut server, &mut client)?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(())
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

const HOST: &str = "localhost";
