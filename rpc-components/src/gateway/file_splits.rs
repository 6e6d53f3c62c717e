//! The parts of files, cut one after the other.

use std::path::PathBuf;
use std::sync::Arc;

use super::FileSplit;

/// The splits of files, each cut when it is asked for: a large file may have more of them than
/// memory has room for. A clone goes on from where its original stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSplits {
    /// The files and their lengths.
    files: Arc<[(PathBuf, u64)]>,
    split_bytes: u64,
    /// The file that the next split is of.
    file: usize,
    /// Where in that file the next split begins.
    start: u64,
    left: u64,
}

impl FileSplits {
    /// Makes the splits of files whose lengths are known, of at most `split_bytes` each.
    ///
    /// A file of no length is one split to its end, for there may be something in it.
    #[must_use]
    pub fn new(files: Vec<(PathBuf, u64)>, split_bytes: u64) -> Self {
        let split_bytes = split_bytes.max(1);
        let counts = files
            .iter()
            .map(|(_, length)| length.div_ceil(split_bytes).max(1));
        Self {
            left: counts.fold(0, u64::saturating_add),
            files: files.into(),
            split_bytes,
            file: 0,
            start: 0,
        }
    }

    /// Returns how many splits are left.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }
}

impl Iterator for FileSplits {
    type Item = FileSplit;

    fn next(&mut self) -> Option<FileSplit> {
        let (path, file_length) = self.files.get(self.file)?;
        let start = self.start;
        let length = match file_length {
            0 => FileSplit::TO_THE_END,
            _ => self.split_bytes.min(file_length - start),
        };
        let end = start.saturating_add(length);
        (self.file, self.start) = if end < *file_length {
            (self.file, end)
        } else {
            (self.file + 1, 0)
        };
        self.left = self.left.saturating_sub(1);
        Some(FileSplit {
            path: path.clone(),
            start,
            length,
        })
    }
}
