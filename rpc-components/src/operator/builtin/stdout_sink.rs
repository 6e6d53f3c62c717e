//! `stdout-sink` and `discard-sink`.

use std::mem;

use bytes::Bytes;

use super::line::write_line;
use crate::operator::{Collector, Operator, OperatorContext, OperatorError, Record};

/// Hands lines to the client that follows the job.
#[derive(Debug)]
pub(super) struct StdoutSink {
    context: Option<OperatorContext>,
    lines: Vec<u8>,
}

impl StdoutSink {
    pub(super) const fn new() -> Self {
        Self {
            context: None,
            lines: Vec::new(),
        }
    }

    fn send(&mut self) -> Result<(), OperatorError> {
        let mut lines = Bytes::from(mem::take(&mut self.lines));
        while let Some(context) = &self.context
            && !lines.is_empty()
        {
            // What comes out is a stream of bytes, in which a cut is not seen.
            let piece = lines.split_to(lines.len().min(PIECE_BYTES_MAX));
            context.send_results(piece)?;
        }
        Ok(())
    }
}

impl Operator for StdoutSink {
    fn open(&mut self, context: &OperatorContext) -> Result<(), OperatorError> {
        self.context = Some(context.clone());
        Ok(())
    }

    fn process(&mut self, record: Record<'_>, _: &mut dyn Collector) -> Result<(), OperatorError> {
        write_line(record, &mut self.lines);
        if self.lines.len() >= LINES_BYTES {
            self.send()?;
        }
        Ok(())
    }

    fn flush(&mut self, _: &mut dyn Collector) -> Result<(), OperatorError> {
        self.send()
    }

    fn finish(&mut self, _: &mut dyn Collector) -> Result<(), OperatorError> {
        self.send()
    }
}

/// Forgets every record.
#[derive(Debug)]
pub(super) struct DiscardSink;

impl Operator for DiscardSink {
    fn process(&mut self, _: Record<'_>, _: &mut dyn Collector) -> Result<(), OperatorError> {
        Ok(())
    }
}

/// How much text is sent at once: enough that a call for it does not count.
const LINES_BYTES: usize = 32 << 10;
/// A message to the JobMaster stays well below the limit of a frame, however long a record is.
const PIECE_BYTES_MAX: usize = 1 << 20;
