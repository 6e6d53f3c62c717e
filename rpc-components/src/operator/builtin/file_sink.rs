//! `file-sink`: lines in files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::line::write_line;
use crate::id::AttemptId;
use crate::job_graph::{OperatorSpecError, part_number};
use crate::operator::context::count;
use crate::operator::{Collector, Operator, OperatorContext, OperatorError, Options, Record};

/// Writes a line for each record.
///
/// A single subtask writes the file `path`; several write `part-0`, `part-1` and so on in the
/// folder `path`. The file appears, or replaces an older one, when the subtask finishes: until then
/// the lines are in a hidden file beside it, which is removed if the task fails or is cancelled. A file
/// that replaces one has its permissions.
///
/// When the job restarts, the next attempt first removes the hidden files of the attempts before it,
/// which a killed process leaves behind; so an attempt that lives on unknown to the JobMaster has
/// nothing left to rename. The hidden file of a job that ends without another attempt stays.
///
/// What is there already and is no file, such as a pipe or `/dev/null`, is written to as it is. What
/// a pipe or a terminal has taken cannot be taken back, and no next attempt writes to it; so the job
/// is not restarted for what is wrong with it.
#[derive(Debug)]
pub(super) struct FileSink {
    path: PathBuf,
    output: Option<Output>,
}

impl FileSink {
    pub(super) fn from_options(options: &mut Options<'_>) -> Result<Self, OperatorSpecError> {
        let path: PathBuf = options.required("path")?;
        if path.as_os_str().is_empty() {
            return Err(options.refuse("path", "is empty"));
        }
        Ok(Self { path, output: None })
    }

    fn write(&mut self, lines_min: usize) -> Result<(), OperatorError> {
        match &mut self.output {
            Some(output) => output.write(lines_min),
            None => Ok(()),
        }
    }
}

impl Operator for FileSink {
    fn open(&mut self, context: &OperatorContext) -> Result<(), OperatorError> {
        let path = match context.parallelism {
            1 => self.path.clone(),
            parallelism => part(&self.path, context.attempt.subtask, parallelism)?,
        };
        self.output = Some(Output::create(path, context)?);
        Ok(())
    }

    fn process(&mut self, record: Record<'_>, _: &mut dyn Collector) -> Result<(), OperatorError> {
        if let Some(output) = &mut self.output {
            write_line(record, &mut output.lines);
        }
        self.write(LINES_BYTES)
    }

    fn flush(&mut self, _: &mut dyn Collector) -> Result<(), OperatorError> {
        self.write(1)
    }

    fn finish(&mut self, _: &mut dyn Collector) -> Result<(), OperatorError> {
        self.write(1)?;
        match self.output.take() {
            Some(output) => output.commit(),
            None => Ok(()),
        }
    }
}

/// The file that is written.
#[derive(Debug)]
struct Output {
    context: OperatorContext,
    path: PathBuf,
    file: File,
    lines: Vec<u8>,
    temporary: Option<Temporary>,
}

impl Output {
    fn create(path: PathBuf, context: &OperatorContext) -> Result<Self, OperatorError> {
        let existing = existing(&path).map_err(OperatorError::file("write", &path))?;
        let (file, temporary) = match existing {
            Some(metadata) if !metadata.is_file() => {
                let opened = open_as_it_is(&path, context.attempt);
                (opened.map_err(final_error(&path))?, None)
            }
            replaced => {
                let created = Temporary::create(&path, replaced, context.attempt);
                let (file, temporary) = created.map_err(OperatorError::file("write", &path))?;
                (file, Some(temporary))
            }
        };
        Ok(Self {
            context: context.clone(),
            path,
            file,
            lines: Vec::new(),
            temporary,
        })
    }

    /// Writes the lines out if they have `lines_min` bytes.
    fn write(&mut self, lines_min: usize) -> Result<(), OperatorError> {
        if self.lines.len() < lines_min {
            return Ok(());
        }
        let written = self.file.write_all(&self.lines);
        written.map_err(|error| match self.temporary {
            Some(_) => OperatorError::file("write", &self.path)(error),
            None => final_error(&self.path)(error),
        })?;
        self.context.io.bytes_out.add(count(self.lines.len()));
        self.lines.clear();
        Ok(())
    }

