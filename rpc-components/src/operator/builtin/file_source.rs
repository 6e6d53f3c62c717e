//! `file-source`: the lines of files.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::gateway::FileSplit;
use crate::job_graph::OperatorSpecError;
use crate::operator::context::count;
use crate::operator::{Collector, OperatorContext, OperatorError, Options, Record, Source, Step};

/// Hands on each line of the splits that the JobMaster hands out.
///
/// A split owns the lines that begin in it, and reads the last of them to its end, even if that is
/// beyond the split's. A line ends with `\n`, or with the file, and a `\r` before the `\n` is not
/// part of it. What is not UTF-8 is replaced as `String::from_utf8_lossy` does.
///
/// A file that becomes shorter before it is read is an error, for its lines would be missing. What is
/// appended to one is not read, but for what belongs to a line that was begun.
#[derive(Debug)]
pub(super) struct FileSource {
    line_bytes_max: usize,
    context: Option<OperatorContext>,
    reading: Option<SplitReader>,
    buffer: Buffer,
}

impl FileSource {
    pub(super) fn from_options(options: &mut Options<'_>) -> Result<Self, OperatorSpecError> {
        // These two are for whoever hands out the splits; here they are only checked.
        options.required::<Vec<PathBuf>>("path")?;
        options.optional::<u64>("split_bytes")?;
        let line_bytes_max = options.optional("line_bytes_max")?;
        Ok(Self {
            line_bytes_max: line_bytes_max.unwrap_or(LINE_BYTES_MAX_DEFAULT),
            context: None,
            reading: None,
            buffer: Buffer::default(),
        })
    }
}

impl Source for FileSource {
    fn open(&mut self, context: &OperatorContext) -> Result<(), OperatorError> {
        self.context = Some(context.clone());
        Ok(())
    }

    fn step(&mut self, out: &mut dyn Collector) -> Result<Step, OperatorError> {
        let Some(context) = &self.context else {
            return Ok(Step::End);
        };
        let Some(reading) = &mut self.reading else {
            let Some(split) = context.next_split()? else {
                return Ok(Step::End);
            };
            self.buffer.clear();
            self.reading = Some(SplitReader::open(split, self.line_bytes_max)?);
            return Ok(Step::More);
        };
        let has_more = reading.read_lines(&mut self.buffer, context, out)?;
        if !has_more {
            self.reading = None;
        }
        Ok(Step::More)
    }
}

/// Reads the lines that a split owns.
#[derive(Debug)]
struct SplitReader {
    path: PathBuf,
    file: File,
    /// Where in the file the buffer begins.
    position: u64,
    /// Where in the file the split ends.
    end: u64,
    /// Whether the buffer begins in a line that another split owns.
    is_skipping: bool,
    line_bytes_max: usize,
}

impl SplitReader {
    fn open(split: FileSplit, line_bytes_max: usize) -> Result<Self, OperatorError> {
        // The byte before the split tells whether a line begins with the split.
        let position = split.start.saturating_sub(1);
        let open = || {
            let mut file = File::open(&split.path)?;
            file.seek(SeekFrom::Start(position))?;
            Ok(file)
        };
        let file = open().map_err(OperatorError::file("read", &split.path))?;
        Ok(Self {
            file,
            position,
            end: split.start.saturating_add(split.length),
            is_skipping: split.start > 0,
            line_bytes_max,
            path: split.path,
        })
    }

    /// Reads on, and hands on the lines that are complete. Returns whether there may be more.
    fn read_lines(
        &mut self,
        buffer: &mut Buffer,
        context: &OperatorContext,
        out: &mut dyn Collector,
    ) -> Result<bool, OperatorError> {
        if self.position >= self.end {
            return Ok(false);
        }
        let filled = buffer.fill(&mut self.file);
        let is_at_end = filled.map_err(OperatorError::file("read", &self.path))?;
        if is_at_end {
            self.check_end(self.position + count(buffer.bytes().len()))?;
        }
        if self.is_skipping {
            let skipped = match buffer.bytes().iter().position(|byte| *byte == b'\n') {
                Some(line_feed) => {
                    self.is_skipping = false;
                    line_feed + 1
                }
                None => buffer.bytes().len(),
            };
            self.consume(buffer, skipped);
            return Ok(!is_at_end || !self.is_skipping);
        }
        let owned = self.owned(buffer.bytes(), is_at_end);
        if owned == 0 && !is_at_end {
            self.check_line(self.position, buffer.bytes().len())?;
            buffer.grow(self.line_bytes_max.saturating_add(LINE_END_BYTES));
            return Ok(true);
        }
        context.io.bytes_in.add(count(owned));
        self.emit_lines(&buffer.bytes()[..owned], out)?;
        self.consume(buffer, owned);
        Ok(!is_at_end || !buffer.bytes().is_empty())
    }

