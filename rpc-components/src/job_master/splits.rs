//! The parts of files that a job's sources read, handed out one after the other. Pure.

use std::collections::BTreeMap;

use crate::gateway::{FileSplit, FileSplits};
use crate::id::VertexId;

/// What is to be read, by the vertex that reads it.
///
/// The files are kept until the job ends: a job that restarts reads them anew, as long as they were.
#[derive(Debug)]
pub(crate) struct Splits(BTreeMap<VertexId, Reading>);

#[derive(Debug)]
struct Reading {
    all: FileSplits,
    /// Those that were not handed out.
    left: FileSplits,
}

impl Splits {
    pub(crate) fn new(splits: BTreeMap<VertexId, FileSplits>) -> Self {
        let reading = |all: FileSplits| Reading {
            left: all.clone(),
            all,
        };
        let splits = splits.into_iter();
        Self(splits.map(|(id, splits)| (id, reading(splits))).collect())
    }

    /// Hands out the next parts that a vertex reads; towards the end fewer at once, so that all
    /// subtasks end at about the same time.
    pub(crate) fn next(&mut self, reader: VertexId, count_max: usize) -> Vec<FileSplit> {
        let Some(reading) = self.0.get_mut(&reader) else {
            return Vec::new();
        };
        let fair = reading.left.left().div_ceil(SPLITS_LEFT_SHARES);
        let fair = usize::try_from(fair).unwrap_or(usize::MAX);
        reading.left.by_ref().take(fair.min(count_max)).collect()
    }

    /// Begins anew.
    ///
    /// As `SourceCoordinator#subtaskReset` for all subtasks.
    pub(crate) fn restart(&mut self) {
        for reading in self.0.values_mut() {
            reading.left = reading.all.clone();
        }
    }

    /// Forgets all of it, when nobody reads any more.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// A task gets no more than this share of the parts that are left.
const SPLITS_LEFT_SHARES: u64 = 32;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::{FileSplits, Splits, VertexId};

    const READER: VertexId = VertexId(0);

    fn splits(count: u64) -> Splits {
        let file = (PathBuf::from("file"), count);
        Splits::new(BTreeMap::from([(READER, FileSplits::new(vec![file], 1))]))
    }

    fn next(splits: &mut Splits) -> Vec<u64> {
        let next = splits.next(READER, 2);
        next.into_iter().map(|it| it.start).collect()
    }

    #[test]
    fn splits_are_handed_out_once_and_all_anew_after_a_restart() {
        // Flink: JobMasterTest#testRequestNextInputSplitWithGlobalFailover
        let mut splits = splits(66);
        assert_eq!(next(&mut splits), [0, 1]);
        assert_eq!(next(&mut splits), [2, 3]);
        // Fewer towards the end.
        assert_eq!(next(&mut splits), [4, 5]);
        for _ in 0..28 {
            next(&mut splits);
        }
        splits.restart();
        assert_eq!(next(&mut splits), [0, 1]);
        let left: Vec<_> = std::iter::repeat_with(|| next(&mut splits))
            .take_while(|next| !next.is_empty())
            .flatten()
            .collect();
        assert_eq!(left, (2..66).collect::<Vec<_>>());
        assert_eq!(splits.next(VertexId(1), 2), []);
        splits.restart();
        splits.clear();
        assert_eq!(next(&mut splits), []);
    }
}
