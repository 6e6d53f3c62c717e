use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Client;
use super::sample::{Sample, cpu_time};

/// What callers do to a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "scenarios make it")]
pub enum Load {
    /// So many tasks, each with so many calls at once: when all are answered, it makes the next.
    Ask {
        /// How many tasks.
        callers: usize,
        /// How many calls each makes at once.
        in_flight: usize,
    },
    /// One task sends without waiting, and asks now and then, so that all has arrived at the end.
    Tell,
    /// One task sends bytes that are sent back, and keeps so many calls under way.
    Echo {
        /// How many bytes.
        bytes: usize,
        /// How many calls at once.
        in_flight: usize,
    },
}

impl Load {
    /// So many tasks, each with so many calls at once.
    #[must_use]
    pub const fn ask(callers: usize, in_flight: usize) -> Self {
        Self::Ask { callers, in_flight }
    }

    /// So many bytes that are sent back, with so many calls under way.
    #[must_use]
    pub const fn echo(bytes: usize, in_flight: usize) -> Self {
        Self::Echo { bytes, in_flight }
    }

    /// Returns how many bytes each call carries, both ways together; 0 where it is not about bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Echo { bytes, .. } => 2 * bytes,
            Self::Ask { .. } | Self::Tell => 0,
        }
    }

    /// Tells whether a caller makes one call at a time.
    #[must_use]
    pub const fn is_alone(self) -> bool {
        matches!(
            self,
            Self::Ask { in_flight: 1, .. } | Self::Echo { in_flight: 1, .. }
        )
    }

    /// Loads a subject for about so long.
    ///
    /// The clock is read rarely for half of the time, since reading it costs a good part of what the
    /// quickest calls cost, and around each call or batch for the other half, for the distribution.
    pub async fn run<C: Client>(self, client: C, time: Duration) -> Sample {
        let end = Instant::now() + time / 2;
        let mut sample = self.turn(&client, Clock::Rare(end)).await;
        let end = Instant::now() + time / 2;
        let timed = self.turn(&client, Clock::Each(end)).await;
        sample.latencies = timed.latencies;
        sample
    }

    /// Loads a subject with so many calls, and returns how long they took: whole batches are made, and
    /// what so many of their calls took is reckoned from that.
    pub async fn times<C: Client>(self, client: C, calls: u64) -> Duration {
        let each = match self {
            Self::Ask { callers, .. } => calls.div_ceil(callers as u64),
            Self::Tell | Self::Echo { .. } => calls,
        };
        let sample = self.turn(&client, Clock::Never(each)).await;
        sample.elapsed.mul_f64(calls as f64 / sample.calls as f64)
    }

    async fn turn<C: Client>(self, client: &C, clock: Clock) -> Sample {
        let (cpu, begin) = (cpu_time(), Instant::now());
        let mut sample = match self {
            Self::Ask {
                callers: 1,
                in_flight,
            } => asking(client, in_flight, clock).await,
            Self::Ask { callers, in_flight } => {
                let mut tasks = JoinSet::new();
                for _ in 0..callers {
                    let client = client.clone();
                    tasks.spawn(async move { asking(&client, in_flight, clock).await });
                }
                let mut all = Sample::default();
                while let Some(sample) = tasks.join_next().await {
                    all.add(&sample.expect("no caller fails"));
                }
                all
            }
            Self::Tell => telling(client, clock).await,
            Self::Echo { bytes, in_flight } => {
                let bytes = Bytes::from(vec![7; bytes]);
                let echo = || client.echo(bytes.clone());
                match in_flight {
                    // One alone needs no set of futures, whose wakers would be measured too.
                    1 => repeat(1, clock, echo).await,
                    _ => window(in_flight, clock, echo).await,
                }
            }
        };
        sample.elapsed = begin.elapsed();
        sample.cpu = cpu_time().saturating_sub(cpu);
        sample
    }
}

/// When a turn ends, and how often one looks at the clock.
#[derive(Clone, Copy)]
enum Clock {
    /// At a time, for which one looks now and then.
    Rare(Instant),
    /// At a time, and one looks around each call or batch.
    Each(Instant),
    /// After so many calls of each caller, and one does not look.
    Never(u64),
}

