//! Models of the parts that several threads meet at, checked by loom in every interleaving:
//!
//! `RUSTFLAGS="--cfg rpc_loom" cargo test -p rpc-core --lib --release --target-dir target/loom loom`
//!
//! Whoever waits does so by loom's `block_on`: a waker that is lost is a deadlock, which loom finds.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::thread;

use crate::call::{Call, ReplyTo, Time, Waiting};
use crate::callee::Callee;
use crate::connection::{Ask, beside, together};
use crate::error::RpcResult;
use crate::mailbox::{Left, Limit, Mailbox, Rejected};
use crate::main_loop::{Polled, Running};
use crate::method::{CallTimeout, MethodInfo};
use crate::reply_slot::{Found, ReplySlot, Told};

type Slot = ReplySlot<Counted, crate::Never>;

#[test]
fn an_answer_finds_the_caller_that_waits() {
    check("an answer finds the caller that waits", || {
        let (slot, dropped) = (Arc::new(Slot::new()), Dropped::default());
        let callee = answer(&slot, &dropped, 1);
        // Another task had polled the call before.
        let first = poll(&slot);
        let answer = match first {
            Poll::Ready(answer) => answer,
            Poll::Pending => block_on(poll_fn(|cx| slot.poll(cx))),
        };
        assert_eq!(answer.as_ref().map(|it| it.number), Ok(1));
        callee.join().unwrap();
        assert_eq!(dropped.count(), 0);
        assert!(poll(&slot).is_pending(), "it is taken");
        assert!(slot.abandon(&mut Told::default()).is_none() && !slot.is_abandoned());
        drop(answer);
        assert_eq!(dropped.count(), 1);
    });
}

#[test]
fn the_next_answer_finds_a_caller_that_has_nothing_to_tell() {
    check("the next answer finds the caller", || {
        let (slot, dropped) = (Arc::new(Slot::new()), Dropped::default());
        let callee = Arc::new(Callee::new("tests".parse().unwrap(), 0, None));
        let ask = Ask {
            method: 0,
            info: &METHOD,
            token: None,
            trace: None,
        };
        let mut told = Told::default();
        block_on(async {
            for number in 1..3 {
                slot.renew(&callee, &ask, Time::ENDLESS, &mut told);
                let callee = answer(&slot, &dropped, number);
                let answer = poll_fn(|cx| match slot.find(cx, &mut told) {
                    Found::Answer(answer) => Poll::Ready(answer),
                    Found::Waits => Poll::Pending,
                    Found::Expired | Found::Nothing => panic!("the callee answers"),
                });
                assert_eq!(answer.await.map(|it| it.number), Ok(number));
                callee.join().unwrap();
            }
        });
        assert_eq!(dropped.count(), 2);
    });
}

#[test]
fn the_first_of_two_answers_is_delivered_and_the_other_dropped() {
    check("the first of two answers is delivered", || {
        let (slot, dropped) = (Arc::new(Slot::new()), Dropped::default());
        let callees = [1, 2].map(|number| answer(&slot, &dropped, number));
        let answer = block_on(poll_fn(|cx| slot.poll(cx)));
        for callee in callees {
            callee.join().unwrap();
        }
        assert_eq!(dropped.count(), 1);
        assert!(poll(&slot).is_pending(), "the other is not delivered");
        drop((answer, slot));
        assert_eq!(dropped.count(), 2);
    });
}

#[test]
fn an_answer_to_a_caller_that_goes_is_dropped_or_delivered() {
    check("an answer to a caller that goes", || {
        let (slot, dropped) = (Arc::new(Slot::new()), Dropped::default());
        let callee = answer(&slot, &dropped, 1);
        let answer = poll(&slot);
        let late = slot.abandon(&mut Told::default());
        let was_pending = slot.is_abandoned();
        assert!(!(was_pending && late.is_some()));
        callee.join().unwrap();
        assert!(!(was_pending && answer.is_ready()));
        assert_eq!(slot.is_abandoned(), was_pending);
        assert_eq!(
            dropped.count() == 1,
            was_pending,
            "at once if it came too late"
        );
        drop((answer, late, slot));
        assert_eq!(dropped.count(), 1);
    });
}

