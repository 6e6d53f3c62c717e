use rpc_core::transport::TransportError;
use rpc_transport_tcp::Tcp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{connected, echo, ends, listen, loopback};

#[tokio::test]
async fn every_stream_is_a_connection_of_its_own_to_the_side_that_accepts() {
    let mut listener = listen(loopback()).await;
    let (dialled, accepted) = connected(listener.as_mut(), &Tcp::dial_only()).await;
    assert_eq!(dialled.peer(), listener.authority());

    let first = dialled.open_stream().await.unwrap();
    let first = echo(first, accepted.accept_stream().await.unwrap()).await;
    let second = dialled.open_stream().await.unwrap();
    let another = listener.accept().await.unwrap();
    assert_ne!(accepted.peer(), another.peer());
    let second = echo(second, another.accept_stream().await.unwrap()).await;

    // One ends; the other goes on.
    drop(first);
    echo(second.0, second.1).await;
}

#[tokio::test]
async fn a_side_that_accepted_bears_one_stream_and_opens_none() {
    let mut listener = listen(loopback()).await;
    let (dialled, accepted) = connected(listener.as_mut(), &Tcp::dial_only()).await;
    let _stream = accepted.accept_stream().await.unwrap();

    let refusal = accepted.accept_stream().await.unwrap_err();
    assert!(matches!(refusal, TransportError::Closed { .. }));
    let refusal = dialled.accept_stream().await.unwrap_err();
    assert!(matches!(refusal, TransportError::Closed { .. }));
    let refusal = accepted.open_stream().await.unwrap_err();
    assert!(matches!(refusal, TransportError::Config { .. }));
}

#[tokio::test]
async fn closing_ends_every_stream_that_was_opened() {
    let mut listener = listen(loopback()).await;
    let (dialled, accepted) = connected(listener.as_mut(), &Tcp::dial_only()).await;
    let mut streams = Vec::new();
    streams.push(dialled.open_stream().await.unwrap());
    streams.push(accepted.accept_stream().await.unwrap());
    // Enough of them that the list of sockets is swept on the way.
    for _ in 0..40 {
        streams.push(dialled.open_stream().await.unwrap());
        let accepted = listener.accept().await.unwrap();
        streams.push(accepted.accept_stream().await.unwrap());
        drop(streams.drain(3..).next());
    }

    dialled.close();
    for stream in &mut streams {
        ends(stream).await;
    }
    let refused = streams[0].writer.write(b"x").await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::BrokenPipe);
    let refusal = dialled.open_stream().await.unwrap_err();
    assert!(matches!(refusal, TransportError::Closed { .. }));
}

#[tokio::test]
async fn closing_is_seen_by_whoever_reads_already() {
    let mut listener = listen(loopback()).await;
    let (dialled, accepted) = connected(listener.as_mut(), &Tcp::dial_only()).await;
    let mut ours = dialled.open_stream().await.unwrap();
    let mut theirs = accepted.accept_stream().await.unwrap();
    let closing = async { accepted.close() };
    tokio::join!(biased; ends(&mut ours), ends(&mut theirs), closing);
    assert!(matches!(
        accepted.open_stream().await.unwrap_err(),
        TransportError::Closed { .. }
    ));
}

#[tokio::test]
async fn closing_before_any_stream_is_seen_too() {
    let mut listener = listen(loopback()).await;
    let (dialled, accepted) = connected(listener.as_mut(), &Tcp::dial_only()).await;
    accepted.close();
    assert!(matches!(
        accepted.accept_stream().await.unwrap_err(),
        TransportError::Closed { .. }
    ));
    ends(&mut dialled.open_stream().await.unwrap()).await;

    let (dialled, accepted) = connected(listener.as_mut(), &Tcp::dial_only()).await;
    dialled.close();
    ends(&mut accepted.accept_stream().await.unwrap()).await;
}

#[tokio::test]
async fn dropping_the_writer_is_the_end_for_the_peers_reader_only() {
    let mut listener = listen(loopback()).await;
    let (dialled, accepted) = connected(listener.as_mut(), &Tcp::dial_only()).await;
    let mut ours = dialled.open_stream().await.unwrap();
    let mut theirs = accepted.accept_stream().await.unwrap();
    assert!(ours.writer.is_write_vectored());

    drop(ours.writer);
    ends(&mut theirs).await;
    theirs.writer.write_all(b"bye").await.unwrap();
    drop(theirs);
    let mut heard = Vec::new();
    ours.reader.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"bye");
}
