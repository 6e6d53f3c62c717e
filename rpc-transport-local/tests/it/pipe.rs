use std::io::{self, IoSlice};

use rpc_core::transport::Stream;
use rpc_transport_local::LocalConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::connected;

#[tokio::test]
async fn a_pipe_holds_no_more_than_its_limit() {
    let (mut ours, mut theirs) = stream(4).await;
    assert_eq!(ours.writer.write(b"abcdef").await.unwrap(), 4);

    let write = ours.writer.write(b"ef");
    let read = async {
        let mut some = [0; 3];
        theirs.reader.read_exact(&mut some).await.unwrap();
        some
    };
    // The write waits for the read; run in turn, they would hang.
    let (written, read) = tokio::join!(biased; write, read);
    assert_eq!((written.unwrap(), &read), (2, b"abc"));
}

#[tokio::test]
async fn many_times_the_limit_goes_through_in_order() {
    let (mut ours, mut theirs) = stream(1000).await;
    let sent: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let writing = async {
        ours.writer.write_all(&sent).await.unwrap();
        ours.writer.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let reading = theirs.reader.read_to_end(&mut received);
    tokio::join!(writing, reading).1.unwrap();
    assert!(sent == received);
}

#[tokio::test]
async fn slices_are_written_together() {
    let (mut ours, mut theirs) = stream(5).await;
    assert!(ours.writer.is_write_vectored());
    let slices = [
        IoSlice::new(b"abc"),
        IoSlice::new(b""),
        IoSlice::new(b"def"),
    ];
    assert_eq!(ours.writer.write_vectored(&slices).await.unwrap(), 5);

    let mut read = [0; 8];
    assert_eq!(theirs.reader.read(&mut read).await.unwrap(), 5);
    assert_eq!(&read[..5], b"abcde");
}

#[tokio::test]
async fn shutting_the_writer_down_is_the_end_for_the_reader_only() {
    let (mut ours, mut theirs) = stream(16).await;
    ours.writer.write_all(b"last").await.unwrap();
    ours.writer.shutdown().await.unwrap();
    let refused = ours.writer.write(b"more").await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);

    let mut read = Vec::new();
    theirs.reader.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"last");
    theirs.writer.write_all(b"yes").await.unwrap();
    let mut answer = [0; 3];
    ours.reader.read_exact(&mut answer).await.unwrap();
}

#[tokio::test]
async fn a_dropped_half_is_seen_by_the_half_that_waits_for_it() {
    let (ours, mut theirs) = stream(1).await;
    let mut byte = [0];
    let reading = theirs.reader.read(&mut byte);
    let dropping = async { drop(ours.writer) };
    assert_eq!(tokio::join!(biased; reading, dropping).0.unwrap(), 0);

    theirs.writer.write_all(b"x").await.unwrap();
    let writing = theirs.writer.write_all(b"y");
    let dropping = async { drop(ours.reader) };
    let refused = tokio::join!(biased; writing, dropping).0.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);
}

async fn stream(pipe_bytes: usize) -> (Stream, Stream) {
    let mut config = LocalConfig::default();
    config.pipe_bytes = pipe_bytes;
    let (dialled, accepted) = connected(config).await;
    let ours = dialled.open_stream().await.unwrap();
    (ours, accepted.accept_stream().await.unwrap())
}