    fn commit(self) -> Result<(), OperatorError> {
        let Some(temporary) = self.temporary else {
            return Ok(());
        };
        let synced = self.file.sync_all();
        let renamed = synced.and_then(|()| fs::rename(&temporary.path, &temporary.target));
        renamed.map_err(OperatorError::file("write", &self.path))
    }
}

/// A file that is removed when it is dropped, unless it was renamed.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    target: PathBuf,
}

impl Temporary {
    /// Creates the file that takes the place of `path`, with the permissions of what it replaces.
    fn create(
        path: &Path,
        replaced: Option<fs::Metadata>,
        attempt: AttemptId,
    ) -> io::Result<(File, Self)> {
        let target = behind_links(path);
        Self::remove_before(&target, attempt)?;
        let temporary = Self::beside(target, attempt);
        let file = File::create(&temporary.path)?;
        if let Some(replaced) = replaced {
            file.set_permissions(replaced.permissions())?;
        }
        Ok((file, temporary))
    }

    /// Removes what the attempts before this one have left behind.
    fn remove_before(target: &Path, attempt: AttemptId) -> io::Result<()> {
        let first = attempt.attempt.saturating_sub(ATTEMPTS_SWEPT);
        for number in first..attempt.attempt {
            let earlier = AttemptId {
                attempt: number,
                ..attempt
            };
            match fs::remove_file(Self::path(target, earlier)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn path(target: &Path, attempt: AttemptId) -> PathBuf {
        target.with_file_name(format!(".{attempt}.tmp"))
    }

    /// Names a file in the same folder, so that it can be renamed, and of this attempt alone. It has
    /// nothing of the target's name, which may be as long as names can be.
    fn beside(target: PathBuf, attempt: AttemptId) -> Self {
        Self {
            path: Self::path(&target, attempt),
            target,
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename there is nothing of this name. Nobody is left to hear of another error.
        let _ = fs::remove_file(&self.path);
    }
}

/// Opens what is no file, unless an attempt before this one may have written to it.
fn open_as_it_is(path: &Path, attempt: AttemptId) -> io::Result<File> {
    let forgets = behind_links(path) == Path::new("/dev/null");
    if attempt.attempt > 0 && !forgets {
        let message = "it may have what an attempt before the restart has written";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    File::options().write(true).open(path)
}

/// Makes the error of what is no file. The next attempt could only say that it does not write there,
/// and this cause would be hidden.
fn final_error(path: &Path) -> impl FnOnce(io::Error) -> OperatorError {
    let error = OperatorError::file("write", path);
    |source| OperatorError::fatal(error(source))
}

/// Returns the part that a subtask writes, and makes the folder for it.
fn part(folder: &Path, subtask: u32, parallelism: u32) -> Result<PathBuf, OperatorError> {
    let make = || {
        fs::create_dir_all(folder)?;
        // A part that this job does not write is one of an earlier job, and would pass for a part
        // of this one.
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            if part_number(&name).is_some_and(|number| number >= parallelism) {
                let message = format!("{} is of an earlier job", name.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
            }
        }
        Ok(folder.join(format!("part-{subtask}")))
    };
    make().map_err(OperatorError::file("write", folder))
}

/// Returns the file behind a path, which may not be there: a link stays one, and it is the file behind
/// it that is made or replaced.
fn behind_links(path: &Path) -> PathBuf {
    let mut target = path.to_owned();
    for _ in 0..LINKS_MAX {
        let Ok(link) = fs::read_link(&target) else {
            break;
        };
        // A link's own path is relative to the folder that it lies in.
        target = target.with_file_name("").join(link);
    }
    target
}

/// Looks at what a path names; `None` if there is nothing.
fn existing(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// After how many attempts at the latest the next one removes what one has left behind.
const ATTEMPTS_SWEPT: u32 = 1000;
/// How many links in a row Linux follows.
const LINKS_MAX: usize = 40;
/// How much is written at once.
const LINES_BYTES: usize = 64 << 10;