impl Clock {
    fn is_over(self, now: Instant, calls: u64) -> bool {
        match self {
            Self::Rare(end) | Self::Each(end) => now >= end,
            Self::Never(most) => calls >= most,
        }
    }
}

async fn asking<C: Client>(client: &C, in_flight: usize, clock: Clock) -> Sample {
    repeat(in_flight, clock, || client.ask(1)).await
}

/// Makes calls, so many at once, until the turn is over.
async fn repeat<F: Future + Unpin>(in_flight: usize, clock: Clock, call: impl Fn() -> F) -> Sample {
    let mut sample = Sample::default();
    let batches = match clock {
        Clock::Rare(_) => (CALLS_PER_LOOK / in_flight).max(1),
        Clock::Each(_) | Clock::Never(_) => 1,
    };
    let mut futures = Vec::with_capacity(in_flight);
    let mut now = Instant::now();
    while !clock.is_over(now, sample.calls) {
        for _ in 0..batches {
            if in_flight == 1 {
                call().await;
            } else {
                futures.extend(std::iter::repeat_with(|| Some(call())).take(in_flight));
                all(&mut futures).await;
            }
        }
        sample.calls += (batches * in_flight) as u64;
        match clock {
            Clock::Rare(_) => now = Instant::now(),
            Clock::Each(_) => {
                let before = std::mem::replace(&mut now, Instant::now());
                sample.took(now - before);
            }
            Clock::Never(_) => {}
        }
    }
    sample
}

/// Keeps so many calls under way until the turn is over: one is made for each that is answered.
async fn window<F: Future>(in_flight: usize, clock: Clock, call: impl Fn() -> F) -> Sample {
    let mut sample = Sample::default();
    let begin = || {
        let begun = Instant::now();
        call().map(move |_| begun)
    };
    let first = std::iter::repeat_with(begin).take(in_flight);
    let mut under_way: FuturesUnordered<_> = first.collect();
    while let Some(begun) = under_way.next().await {
        let now = Instant::now();
        sample.calls += 1;
        if matches!(clock, Clock::Each(_)) {
            sample.took(now - begun);
        }
        if !clock.is_over(now, sample.calls + under_way.len() as u64) {
            under_way.push(begin());
        }
    }
    sample
}

/// Polls all futures once, in order, so that all are under way, then awaits them in that order. A
/// task that is woken polls the first that is still awaited, not all.
async fn all<F: Future + Unpin>(futures: &mut Vec<Option<F>>) {
    poll_fn(|cx| {
        for future in futures.iter_mut() {
            let poll = future.as_mut().map(|it| Pin::new(it).poll(cx));
            if poll.is_some_and(|it| it.is_ready()) {
                *future = None;
            }
        }
        Poll::Ready(())
    })
    .await;
    for future in futures.drain(..).flatten() {
        future.await;
    }
}

/// Sends one-way messages, two batches of them ahead of the answer that says that all have come.
async fn telling<C: Client>(client: &C, clock: Clock) -> Sample {
    let mut sample = Sample::default();
    let begun = client.ask(0).await;
    let mut arrived = None;
    while !clock.is_over(Instant::now(), sample.calls) {
        for _ in 0..TELLS {
            client.tell(1).await;
        }
        sample.calls += TELLS;
        let mut asked = client.ask(0);
        // It is on its way once it is polled, and awaited a batch later.
        let early = poll_fn(|cx| Poll::Ready(Pin::new(&mut asked).poll(cx))).await;
        if let Some(earlier) = arrived.replace((asked, early.is_ready())) {
            settle(earlier).await;
        }
    }
    if let Some(last) = arrived {
        settle(last).await;
    }
    let told = client.ask(0).await - begun;
    assert_eq!(told, sample.calls, "one-way messages are lost");
    sample
}

async fn settle(asked: (impl Future<Output = u64> + Unpin, bool)) {
    if let (future, false) = asked {
        future.await;
    }
}

/// After so many calls one looks at the clock, at most.
const CALLS_PER_LOOK: usize = 64;
/// How many one-way messages are sent before one asks.
const TELLS: u64 = 512;
