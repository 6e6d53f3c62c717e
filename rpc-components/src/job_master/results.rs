//! What a job's sinks print, on its way to the client that follows the job. Pure.
//!
//! Little of it is kept: a sink that is faster than the client waits, as it would for any consumer.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use crate::id::AttemptId;

/// What was printed and not yet fetched, and who waits; `S` is a sink's and `F` a client's right to
/// be answered.
#[derive(Debug)]
pub(crate) struct Results<S, F> {
    pieces: VecDeque<Bytes>,
    /// How many bytes `pieces` have.
    length: usize,
    /// How many bytes were forgotten, because they were fetched.
    position: u64,
    /// Pieces for which there is no room yet, one of an attempt at most.
    waiting: VecDeque<(AttemptId, Bytes, S)>,
    /// How many bytes each attempt has printed, those that wait among them.
    printed: BTreeMap<AttemptId, u64>,
    /// A client that waits for the next piece.
    fetching: Option<F>,
    /// Whether a client was given anything.
    is_given: bool,
    /// Since when something is there that nobody has fetched, as far as was looked.
    unfetched_since: Option<Instant>,
    has_ended: bool,
    bytes_max: usize,
}

/// Who is to be answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answers<S, F> {
    /// Sinks that may go on.
    pub(crate) sinks: Vec<S>,
    /// A client, and what it gets.
    pub(crate) client: Option<(F, Bytes)>,
    /// A client that waited, and whose place another has taken.
    pub(crate) replaced: Option<F>,
}

/// What was asked for was fetched before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    /// The first byte that is still there.
    pub(crate) position: u64,
}

impl<S, F> Results<S, F> {
    /// Makes room for this many bytes.
    pub(crate) const fn new(bytes_max: usize) -> Self {
        Self {
            pieces: VecDeque::new(),
            length: 0,
            position: 0,
            waiting: VecDeque::new(),
            printed: BTreeMap::new(),
            fetching: None,
            is_given: false,
            unfetched_since: None,
            has_ended: false,
            bytes_max,
        }
    }

    /// Takes a piece from an attempt's sink, which has printed `position` bytes before and is answered
    /// when there is room for it. A piece that was taken before is answered like that one, and takes its
    /// place if it waits. Gives the sink back if the piece is another than the next: a sink sends one
    /// after the other.
    pub(crate) fn send(
        &mut self,
        attempt: AttemptId,
        position: u64,
        piece: Bytes,
        sink: S,
    ) -> Result<Answers<S, F>, S> {
        let printed = self.printed.entry(attempt).or_default();
        let end = position.saturating_add(piece.len() as u64);
        let is_again = end == *printed && !piece.is_empty();
        let mut waiting = self.waiting.iter_mut();
        match waiting.find(|(known, ..)| *known == attempt) {
            Some((.., waiting)) if is_again => *waiting = sink,
            None if is_again => {
                let mut answers = self.answers();
                answers.sinks.push(sink);
                return Ok(answers);
            }
            None if position == *printed => {
                *printed = end;
                self.waiting.push_back((attempt, piece, sink));
            }
            _ => return Err(sink),
        }
        Ok(self.answers())
    }

    /// Takes a client's wish for what begins at `position`, which takes the place of an earlier one:
    /// what one client was given is there for no other.
    pub(crate) fn fetch(&mut self, position: u64, client: F) -> Result<Answers<S, F>, (Gone, F)> {
        let skip = position.checked_sub(self.position);
        let skip = skip
            .and_then(|it| usize::try_from(it).ok())
            .filter(|it| *it <= self.length);
        let Some(skip) = skip else {
            let gone = Gone {
                position: self.position,
            };
            return Err((gone, client));
        };
        self.forget(skip);
        // Whoever goes on from there has what lies before.
        self.is_given |= skip > 0;
        self.unfetched_since = None;
        let replaced = self.fetching.replace(client);
        Ok(Answers {
            replaced,
            ..self.answers()
        })
    }

    /// Forgets what was printed, because all of it will be printed anew; returns the sinks that
    /// waited, which are to end. What a client was [given](Self::is_given) cannot be taken back.
    pub(crate) fn restart(&mut self) -> Vec<S> {
        self.pieces.clear();
        self.length = 0;
        self.unfetched_since = None;
        self.printed.clear();
        let waiting = self.waiting.drain(..);
        waiting.map(|(.., sink)| sink).collect()
    }

    /// Tells whether a client was given some of what was printed.
    pub(crate) const fn is_given(&self) -> bool {
        self.is_given
    }

    /// Takes the end of the job: nothing more is printed, and nobody is to wait.
    pub(crate) fn end(&mut self) -> Answers<S, F> {
        self.has_ended = true;
        self.answers()
    }

