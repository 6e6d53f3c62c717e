use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::{
    Due, EMPTY_BYTES_MAX, OWED_BYTES_MAX, Outbox, PIECE_BYTES, SHORT_PIECE_BYTES, SHORT_PIECES,
    SendError, Urgency,
};
use crate::frame::{FrameBuffer, Header, Kind, PutError};
use crate::turn::Owed;

#[test]
fn an_urgent_frame_is_written_by_its_sender() {
    let (outbox, written) = outbox(Pace::All);
    send(&outbox, Urgency::Now, "one").unwrap();
    send(&outbox, Urgency::Now, "two").unwrap();
    assert_eq!(written.lock().text, "onetwo");
    assert_eq!(written.lock().writes, 2);
}

#[test]
fn what_is_discarded_holds_no_stream() {
    let (outbox, written) = outbox(Pace::All);
    send(&outbox, Urgency::Soon, "one").unwrap();
    assert_eq!(Arc::strong_count(&written), 2);
    outbox.discard();
    assert_eq!(Arc::strong_count(&written), 1);
    let error = send(&outbox, Urgency::Now, "two").unwrap_err();
    assert!(matches!(error, SendError::Closed));
    assert_eq!(written.lock().text, "");
}

#[test]
fn what_is_not_urgent_is_written_together() {
    let (outbox, written) = outbox(Pace::All);
    let mut drive = pin!(outbox.drive());
    assert!(poll(&mut drive).is_pending());
    send(&outbox, Urgency::Soon, "one").unwrap();
    // Nobody overtakes what is queued.
    send(&outbox, Urgency::Now, "two").unwrap();
    assert_eq!(written.lock().text, "");
    assert!(poll(&mut drive).is_pending());
    assert_eq!(written.lock().text, "onetwo");
    assert_eq!(written.lock().writes, 1);
    // The stream is free again.
    send(&outbox, Urgency::Now, "three").unwrap();
    assert_eq!(written.lock().text, "onetwothree");
}

#[test]
fn the_last_that_is_expected_writes_for_all() {
    let (outbox, written) = outbox(Pace::All);
    let mut drive = pin!(outbox.drive());
    outbox.expect(3);
    for text in ["one", "two", "three"] {
        assert_eq!(written.lock().text, "");
        send(&outbox, Urgency::Now, text).unwrap();
    }
    assert_eq!(written.lock().text, "onetwothree");
    assert_eq!(written.lock().writes, 1);
    assert!(poll(&mut drive).is_pending());

    outbox.expect(9);
    send(&outbox, Urgency::Soon, "four").unwrap();
    assert_eq!(written.lock().writes, 1);
    assert!(poll(&mut drive).is_pending());
    assert_eq!(
        written.lock().text,
        "onetwothreefour",
        "not all of them came"
    );
    send(&outbox, Urgency::Now, "five").unwrap();
    assert_eq!(written.lock().writes, 3, "no more are expected");
}

#[test]
fn what_is_owed_is_written_when_the_sender_flushes() {
    let (outbox, written) = outbox_of(Pace::All, usize::MAX);
    let owed = |text: &str| {
        let sent = outbox.send(Urgency::Owed, |out: &mut FrameBuffer| {
            out.put_text(text);
            Ok(())
        });
        sent.unwrap().1
    };
    assert_eq!(owed("one"), Due::Flush);
    assert_eq!(owed("two"), Due::Nothing, "it is due already");
    assert!(!outbox.progress().1, "the stream is not to blame");
    assert_eq!(written.lock().text, "");
    outbox.pay();
    assert_eq!(written.lock().text, "onetwo");
    assert_eq!(written.lock().writes, 1);
    outbox.pay();
    assert_eq!(written.lock().writes, 1);

    // A turn that takes long keeps nobody else waiting.
    assert_eq!(owed("three"), Due::Flush, "the stream is free again");
    send(&outbox, Urgency::Now, "four").unwrap();
    assert_eq!(written.lock().text, "onetwothreefour");
    assert_eq!(owed("five"), Due::Flush);
    let mut drive = pin!(outbox.drive());
    outbox.remind();
    assert!(poll(&mut drive).is_pending());
    assert_eq!(written.lock().text, "onetwothreefourfive");
    let much = "x".repeat(OWED_BYTES_MAX);
    assert_eq!(owed(&much), Due::Nothing, "it is written at once");
    assert!(written.lock().text.ends_with(&much));

    assert_eq!(owed("last"), Due::Flush);
    // Whoever writes meanwhile writes that too.
    outbox.close();
    assert!(poll(&mut drive).is_ready());
    assert!(written.lock().text.ends_with("last"));
    outbox.pay();
}

