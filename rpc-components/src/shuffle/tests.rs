use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rpc_core::transport::Stream;
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::frame::{CREDIT_BYTES, Frame, REQUEST_BYTES, Request, read_frame, write_frame};
use super::queue::{End, Popped, PushError, Queue, QueueReader};
use super::stream::{Feeder, receive_queue, send_queue};
use super::testing::{Network, gate, partition, partition_id, pipe};
use super::*;
use crate::id::{AttemptId, JobId};
use crate::job_graph::Ship;
use crate::operator::testing::{JobMasterStub, attempt, context};
use crate::operator::{OperatorContext, Record, RecordReader, Value};

fn task() -> OperatorContext {
    context(0, 1, &JobMasterStub::new(vec![]))
}

/// Segments so small that a few records fill all queues.
fn small() -> ShuffleConfig {
    ShuffleConfig {
        segment_bytes: 64,
        segments_per_channel: 2,
        ..ShuffleConfig::default()
    }
}

fn key(number: u32) -> String {
    format!("key-{number}")
}

fn write(writer: &mut PartitionWriter, number: u32) -> Result<(), WriteError> {
    let key = &key(number);
    let value = Value::Int(number.into());
    writer.write(Record { key, value })
}

fn numbers(segment: &Segment) -> Vec<u32> {
    let Segment::Records(records) = segment;
    let mut reader = RecordReader::new(records);
    let mut numbers = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        let Value::Int(number) = record.value else {
            panic!("{record:?} has no number");
        };
        let number = number.try_into().unwrap();
        assert_eq!(record.key, key(number));
        numbers.push(number);
    }
    numbers
}

fn read_all(gate: &mut InputGate) -> Result<Vec<u32>, ReadError> {
    let mut all = Vec::new();
    while let Some(segment) = gate.next_segment()? {
        all.extend(numbers(&segment));
    }
    Ok(all)
}

fn context_of_nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let cause = error
        .source()
        .map_or_else(String::new, |cause| format!(": {}", with_causes(cause)));
    format!("{error}{cause}")
}

fn segment(byte: u8) -> Segment {
    Segment::Records(Bytes::from(vec![byte; 10]))
}

#[test]
fn keys_belong_to_the_same_subtask_for_ever() {
    let subtasks = ["", "a", "word", "Straße"]
        .map(|key| [1, 2, 3, 128, 4096].map(|parallelism| subtask_of_key(key, parallelism)));
    assert_eq!(
        subtasks,
        [
            [0, 0, 0, 19, 1171],
            [0, 1, 2, 45, 1837],
            [0, 1, 1, 103, 2279],
            [0, 0, 1, 90, 730],
        ]
    );
    for parallelism in [1, 2, 3, 7, 128, 129, 4096] {
        let max = max_parallelism(parallelism);
        assert!(max >= parallelism);
        let mut counts = vec![0; parallelism as usize];
        for number in 0..parallelism * 200 {
            counts[subtask_of_key(&number.to_string(), parallelism) as usize] += 1;
        }
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(
            *least > 50 && *most < 500,
            "{parallelism}: {least} to {most}"
        );
    }
    assert_eq!(
        [1, 85, 86, 171, 40_000].map(max_parallelism),
        [128, 128, 256, 256, 32_768]
    );
}

#[test]
fn a_full_queue_takes_nothing_until_something_is_taken() {
    let queue = Queue::new(2, 1 << 20);
    let reader = QueueReader::new(Arc::clone(&queue));
    let push = |byte| queue.poll_push(&mut Some(segment(byte)), &context_of_nobody());
    assert_eq!(push(1), Poll::Ready(Ok(())));
    assert_eq!(push(2), Poll::Ready(Ok(())));
    assert_eq!(push(3), Poll::Pending);
    assert_eq!(queue.push_granted(segment(3)), Err(PushError::Full));
    assert_eq!(queue.poll_emptied(&context_of_nobody()), Poll::Pending);
    let popped = reader.poll_pop(&context_of_nobody());
    assert!(matches!(popped, Poll::Ready(Popped::Segment(first)) if first == segment(1)));
    assert_eq!(
        queue.poll_emptied(&context_of_nobody()),
        Poll::Ready(Some(1))
    );
    assert_eq!(push(4), Poll::Ready(Ok(())));
    queue.end(End::Finished);
    assert_eq!(push(5), Poll::Ready(Err(PushError::Ended)));
    for byte in [2, 4] {
        let popped = reader.poll_pop(&context_of_nobody());
        assert!(matches!(popped, Poll::Ready(Popped::Segment(next)) if next == segment(byte)));
    }
    let popped = reader.poll_pop(&context_of_nobody());
    assert!(matches!(popped, Poll::Ready(Popped::End(End::Finished))));
}

