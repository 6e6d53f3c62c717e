use rpc_transport_quic::{Quic, QuicConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{connected, echo, is_closed, is_connect, listen, loopback};

#[tokio::test]
async fn both_sides_open_streams_on_one_connection() {
    let server = loopback();
    let mut listener = listen(&server).await;
    let client = Quic::dial_only().insecure();
    let (mut ours, mut theirs) = connected(listener.as_mut(), &client).await;
    assert_eq!(ours.0.peer(), listener.authority());
    echo(&mut ours.1, &mut theirs.1).await;

    for _ in 0..10 {
        let mut opened = theirs.0.open_stream().await.unwrap();
        opened.writer.write_all(b"?").await.unwrap();
        let mut accepted = ours.0.accept_stream().await.unwrap();
        assert_eq!(accepted.reader.read_u8().await.unwrap(), b'?');
        echo(&mut accepted, &mut opened).await;
    }
    echo(&mut ours.1, &mut theirs.1).await;
}

#[tokio::test]
async fn a_stream_that_is_not_read_keeps_no_other_waiting() {
    let mut config = QuicConfig::default();
    config.stream_window_bytes = 1000;
    let server = loopback().config(config);
    let mut listener = listen(&server).await;
    let client = Quic::dial_only().insecure();
    let (mut ours, mut theirs) = connected(listener.as_mut(), &client).await;

    let mut large = ours.0.open_stream().await.unwrap();
    let writing = large.writer.write_all(&[7; 100_000]);
    let mut unread = None;
    let echoing = async {
        unread = Some(theirs.0.accept_stream().await.unwrap());
        echo(&mut ours.1, &mut theirs.1).await;
    };
    tokio::select! {
        biased;
        _ = writing => panic!("the window is smaller than what is written"),
        () = echoing => {}
    }
}

#[tokio::test]
async fn streams_beyond_the_limit_wait_for_one_to_end() {
    let mut config = QuicConfig::default();
    config.streams_max = 1;
    let server = loopback().config(config);
    let mut listener = listen(&server).await;
    let client = Quic::dial_only().insecure();
    let (ours, theirs) = connected(listener.as_mut(), &client).await;

    let ending = async {
        drop(ours.1);
        drop(theirs.1);
    };
    let (second, ()) = tokio::join!(biased; ours.0.open_stream(), ending);
    second.unwrap();
}

#[tokio::test]
async fn a_dropped_writer_is_the_end_after_all_that_was_written() {
    let server = loopback();
    let mut listener = listen(&server).await;
    let client = Quic::dial_only().insecure();
    let (mut ours, mut theirs) = connected(listener.as_mut(), &client).await;

    let sent = vec![7; 100_000];
    let writing = async {
        ours.1.writer.write_all(&sent).await.unwrap();
        drop(ours.1.writer);
    };
    let mut heard = Vec::new();
    let (_, read) = tokio::join!(writing, theirs.1.reader.read_to_end(&mut heard));
    read.unwrap();
    assert!(heard == sent);

    theirs.1.writer.write_all(b"bye").await.unwrap();
    theirs.1.writer.shutdown().await.unwrap();
    heard.clear();
    ours.1.reader.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"bye");
}

#[tokio::test]
async fn closing_ends_streams_and_waits_on_both_sides() {
    let server = loopback();
    let mut listener = listen(&server).await;
    let client = Quic::dial_only().insecure();
    let (mut ours, mut theirs) = connected(listener.as_mut(), &client).await;

    let closing = async { theirs.0.close() };
    let (mut here, mut there) = ([0], [0]);
    let waits = tokio::join!(
        biased;
        ours.0.accept_stream(),
        theirs.0.accept_stream(),
        ours.1.reader.read(&mut here),
        theirs.1.reader.read(&mut there),
        closing,
    );
    assert!(is_closed(&waits.0.unwrap_err()) && is_closed(&waits.1.unwrap_err()));
    assert!(waits.2.is_err() && waits.3.is_err());
    for side in [&mut ours, &mut theirs] {
        side.1.writer.write(b"x").await.unwrap_err();
        assert!(is_closed(&side.0.open_stream().await.unwrap_err()));
    }
}

#[tokio::test]
async fn dropping_a_connection_with_its_streams_closes_it() {
    let server = loopback();
    let mut listener = listen(&server).await;
    let client = Quic::dial_only().insecure();
    let (ours, theirs) = connected(listener.as_mut(), &client).await;
    drop(ours);
    assert!(is_closed(&theirs.0.accept_stream().await.unwrap_err()));
}

#[tokio::test]
async fn closing_before_the_handshake_refuses_the_dialler() {
    use rpc_core::transport::Transport;

    let server = loopback();
    let mut listener = listen(&server).await;
    let address = listener.authority();
    let client = Quic::dial_only().insecure();
    let refusing = async {
        let connection = listener.accept().await.unwrap();
        connection.close();
        connection
    };
    let (dialled, refused) = tokio::join!(client.connect(&address), refusing);
    assert!(is_connect(&dialled.unwrap_err()));
    assert!(is_closed(&refused.accept_stream().await.unwrap_err()));
    assert!(is_closed(&refused.open_stream().await.unwrap_err()));
}