#[test]
fn a_handler_hears_that_its_caller_has_gone() {
    check("a handler hears that its caller has gone", || {
        let slot = Arc::new(Slot::new());
        let handler = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || block_on(poll_fn(|cx| slot.poll_abandoned(cx))))
        };
        // The caller had polled before it goes, as one does that times out.
        assert!(poll(&slot).is_pending());
        assert!(slot.abandon(&mut Told::default()).is_none());
        handler.join().unwrap();
        assert!(slot.is_abandoned());
    });
}

#[test]
fn a_handler_answers_unless_it_sees_that_its_caller_has_gone() {
    check("a handler answers or sees its caller gone", || {
        let (slot, dropped) = (Arc::new(Slot::new()), Dropped::default());
        let handler = {
            let (slot, answer) = (Arc::clone(&slot), dropped.counted(1));
            thread::spawn(move || {
                let cx = Context::from_waker(Waker::noop());
                let sees_it_gone = slot.poll_abandoned(&cx).is_ready();
                if !sees_it_gone {
                    slot.fill(Ok(answer));
                }
                sees_it_gone
            })
        };
        drop(call(&slot));
        let has_gone = slot.is_abandoned();
        let sees_it_gone = handler.join().unwrap();
        assert!(has_gone || !sees_it_gone);
        assert_eq!(slot.is_abandoned(), has_gone);
        drop(slot);
        assert_eq!(dropped.count(), 1);
    });
}

#[test]
fn a_right_to_answer_that_is_dropped_fails_the_call() {
    check("a right to answer that is dropped", || {
        let slot = Arc::new(Slot::new());
        let reply = ReplyTo::caller(Arc::clone(&slot));
        let callee = thread::spawn(move || drop(reply));
        assert!(block_on(call(&slot)).is_err());
        callee.join().unwrap();
    });
}

#[test]
fn messages_of_two_senders_are_each_taken_once_and_in_order() {
    // Without a bound it takes more than minutes; with this one, a second.
    check_bounded("messages of two senders", Some(3), || {
        let mailbox = Arc::new(Mailbox::<u32, u32, ()>::new(messages(9)));
        let sender = {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || {
                assert!(mailbox.push(|| 1, 0).is_ok());
                assert!(mailbox.push_own(2).is_ok());
            })
        };
        let other = {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || {
                assert!(mailbox.push(|| 3, 0).is_ok());
                assert_eq!(mailbox.push_control(4), None);
            })
        };
        let (mut mail, mut control) = (Vec::new(), Vec::new());
        while mail.len() + control.len() < 4 {
            let (some, steering) = take(&mailbox);
            mail.extend(some);
            control.extend(steering);
        }
        sender.join().unwrap();
        other.join().unwrap();
        assert_eq!(control, [4]);
        assert!(mail.iter().position(|it| *it == 1) < mail.iter().position(|it| *it == 2));
        mail.sort_unstable();
        assert_eq!(mail, [1, 2, 3]);
        assert!(mailbox.close().is_empty());
    });
}

#[test]
fn a_mailbox_that_is_closed_has_taken_given_back_or_rejected_each_message() {
    check("a mailbox that is closed", || {
        let mailbox = Arc::new(Mailbox::<Counted, (), ()>::new(messages(1)));
        let dropped = Dropped::default();
        let senders = [1, 2].map(|number| {
            let (mailbox, message) = (Arc::clone(&mailbox), dropped.counted(number));
            thread::spawn(move || match mailbox.push(move || message, 0) {
                Ok(_) => None,
                Err(Rejected::Closed(make) | Rejected::Full(make, _)) => Some(make().number),
            })
        });
        let (mut mail, mut control) = (VecDeque::new(), Vec::new());
        let cx = Context::from_waker(Waker::noop());
        mailbox.take(&cx, &mut mail, &mut control);
        let left = mailbox.close();
        let rejected = senders.map(|it| it.join().unwrap());
        let seen = mail.iter().chain(&left).map(|it| it.number);
        let mut all: Vec<_> = seen.chain(rejected.into_iter().flatten()).collect();
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
        drop((mail, left));
        assert_eq!(dropped.count(), 2);
        assert!(
            mailbox.close().is_empty(),
            "nothing came in behind the close"
        );
    });
}

