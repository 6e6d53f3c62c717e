use std::io::ErrorKind;
use std::task::Poll;

use super::super::end::Phase;
use super::super::stream::Half;
use super::{A, B, Net, ms};

#[test]
fn a_dial_takes_a_round_trip_and_is_accepted_one_way_later() {
    let mut net = Net::new();
    let end = net.dial();
    net.pass(19);
    assert_eq!(net.phase(end), Phase::Dialling);
    net.pass(1);
    assert_eq!(net.phase(end), Phase::Live);
    net.pass(9);
    assert_eq!(net.accept(), None);
    net.pass(1);
    assert_eq!(net.accept(), Some(end.peer()));
}

#[test]
fn a_dial_to_who_does_not_listen_is_refused() {
    let mut net = Net::new();
    net.world.unlisten(net.now, B);
    let end = net.dial();
    net.pass(20);
    assert_eq!(net.phase(end), Phase::Dead(ErrorKind::ConnectionRefused));
    net.world.release(net.now, end);
    assert!(net.world.connections.is_empty());
}

#[test]
fn a_full_backlog_lets_dials_wait() {
    let mut net = Net::new();
    for _ in 0..2 {
        net.dial();
    }
    net.pass(30);
    let late = net.dial();
    net.pass(500);
    assert_eq!(net.phase(late), Phase::Dialling);
    assert!(net.accept().is_some());
    net.pass(600);
    assert_eq!(net.phase(late), Phase::Live);
}

#[test]
fn a_dial_that_is_given_up_leaves_nothing() {
    let mut net = Net::new();
    for millis in [0, 5, 15, 25] {
        let end = net.dial();
        net.pass(millis);
        net.world.release(net.now, end);
        net.pass(100);
        if let Some(accepted) = net.accept() {
            net.world.release(net.now, accepted);
            net.pass(100);
        }
        assert!(net.world.connections.is_empty(), "after {millis} ms");
    }
}

#[test]
fn chunks_arrive_in_order_each_after_a_latency_of_its_own() {
    let mut net = Net::with_latency(ms(1)..=ms(20));
    let (ours, theirs) = net.connect();
    let (mut received, mut gaps) = (Vec::new(), Vec::new());
    for number in 0..50 {
        assert_eq!(net.write(ours, &[number]), Poll::Ready(Ok(1)));
        let mut waited = 0;
        // The next one is sent before this one has arrived, and must not overtake it.
        while waited < 3 {
            net.pass(1);
            waited += 1;
            if let Poll::Ready(bytes) = net.read(theirs) {
                let bytes = bytes.unwrap();
                gaps.push(bytes.len());
                received.extend(bytes);
            }
        }
    }
    net.pass(20);
    if let Poll::Ready(bytes) = net.read(theirs) {
        received.extend(bytes.unwrap());
    }
    assert_eq!(received, Vec::from_iter(0..50));
    // Some waited for a slower one before them.
    assert!(gaps.iter().any(|it| *it > 1), "{gaps:?}");
    assert!(gaps.contains(&1), "{gaps:?}");
}

#[test]
fn a_reader_that_does_not_read_stops_its_writer() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    assert_eq!(net.write(ours, &[1; 70]), Poll::Ready(Ok(70)));
    // Of the five bytes before, the reader has not given the credit back yet.
    assert_eq!(net.write(ours, &[2; 70]), Poll::Ready(Ok(25)));
    assert_eq!(net.write(ours, &[3; 70]), Poll::Pending);
    net.pass(1000);
    assert_eq!(net.write(ours, &[3; 70]), Poll::Pending);
    let expected = [[1; 70].as_slice(), &[2; 25]].concat();
    net.reads(theirs, &expected);
    net.pass(9);
    assert_eq!(net.write(ours, &[3; 70]), Poll::Pending);
    net.pass(1);
    assert_eq!(net.write(ours, &[3; 70]), Poll::Ready(Ok(70)));
}

#[test]
fn a_finished_stream_ends_after_its_last_byte_and_the_other_way_goes_on() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    assert_eq!(net.write(ours, b"last"), Poll::Ready(Ok(4)));
    net.world.finish(net.now, ours.end, ours.stream);
    let broken = Poll::Ready(Err(ErrorKind::BrokenPipe));
    assert_eq!(net.write(ours, b"more"), broken);
    net.pass(10);
    net.reads(theirs, b"last");
    net.reads(theirs, b"");
    assert_eq!(net.write(theirs, b"answer"), Poll::Ready(Ok(6)));
    net.pass(10);
    net.reads(ours, b"answer");
    assert_eq!(net.read(ours), Poll::Pending);
}

