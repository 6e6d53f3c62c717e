use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};

use super::{FIXED_BYTES, HandshakeError, Hello, Link, Purpose, Refusal, Welcome, dial, greet};
use crate::address::NAME_BYTES_MAX;
use crate::config::RpcConfig;
use crate::transport::Stream;

#[tokio::test]
async fn both_sides_learn_who_the_other_is() {
    let longest = "x".repeat(NAME_BYTES_MAX);
    for purpose in [
        Purpose::Calls,
        Purpose::Channel(String::new()),
        Purpose::Channel(String::from("shuffle/1–2")),
        Purpose::Channel(longest),
    ] {
        let hello = hello(purpose, 1 << 20, u128::MAX);
        let (dialled, greeted) = meet(&hello, |_| Ok(())).await;
        let welcome = Welcome {
            frame_bytes_max: own().frame_bytes_max,
            window_bytes: own().window_bytes,
            calls_max: own().calls_max,
            service: own().service,
        };
        assert_eq!(dialled.unwrap(), welcome);
        assert_eq!(greeted.unwrap(), hello);
    }
}

// Flink: PekkoRpcActorHandshakeTest#testVersionMismatchBetweenRpcComponents
#[tokio::test]
async fn those_who_do_not_get_on_are_both_told_why() {
    let refusal = |change: fn(&mut Hello)| async move {
        let mut hello = calls();
        change(&mut hello);
        let (dialled, greeted) = meet(&hello, |_| Ok(())).await;
        let (dialled, greeted) = (refused(dialled), refused(greeted));
        assert_eq!(dialled, greeted);
        dialled
    };
    let version = Refusal::Version(1, 1);
    assert_eq!(refusal(|it| it.versions = (2, 9)).await, version);
    assert_eq!(refusal(|it| it.versions = (0, 0)).await, version);
    assert_eq!(refusal(|it| it.codec += 1).await, Refusal::Codec);
    assert_eq!(refusal(|it| it.cluster += 1).await, Refusal::Cluster);
    // Who speaks several versions gets on with who speaks one of them.
    let mut several = calls();
    several.versions = (0, 9);
    meet(&several, |_| Ok(())).await.0.unwrap();
}

#[tokio::test]
async fn the_judge_has_the_last_word() {
    for verdict in [Refusal::NoChannel, Refusal::TooMany] {
        let (dialled, greeted) = meet(&calls(), |hello| {
            assert_eq!(hello.service, calls().service);
            Err(verdict)
        })
        .await;
        assert_eq!(refused(dialled), verdict);
        assert_eq!(refused(greeted), verdict);
    }
}

#[tokio::test]
async fn another_protocol_is_cut_off_by_its_first_bytes() {
    // Four bytes, and a peer that waits: nothing more is read of it.
    let (mut peer, mut stream) = streams();
    peer.writer.write_all(b"GET ").await.unwrap();
    let error = greet(&mut stream, &own(), |_| Ok(())).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Magic { found } if found == *b"GET "));

    let error = answered(&[b'H'; FIXED_BYTES]).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Magic { found } if found == *b"HHHH"));
}

