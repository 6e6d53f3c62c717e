//! Streams of bytes beside the calls.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Fixture;
use crate::{ConnectError, RpcService, RpcServiceBuilder};

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

pub async fn a_missing_channel_is_refused(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::new(make).await;
    let address = fixture.callee.address_of("missing");
    let error = fixture.caller.open_channel(&address).await;
    assert!(
        matches!(error, Err(ConnectError::NoEndpoint { .. })),
        "{error:?}"
    );
    fixture.close().await;
}