    /// Tells whether the job prints and nobody has fetched it for this time; to be asked now and then.
    pub(crate) fn is_abandoned(&mut self, timeout: Duration, now: Instant) -> bool {
        if self.has_ended || self.length == 0 {
            self.unfetched_since = None;
            return false;
        }
        let since = *self.unfetched_since.get_or_insert(now);
        now.saturating_duration_since(since) >= timeout
    }

    /// Tells whether the job has ended and all of its results were fetched.
    pub(crate) fn is_drained(&self) -> bool {
        self.has_ended && self.length == 0
    }

    /// Returns how many bytes were printed in all, once the job has ended.
    pub(crate) const fn bytes(&self) -> u64 {
        self.position + self.length as u64
    }

    fn forget(&mut self, mut count: usize) {
        self.position += count as u64;
        self.length -= count;
        while let Some(piece) = self.pieces.front_mut() {
            if count < piece.len() {
                drop(piece.split_to(count));
                return;
            }
            count -= piece.len();
            self.pieces.pop_front();
        }
    }

    fn answers(&mut self) -> Answers<S, F> {
        let mut sinks = Vec::new();
        // A piece is taken whole, however large it is, once there is any room.
        while self.length < self.bytes_max || self.has_ended {
            let Some((_, piece, sink)) = self.waiting.pop_front() else {
                break;
            };
            self.length += piece.len();
            if !piece.is_empty() {
                self.pieces.push_back(piece);
            }
            sinks.push(sink);
        }
        let ready = self.length > 0 || self.has_ended;
        let client = self.fetching.take_if(|_| ready);
        self.is_given |= client.is_some() && self.length > 0;
        Answers {
            sinks,
            client: client.map(|client| (client, self.next_piece())),
            replaced: None,
        }
    }

    /// What a client gets at once: the pieces that are there, as far as a message may be large.
    fn next_piece(&self) -> Bytes {
        let mut joined = BytesMut::new();
        for piece in &self.pieces {
            let taken = piece.len().min(PIECE_BYTES_MAX - joined.len());
            joined.extend_from_slice(&piece[..taken]);
            if taken < piece.len() {
                break;
            }
        }
        joined.freeze()
    }
}