#[tokio::test]
async fn a_flush_leaves_a_full_stream_to_the_connections_task() {
    let (io, mut peer) = tokio::io::duplex(64);
    let outbox = Arc::new(Outbox::new(Box::new(io), usize::MAX, None));
    let driver = Arc::clone(&outbox);
    tokio::spawn(async move { driver.drive().await });
    tokio::task::yield_now().await;
    send(&outbox, Urgency::Now, &"x".repeat(300)).unwrap();
    // The driver waits for the stream.
    tokio::task::yield_now().await;
    for urgency in [Urgency::Owed, Urgency::Now] {
        let sent = outbox.send(urgency, |out: &mut FrameBuffer| {
            out.put_text("more");
            Ok(())
        });
        assert_eq!(sent.unwrap().1, Due::Nothing);
        outbox.expect(1);
        outbox.pay();
    }
    let mut all = vec![0; 308];
    peer.read_exact(&mut all).await.unwrap();
    assert!(all.ends_with(b"moremore"));
}

#[tokio::test]
async fn a_stream_that_takes_little_by_little_gets_all_in_order() {
    let (outbox, written) = outbox(Pace::ByteByByte);
    let expected: String = (0..200).map(|it| format!("{it},")).collect();
    let sending = async {
        for number in 0..200 {
            let urgency = [Urgency::Now, Urgency::Soon][number % 2];
            send(&outbox, urgency, &format!("{number},")).unwrap();
            if number % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
        outbox.close();
    };
    let (driven, ()) = tokio::join!(outbox.drive(), sending);
    driven.unwrap();
    assert_eq!(written.lock().text, expected);
    assert!(written.lock().shut);
}

#[test]
fn a_closed_outbox_writes_what_it_has_and_takes_no_more() {
    let (outbox, written) = outbox(Pace::All);
    send(&outbox, Urgency::Soon, "last").unwrap();
    outbox.close();
    let refusal = send(&outbox, Urgency::Now, "more").unwrap_err();
    assert!(matches!(refusal, SendError::Closed));
    assert_eq!(written.lock().text, "");
    let mut drive = pin!(outbox.drive());
    assert!(matches!(poll(&mut drive), Poll::Ready(Ok(()))));
    assert_eq!(written.lock().text, "last");
    assert!(written.lock().shut);
}

#[test]
fn a_full_outbox_takes_no_more_until_it_is_written() {
    let (outbox, written) = outbox(Pace::Never);
    let mut drive = pin!(outbox.drive());
    // This one is being written, and does not count.
    send(&outbox, Urgency::Now, "first").unwrap();
    assert!(poll(&mut drive).is_pending());
    // The last frame may go beyond the limit: it is of bytes, and a frame is not cut.
    send(&outbox, Urgency::Now, &"x".repeat(LIMIT - 1)).unwrap();
    send(&outbox, Urgency::Now, "yy").unwrap();
    let refusal = send(&outbox, Urgency::Now, "z").unwrap_err();
    assert!(matches!(refusal, SendError::Full { limit: LIMIT }));
    written.lock().pace = Pace::All;
    assert!(poll(&mut drive).is_pending());
    let expected = format!("first{}yy", "x".repeat(LIMIT - 1));
    assert_eq!(written.lock().text, expected);
    send(&outbox, Urgency::Now, "z").unwrap();
    assert_eq!(written.lock().text, expected + "z");
}

#[test]
fn what_steers_has_room_where_messages_have_none() {
    let (outbox, _written) = outbox_of(Pace::Never, 1);
    send(&outbox, Urgency::Soon, "one").unwrap();
    assert!(send(&outbox, Urgency::Soon, "two").is_err());
    let header = Header::new(Kind::Gone, 0);
    let frames = |outbox: &Outbox| outbox.queue.lock().frames.frames();
    outbox.send_empty(Urgency::Now, &header);
    assert_eq!(frames(&outbox), 1);
    // A peer that reads none of them is told nothing more, rather than all but some.
    while !outbox.is_closed() {
        outbox.send_empty(Urgency::Now, &header);
        assert!(outbox.queued() < 2 * EMPTY_BYTES_MAX, "there is no end");
    }
    assert!(outbox.queued() >= EMPTY_BYTES_MAX);
}

#[test]
fn what_is_large_gives_way_more_often_while_something_small_is_written() {
    let small = Arc::new(outbox(Pace::All).0);
    let (stream, written) = stream(Pace::All);
    let large = Outbox::new(stream, usize::MAX, Some(Arc::clone(&small)));
    send(&large, Urgency::Left, &"x".repeat(64 << 20)).unwrap();
    let mut drive = pin!(large.drive());
    let mut pieces = || {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(drive.as_mut().poll(&mut cx).is_pending());
        std::mem::take(&mut written.lock().text).len()
    };
    assert_eq!(pieces(), PIECE_BYTES);
    assert_eq!(pieces(), PIECE_BYTES);
    // What connections say to each other does not count.
    send(&small, Urgency::Now, "credit").unwrap();
    assert_eq!(pieces(), PIECE_BYTES);
    small.count_message();
    for _ in 0..SHORT_PIECES {
        assert_eq!(pieces(), SHORT_PIECE_BYTES);
    }
    assert_eq!(pieces(), PIECE_BYTES, "nothing small came after it");
}

#[test]
fn a_frame_that_cannot_be_put_changes_nothing() {
    let (outbox, written) = outbox(Pace::All);
    let too_large = PutError::TooLarge { size: 2, limit: 1 };
    let put = |_: &mut FrameBuffer| Err::<(), _>(too_large);
    let refusal = outbox.send(Urgency::Now, put).unwrap_err();
    assert!(matches!(
        refusal,
        SendError::Put(PutError::TooLarge { size: 2, limit: 1 })
    ));
    send(&outbox, Urgency::Now, "next").unwrap();
    assert_eq!(written.lock().text, "next");
}

#[test]
fn a_stream_that_fails_ends_the_connection_not_the_sender() {
    for (pace, kind) in [
        (Pace::Broken, io::ErrorKind::BrokenPipe),
        (Pace::Nothing, io::ErrorKind::WriteZero),
    ] {
        let (outbox, _) = outbox(pace);
        send(&outbox, Urgency::Now, "lost").unwrap();
        let mut drive = pin!(outbox.drive());
        let Poll::Ready(Err(error)) = poll(&mut drive) else {
            panic!("the connection goes on");
        };
        assert_eq!(error.kind(), kind);
    }
}

#[test]
fn closing_while_a_sender_writes_blocks_nobody() {
    for _ in 0..500 {
        let (outbox, _) = outbox(Pace::All);
        let start = std::sync::Barrier::new(3);
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                start.wait();
                loop {
                    if let Err(error) = send(&outbox, Urgency::Now, "x") {
                        return error;
                    }
                }
            });
            let driver = scope.spawn(|| {
                let mut drive = pin!(outbox.drive());
                start.wait();
                loop {
                    if let Poll::Ready(ended) = poll(&mut drive) {
                        return ended;
                    }
                }
            });
            start.wait();
            outbox.close();
            assert!(matches!(sender.join().unwrap(), SendError::Closed));
            driver.join().unwrap().unwrap();
        });
    }
}

