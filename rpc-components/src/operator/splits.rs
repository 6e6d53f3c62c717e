//! Which files a `file-source` reads, cut into parts that its subtasks share out among them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{Options, SplitError};
use crate::gateway::FileSplits;
use crate::job_graph::OperatorSpec;

/// Returns the splits of a `file-source` as its options ask for them; `None` for other operators.
///
/// # Errors
///
/// As [`splits`], and [`SplitError::Options`] if an option is missing or wrong.
pub fn file_splits(operator: &OperatorSpec) -> Result<Option<FileSplits>, SplitError> {
    if operator.name != FILE_SOURCE {
        return Ok(None);
    }
    let mut options = Options::new(operator);
    let paths: Vec<PathBuf> = options.required("path")?;
    let split_bytes = options
        .optional("split_bytes")?
        .unwrap_or(SPLIT_BYTES_DEFAULT);
    splits(&paths, split_bytes).map(Some)
}

/// Finds the files to read, and returns their splits of at most `split_bytes`.
///
/// A path that is a folder stands for all the files in it and in its folders, sorted by name. As a
/// shell's `*`, it does not stand for those whose name begins with a dot, which are hidden or still
/// being written. Symbolic links are followed, but not to a folder that one is already in. A file of no
/// length is read to its end, for there may be something in it: those in `/proc` tell no length.
///
/// # Errors
///
/// [`SplitError`] names the path that does not exist, may not be read, or is neither a file nor a
/// folder. Pipes, sockets and devices within a folder are left out.
pub fn splits(paths: &[PathBuf], split_bytes: u64) -> Result<FileSplits, SplitError> {
    let mut enumerator = Enumerator {
        files: Vec::new(),
        folders: Vec::new(),
    };
    for path in paths {
        enumerator.visit(path, true)?;
    }
    Ok(FileSplits::new(enumerator.files, split_bytes))
}

struct Enumerator {
    /// What was found, with its length.
    files: Vec<(PathBuf, u64)>,
    /// The folders that the current one lies in, and itself, by the names that have no links.
    folders: Vec<PathBuf>,
}

impl Enumerator {
    fn visit(&mut self, path: &Path, named_by_user: bool) -> Result<(), SplitError> {
        let unreadable = unreadable(path);
        let metadata = fs::metadata(path).map_err(&unreadable)?;
        if metadata.is_dir() {
            let folder = path.canonicalize().map_err(&unreadable)?;
            if !self.folders.contains(&folder) {
                self.folders.push(folder);
                self.visit_folder(path)?;
                self.folders.pop();
            }
        } else if metadata.is_file() {
            // Opening it now makes it one error here instead of one in some task.
            File::open(path).map_err(&unreadable)?;
            self.add(path, metadata.len())?;
        } else if named_by_user {
            return Err(SplitError::NotAFile { path: path.into() });
        }
        Ok(())
    }

    fn visit_folder(&mut self, path: &Path) -> Result<(), SplitError> {
        let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(unreadable(path))?;
        let mut names: Vec<_> = entries.iter().map(fs::DirEntry::file_name).collect();
        names.sort();
        names.retain(|name| !name.as_encoded_bytes().starts_with(b"."));
        names
            .iter()
            .try_for_each(|name| self.visit(&path.join(name), false))
    }

    fn add(&mut self, path: &Path, length: u64) -> Result<(), SplitError> {
        if path.to_str().is_none() {
            return Err(SplitError::NotUtf8 { path: path.into() });
        }
        self.files.push((path.into(), length));
        Ok(())
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> SplitError {
    move |source| SplitError::Read {
        path: path.into(),
        source,
    }
}

/// The name under which the source that reads files is registered.
pub(super) const FILE_SOURCE: &str = "file-source";

/// How long a split is unless the option `split_bytes` says otherwise: a few dozen milliseconds of
/// work, so that the subtasks of a source end together, and asking for it costs next to nothing.
pub const SPLIT_BYTES_DEFAULT: u64 = 8 << 20;
