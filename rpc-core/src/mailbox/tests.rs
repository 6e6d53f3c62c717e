use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use super::{KEPT_MAX, Left, Limit, Mailbox, Rejected};
use crate::turn;

#[test]
fn mail_is_taken_in_order_and_all_at_once() {
    let mailbox = Mailbox::<_, (), ()>::new(messages(3));
    for message in 0..3 {
        assert!(mailbox.push(|| message, 0).is_ok());
    }
    let (mut mail, mut control) = (VecDeque::new(), Vec::new());
    assert!(take(&mailbox, &mut mail, &mut control));
    assert_eq!(mail, [0, 1, 2]);
    mail.clear();
    assert!(!take(&mailbox, &mut mail, &mut control));
}

#[test]
fn what_was_taken_is_handled_before_more_is_taken() {
    let mailbox = Mailbox::<_, (), ()>::new(messages(3));
    let (mut mail, mut control) = (VecDeque::from([0]), Vec::new());
    assert!(mailbox.push(|| 1, 0).is_ok());
    assert!(take(&mailbox, &mut mail, &mut control));
    assert_eq!(mail, [0]);
    mail.clear();
    assert!(take(&mailbox, &mut mail, &mut control));
    assert_eq!(mail, [1]);
}

#[test]
fn what_was_long_once_does_not_keep_its_memory() {
    let mailbox = Mailbox::<_, (), ()>::new(messages(usize::MAX));
    let (mut mail, mut control) = (VecDeque::new(), Vec::new());
    let mut take = |count: usize| {
        for message in 0..count {
            assert!(mailbox.push(|| message, 0).is_ok());
        }
        assert!(take(&mailbox, &mut mail, &mut control));
        assert_eq!(mail.len(), count);
        mail.clear();
        let waiting = mailbox.inbox.lock().mail.capacity();
        (waiting.min(mail.capacity()), waiting.max(mail.capacity()))
    };
    take(10 * KEPT_MAX);
    let (least, _) = take(10 * KEPT_MAX);
    assert!(least >= 10 * KEPT_MAX, "it is needed");
    take(1);
    let (_, most) = take(1);
    assert!(most <= KEPT_MAX, "{most}");
}

#[test]
fn control_messages_do_not_wait_behind_mail() {
    let mailbox = Mailbox::<_, _, ()>::new(messages(3));
    assert!(mailbox.push(|| 1, 0).is_ok());
    assert_eq!(mailbox.push_control("first"), None);
    assert_eq!(mailbox.push_control("second"), None);
    let (mut mail, mut control) = (VecDeque::from([0]), vec!["earlier"]);
    assert!(take(&mailbox, &mut mail, &mut control));
    assert_eq!(mail, [0]);
    assert_eq!(control, ["earlier", "first", "second"]);
}

#[test]
fn the_limit_holds_for_what_a_peer_sends() {
    let mailbox = Mailbox::<_, (), ()>::new(messages(2));
    assert!(mailbox.push(|| 0, 0).is_ok());
    assert!(mailbox.push(|| 1, 0).is_ok());
    assert!(matches!(mailbox.push(|| 2, 0), Err(Rejected::Full(_, 2))));
    assert_eq!(mailbox.push_own(3), Ok(None));
    let (mut mail, mut control) = (VecDeque::new(), Vec::new());
    assert!(take(&mailbox, &mut mail, &mut control));
    assert_eq!(mail, [0, 1, 3]);
    // What is being handled does not count any more.
    assert!(mailbox.push(|| 4, 0).is_ok());
}

#[test]
fn the_limit_of_bytes_holds_for_what_came_over_connections() {
    let limit = Limit {
        messages: 9,
        bytes: 10,
    };
    let mailbox = Mailbox::<_, (), ()>::new(limit);
    assert!(mailbox.push(|| 0, 9).is_ok());
    assert!(mailbox.push(|| 1, 9).is_ok(), "the last may go beyond");
    assert!(matches!(mailbox.push(|| 2, 1), Err(Rejected::Full(_, 10))));
    assert!(mailbox.push(|| 3, 0).is_ok(), "values have no size");
    assert_eq!(mailbox.len(), 3);
    let (mut mail, mut control) = (VecDeque::new(), Vec::new());
    assert!(take(&mailbox, &mut mail, &mut control));
    assert!(mailbox.push(|| 4, 9).is_ok());
}

#[test]
fn a_closed_mailbox_gives_back_what_it_held_and_takes_no_more() {
    let mailbox = Mailbox::<_, _, ()>::new(messages(2));
    assert!(mailbox.push(|| 0, 0).is_ok());
    assert_eq!(mailbox.push_control(()), None);
    assert_eq!(mailbox.close(), [0]);
    assert!(matches!(mailbox.push(|| 1, 0), Err(Rejected::Closed(_))));
    assert_eq!(mailbox.push_own(2), Err(2));
    assert_eq!(mailbox.push_control(()), None);
    let (mut mail, mut control) = (VecDeque::new(), Vec::new());
    assert!(!take(&mailbox, &mut mail, &mut control));
    assert!(mailbox.close().is_empty());
}

