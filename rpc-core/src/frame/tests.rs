use bytes::{Bytes, BytesMut};

use super::{Frame, FrameError, HEADER_BYTES, Header, Kind, PutError, put, put_empty, take};
use crate::codec;

#[test]
fn every_header_survives_the_round_trip() {
    for header in headers() {
        for text in ["", "a body"] {
            let mut wire = frame(&header, text);
            let Frame { header: got, body } = take(&mut wire, LIMIT).unwrap().unwrap();
            assert_eq!(got, header);
            assert_eq!(codec::decode::<String>(&body).unwrap(), text);
            assert!(wire.is_empty());
        }
        let mut wire = BytesMut::new();
        put_empty(&mut wire, &header);
        let body = Bytes::new();
        assert_eq!(
            take(&mut wire, LIMIT),
            Ok(Some(Frame { header, body })),
            "without a body"
        );
    }
}

#[test]
fn every_single_bit_is_checked() {
    let (mut long, mut short) = (full_header(), Header::new(Kind::Cancel, 9));
    long.error = true;
    short.method = 1;
    let next = frame(
        &short,
        "the next frame, which a wrong length would cut into",
    );
    for header in [long, short] {
        let sound = frame(&header, "body");
        for bit in 0..sound.len() * 8 {
            let mut broken = sound.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            let mut followed = broken.clone();
            followed.extend_from_slice(&next);
            for mut wire in [broken, followed] {
                let taken = take(&mut wire, LIMIT);
                assert!(
                    matches!(taken, Ok(None) | Err(_)),
                    "bit {bit} of {header:?} went unnoticed: {taken:?}"
                );
            }
        }
    }
}

#[test]
fn a_frame_that_is_not_whole_is_waited_for() {
    let sound = frame(&full_header(), "body");
    for length in 0..sound.len() {
        let mut wire = BytesMut::from(&sound[..length]);
        assert_eq!(take(&mut wire, LIMIT), Ok(None), "{length} bytes");
        wire.extend_from_slice(&sound[length..]);
        assert!(take(&mut wire, LIMIT).unwrap().is_some());
    }
}

#[test]
fn frames_are_taken_one_after_the_other() {
    let mut wire = BytesMut::new();
    for call in 0..3 {
        put(&mut wire, &Header::new(Kind::Request, call), &call, LIMIT).unwrap();
    }
    for call in 0..3 {
        let Frame { header, body } = take(&mut wire, LIMIT).unwrap().unwrap();
        assert_eq!(header, Header::new(Kind::Request, call));
        assert_eq!(codec::decode::<u64>(&body).unwrap(), call);
    }
    assert_eq!(take(&mut wire, LIMIT), Ok(None));
}

#[test]
fn the_limit_is_the_size_of_the_largest_frame() {
    let header = full_header();
    let sound = frame(&header, "body");
    let size = sound.len();

    let mut out = BytesMut::from("before");
    put(&mut out, &header, "body", size).unwrap();
    assert_eq!(out.split_off(6), sound);
    let refusal = put(&mut out, &header, "body", size - 1).unwrap_err();
    let limit = size - 1;
    assert_eq!(refusal, PutError::TooLarge { size, limit });
    assert_eq!(out, "before", "a message that is not sent leaves no trace");

    assert!(take(&mut sound.clone(), size).unwrap().is_some());
    // The first bytes are enough to refuse it.
    let mut wire = BytesMut::from(&sound[..4]);
    let error = take(&mut wire, size - 1).unwrap_err();
    assert_eq!(error, FrameError::TooLarge { size, limit });
}

#[test]
fn what_cannot_be_encoded_leaves_no_trace() {
    struct Unfit;
    impl serde::Serialize for Unfit {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("unfit"))
        }
    }
    let mut out = BytesMut::from("before");
    let error = put(&mut out, &full_header(), &("first", Unfit), LIMIT).unwrap_err();
    assert!(matches!(error, PutError::Codec(_)));
    assert_eq!(out, "before");
}

#[test]
fn what_the_checksum_covers_is_checked_too() {
    let error = |change: fn(&mut Vec<u8>)| {
        let mut content = frame(&Header::new(Kind::Ping, 1), "")[8..].to_vec();
        change(&mut content);
        take(&mut sealed(&content), LIMIT).unwrap_err()
    };
    assert_eq!(error(|it| it[0] = 0), FrameError::Kind(0));
    assert_eq!(error(|it| it[0] = 9), FrameError::Kind(9));
    assert_eq!(error(|it| it[1] = 8), FrameError::Flags(8));
    // A token is announced, and one byte is there.
    assert_eq!(error(|it| it[1] = 2), FrameError::Short(1));
    assert_eq!(error(|it| it.truncate(15)), FrameError::Short(23));
    assert_eq!(error(Vec::clear), FrameError::Short(8));
}

#[test]
fn a_frame_has_these_bytes() {
    let mut header = Header::new(Kind::Request, 0x0102_0304_0506_0708);
    header.method = 0x0A0B;
    header.gateway = 0x1112_1314;
    header.token = Some(0x2122_2324_2526_2728);
    header.remaining_us = Some(0x3132_3334_3536_3738);
    let golden = [
        &[0x27, 0, 0, 0][..],
        &[0xAE, 0x66, 0xD9, 0xF9],
        &[1, 6, 0x0B, 0x0A],
        &[0x14, 0x13, 0x12, 0x11],
        &[8, 7, 6, 5, 4, 3, 2, 1],
        &[0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21],
        &[0x38, 0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x31],
        b"\x02hi",
    ];
    assert_eq!(frame(&header, "hi")[..], golden.concat());
}

/// Every combination of what a header may hold.
fn headers() -> Vec<Header> {
    let mut headers = Vec::new();
    for kind in (0..=u8::MAX).filter_map(Kind::from_byte) {
        for error in [false, true] {
            for token in [None, Some(0), Some(u64::MAX)] {
                for remaining_us in [None, Some(0), Some(u64::MAX)] {
                    for (method, gateway, call) in
                        [(0, 0, 0), (1, 2, 3), (u16::MAX, u32::MAX, u64::MAX)]
                    {
                        headers.push(Header {
                            kind,
                            error,
                            method,
                            gateway,
                            call,
                            token,
                            remaining_us,
                        });
                    }
                }
            }
        }
    }
    assert_eq!(headers.len(), 8 * 2 * 3 * 3 * 3);
    headers
}

fn full_header() -> Header {
    let mut header = Header::new(Kind::Request, 7);
    header.method = 3;
    header.gateway = 5;
    header.token = Some(11);
    header.remaining_us = Some(13);
    header
}

fn frame(header: &Header, body: &str) -> BytesMut {
    let mut wire = BytesMut::new();
    put(&mut wire, header, body, LIMIT).unwrap();
    wire
}

/// Makes a frame of what follows the checksum, whether it is sound or not.
fn sealed(content: &[u8]) -> BytesMut {
    let length = u32::try_from(content.len() + 4).unwrap();
    let mut wire = BytesMut::new();
    wire.extend_from_slice(&length.to_le_bytes());
    wire.extend_from_slice(&crc32c::crc32c(content).to_le_bytes());
    wire.extend_from_slice(content);
    wire
}

const LIMIT: usize = 1 << 10;

const _: () = assert!(HEADER_BYTES < LIMIT);
