//! Streams of bytes beside the calls.

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Fixture;
use crate::{ConnectError, RpcConfig, RpcService, RpcServiceBuilder};

pub async fn channels_carry_bytes(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::new(make).await;
    let mut channels = fixture.callee.accept_channels("bulk").unwrap();
    let address = fixture.callee.address_of("bulk");
    let mut ours = fixture.caller.open_channel(&address).await.unwrap();
    let mut theirs = channels.accept().await.unwrap();
    let sent: Vec<u8> = (0..1_000_000_u32).map(|it| it as u8).collect();
    let echo = tokio::spawn(async move {
        tokio::io::copy(&mut theirs.reader, &mut theirs.writer)
            .await
            .unwrap();
        theirs.writer.shutdown().await.unwrap();
    });
    let mut writer = ours.writer;
    let bytes = sent.clone();
    let write = tokio::spawn(async move {
        writer.write_all(&bytes).await.unwrap();
        writer.shutdown().await.unwrap();
        writer
    });
    let mut received = Vec::new();
    ours.reader.read_to_end(&mut received).await.unwrap();
    assert!(received == sent, "{} bytes came back", received.len());
    write.await.unwrap();
    echo.await.unwrap();
    fixture.close().await;
}

/// As the tasks of a shuffle do.
pub async fn many_channels_are_opened_at_once(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    const MANY: u8 = 120;
    let config = RpcConfig {
        channel_backlog_max: 4,
        handshakes_max: 40,
        handshakes_per_host_max: 40,
        ..RpcConfig::default()
    };
    let fixture = Fixture::with_config(make, config).await;
    let mut channels = fixture.callee.accept_channels("bulk").unwrap();
    let address = fixture.callee.address_of("bulk");
    let accepting = async {
        let mut heard = Vec::new();
        for _ in 0..MANY {
            let mut channel = channels.accept().await.unwrap();
            heard.push(channel.reader.read_u8().await.unwrap());
            channel.writer.write_all(b"!").await.unwrap();
            channel.writer.shutdown().await.unwrap();
            // It is there until the other side has read, and lets go of it.
            let _end = channel.reader.read(&mut [0]).await;
        }
        heard
    };
    let opening = (0..MANY).map(|number| {
        let (caller, address) = (&fixture.caller, &address);
        async move {
            let mut channel = caller.open_channel(address).await.unwrap();
            channel.writer.write_u8(number).await.unwrap();
            channel.writer.flush().await.unwrap();
            assert_eq!(channel.reader.read_u8().await.unwrap(), b'!');
            channel.writer.shutdown().await.unwrap();
        }
    });
    let (mut heard, _) = tokio::join!(accepting, join_all(opening));
    heard.sort_unstable();
    assert!(heard.into_iter().eq(0..MANY));
    fixture.close().await;
}

pub async fn a_missing_channel_is_refused(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::new(make).await;
    let address = fixture.callee.address_of("missing");
    let error = fixture.caller.open_channel(&address).await;
    assert!(
        matches!(error, Err(ConnectError::NoEndpoint { .. })),
        "{error:?}"
    );
    // One whose listener is gone is missing too.
    drop(fixture.callee.accept_channels("missing").unwrap());
    let error = fixture.caller.open_channel(&address).await;
    assert!(
        matches!(error, Err(ConnectError::NoEndpoint { .. })),
        "{error:?}"
    );
    fixture.callee.accept_channels("missing").unwrap();
    fixture.close().await;
}