#[test]
fn a_dropped_reader_breaks_its_writer() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    net.world
        .release_half(net.now, theirs.end, theirs.stream, Half::Reader);
    assert_eq!(net.write(ours, b"x"), Poll::Ready(Ok(1)));
    net.pass(10);
    let broken = Poll::Ready(Err(ErrorKind::BrokenPipe));
    assert_eq!(net.write(ours, b"x"), broken);
}

#[test]
fn a_close_ends_all_streams_after_what_was_written() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    assert_eq!(net.write(ours, b"last"), Poll::Ready(Ok(4)));
    net.world.close(net.now, ours.end);
    net.reads(ours, b"");
    net.pass(10);
    net.reads(theirs, b"last");
    net.reads(theirs, b"");
    let broken = Poll::Ready(Err(ErrorKind::BrokenPipe));
    assert_eq!(net.write(theirs, b"x"), broken);
    assert_eq!(net.world.accept_stream(theirs.end), Poll::Ready(None));
    assert_eq!(net.world.open_stream(theirs.end), None);
    net.drop_both((ours, theirs));
    net.pass(100);
    assert!(net.world.connections.is_empty());
}

#[test]
fn streams_outlive_their_connection() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    let unused = net.world.open_stream(ours.end).unwrap();
    net.world.release(net.now, ours.end);
    assert_eq!(net.world.open_stream(ours.end), None);
    assert_eq!(net.write(ours, b"on"), Poll::Ready(Ok(2)));
    net.pass(10);
    net.reads(theirs, b"on");
    // The peer has heard of the stream before it heard that there are no more.
    let accepted = net.world.accept_stream(theirs.end);
    assert_eq!(accepted, Poll::Ready(Some(unused)));
    assert_eq!(net.world.accept_stream(theirs.end), Poll::Ready(None));
}

#[test]
fn a_side_opens_no_more_streams_than_it_may() {
    let mut net = Net::new();
    net.world.config.streams_max = 3;
    let (ours, _) = net.connect();
    let more: Vec<_> = (0..3).map(|_| net.world.open_stream(ours.end)).collect();
    assert!(more[0].is_some() && more[1].is_some());
    assert_eq!(more[2], None);
}

#[test]
fn a_slow_node_sends_no_faster_than_it_may() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    net.world.slow(net.now, A, Some(1000));
    assert_eq!(net.write(ours, &[1; 40]), Poll::Ready(Ok(40)));
    assert_eq!(net.write(ours, &[2; 50]), Poll::Ready(Ok(50)));
    // A byte each millisecond, and then the latency.
    net.pass(49);
    assert_eq!(net.read(theirs), Poll::Pending);
    net.pass(1);
    net.reads(theirs, &[1; 40]);
    net.pass(49);
    assert_eq!(net.read(theirs), Poll::Pending);
    net.pass(1);
    net.reads(theirs, &[2; 50]);
    // It is the node's link: what goes to it is as slow.
    assert_eq!(net.write(theirs, &[3; 40]), Poll::Ready(Ok(40)));
    net.pass(49);
    assert_eq!(net.read(ours), Poll::Pending);
    net.pass(1);
    net.reads(ours, &[3; 40]);
    net.world.slow(net.now, A, None);
    assert_eq!(net.write(theirs, &[4; 40]), Poll::Ready(Ok(40)));
    net.pass(10);
    net.reads(ours, &[4; 40]);
}

#[test]
fn a_chunk_may_come_twice() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    net.world.link_mut((A, B)).duplicate = 1.0;
    assert_eq!(net.write(ours, b"one"), Poll::Ready(Ok(3)));
    assert_eq!(net.write(ours, b"two"), Poll::Ready(Ok(3)));
    assert_eq!(net.write(theirs, b"once"), Poll::Ready(Ok(4)));
    net.pass(10);
    net.reads(theirs, b"oneonetwotwo");
    net.reads(ours, b"once");
    net.world.link_mut((A, B)).duplicate = 0.0;
    assert_eq!(net.write(ours, b"three"), Poll::Ready(Ok(5)));
    net.pass(10);
    net.reads(theirs, b"three");
}