#[test]
fn a_few_large_segments_fill_a_queue() {
    let queue = Queue::new(8, 10);
    let _reader = QueueReader::new(Arc::clone(&queue));
    let large = || Some(Segment::Records(Bytes::from(vec![0; 1000])));
    assert_eq!(
        queue.poll_push(&mut large(), &context_of_nobody()),
        Poll::Ready(Ok(()))
    );
    assert_eq!(
        queue.poll_push(&mut large(), &context_of_nobody()),
        Poll::Pending
    );
}

#[test]
fn a_release_fails_what_has_not_failed_yet() {
    let end_after_release = |end: Option<End>| {
        let queue = Queue::new(2, 64);
        let reader = QueueReader::new(Arc::clone(&queue));
        queue.push_granted(segment(1)).unwrap();
        end.into_iter().for_each(|end| queue.end(end));
        queue.release();
        match reader.poll_pop(&context_of_nobody()) {
            Poll::Ready(Popped::End(End::Failed(error))) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(end_after_release(None), "the partition was released");
    assert_eq!(
        end_after_release(Some(End::Finished)),
        "the partition was released"
    );
    let reason = "why".into();
    let failed = End::Failed(ChannelError::ProducerFailed { reason });
    assert_eq!(end_after_release(Some(failed)), "the producer failed: why");
}

#[test]
fn a_queue_without_reader_takes_nothing() {
    let queue = Queue::new(2, 1 << 20);
    drop(QueueReader::new(Arc::clone(&queue)));
    let pushed = queue.poll_push(&mut Some(segment(1)), &context_of_nobody());
    assert_eq!(pushed, Poll::Ready(Err(PushError::ReaderGone)));
    assert_eq!(queue.poll_emptied(&context_of_nobody()), Poll::Ready(None));
}

/// Writes `count` numbers from two producers at `a`, and has `consumers` at `place` read them.
async fn exchange(ship: Ship, count: u32, consumers: u32, place: &str) -> Vec<Vec<u32>> {
    let network = Network::default();
    let producing = network.add("a", small());
    let consuming = network.add("b", small());
    let environment = if place == "a" { &producing } else { &consuming };
    let mut gates = Vec::new();
    let writers = [0, 1].map(|producer| {
        let partition = partition(producer, ship, ship.subpartitions(consumers));
        producing.register_partition(&partition, &task()).unwrap()
    });
    for consumer in 0..consumers {
        let gate = gate(&[0, 1], consumer, "a");
        gates.push(environment.open_gate(&[gate], &task()).await.unwrap());
    }
    thread::scope(|scope| {
        for (mut writer, parity) in writers.into_iter().zip(0..) {
            scope.spawn(move || {
                let mut own = (0..count).filter(|number| number % 2 == parity);
                own.try_for_each(|number| write(&mut writer, number))
                    .unwrap();
                writer.finish().unwrap();
            });
        }
        let readers: Vec<_> = gates
            .iter_mut()
            .map(|gate| scope.spawn(move || read_all(gate).unwrap()))
            .collect();
        readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .collect()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_arrives_once_where_it_belongs_and_in_order() {
    const COUNT: u32 = 3000;
    for place in ["a", "b"] {
        for (ship, consumers) in [
            (Ship::Forward, 1),
            (Ship::Broadcast, 3),
            (Ship::Hash, 3),
            (Ship::Rebalance, 3),
        ] {
            let read = exchange(ship, COUNT, consumers, place).await;
            for (consumer, numbers) in (0..).zip(&read) {
                for parity in [0, 1] {
                    let of_one = numbers.iter().filter(|number| *number % 2 == parity);
                    assert!(of_one.is_sorted(), "{ship:?} at {place}");
                }
                let subtask = |number: &u32| subtask_of_key(&key(*number), consumers);
                let is_right =
                    ship != Ship::Hash || numbers.iter().all(|number| subtask(number) == consumer);
                assert!(is_right, "{ship:?} at {place}");
                if ship == Ship::Rebalance {
                    assert_eq!(numbers.len(), 1000);
                }
            }
            let mut all: Vec<u32> = read.into_iter().flatten().collect();
            all.sort_unstable();
            let copies = if ship == Ship::Broadcast { 3 } else { 1 };
            let expected = (0..COUNT).flat_map(|number| vec![number; copies]);
            assert!(all.into_iter().eq(expected), "{ship:?} at {place}");
        }
    }
}

/// Sets up one producer at `a` and one consumer at `place`.
async fn pair(
    place: &str,
) -> (
    ShuffleEnvironment,
    PartitionWriter,
    InputGate,
    [OperatorContext; 2],
) {
    let network = Network::default();
    let producing = network.add("a", small());
    let consuming = network.add("b", small());
    let tasks = [task(), task()];
    let partition = partition(0, Ship::Forward, 1);
    let writer = producing.register_partition(&partition, &tasks[0]).unwrap();
    let environment = if place == "a" { &producing } else { &consuming };
    let gate = environment
        .open_gate(&[gate(&[0], 0, "a")], &tasks[1])
        .await
        .unwrap();
    (producing, writer, gate, tasks)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_is_never_far_ahead_of_its_consumer() {
    for place in ["a", "b"] {
        let (_, mut writer, mut gate, _) = pair(place).await;
        let written = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..2000 {
                    write(&mut writer, number).unwrap();
                    written.fetch_add(1, Ordering::SeqCst);
                }
                writer.finish().unwrap();
            });
            let mut read = 0;
            while let Some(segment) = gate.next_segment().unwrap() {
                // A segment of 64 bytes has five records at most. At a distance there are two
                // queues of two segments, and one segment is in each hand on the way.
                let ahead = written.load(Ordering::SeqCst) - read;
                assert!(ahead <= 8 * 5, "{ahead} records are under way");
                read += numbers(&segment).len();
            }
            assert_eq!(read, 2000);
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_waits_for_room_is_cancelled() {
    for place in ["a", "b"] {
        let (_, mut writer, mut gate, [producer, _]) = pair(place).await;
        let blocked = thread::spawn(move || {
            let error = (0..)
                .find_map(|number| write(&mut writer, number).err())
                .unwrap();
            writer.fail(&error.to_string());
            error
        });
        // Once there is something to read, the rest of the queues will fill, and stay full.
        assert!(gate.next_segment().unwrap().is_some());
        producer.cancellation.cancel();
        assert_eq!(
            blocked.join().unwrap(),
            WriteError::Canceled(crate::operator::Canceled)
        );
        let error = read_all(&mut gate).unwrap_err();
        let expected = format!(
            "cannot read partition {} of a: the producer failed: the task is canceled",
            partition_id(0)
        );
        assert_eq!(with_causes(&error), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_waits_is_cancelled() {
    for place in ["a", "b"] {
        let (_, mut writer, mut gate, [_, consumer]) = pair(place).await;
        let blocked = thread::spawn(move || gate.next_segment());
        consumer.cancellation.cancel();
        let error = blocked.join().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the task is canceled");
        let error = (0..)
            .find_map(|number| write(&mut writer, number).err())
            .unwrap();
        let expected = format!("consumer 0 of partition {} is gone", partition_id(0));
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_is_dropped_has_failed() {
    for place in ["a", "b"] {
        let (_, writer, mut gate, _) = pair(place).await;
        drop(writer);
        let error = gate.next_segment().unwrap_err();
        let expected = "the producer failed: it ended without finishing";
        assert!(
            with_causes(&error).ends_with(expected),
            "{}",
            with_causes(&error)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_wakes_those_who_write_read_and_wait() {
    for place in ["a", "b"] {
        let (producing, mut writer, mut gate, _) = pair(place).await;
        write(&mut writer, 0).unwrap();
        writer.flush().unwrap();
        assert!(gate.next_segment().unwrap().is_some());
        let reading = thread::spawn(move || gate.next_segment());
        producing.release_job(attempt(0, 0).job);
        let error = reading.join().unwrap().unwrap_err();
        assert!(with_causes(&error).ends_with("the partition was released"));
        let error = (0..)
            .find_map(|number| write(&mut writer, number).err())
            .unwrap();
        assert!(matches!(
            error,
            WriteError::ConsumerGone { .. } | WriteError::Released { .. }
        ));
        let mut waiting = pin!(open(&producing, 0));
        assert!(waiting.as_mut().poll(&mut context_of_nobody()).is_pending());
        producing.release_attempt(attempt(0, 1));
        assert!(waiting.as_mut().poll(&mut context_of_nobody()).is_pending());
        producing.release_attempt(attempt(0, 0));
        let error = waiting.await.unwrap_err();
        assert!(with_causes(&error).ends_with("the partition was released"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_attempts_before_one_are_released_and_no_others() {
    let network = Network::default();
    let environment = network.add("a", small());
    let of = |attempt| {
        let mut partition = partition(0, Ship::Forward, 1);
        partition.id.producer.attempt = attempt;
        partition
    };
    let mut stranger = of(0);
    stranger.id.producer.job = JobId::random();
    for partition in [of(0), of(1), of(2), stranger.clone()] {
        environment.register_partition(&partition, &task()).unwrap();
    }
    environment.release_attempts_before(AttemptId {
        subtask: 7,
        attempt: 2,
        ..of(0).id.producer
    });
    for (partition, is_there) in [
        (of(0), false),
        (of(1), false),
        (of(2), true),
        (stranger, true),
    ] {
        let added = environment.register_partition(&partition, &task());
        assert_eq!(added.is_err(), is_there, "{partition:?}");
    }
}

async fn open(environment: &ShuffleEnvironment, producer: u32) -> Result<InputGate, ReadError> {
    environment
        .open_gate(&[gate(&[producer], 0, "a")], &task())
        .await
}

#[tokio::test(start_paused = true)]
async fn a_partition_is_awaited_but_not_for_ever() {
    let network = Network::default();
    let producing = network.add("a", small());
    let consuming = network.add("b", small());
    let mut local = pin!(open(&producing, 0));
    assert!(local.as_mut().poll(&mut context_of_nobody()).is_pending());
    let mut remote = open(&consuming, 1).await.unwrap();
    for producer in [0, 1] {
        let partition = partition(producer, Ship::Forward, 1);
        let mut writer = producing.register_partition(&partition, &task()).unwrap();
        write(&mut writer, producer).unwrap();
        writer.finish().unwrap();
    }
    assert_eq!(read_all(&mut local.await.unwrap()).unwrap(), [0]);
    assert_eq!(
        on_a_thread(move || read_all(&mut remote)).await.unwrap(),
        [1]
    );

    let error = open(&producing, 2).await.unwrap_err();
    let missing = |producer| {
        let partition = partition_id(producer);
        format!("cannot read partition {partition} of a: there is no such partition")
    };
    assert_eq!(with_causes(&error), missing(2));
    let mut remote = open(&consuming, 3).await.unwrap();
    let error = on_a_thread(move || remote.next_segment())
        .await
        .unwrap_err();
    assert_eq!(with_causes(&error), missing(3));
}

/// Runs `work` on a thread that, unlike tokio's own, does not keep the paused clock from going on.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    thread::spawn(move || sender.send(work()).ok());
    receiver.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subpartition_has_one_reader() {
    let (producing, _writer, _gate, _) = pair("a").await;
    let error = open(&producing, 0).await.unwrap_err();
    assert!(with_causes(&error).ends_with("the subpartition is read already"));
    let error = producing.register_partition(&partition(0, Ship::Forward, 1), &task());
    let expected = format!("partition {} is registered already", partition_id(0));
    assert_eq!(error.unwrap_err().to_string(), expected);
    for subpartitions in [0, 4097] {
        let partition = partition(1, Ship::Hash, subpartitions);
        producing
            .register_partition(&partition, &task())
            .unwrap_err();
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_an_error() {
    let environment = Network::default().add("a", small());
    let gate = gate(&[0], 0, "nowhere");
    let error = environment.open_gate(&[gate], &task()).await.unwrap_err();
    let expected = "of nowhere: cannot open a stream: nobody is there";
    assert!(
        with_causes(&error).ends_with(expected),
        "{}",
        with_causes(&error)
    );
}

#[tokio::test]
async fn a_record_beyond_the_limit_is_refused() {
    let config = ShuffleConfig {
        record_bytes_max: 100,
        ..small()
    };
    let environment = Network::default().add("a", config);
    let partition = partition(0, Ship::Forward, 1);
    let mut writer = environment.register_partition(&partition, &task()).unwrap();
    let text = "x".repeat(80);
    let error = writer.write(Record::text(&text)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a record of 101 bytes is larger than 100"
    );
    writer.write(Record::text(&text[1..])).unwrap();
}

fn request() -> Request {
    Request {
        partition: partition_id(7),
        subpartition: 3,
        credit: 2,
    }
}

#[test]
fn requests_have_one_layout() {
    let bytes = request().to_bytes();
    assert_eq!(Request::from_bytes(&bytes).unwrap(), request());
    assert_eq!(bytes.len(), 68);
    assert_eq!(&bytes[..40], b"rpcdata10000000000000000000000000000abcd");
    assert_eq!(
        bytes[40..64],
        [
            0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0
        ]
    );
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes;
            damaged[place] ^= 1 << bit;
            Request::from_bytes(&damaged).unwrap_err();
        }
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let environment = Network::default().add("a", small());
    for bytes in [[0; REQUEST_BYTES], [0xff; REQUEST_BYTES]] {
        let (mut near, far) = pipe(4096);
        near.writer.write_all(&bytes).await.unwrap();
        let error = environment.serve(far).await.unwrap_err();
        assert_eq!(error.to_string(), "the request does not begin as one");
    }
    let (near, far) = pipe(4096);
    drop(near);
    let error = environment.serve(far).await.unwrap_err();
    assert!(matches!(error, ServeError::Broken(_)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_not_awaited_for_ever() {
    let environment = Network::default().add("a", small());
    let (_near, far) = pipe(4096);
    let error = environment.serve(far).await.unwrap_err();
    assert!(matches!(error, ServeError::TimedOut));
}

/// Feeds a queue of two places from what `write` writes, and returns the end it comes to.
async fn feed(bytes: &[u8]) -> (usize, ChannelError) {
    let queue = Queue::new(2, 64);
    let reader = QueueReader::new(Arc::clone(&queue));
    let (near, mut far) = pipe(1 << 20);
    far.writer.write_all(bytes).await.unwrap();
    drop(far);
    receive_queue(Feeder(queue), near, 100).await;
    let mut segments = 0;
    loop {
        match reader.poll_pop(&context_of_nobody()) {
            Poll::Ready(Popped::Segment(_)) => segments += 1,
            Poll::Ready(Popped::End(End::Failed(error))) => return (segments, error),
            other => panic!("{other:?}"),
        }
    }
}

async fn frames(frames: Vec<Frame>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        write_frame(&mut bytes, frame).await.unwrap();
    }
    bytes
}

#[tokio::test]
async fn a_peer_that_breaks_the_rules_is_an_error() {
    let segments = |count| frames(vec![Frame::Segment(segment(1)); count]);
    let (_, error) = feed(&segments(3).await).await;
    assert_eq!(
        error.to_string(),
        "the peer sent more than it had credit for"
    );
    let (_, error) = feed(&segments(1).await).await;
    assert!(matches!(error, ChannelError::Broken(_)), "{error}");
    let mut damaged = segments(1).await;
    *damaged.last_mut().unwrap() ^= 1;
    let (_, error) = feed(&damaged).await;
    assert_eq!(error.to_string(), "the peer sent a damaged frame");
    let too_long = [&101_u32.to_le_bytes()[..], &[0; 5]].concat();
    let (_, error) = feed(&too_long).await;
    assert_eq!(
        error.to_string(),
        "the peer sent a frame of 101 bytes, more than 100"
    );
    let crc = 0x2ACF_889D_u32.to_le_bytes();
    let unknown = [&[0, 0, 0, 0, 9][..], &crc].concat();
    let (_, error) = feed(&unknown).await;
    assert_eq!(
        error.to_string(),
        "the peer sent a frame of the unknown kind 9"
    );
}

#[tokio::test(start_paused = true)]
async fn a_large_segment_needs_as_much_credit_as_it_has_bytes() {
    let large = |credits: usize| {
        let bytes = (credits - 1) * CREDIT_BYTES + 1;
        Frame::Segment(Segment::Records(Bytes::from(vec![7; bytes])))
    };
    let small = || Frame::Segment(segment(1));
    let beyond = "the peer sent more than it had credit for";
    // Two are granted. What is larger than all that is granted needs just that.
    for (sent, taken) in [
        (vec![large(2)], true),
        (vec![large(100)], true),
        (vec![small(), small()], true),
        (vec![small(), large(2)], false),
        (vec![large(100), small()], false),
    ] {
        let queue = Queue::new(2, CREDIT_BYTES);
        let _reader = QueueReader::new(Arc::clone(&queue));
        let (near, mut far) = pipe(8 << 20);
        far.writer.write_all(&frames(sent).await).await.unwrap();
        let receiving = receive_queue(Feeder(Arc::clone(&queue)), near, u32::MAX);
        let mut receiving = pin!(receiving);
        let ended = timeout(Duration::from_millis(50), &mut receiving).await;
        assert_eq!(ended.is_err(), taken);
        if !taken {
            let error = QueueReader::new(queue).poll_failure(&context_of_nobody());
            assert!(matches!(error, Poll::Ready(error) if error.to_string() == beyond));
        }
    }

    // The producer keeps to it.
    let queue = Queue::new(100, 1 << 30);
    for bytes in [1, 2 * CREDIT_BYTES, 1] {
        let segment = Segment::Records(Bytes::from(vec![7; bytes]));
        queue.push_granted(segment).unwrap();
    }
    queue.end(End::Finished);
    let (near, far) = pipe(8 << 20);
    let wait = Duration::from_secs(1);
    let sending = send_queue(QueueReader::new(queue), far, 2, wait);
    let sending = Handle::current().spawn(sending);
    let Stream {
        mut reader,
        mut writer,
    } = near;
    read_frame(&mut reader, u32::MAX).await.unwrap();
    for _ in 0..2 {
        let mut next = pin!(read_frame(&mut reader, u32::MAX));
        for _ in 0..100 {
            assert!(next.as_mut().poll(&mut context_of_nobody()).is_pending());
            tokio::task::yield_now().await;
        }
        writer.write_u32_le(1).await.unwrap();
        let frame = next.await.unwrap();
        assert!(matches!(frame, Frame::Segment(_)));
    }
    writer.write_u32_le(1).await.unwrap();
    let last = read_frame(&mut reader, u32::MAX).await.unwrap();
    assert!(matches!(last, Frame::Finished));
    drop((reader, writer));
    sending.await.unwrap().unwrap();
}

#[tokio::test]
async fn frames_come_back_as_they_were() {
    let reason = String::from("schwarze Katze");
    let failures = [
        ChannelError::NotFound,
        ChannelError::Released,
        ChannelError::Taken,
        ChannelError::ProducerFailed { reason },
    ];
    let mut written: Vec<Frame> = failures.into_iter().map(Frame::Failed).collect();
    written.push(Frame::Finished);
    written.push(Frame::Segment(segment(5)));
    written.push(Frame::Segment(Segment::Records(Bytes::from(vec![
        7;
        200_000
    ]))));
    let bytes = frames(written.clone()).await;
    let mut reader = bytes.as_slice();
    for frame in written {
        let read = read_frame(&mut reader, 1 << 20).await.unwrap();
        assert_eq!(format!("{read:?}"), format!("{frame:?}"));
    }
    assert!(reader.is_empty());
}

#[tokio::test]
async fn random_frames_never_panic() {
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..20_000 {
        let length = random.usize(..60);
        let garbage: Vec<u8> = (0..length)
            .map(|place| {
                if place < 4 {
                    random.u8(..2)
                } else {
                    random.u8(..)
                }
            })
            .collect();
        let _ = read_frame(&mut garbage.as_slice(), 1 << 16).await;
    }
}

#[tokio::test]
async fn a_consumer_gets_no_more_than_it_has_credit_for() {
    let environment = Network::default().add("a", small());
    let description = partition(7, Ship::Hash, 4);
    let mut writer = environment
        .register_partition(&description, &task())
        .unwrap();
    let writing = thread::spawn(move || {
        let own = (0..)
            .filter(|number| subtask_of_key(&key(*number), 4) == 3)
            .take(100);
        own.into_iter()
            .try_for_each(|number| write(&mut writer, number))
            .unwrap();
        writer.finish().unwrap();
    });
    let (near, far) = pipe(1 << 20);
    let serving = Handle::current().spawn(environment.serve(far));
    let Stream {
        mut reader,
        mut writer,
    } = near;
    writer.write_all(&request().to_bytes()).await.unwrap();
    let mut frames = 0;
    let mut read = 0;
    loop {
        let mut frame = pin!(read_frame(&mut reader, 1 << 20));
        if frames == request().credit {
            // With its credit used up the other side is silent, however often it is polled.
            for _ in 0..100 {
                assert!(frame.as_mut().poll(&mut context_of_nobody()).is_pending());
                tokio::task::yield_now().await;
            }
        }
        if frames >= request().credit {
            // The other side may have sent its last frame, and then takes no more credit.
            let _ = writer.write_u32_le(1).await;
        }
        frames += 1;
        match frame.await.unwrap() {
            Frame::Segment(segment) => read += numbers(&segment).len(),
            Frame::Finished => break,
            Frame::Failed(error) => panic!("{error}"),
        }
    }
    assert_eq!(read, 100);
    // The last frame is not lost with the stream: it is the consumer that closes it.
    assert!(!serving.is_finished());
    drop((reader, writer));
    serving.await.unwrap().unwrap();
    writing.join().unwrap();
}
