//! What a job's sinks print, on its way to the client that follows the job. Pure.
//!
//! Little of it is kept: a sink that is faster than the client waits, as it would for any consumer.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// What was printed and not yet fetched, and who waits; `S` is a sink's and `F` a client's right to
/// be answered.
#[derive(Debug)]
pub(crate) struct Results<S, F> {
    pieces: VecDeque<Bytes>,
    /// How many bytes `pieces` have.
    length: usize,
    /// How many bytes were forgotten, because they were fetched.
    position: u64,
    /// Pieces for which there is no room yet.
    waiting: VecDeque<(Bytes, S)>,
    /// A client that waits for the next piece.
    fetching: Option<F>,
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
            fetching: None,
            has_ended: false,
            bytes_max,
        }
    }

    /// Takes a piece from a sink, which is answered when there is room for it.
    pub(crate) fn send(&mut self, piece: Bytes, sink: S) -> Answers<S, F> {
        self.waiting.push_back((piece, sink));
        self.answers()
    }

    /// Takes a client's wish for what begins at `position`; an earlier wish is forgotten.
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
        self.fetching = Some(client);
        Ok(self.answers())
    }

    /// Takes the end of the job: nothing more is printed, and nobody is to wait.
    pub(crate) fn end(&mut self) -> Answers<S, F> {
        self.has_ended = true;
        self.answers()
    }

    /// Tells whether the job has ended and all of its results were fetched.
    pub(crate) fn is_drained(&self) -> bool {
        self.has_ended && self.length == 0
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
            let Some((piece, sink)) = self.waiting.pop_front() else {
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
        Answers {
            sinks,
            client: client.map(|client| (client, self.next_piece())),
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
    use super::{Answers, Bytes, Gone, Results};

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn a_client_gets_what_was_printed_and_then_the_end() {
        let mut results = Results::new(4);
        let answers = results.send(bytes("abc"), 1);
        assert_eq!((answers.sinks, answers.client), (vec![1], None));
        let answers = results.fetch(0, "client").expect("it is there");
        assert_eq!(answers.client, Some(("client", bytes("abc"))));
        let answers = results.fetch(3, "client").expect("it is there");
        assert_eq!(answers.client, None);
        let answers = results.send(bytes("def"), 2);
        assert_eq!(answers.client, Some(("client", bytes("def"))));
        assert!(results.end().client.is_none());
        assert!(!results.is_drained());
        let answers = results.fetch(6, "client").expect("it is the end");
        assert_eq!(answers.client, Some(("client", Bytes::new())));
        assert!(results.is_drained());
    }

    #[test]
    fn a_sink_waits_for_room() {
        let mut results: Results<u32, &str> = Results::new(4);
        assert_eq!(results.send(bytes("abcd"), 1).sinks, [1]);
        assert_eq!(results.send(bytes("efgh"), 2).sinks, []);
        let answers = results.fetch(4, "client").expect("it is there");
        let (sinks, client) = (vec![2], Some(("client", bytes("efgh"))));
        assert_eq!(answers, Answers { sinks, client });
    }

    #[test]
    fn an_answer_that_was_lost_is_given_again_and_a_forgotten_one_is_an_error() {
        let mut results: Results<u32, &str> = Results::new(100);
        results.send(bytes("abc"), 1);
        for _ in 0..2 {
            let answers = results.fetch(1, "client").expect("it is there");
            assert_eq!(answers.client, Some(("client", bytes("bc"))));
        }
        for position in [0, 4] {
            let gone = results
                .fetch(position, "client")
                .expect_err("it is not there");
            assert_eq!(gone, (Gone { position: 1 }, "client"));
        }
    }
}