#[test]
fn a_peer_of_a_known_protocol_is_named() {
    for (found, name) in [
        (*b"\x16\x03\x01\x02", "TLS"),
        (*b"\x15\x03\x03\x00", "TLS"),
        (*b"GET ", "HTTP"),
        (*b"SSH-", "SSH"),
    ] {
        let error = HandshakeError::Magic { found }.to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[tokio::test]
async fn a_malformed_hello_is_no_hello() {
    let too_long = Purpose::Channel("x".repeat(NAME_BYTES_MAX + 1));
    let too_long = hello(too_long, 1, 2).to_bytes();
    let not_utf8 = {
        let mut bytes = hello(Purpose::Channel(String::from("x")), 1, 2).to_bytes();
        bytes[FIXED_BYTES] = 0xFF;
        bytes
    };
    let purpose = {
        let mut bytes = calls().to_bytes();
        bytes[4] = 4;
        bytes
    };
    for (bytes, reason) in [
        (too_long, "the channel's name is too long"),
        (not_utf8, "the channel's name is not UTF-8"),
        (purpose, "unknown purpose"),
    ] {
        let error = greeted(&bytes).await.unwrap_err();
        assert!(matches!(error, HandshakeError::Malformed(it) if it == reason));
    }

    let mut unknown = own().answer(Ok(()));
    unknown[4] = 9;
    let error = answered(&unknown).await.unwrap_err();
    assert!(matches!(
        error,
        HandshakeError::Malformed("unknown refusal")
    ));
}

#[tokio::test]
async fn a_peer_that_leaves_early_said_nothing() {
    let channel = hello(Purpose::Channel(String::from("name")), 1, 2);
    let hello = channel.to_bytes();
    for length in 0..hello.len() {
        let error = greeted(&hello[..length]).await.unwrap_err();
        assert!(is_end(&error), "{length} bytes: {error}");
    }
    let welcome = own().answer(Ok(()));
    for length in 0..welcome.len() {
        let error = answered(&welcome[..length]).await.unwrap_err();
        assert!(is_end(&error), "{length} bytes: {error}");
    }
}

#[tokio::test]
async fn garbage_is_refused_without_a_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..2_000 {
        let length = random.usize(..4 * FIXED_BYTES);
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
            .take(length)
            .collect();
        greeted(&bytes).await.unwrap_err();
        answered(&bytes).await.unwrap_err();
        // Past the magic it takes some luck to be understood, and no harm is done then either.
        let known = length.min(4);
        bytes[..known].copy_from_slice(&b"arpc"[..known]);
        let _ = greeted(&bytes).await;
        let _ = answered(&bytes).await;
    }
}

#[test]
fn the_messages_have_these_bytes() {
    let (service, cluster) = (0x0102_0304, 0x1112_1314);
    let purpose = Purpose::Channel(String::from("ab"));
    let config = RpcConfig {
        frame_bytes_max: 0x0A0B_0C0D,
        window_bytes: 0x2122_2324,
        calls_max: 0x3132_3334,
        ..RpcConfig::default()
    };
    let link = Link {
        address: 0x4142_4344,
        number: 0x5152_5354,
    };
    let hello = Hello::new(purpose, &config, service, cluster).by(link);
    let tail = [
        &[0x0D, 0x0C, 0x0B, 0x0A][..],
        &[0x24, 0x23, 0x22, 0x21],
        &[0x34, 0x33, 0x32, 0x31],
        &[0; 8],
        &[4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[20, 19, 18, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let link = [
        0x44, 0x43, 0x42, 0x41, 0, 0, 0, 0, 0x54, 0x53, 0x52, 0x51, 0, 0, 0, 0,
    ];
    let head = b"arpc\x02\x01\x01\x00\x01\x00\x02\x00";
    let golden = [&head[..], &tail, &link, b"ab"];
    assert_eq!(hello.to_bytes(), golden.concat());
    let golden = [
        &b"arpc\x00\x01\x01\x00\x01\x00\x00\x00"[..],
        &tail,
        &[0; 16],
    ];
    assert_eq!(hello.answer(Ok(()))[..], golden.concat());
    for (refusal, code) in [
        (Refusal::Cluster, 1),
        (Refusal::Codec, 2),
        (Refusal::NoChannel, 3),
        (Refusal::TooMany, 4),
        (Refusal::Version(1, 1), 5),
        (Refusal::Closing, 6),
        (Refusal::Superseded, 7),
    ] {
        assert_eq!(hello.answer(Err(refusal))[4], code);
    }
}

fn calls() -> Hello {
    hello(Purpose::Calls, 1 << 20, 1)
}

fn hello(purpose: Purpose, frame_bytes_max: usize, service: u128) -> Hello {
    let config = RpcConfig {
        frame_bytes_max,
        ..RpcConfig::default()
    };
    Hello::new(purpose, &config, service, CLUSTER)
}

/// What the accepting side says of itself.
fn own() -> Hello {
    hello(Purpose::Calls, 1 << 16, 2)
}

type Dialled = Result<Welcome, HandshakeError>;
type Greeted = Result<Hello, HandshakeError>;

/// Lets the one who says `hello` meet the one who judges it.
async fn meet(
    hello: &Hello,
    judge: impl FnOnce(&Hello) -> Result<(), Refusal>,
) -> (Dialled, Greeted) {
    let (mut ours, mut theirs) = streams();
    let own = own();
    tokio::join!(dial(&mut ours, hello), greet(&mut theirs, &own, judge))
}

/// What the accepting side makes of these bytes.
async fn greeted(bytes: &[u8]) -> Greeted {
    let mut stream = sent(bytes).await;
    greet(&mut stream, &own(), |_| Ok(())).await
}

/// What the dialling side makes of these bytes.
async fn answered(bytes: &[u8]) -> Dialled {
    let mut stream = sent(bytes).await;
    dial(&mut stream, &calls()).await
}

/// A stream on which the peer has said only this, and which takes what is said to the peer.
async fn sent(bytes: &[u8]) -> Stream {
    let (mut peer, stream) = streams();
    peer.writer.write_all(bytes).await.unwrap();
    peer.writer.shutdown().await.unwrap();
    // Kept by a task, as a peer that closes would make writing to it fail.
    tokio::spawn(async move { peer.reader.read_to_end(&mut Vec::new()).await });
    stream
}

fn streams() -> (Stream, Stream) {
    let (ours, theirs) = duplex(4 << 10);
    let stream = |side| {
        let (reader, writer) = split(side);
        Stream::new(reader, writer)
    };
    (stream(ours), stream(theirs))
}

fn refused<T>(result: Result<T, HandshakeError>) -> Refusal {
    match result {
        Err(HandshakeError::Refused(refusal)) => refusal,
        Err(error) => panic!("not a refusal: {error}"),
        Ok(_) => panic!("not refused"),
    }
}

fn is_end(error: &HandshakeError) -> bool {
    matches!(error, HandshakeError::Closed(it) if it.kind() == io::ErrorKind::UnexpectedEof)
}

const CLUSTER: u128 = 3;
