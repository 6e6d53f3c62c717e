//! The parts of files that a job's sources read, handed out one after the other. Pure.

use std::collections::BTreeMap;

use crate::gateway::FileSplit;
use crate::id::VertexId;

/// What is to be read, by the vertex that reads it.
///
/// All of it is kept until the job ends: a job that restarts reads it anew.
#[derive(Debug)]
pub(crate) struct Splits(BTreeMap<VertexId, Reading>);

#[derive(Debug)]
struct Reading {
    splits: Vec<FileSplit>,
    /// How many were handed out.
    handed_out: usize,
}

impl Splits {
    pub(crate) fn new(splits: BTreeMap<VertexId, Vec<FileSplit>>) -> Self {
        let reading = |splits| Reading {
            splits,
            handed_out: 0,
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
        let left = &reading.splits[reading.handed_out..];
        let fair = left.len().div_ceil(SPLITS_LEFT_SHARES);
        let next = left[..fair.min(count_max)].to_vec();
        reading.handed_out += next.len();
        next
    }

    /// Begins anew.
    ///
    /// As `SourceCoordinator#subtaskReset` for all subtasks.
    pub(crate) fn restart(&mut self) {
        for reading in self.0.values_mut() {
            reading.handed_out = 0;
        }
    }

    /// Forgets all of it, when nobody reads any more.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// A task gets no more than this share of the parts that are left.
const SPLITS_LEFT_SHARES: usize = 32;