#[test]
fn a_reader_that_goes_to_rest_misses_nothing_and_is_given_back_once() {
    check("a reader that goes to rest", || {
        let mailbox = Arc::new(Mailbox::<u32, u32, &str>::new(messages(9)));
        let senders = [1, 2].map(|number| {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || match number {
                1 => mailbox.push(|| number, 0).ok().flatten(),
                _ => mailbox.push_control(number),
            })
        });
        let (mut mail, mut control) = (VecDeque::new(), Vec::new());
        let cx = Context::from_waker(Waker::noop());
        let mut seen = 0;
        let mut rests = 0;
        loop {
            mailbox.take(&cx, &mut mail, &mut control);
            seen += mail.drain(..).len() + control.drain(..).len();
            if mailbox.rest("reader").is_ok() {
                rests += 1;
                break;
            }
        }
        let begun = senders.map(|it| it.join().unwrap());
        let begun = begun.into_iter().flatten().count();
        if seen == 2 {
            assert_eq!(begun, 0, "nobody has to begin again");
        } else {
            assert_eq!(begun, rests, "one brought something, and begins");
            mailbox.take(&cx, &mut mail, &mut control);
            assert_eq!(seen + mail.len() + control.len(), 2);
        }
    });
}

#[test]
fn what_is_put_in_is_handled_by_the_task_or_on_a_thread_that_is_lent() {
    // As above: with this bound, some seconds.
    check_bounded("a thread that is lent", Some(3), || {
        let mailbox = Arc::new(Mailbox::<u32, (), ()>::new(messages(9)));
        let running = Arc::new(Running::new());
        let mut seen = Vec::new();
        let main_loop = {
            let (mailbox, running) = (Arc::clone(&mailbox), Arc::clone(&running));
            poll_fn(move |cx| {
                let (mut mail, mut control) = (VecDeque::new(), Vec::new());
                match running.is_lent() {
                    true => assert!(mailbox.take_mail(cx, &mut mail)),
                    false => assert!(mailbox.take(cx, &mut mail, &mut control)),
                }
                seen.extend(mail);
                match seen.len() {
                    2 => Poll::Ready(()),
                    _ => Poll::Pending,
                }
            })
        };
        let callers = [1, 2].map(|number| {
            let (mailbox, running) = (Arc::clone(&mailbox), Arc::clone(&running));
            thread::spawn(move || match mailbox.push_awaited(|| number) {
                Ok(Left::Later { .. }) if running.poll_lent() => {}
                Ok(Left::Later { .. }) => mailbox.hurry(),
                Ok(Left::Nothing) => {}
                Ok(Left::Begin(())) | Err(_) => panic!("it neither rests nor is closed"),
            })
        });
        let mut begun = Some(Polled::new(main_loop) as _);
        block_on(poll_fn(|cx| running.poll(cx, &mut begun)));
        for caller in callers {
            caller.join().unwrap();
        }
    });
}

#[test]
fn a_call_that_is_dropped_before_its_request_is_taken_is_not_handled() {
    let (cancelled, handled) = (AtomicBool::new(false), AtomicBool::new(false));
    let seen = Arc::new((cancelled, handled));
    let outcomes = Arc::clone(&seen);
    check(
        "a call that is dropped before its request is taken",
        move || {
            let mailbox = Arc::new(Mailbox::<Arc<Slot>, (), ()>::new(messages(9)));
            let gone = Arc::new(loom::sync::atomic::AtomicBool::new(false));
            let caller = {
                let (mailbox, gone) = (Arc::clone(&mailbox), Arc::clone(&gone));
                thread::spawn(move || {
                    let slot = Arc::new(Slot::new());
                    assert!(mailbox.push(|| Arc::clone(&slot), 0).is_ok());
                    drop(call(&slot));
                    gone.store(true, Ordering::Release);
                })
            };
            let was_gone = gone.load(Ordering::Acquire);
            let (mail, _) = take(&mailbox);
            for slot in mail {
                // What a main loop asks before it handles a call.
                let handles = !slot.is_abandoned();
                assert!(!(was_gone && handles));
                let outcome = if handles { &outcomes.1 } else { &outcomes.0 };
                outcome.store(true, Ordering::Relaxed);
            }
            caller.join().unwrap();
        },
    );
    assert!(seen.0.load(Ordering::Relaxed) && seen.1.load(Ordering::Relaxed));
}