/// A message to a client stays well below the limit of a frame.
const PIECE_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::{Answers, AttemptId, Bytes, Gone, PIECE_BYTES_MAX, Results};
    use crate::operator::testing::attempt;

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    /// Results for which there is so much room, and the attempt that prints them.
    fn results(bytes_max: usize) -> (Results<u32, &'static str>, AttemptId) {
        (Results::new(bytes_max), attempt(1, 0))
    }

    fn answered(client: &'static str, piece: &'static str) -> Option<(&'static str, Bytes)> {
        Some((client, bytes(piece)))
    }

    #[test]
    fn a_client_gets_what_was_printed_and_then_the_end() {
        let (mut results, sink) = results(4);
        let answers = results.send(sink, 0, bytes("abc"), 1).unwrap();
        assert_eq!((answers.sinks, answers.client), (vec![1], None));
        let answers = results.fetch(0, "client").expect("it is there");
        assert_eq!(answers.client, answered("client", "abc"));
        let answers = results.fetch(3, "client").expect("it is there");
        assert_eq!(answers.client, None);
        let answers = results.send(sink, 3, bytes("def"), 2).unwrap();
        assert_eq!(answers.client, answered("client", "def"));
        assert!(results.end().client.is_none());
        assert!(!results.is_drained());
        assert_eq!(results.bytes(), 6);
        let answers = results.fetch(6, "client").expect("it is the end");
        assert_eq!(answers.client, answered("client", ""));
        assert!(results.is_drained());
        assert_eq!(results.bytes(), 6);
    }

    #[test]
    fn a_sink_waits_for_room() {
        let (mut results, sink) = results(4);
        let answers = results.send(sink, 0, bytes("abcd"), 1).unwrap();
        assert_eq!(answers.sinks, [1]);
        let answers = results.send(sink, 4, bytes("efgh"), 2).unwrap();
        assert_eq!(answers.sinks, []);
        let answers = results.fetch(4, "client").expect("it is there");
        let expected = Answers {
            sinks: vec![2],
            client: answered("client", "efgh"),
            replaced: None,
        };
        assert_eq!(answers, expected);
    }

    #[test]
    fn a_sink_has_one_piece_waiting_at_most() {
        let (mut results, sink) = results(1);
        for (piece, position) in [(1, 0), (2, 2)] {
            results.send(sink, position, bytes("ab"), piece).unwrap();
        }
        assert_eq!(results.send(sink, 4, bytes("ef"), 3), Err(3));
        assert!(results.send(attempt(1, 1), 0, bytes("ef"), 4).is_ok());
        // The end makes room for all that wait.
        assert_eq!(results.end().sinks, [2, 4]);
        assert_eq!(results.bytes(), 6);
    }

    #[test]
    fn a_piece_that_is_sent_again_is_printed_once() {
        let (mut results, sink) = results(4);
        for again in [1, 2] {
            let answers = results.send(sink, 0, bytes("abcd"), again).unwrap();
            assert_eq!(answers.sinks, [again], "it is there already");
        }
        for again in [3, 4] {
            let answers = results.send(sink, 4, bytes("ef"), again).unwrap();
            assert_eq!(answers.sinks, [], "there is no room");
        }
        let answers = results.fetch(0, "client").unwrap();
        assert_eq!(answers.client, answered("client", "abcd"));
        let answers = results.fetch(4, "client").unwrap();
        assert_eq!(answers.sinks, [4], "the last is the one that waits");
        assert_eq!(answers.client, answered("client", "ef"));
        for (position, piece) in [(0, "abcd"), (4, "e"), (7, "gh"), (u64::MAX, "gh")] {
            let refused = results.send(sink, position, bytes(piece), 5);
            assert_eq!(refused, Err(5), "{position}");
        }
        assert_eq!(results.send(sink, 6, bytes("gh"), 6).unwrap().sinks, [6]);
        results.end();
        assert_eq!(results.bytes(), 8);
    }

    #[test]
    fn an_answer_that_was_lost_is_given_again_and_a_forgotten_one_is_an_error() {
        let (mut results, sink) = results(100);
        results.send(sink, 0, bytes("abc"), 1).unwrap();
        for _ in 0..2 {
            let answers = results.fetch(1, "client").expect("it is there");
            assert_eq!(answers.client, answered("client", "bc"));
        }
        for position in [0, 4] {
            let gone = results
                .fetch(position, "client")
                .expect_err("it is not there");
            assert_eq!(gone, (Gone { position: 1 }, "client"));
        }
    }

    #[test]
    fn what_was_given_to_nobody_is_forgotten_when_the_job_restarts() {
        let (mut results, sink) = results(4);
        results.send(sink, 0, bytes("abcd"), 1).unwrap();
        results.send(sink, 4, bytes("efgh"), 2).unwrap();
        assert_eq!(results.restart(), [2]);
        assert_eq!(results.fetch(0, "client").unwrap().client, None);
        // A client that waits goes on to wait.
        assert_eq!(results.restart(), []);
        assert!(!results.is_given());
        let answers = results.send(sink, 0, bytes("ijkl"), 3).unwrap();
        assert_eq!(answers.client, answered("client", "ijkl"));
        assert!(results.is_given());
    }

    #[test]
    fn what_a_client_goes_on_from_it_was_given() {
        let (mut results, sink) = results(4);
        results.send(sink, 0, bytes("abcd"), 1).unwrap();
        assert_eq!(results.fetch(4, "client").unwrap().client, None);
        assert!(results.is_given());
    }

    #[test]
    fn the_end_alone_gives_a_client_nothing() {
        let (mut results, _) = results(4);
        results.fetch(0, "client").unwrap();
        assert_eq!(results.end().client, answered("client", ""));
        assert!(!results.is_given());
    }

    #[test]
    fn a_second_client_takes_the_place_of_the_first() {
        let (mut results, sink) = results(100);
        assert_eq!(results.fetch(0, "first").unwrap().replaced, None);
        assert_eq!(results.fetch(0, "second").unwrap().replaced, Some("first"));
        let answers = results.send(sink, 0, bytes("abc"), 1).unwrap();
        assert_eq!(answers.client, answered("second", "abc"));
    }

    #[test]
    fn much_is_given_in_pieces() {
        let (mut results, sink) = results(usize::MAX);
        let piece = vec![7; PIECE_BYTES_MAX / 2 + 1];
        for number in 0..3 {
            let position = u64::from(number) * piece.len() as u64;
            let sent = results.send(sink, position, piece.clone().into(), number);
            sent.unwrap();
        }
        results.end();
        let (mut position, mut lengths) = (0, Vec::new());
        while !results.is_drained() {
            let answers = results.fetch(position, "client").unwrap();
            let (_, piece) = answers.client.unwrap();
            position += piece.len() as u64;
            lengths.push(piece.len());
        }
        assert_eq!(lengths, [PIECE_BYTES_MAX, PIECE_BYTES_MAX / 2 + 3, 0]);
    }
}
