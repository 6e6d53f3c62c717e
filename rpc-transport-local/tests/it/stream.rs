use std::io;

use rpc_core::transport::TransportError;
use rpc_transport_local::LocalConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::connected;

#[tokio::test]
async fn both_sides_open_streams() {
    let (dialled, accepted) = connected(LocalConfig::default()).await;
    for (opener, other) in [(&dialled, &accepted), (&accepted, &dialled)] {
        let mut ours = opener.open_stream().await.unwrap();
        let mut theirs = other.accept_stream().await.unwrap();
        ours.writer.write_all(b"ping").await.unwrap();
        let mut heard = [0; 4];
        theirs.reader.read_exact(&mut heard).await.unwrap();
        theirs.writer.write_all(&heard).await.unwrap();
        ours.reader.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"ping");
    }
}

#[tokio::test]
async fn closing_one_side_ends_everything_on_both() {
    let (dialled, accepted) = connected(LocalConfig::default()).await;
    let mut ours = dialled.open_stream().await.unwrap();
    let mut theirs = accepted.accept_stream().await.unwrap();
    ours.writer.write_all(b"last").await.unwrap();

    // Whoever waits is woken.
    let closing = async { dialled.close() };
    let mut byte = [0];
    let (here, there, read, ()) = tokio::join!(
        biased;
        dialled.accept_stream(),
        accepted.accept_stream(),
        ours.reader.read(&mut byte),
        closing,
    );
    assert!(is_closed(&here.unwrap_err()) && is_closed(&there.unwrap_err()));
    assert_eq!(read.unwrap(), 0);

    let mut read = Vec::new();
    theirs.reader.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"last");
    for stream in [&mut ours, &mut theirs] {
        let refused = stream.writer.write(b"more").await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);
    }
    for side in [&dialled, &accepted] {
        assert!(is_closed(&side.open_stream().await.unwrap_err()));
    }
}

#[tokio::test]
async fn a_dropped_connection_is_seen_but_leaves_its_streams_alone() {
    let (dialled, accepted) = connected(LocalConfig::default()).await;
    let mut ours = dialled.open_stream().await.unwrap();
    let mut theirs = accepted.accept_stream().await.unwrap();
    drop(dialled);

    assert!(is_closed(&accepted.accept_stream().await.unwrap_err()));
    assert!(is_closed(&accepted.open_stream().await.unwrap_err()));
    ours.writer.write_all(b"x").await.unwrap();
    assert_eq!(theirs.reader.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn a_stream_that_nobody_accepted_ends_with_its_connection() {
    let (dialled, accepted) = connected(LocalConfig::default()).await;
    let mut ours = dialled.open_stream().await.unwrap();
    drop(accepted);
    assert_eq!(ours.reader.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn opening_waits_for_room_and_is_woken_by_close() {
    let mut config = LocalConfig::default();
    config.stream_backlog = 1;
    let (dialled, accepted) = connected(config).await;
    let _first = dialled.open_stream().await.unwrap();

    let (second, taken) = tokio::join!(biased; dialled.open_stream(), accepted.accept_stream());
    let (_second, _taken) = (second.unwrap(), taken.unwrap());
    let closing = async { accepted.close() };
    let (third, ()) = tokio::join!(biased; dialled.open_stream(), closing);
    assert!(is_closed(&third.unwrap_err()));
}

/// The list of a connection's pipes is swept as it grows, without losing those alive.
#[tokio::test]
async fn a_stream_that_outlives_many_is_still_closed() {
    let (dialled, accepted) = connected(LocalConfig::default()).await;
    let mut ours = dialled.open_stream().await.unwrap();
    let _theirs = accepted.accept_stream().await.unwrap();
    for _ in 0..100 {
        dialled.open_stream().await.unwrap();
        accepted.accept_stream().await.unwrap();
    }
    accepted.close();
    assert_eq!(ours.reader.read(&mut [0]).await.unwrap(), 0);
}

fn is_closed(error: &TransportError) -> bool {
    matches!(error, TransportError::Closed { .. })
}