/// How a stream takes what is written to it.
#[derive(Clone, Copy, Debug)]
enum Pace {
    All,
    Broken,
    ByteByByte,
    Never,
    Nothing,
}

struct Written {
    pace: Pace,
    text: String,
    writes: usize,
    shut: bool,
}

struct Stream {
    written: Arc<Mutex<Written>>,
    ready: bool,
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.ready = !self.ready;
        let mut written = self.written.lock();
        let taken = match written.pace {
            Pace::All => bytes.len(),
            Pace::Broken => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Pace::ByteByByte if self.ready => 1,
            Pace::ByteByByte => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Pace::Never => return Poll::Pending,
            Pace::Nothing => 0,
        };
        written.writes += 1;
        let text = str::from_utf8(&bytes[..taken]).unwrap();
        written.text.push_str(text);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.written.lock().shut = true;
        Poll::Ready(Ok(()))
    }
}

fn outbox(pace: Pace) -> (Outbox, Arc<Mutex<Written>>) {
    outbox_of(pace, LIMIT)
}

fn outbox_of(pace: Pace, limit: usize) -> (Outbox, Arc<Mutex<Written>>) {
    let (stream, written) = stream(pace);
    (Outbox::new(stream, limit, None), written)
}

fn stream(pace: Pace) -> (Box<Stream>, Arc<Mutex<Written>>) {
    let written = Arc::new(Mutex::new(Written {
        pace,
        text: String::new(),
        writes: 0,
        shut: false,
    }));
    let stream = Stream {
        written: Arc::clone(&written),
        ready: false,
    };
    (Box::new(stream), written)
}

fn send(outbox: &Outbox, urgency: Urgency, text: &str) -> Result<(), SendError> {
    let sent = outbox.send(urgency, |out: &mut FrameBuffer| {
        out.put_text(text);
        Ok(())
    });
    sent.map(|(_, due)| assert_eq!(due, Due::Nothing))
}

/// Polls twice: the first time others may go first.
fn poll<F: Future>(future: &mut Pin<&mut F>) -> Poll<F::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    match future.as_mut().poll(&mut cx) {
        Poll::Pending => future.as_mut().poll(&mut cx),
        ready @ Poll::Ready(_) => ready,
    }
}

const LIMIT: usize = 1 << 10;