#[test]
fn what_is_run_together_is_polled_when_it_is_woken() {
    check("what is run together is polled when it is woken", || {
        // The one does what another thread has it do, and then has the other go on.
        let (told, passed_on) = (Arc::new(Signal::default()), Arc::new(Signal::default()));
        let teller = {
            let told = Arc::clone(&told);
            thread::spawn(move || told.give())
        };
        let driver = {
            let (told, passed_on) = (told, Arc::clone(&passed_on));
            Box::pin(async move {
                poll_fn(|cx| told.poll(cx)).await;
                passed_on.give();
                poll_fn(|_| Poll::<()>::Pending).await;
            })
        };
        let work = poll_fn(|cx| passed_on.poll(cx));
        block_on(together(Some(driver), work));
        teller.join().unwrap();
    });
}

#[test]
fn what_is_done_beside_is_polled_when_it_is_woken() {
    check("what is done beside is polled when it is woken", || {
        let told = Arc::new(Signal::default());
        let teller = {
            let told = Arc::clone(&told);
            thread::spawn(move || told.give())
        };
        let rest = poll_fn(|cx| told.poll(cx));
        block_on(beside(poll_fn(|_| Poll::Pending), rest));
        teller.join().unwrap();
    });
}

static METHOD: MethodInfo = MethodInfo::internal("add", CallTimeout::Never);

/// Something that is given once, to one who waits.
#[derive(Default)]
struct Signal(loom::sync::Mutex<(bool, Option<Waker>)>);

impl Signal {
    fn give(&self) {
        let waker = {
            let mut state = self.0.lock().unwrap();
            state.0 = true;
            state.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap();
        if state.0 {
            return Poll::Ready(());
        }
        state.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Runs a model in every interleaving, and tells how many there are.
fn check(name: &str, model: impl Fn() + Send + Sync + 'static) {
    check_bounded(name, None, model);
}

/// Runs a model in every interleaving with so many preemptions; `LOOM_MAX_PREEMPTIONS` comes first.
#[expect(clippy::print_stdout, reason = "a test tells how much it has checked")]
fn check_bounded(name: &str, bound: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(bound);
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let runs = runs.load(Ordering::Relaxed);
    assert!(runs > 1, "{name}: the threads do not meet");
    println!("{name}: {runs} interleavings");
}

/// Counts how many answers or messages were dropped.
#[derive(Clone, Default)]
struct Dropped(Arc<AtomicUsize>);

impl Dropped {
    fn counted(&self, number: u32) -> Counted {
        let dropped = self.clone();
        Counted { number, dropped }
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

struct Counted {
    number: u32,
    dropped: Dropped,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.dropped.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn answer(slot: &Arc<Slot>, dropped: &Dropped, number: u32) -> thread::JoinHandle<()> {
    let (slot, answer) = (Arc::clone(slot), dropped.counted(number));
    thread::spawn(move || slot.fill(Ok(answer)))
}

/// Polls as a task that does not wait on.
fn poll(slot: &Slot) -> Poll<RpcResult<Counted>> {
    slot.poll(&Context::from_waker(Waker::noop()))
}

fn call(slot: &Arc<Slot>) -> Call<Counted> {
    Call::waiting(Waiting::for_slot(Arc::clone(slot)))
}

/// Waits for messages as a main loop does.
fn messages(messages: usize) -> Limit {
    Limit {
        messages,
        bytes: usize::MAX,
    }
}

fn take<M, C, R>(mailbox: &Mailbox<M, C, R>) -> (VecDeque<M>, Vec<C>) {
    let (mut mail, mut control) = (VecDeque::new(), Vec::new());
    block_on(poll_fn(|cx| {
        assert!(mailbox.take(cx, &mut mail, &mut control), "all was handled");
        match mail.is_empty() && control.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }));
    (mail, control)
}