#[test]
fn the_reader_is_woken_once_for_each_time_that_it_has_seen_all() {
    let mailbox = Mailbox::<_, (), ()>::new(messages(9));
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let (mut mail, mut control) = (VecDeque::new(), Vec::new());
    let mut take =
        |mail: &mut VecDeque<u32>| mailbox.take(&Context::from_waker(&waker), mail, &mut control);
    assert!(mailbox.push(|| 0, 0).is_ok());
    assert_eq!(wakes.count(), 0, "nobody has looked yet");
    for round in 1..3 {
        assert!(take(&mut mail));
        mail.clear();
        assert!(mailbox.push(|| 1, 0).is_ok());
        assert!(mailbox.push(|| 2, 0).is_ok());
        assert_eq!(wakes.count(), round);
    }
    assert!(take(&mut mail));
    assert_eq!(mail, [1, 2]);
    assert_eq!(mailbox.push_control(()), None);
    assert_eq!(wakes.count(), 3);
}

#[test]
fn a_reader_is_not_woken_by_what_whoever_puts_it_in_waits_for() {
    let mailbox = Mailbox::<_, (), ()>::new(messages(9));
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let cx = Context::from_waker(&waker);
    let (mut mail, mut control) = (VecDeque::new(), Vec::new());
    let later = |is_first| Ok(Left::Later { is_first });
    let push = |number| mailbox.push_awaited(|| number).map_err(drop);
    assert_eq!(push(0), Ok(Left::Nothing), "it is about to look");
    assert!(mailbox.take(&cx, &mut mail, &mut control));
    mail.clear();
    mailbox.hurry();
    assert_eq!(wakes.count(), 0, "there is nothing for it");
    // The executor is told once, until it has had the reader woken.
    assert_eq!(push(1), later(true));
    assert!(mailbox.take_mail(&cx, &mut mail));
    assert_eq!(push(2), later(false));
    assert_eq!(wakes.count(), 0);
    mailbox.hurry_at_last();
    assert_eq!(wakes.count(), 1);
    assert_eq!(push(3), Ok(Left::Nothing), "it is woken");
    mail.clear();
    assert!(mailbox.take(&cx, &mut mail, &mut control));
    assert_eq!(mail, [2, 3]);
    mail.clear();
    assert_eq!(push(4), later(true));
    mailbox.hurry();
    assert_eq!(wakes.count(), 2);
    assert!(mailbox.take(&cx, &mut mail, &mut control));
    mail.clear();
    // A turn wakes it at its end.
    assert_eq!(turn::take(|| push(5)), Ok(Left::Nothing));
    assert_eq!(wakes.count(), 3);
    assert_eq!(mailbox.push_control(()), None);
    assert!(
        !mailbox.take_mail(&cx, &mut mail),
        "what steers it comes first"
    );
}

#[test]
fn a_reader_that_has_not_seen_all_is_told_so() {
    let mailbox = Mailbox::<_, (), ()>::new(messages(9));
    let cx = Context::from_waker(Waker::noop());
    let (mut mail, mut control) = (VecDeque::from([0]), Vec::new());
    assert!(mailbox.take(&cx, &mut mail, &mut control), "none is left");
    assert!(mailbox.push(|| 1, 0).is_ok());
    assert!(!mailbox.take(&cx, &mut mail, &mut control));
    mail.clear();
    assert!(mailbox.take(&cx, &mut mail, &mut control));
    assert_eq!(mail, [1]);
}

#[test]
fn a_reader_that_rests_is_given_back_to_whoever_brings_something() {
    for lane in ["mail", "own", "control"] {
        let mailbox = Mailbox::<_, _, &str>::new(messages(9));
        let push = || match lane {
            "mail" => mailbox.push(|| 1, 0).ok().flatten(),
            "own" => mailbox.push_own(1).unwrap(),
            _ => mailbox.push_control(1),
        };
        assert!(mailbox.has_reader());
        assert_eq!(push(), None);
        assert_eq!(mailbox.rest("reader"), Err("reader"), "it is to do that");
        let (mut mail, mut control) = (VecDeque::new(), Vec::new());
        assert!(take(&mailbox, &mut mail, &mut control));
        assert_eq!(mailbox.rest("reader"), Ok(()));
        assert!(!mailbox.has_reader());
        assert_eq!(push(), Some("reader"), "{lane}");
        assert!(mailbox.has_reader());
        assert_eq!(push(), None, "it has begun");
        mailbox.close();
        assert!(!mailbox.has_reader());
        assert_eq!(mailbox.rest("reader"), Err("reader"));
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn messages(messages: usize) -> Limit {
    Limit {
        messages,
        bytes: usize::MAX,
    }
}

fn take<M, C, R>(mailbox: &Mailbox<M, C, R>, mail: &mut VecDeque<M>, control: &mut Vec<C>) -> bool {
    mailbox.take(&Context::from_waker(Waker::noop()), mail, control);
    !mail.is_empty() || !control.is_empty()
}