    /// Returns how many of the bytes are complete lines that begin in the split.
    fn owned(&self, bytes: &[u8], is_at_end: bool) -> usize {
        // The line feed that ends the last line may be the last byte of the split at the earliest.
        let last = usize::try_from(self.end - self.position - 1).unwrap_or(usize::MAX);
        let line_feed = |byte: &u8| *byte == b'\n';
        if last < bytes.len()
            && let Some(after) = bytes[last..].iter().position(line_feed)
        {
            return last + after + 1;
        }
        if is_at_end {
            return bytes.len();
        }
        let before = &bytes[..last.min(bytes.len())];
        before
            .iter()
            .rposition(line_feed)
            .map_or(0, |line_feed| line_feed + 1)
    }

    fn emit_lines(&self, lines: &[u8], out: &mut dyn Collector) -> Result<(), OperatorError> {
        let mut offset = self.position;
        let mut emit = |line: &[u8], text: &str| {
            self.check_line(offset, text.len().min(line.len()))?;
            offset += count(line.len());
            out.emit(Record::text(text))
        };
        if let Ok(text) = str::from_utf8(lines) {
            let lines = text.split_inclusive('\n');
            return lines
                .into_iter()
                .try_for_each(|line| emit(line.as_bytes(), without_line_end(line)));
        }
        lines
            .split_inclusive(|byte| *byte == b'\n')
            .try_for_each(|line| emit(line, without_line_end(&String::from_utf8_lossy(line))))
    }

    /// Checks that the file, of which nothing was read behind `position`, has what the split has.
    fn check_end(&self, position: u64) -> Result<(), OperatorError> {
        if position >= self.end || self.end == FileSplit::TO_THE_END {
            return Ok(());
        }
        let metadata = self.file.metadata();
        let metadata = metadata.map_err(OperatorError::file("read", &self.path))?;
        // Those in `/sys` tell a length that they do not have, and have not become shorter.
        if metadata.len() >= self.end {
            return Ok(());
        }
        Err(OperatorError::Shortened {
            path: self.path.clone(),
            length: metadata.len(),
            end: self.end,
        })
    }

    fn check_line(&self, offset: u64, length: usize) -> Result<(), OperatorError> {
        if length <= self.line_bytes_max {
            return Ok(());
        }
        Err(OperatorError::LineTooLong {
            path: self.path.clone(),
            offset,
            limit: count(self.line_bytes_max),
        })
    }

    fn consume(&mut self, buffer: &mut Buffer, length: usize) {
        buffer.consume(length);
        self.position += count(length);
    }
}

/// What was read and is not yet handed on.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    const fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    const fn consume(&mut self, length: usize) {
        self.start += length;
    }

    /// Makes room for a line that does not fit, up to `length_max` bytes.
    fn grow(&mut self, length_max: usize) {
        if self.bytes().len() == self.bytes.len() {
            let length = self.bytes.len().saturating_mul(2);
            self.bytes.resize(length.min(length_max.max(READ_BYTES)), 0);
        }
    }

    /// Reads until the buffer is full or the file ends. Returns whether the file has ended.
    fn fill(&mut self, file: &mut File) -> io::Result<bool> {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // One long line must not hold its memory for the rest of the job.
        if self.bytes.len() > READ_BYTES && self.end < READ_BYTES / 2 {
            self.bytes.truncate(READ_BYTES);
            self.bytes.shrink_to_fit();
        }
        if self.bytes.is_empty() {
            self.bytes.resize(READ_BYTES, 0);
        }
        while self.end < self.bytes.len() {
            match file.read(&mut self.bytes[self.end..]) {
                Ok(0) => return Ok(true),
                Ok(length) => self.end += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

fn without_line_end(line: &str) -> &str {
    match line.strip_suffix('\n') {
        Some(line) => line.strip_suffix('\r').unwrap_or(line),
        None => line,
    }
}

/// How much is read at once: little enough that its lines are handled within a millisecond, enough
/// that reading does not count.
const READ_BYTES: usize = 64 << 10;
const LINE_BYTES_MAX_DEFAULT: usize = 256 << 20;
/// What a line has beyond its text, and the byte that shows that it is longer than allowed.
const LINE_END_BYTES: usize = 3;
