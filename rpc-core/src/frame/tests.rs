use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Bytes, BytesMut};
use serde::ser::SerializeTuple;

use super::{
    FrameBuffer, FrameCutter, FrameError, HEADER_BYTES, Header, Kind, OwnedFrame, PutError, seal,
};
use crate::Payload;
use crate::codec;
use crate::trace::TraceContext;

#[test]
fn every_header_survives_the_round_trip() {
    for header in headers() {
        for text in ["", "a body"] {
            let mut wire = frame(&header, text);
            let size = wire.len();
            let frame = take(&mut wire, LIMIT).unwrap().unwrap();
            assert_eq!((frame.header, frame.size), (header, size));
            assert_eq!(codec::decode::<String>(&frame.body).unwrap(), text);
            assert!(wire.is_empty());
        }
        let mut buffer = FrameBuffer::default();
        buffer.put_empty(&header);
        let (body, behind, size) = (Vec::new(), Vec::new(), buffer.len());
        let mut wire = wire(&mut buffer);
        assert_eq!(
            take(&mut wire, LIMIT),
            Ok(Some(OwnedFrame {
                header,
                body,
                behind,
                size
            })),
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
    let mut wire = three_frames().concat().as_slice().into();
    let mut cutter = FrameCutter::new(LIMIT);
    for call in 0..3 {
        let frame = cutter.take(&mut wire).unwrap().unwrap();
        assert_eq!(frame.header, Header::new(Kind::Request, call));
        assert_eq!(codec::decode::<u64>(&frame.body).unwrap(), call);
    }
    assert_eq!(cutter.take(&mut wire), Ok(None));
}

#[test]
fn a_frame_that_is_repeated_lost_or_out_of_order_is_bad() {
    let frames = three_frames();
    for (order, sound) in [
        (vec![0, 1, 2], 3),
        (vec![0, 0], 1),
        (vec![0, 1, 0], 2),
        (vec![1], 0),
        (vec![0, 2], 1),
        (vec![1, 0], 0),
    ] {
        let mut cutter = FrameCutter::new(LIMIT);
        for (place, index) in order.iter().enumerate() {
            let mut wire = frames[*index].as_slice().into();
            let taken = cutter.take(&mut wire);
            assert_eq!(taken.is_ok(), place < sound, "{order:?}: {taken:?}");
            if taken.is_err() {
                break;
            }
        }
    }
}

fn three_frames() -> [Vec<u8>; 3] {
    let mut buffer = FrameBuffer::default();
    [0, 1, 2].map(|call| {
        let header = Header::new(Kind::Request, call);
        buffer.put(&header, &call, LIMIT).unwrap();
        wire(&mut buffer).to_vec()
    })
}

#[test]
fn the_limit_is_the_size_of_the_largest_frame() {
    let header = full_header();
    let sound = frame(&header, "body");
    let size = sound.len();

    let mut out = FrameBuffer::default();
    assert_eq!(out.put(&header, "body", size), Ok(size));
    let refusal = out.put(&header, "body", size - 1).unwrap_err();
    let limit = size - 1;
    assert_eq!(refusal, PutError::TooLarge { size, limit });
    let encoded = b"\x04body";
    let refusal = out.put_encoded(&header, encoded, size - 1).unwrap_err();
    assert_eq!(refusal, PutError::TooLarge { size, limit });
    assert_eq!((out.len(), out.frames()), (size, 1), "it leaves no trace");
    assert_eq!(wire(&mut out), sound);

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
    let mut out = FrameBuffer::default();
    let error = out.put(&full_header(), &("first", Unfit), LIMIT);
    assert!(matches!(error, Err(PutError::Codec(_))));
    assert_eq!((out.len(), out.frames()), (0, 0));
}

#[test]
fn what_the_checksum_covers_is_checked_too() {
    let error = |change: fn(&mut Vec<u8>)| {
        let mut content = frame(&Header::new(Kind::Ping, 1), "")[8..].to_vec();
        change(&mut content);
        take(&mut sealed(&content), LIMIT).unwrap_err()
    };
    assert_eq!(error(|it| it[0] = 0), FrameError::Kind(0));
    assert_eq!(error(|it| it[0] = 15), FrameError::Kind(15));
    assert_eq!(error(|it| it[1] = 32), FrameError::Flags(32));
    // A token is announced, and one byte is there.
    assert_eq!(error(|it| it[1] = 2), FrameError::Short(1));
    assert_eq!(error(|it| it[1] = 8), FrameError::Short(1));
    let no_trace = |it: &mut Vec<u8>| {
        it[1] = 8;
        it.resize(16 + 25, 0);
    };
    assert_eq!(error(no_trace), FrameError::Trace);
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
    header.trace = TraceContext::new(0x41, 0x42, 1);
    let golden = [
        &[0x40, 0, 0, 0][..],
        &[0xCA, 0x71, 0xD9, 0x92],
        &[1, 14, 0x0B, 0x0A],
        &[0x14, 0x13, 0x12, 0x11],
        &[8, 7, 6, 5, 4, 3, 2, 1],
        &[0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21],
        &[0x38, 0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x31],
        &[0x41, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 0, 0, 0, 0, 0, 0],
        &[0x42, 0, 0, 0, 0, 0, 0, 0],
        &[1],
        b"\x02hi",
    ];
    assert_eq!(frame(&header, "hi")[..], golden.concat());
}

#[test]
fn payloads_come_behind_the_body_and_are_not_copied() {
    let payloads = [vec![1u8; 20_000], vec![2u8; 7], vec![3u8; 16_384]];
    let sent = payloads.map(Payload::from);
    let mut buffer = FrameBuffer::default();
    let first = buffer.put(&full_header(), "before", 1 << 20).unwrap();
    let size = buffer.put(&full_header(), &sent, 1 << 20).unwrap();
    buffer.put(&full_header(), "after", 1 << 20).unwrap();
    let mut output = buffer.take();
    output.prepare(usize::MAX);
    let mut slices = [IoSlice::new(&[]); 8];
    assert_eq!(
        output.slices(&mut slices, usize::MAX),
        5,
        "two of them as they lie, and their checksum"
    );
    assert_eq!(slices[1].as_ptr(), sent[0].as_ptr());
    let all = output.to_vec();
    assert_eq!(output.len(), all.len());

    let mut cutter = FrameCutter::new(1 << 20);
    assert_eq!(cutter.cut(&all).unwrap().unwrap().size, first);
    let rest = Bytes::copy_from_slice(&all[first..]);
    let mut frame = cutter.cut(&rest).unwrap().unwrap();
    assert_eq!((frame.size, frame.behind.len()), (size, 36_384));
    assert!(frame.body.len() < 40, "the short one is in the body");
    for owner in [None, Some(&rest)] {
        frame.owner = owner;
        let received = frame.decode(codec::decode::<[Payload; 3]>).unwrap();
        assert_eq!(received, sent);
        let copied = !rest.as_ptr_range().contains(&received[0].as_ptr());
        assert_eq!(copied, owner.is_none());
    }
    let error = frame.decode(codec::decode::<[Payload; 2]>).unwrap_err();
    assert!(error.to_string().contains("left over"), "{error}");
    let more = frame.decode(|body| {
        let twice = [body, body].concat();
        codec::decode::<[Payload; 6]>(&twice)
    });
    let error = more.unwrap_err().to_string();
    assert!(
        error.ends_with("of the bytes behind it 0 are left"),
        "{error}"
    );
    assert_eq!(
        codec::decode::<u8>(&[7]),
        Ok(7),
        "nothing is left for the next"
    );
    assert!(cutter.cut(&rest[size..]).unwrap().is_some());
}

#[test]
fn payloads_have_a_checksum_of_their_own() {
    let header = full_header();
    // Less and more than is hashed at once.
    for length in [20_000, 300_000] {
        let mut buffer = FrameBuffer::default();
        buffer.put(&header, "first", 1 << 20).unwrap();
        let first = buffer.len();
        let payloads = [length, 1, 16_384].map(|it| Payload::from(vec![it as u8; it]));
        buffer.put(&header, &payloads, 1 << 20).unwrap();
        let whole = wire(&mut buffer);
        let last = whole.len() - 1;
        let places = [last, last - 3, last - 4, last - 20_000, whole.len() / 2];
        for place in places.into_iter().filter(|it| *it > first + 200) {
            let mut cutter = FrameCutter::new(1 << 20);
            let mut broken = whole.clone();
            broken[place] ^= 1;
            cutter.take(&mut broken).unwrap();
            let error = cutter.take(&mut broken).unwrap_err();
            let is_crc = matches!(error, FrameError::Crc { number: 1, .. });
            assert!(is_crc, "{place}: {error}");
        }
        // Those of another frame are as bad, though they are the same.
        let mut cutter = FrameCutter::new(1 << 20);
        let again = &mut BytesMut::from(&whole[first..]);
        let mut moved = sealed(&again[8..]);
        let end = moved.len() - 4;
        moved[end..].copy_from_slice(&again[end..]);
        let error = cutter.take(&mut moved).unwrap_err();
        assert!(matches!(error, FrameError::Crc { number: 0, .. }));
    }
}

#[test]
fn no_more_is_hashed_than_is_soon_written() {
    let mut buffer = FrameBuffer::default();
    let payload = Payload::from(vec![1; 1 << 20]);
    buffer.put(&full_header(), &payload, 2 << 20).unwrap();
    let mut output = buffer.take();
    let all = output.to_vec();
    let mut written = Vec::new();
    while output.len() > 0 {
        output.prepare(1);
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = output.slices(&mut slices, usize::MAX);
        let next: Vec<u8> = slices[..filled].iter().flat_map(|it| it.to_vec()).collect();
        assert!((1..=128 << 10).contains(&next.len()));
        written.extend_from_slice(&next);
        output.advance(next.len());
    }
    assert_eq!(written, all);
}

#[test]
fn payloads_that_are_not_all_there_are_refused() {
    let mut buffer = FrameBuffer::default();
    let payload = Payload::from(vec![5u8; 20_000]);
    let header = Header::new(Kind::Request, 1);
    let size = buffer.put(&header, &payload, 1 << 20).unwrap();
    let all = buffer.take().to_vec();
    let content = |change: fn(&mut Vec<u8>)| {
        let mut content = all[8..].to_vec();
        change(&mut content);
        FrameCutter::new(1 << 20)
            .take(&mut sealed(&content))
            .unwrap_err()
    };
    let too_many = |it: &mut Vec<u8>| it[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(content(too_many), FrameError::Short(size - 28));
    assert_eq!(content(|it| it.truncate(18)), FrameError::Short(2));
    let limit = PutError::TooLarge { size, limit: 9999 };
    assert_eq!(buffer.put(&header, &payload, 9999), Err(limit));
    assert_eq!(buffer.len(), 0, "it leaves no trace");
}

#[test]
fn a_value_that_panics_while_it_is_encoded_leaves_no_trace() {
    struct Bad;

    impl serde::Serialize for Bad {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut tuple = serializer.serialize_tuple(2)?;
            tuple.serialize_element(&Payload::from(vec![1; 20_000]))?;
            panic!("on purpose")
        }
    }

    let mut buffer = FrameBuffer::default();
    let header = Header::new(Kind::Request, 1);
    let putting = AssertUnwindSafe(|| buffer.put(&header, &Bad, LIMIT));
    assert!(catch_unwind(putting).is_err());
    assert_eq!((buffer.len(), buffer.frames()), (0, 0));
    buffer.put(&header, "next", LIMIT).unwrap();
    let frame = take(&mut wire(&mut buffer), LIMIT).unwrap().unwrap();
    assert!(frame.behind.is_empty());
}

#[test]
fn what_is_written_in_pieces_is_all_of_it() {
    let mut buffer = FrameBuffer::default();
    for length in [0, 20_000, 30_000, 10] {
        let payload = Payload::from(vec![length as u8; length]);
        buffer.put(&full_header(), &payload, 1 << 20).unwrap();
    }
    let mut output = buffer.take();
    let (all, mut written) = (output.to_vec(), Vec::new());
    let mut random = fastrand::Rng::with_seed(1);
    while output.len() > 0 {
        output.prepare(random.usize(1..40_000));
        let mut slices = [IoSlice::new(&[]); 2];
        let filled = output.slices(&mut slices, usize::MAX);
        let next: Vec<u8> = slices[..filled].iter().flat_map(|it| it.to_vec()).collect();
        let taken = random.usize(1..=next.len().min(9_000));
        written.extend_from_slice(&next[..taken]);
        output.advance(taken);
        assert_eq!(output.to_vec(), all[written.len()..]);
    }
    assert_eq!(written, all);
}

#[test]
fn the_last_frame_is_moved_with_its_payloads_and_gets_another_number() {
    let payload = |length: usize| Payload::from(vec![length as u8; length]);
    for before in [0, 20_000, 10] {
        for lengths in [vec![], vec![10], vec![20_000], vec![20_000, 10, 30_000]] {
            let (mut from, mut to) = (FrameBuffer::default(), FrameBuffer::default());
            let moved: Vec<_> = lengths.iter().copied().map(payload).collect();
            for buffer in [&mut from, &mut to] {
                buffer
                    .put(&full_header(), &payload(before), 1 << 20)
                    .unwrap();
            }
            to.put(&full_header(), "second", 1 << 20).unwrap();
            let mark = from.mark();
            from.put(&full_header(), &moved, 1 << 20).unwrap();
            from.move_last(mark, &mut to);
            for buffer in [&mut from, &mut to] {
                buffer.put(&full_header(), "last", 1 << 20).unwrap();
            }

            let frames = |buffer: &mut FrameBuffer| {
                let (mut wire, mut cutter) = (wire(buffer), FrameCutter::new(1 << 20));
                let next = || cutter.take(&mut wire).unwrap();
                std::iter::from_fn(next).collect::<Vec<_>>()
            };
            let (left, there) = (frames(&mut from), frames(&mut to));
            assert_eq!((left.len(), there.len()), (2, 4));
            assert_eq!(left[0], there[0]);
            assert_eq!(left[1], there[3]);
            let mut alone = FrameBuffer::default();
            alone.put(&full_header(), &moved, 1 << 20).unwrap();
            assert_eq!(there[2], frames(&mut alone)[0]);
        }
    }
}

#[test]
fn no_more_is_written_at_once_than_is_asked_for() {
    let mut buffer = FrameBuffer::default();
    let payload = Payload::from(vec![1; 20_000]);
    buffer.put(&full_header(), &payload, 1 << 20).unwrap();
    let mut output = buffer.take();
    output.prepare(usize::MAX);
    let mut slices = [IoSlice::new(&[]); 3];
    let head = output.len() - 20_004;
    for most in [1, head, head + 1, head + 500] {
        let filled = output.slices(&mut slices, most);
        let bytes: Vec<u8> = slices[..filled].iter().flat_map(|it| it.to_vec()).collect();
        assert_eq!(bytes, output.to_vec()[..most]);
    }
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
                        for trace in [None, TraceContext::new(1, 2, 3)] {
                            headers.push(Header {
                                kind,
                                error,
                                method,
                                gateway,
                                call,
                                token,
                                remaining_us,
                                trace,
                            });
                        }
                    }
                }
            }
        }
    }
    assert_eq!(headers.len(), 14 * 2 * 3 * 3 * 3 * 2);
    headers
}

fn full_header() -> Header {
    let mut header = Header::new(Kind::Request, 7);
    header.method = 3;
    header.gateway = 5;
    header.token = Some(11);
    header.remaining_us = Some(13);
    header.trace = TraceContext::new(17, 19, 1);
    header
}

fn frame(header: &Header, body: &str) -> BytesMut {
    let mut buffer = FrameBuffer::default();
    buffer.put(header, body, LIMIT).unwrap();
    wire(&mut buffer)
}

/// Takes what waits as it would be written.
fn wire(buffer: &mut FrameBuffer) -> BytesMut {
    BytesMut::from(&buffer.take().to_vec()[..])
}

/// Takes the first frame of a connection.
fn take(wire: &mut BytesMut, limit: usize) -> Result<Option<OwnedFrame>, FrameError> {
    FrameCutter::new(limit).take(wire)
}

/// Makes a frame of what follows the checksum, whether it is sound or not.
fn sealed(content: &[u8]) -> BytesMut {
    let mut wire = BytesMut::zeroed(8);
    wire.extend_from_slice(content);
    seal(0, &mut wire);
    wire
}

const LIMIT: usize = 1 << 10;

const _: () = assert!(HEADER_BYTES < LIMIT);
