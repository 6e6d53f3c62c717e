//! The parts of files that a job's sources read, handed out one after the other. Pure.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::gateway::{FileSplit, FileSplits};
use crate::id::{AttemptId, VertexId};

/// What is to be read, by the vertex that reads it.
///
/// The files are kept until the job ends: a job that restarts reads them anew, as long as they were.
#[derive(Debug)]
pub(crate) struct Splits {
    readings: BTreeMap<VertexId, Reading>,
    /// What each attempt was handed last, and is handed again if it asks for it again.
    handed_out: BTreeMap<AttemptId, HandedOut>,
}

#[derive(Debug)]
struct Reading {
    all: FileSplits,
    /// Those that were not handed out.
    left: FileSplits,
}

/// What an attempt was handed last.
#[derive(Debug, Default)]
struct HandedOut {
    /// How many parts it had received before.
    before: u64,
    splits: Vec<FileSplit>,
}

/// The attempt has not received what it says that it has.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("task {reader} was handed {handed_out} parts of files and says that it has {received}")]
pub(crate) struct NotHandedOut {
    reader: AttemptId,
    handed_out: u64,
    received: u64,
}

impl Splits {
    pub(crate) fn new(splits: BTreeMap<VertexId, FileSplits>) -> Self {
        let reading = |all: FileSplits| Reading {
            left: all.clone(),
            all,
        };
        let splits = splits.into_iter();
        Self {
            readings: splits.map(|(id, splits)| (id, reading(splits))).collect(),
            handed_out: BTreeMap::new(),
        }
    }

    /// Hands out the next parts that an attempt's vertex reads, of which it has received so many;
    /// towards the end fewer at once, so that all subtasks end at about the same time. Those that it
    /// was handed last and has not received are handed out again.
    pub(crate) fn next(
        &mut self,
        reader: AttemptId,
        received: u64,
        count_max: usize,
    ) -> Result<Vec<FileSplit>, NotHandedOut> {
        let last = self.handed_out.entry(reader).or_default();
        let handed_out = last.before + last.splits.len() as u64;
        if received == handed_out {
            last.before = received;
            last.splits = match self.readings.get_mut(&reader.vertex) {
                Some(reading) => reading.next(count_max),
                None => Vec::new(),
            };
        } else if received != last.before {
            return Err(NotHandedOut {
                reader,
                handed_out,
                received,
            });
        }
        Ok(last.splits.clone())
    }

    /// Begins anew, with new attempts.
    ///
    /// As `SourceCoordinator#subtaskReset` for all subtasks.
    pub(crate) fn restart(&mut self) {
        self.handed_out.clear();
        for reading in self.readings.values_mut() {
            reading.left = reading.all.clone();
        }
    }

    /// Forgets all of it, when nobody reads any more.
    pub(crate) fn clear(&mut self) {
        self.handed_out.clear();
        self.readings.clear();
    }
}

impl Reading {
    fn next(&mut self, count_max: usize) -> Vec<FileSplit> {
        let fair = self.left.left().div_ceil(SPLITS_LEFT_SHARES);
        let fair = usize::try_from(fair).unwrap_or(usize::MAX);
        self.left.by_ref().take(fair.min(count_max)).collect()
    }
}

/// A task gets no more than this share of the parts that are left.
const SPLITS_LEFT_SHARES: u64 = 32;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::{AttemptId, FileSplits, NotHandedOut, Splits};
    use crate::operator::testing::attempt;

    /// The parts of a file, as an attempt receives them.
    struct Reader {
        splits: Splits,
        attempt: AttemptId,
        received: u64,
    }

    impl Reader {
        fn new(count: u64) -> Self {
            let attempt = attempt(0, 0);
            let file = (PathBuf::from("file"), count);
            let splits = FileSplits::new(vec![file], 1);
            Self {
                splits: Splits::new(BTreeMap::from([(attempt.vertex, splits)])),
                attempt,
                received: 0,
            }
        }

        fn ask(&mut self) -> Result<Vec<u64>, NotHandedOut> {
            let splits = self.splits.next(self.attempt, self.received, 2)?;
            Ok(splits.into_iter().map(|it| it.start).collect())
        }

        fn next(&mut self) -> Vec<u64> {
            let next = self.ask().expect("it says what it has");
            self.received += next.len() as u64;
            next
        }

        fn restart(&mut self) {
            self.splits.restart();
            self.attempt.attempt += 1;
            self.received = 0;
        }
    }

    #[test]
    fn splits_are_handed_out_once_and_all_anew_after_a_restart() {
        // Flink: JobMasterTest#testRequestNextInputSplitWithGlobalFailover
        let mut reader = Reader::new(66);
        assert_eq!(reader.next(), [0, 1]);
        assert_eq!(reader.next(), [2, 3]);
        // Fewer towards the end.
        assert_eq!(reader.next(), [4, 5]);
        for _ in 0..28 {
            reader.next();
        }
        reader.restart();
        assert_eq!(reader.next(), [0, 1]);
        let left: Vec<_> = std::iter::repeat_with(|| reader.next())
            .take_while(|next| !next.is_empty())
            .flatten()
            .collect();
        assert_eq!(left, (2..66).collect::<Vec<_>>());
        let other = attempt(1, 0);
        assert_eq!(reader.splits.next(other, 0, 2), Ok(vec![]));
        reader.restart();
        reader.splits.clear();
        assert_eq!(reader.next(), [0; 0]);
    }

    #[test]
    fn what_an_attempt_has_not_received_it_is_handed_again() {
        let mut reader = Reader::new(200);
        for _ in 0..2 {
            assert_eq!(reader.ask(), Ok(vec![0, 1]));
        }
        reader.received = 2;
        let other = AttemptId {
            subtask: 1,
            ..reader.attempt
        };
        for (attempt, received, start) in [(reader.attempt, 2, 2), (other, 0, 4)] {
            for _ in 0..2 {
                let splits = reader.splits.next(attempt, received, 2).unwrap();
                assert_eq!(splits[0].start, start);
            }
        }
        for received in [0, 1, 3, 5, u64::MAX] {
            reader.received = received;
            let refused = NotHandedOut {
                reader: reader.attempt,
                handed_out: 4,
                received,
            };
            assert_eq!(reader.ask(), Err(refused));
        }
    }

    #[test]
    fn the_end_is_told_as_often_as_it_is_asked_for() {
        let mut reader = Reader::new(1);
        assert_eq!(reader.next(), [0]);
        for _ in 0..2 {
            assert_eq!(reader.next(), [0; 0]);
        }
    }
}
