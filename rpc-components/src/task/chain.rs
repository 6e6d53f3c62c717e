//! A chain of operators, and how a record goes through it.

use crate::operator::{Collector, Counter, IoCounters, Operator, OperatorError, Record};
use crate::shuffle::{PartitionWriter, WriteError};

/// The operators of a task behind its source or its input, and what they write to.
#[derive(Debug)]
pub(super) struct Chain {
    operators: Vec<Box<dyn Operator>>,
    output: Output,
}

/// The partitions of a task; none if its last operator is a sink.
#[derive(Debug)]
struct Output {
    partitions: Vec<PartitionWriter>,
}

impl Chain {
    /// Makes a chain that has no operators yet.
    pub(super) const fn new(partitions: Vec<PartitionWriter>) -> Self {
        Self {
            operators: Vec::new(),
            output: Output { partitions },
        }
    }

    /// Adds an operator at the end.
    pub(super) fn push(&mut self, operator: Box<dyn Operator>) {
        self.operators.push(operator);
    }

    /// Returns the operators, to be opened.
    pub(super) fn operators(&mut self) -> &mut [Box<dyn Operator>] {
        &mut self.operators
    }

    /// Returns what takes the records for the first operator.
    pub(super) fn entrance<'a>(&'a mut self, io: &'a IoCounters) -> Entrance<'a> {
        Entrance {
            records: &io.records_in,
            link: Link {
                operators: &mut self.operators,
                output: &mut self.output,
                records: &io.records_out,
            },
        }
    }

    /// Has every operator and every partition let go of what was only gathered to go in bulk.
    pub(super) fn flush(&mut self, io: &IoCounters) -> Result<(), OperatorError> {
        self.each(io, |operator, out| operator.flush(out))?;
        self.output.flush()
    }

    /// Finishes the operators, the first one first, and then the partitions.
    pub(super) fn finish(&mut self, io: &IoCounters) -> Result<(), OperatorError> {
        self.each(io, |operator, out| operator.finish(out))?;
        self.output.flush()?;
        let mut partitions = self.output.partitions.drain(..);
        partitions.try_for_each(|partition| partition.finish().map_err(output_error))
    }

    /// Drops the operators, which take away what only a finished task may leave.
    pub(super) fn drop_operators(&mut self) {
        self.operators.clear();
    }

    /// Tells the consumers that the task failed, and why.
    pub(super) fn fail(&mut self, reason: &str) {
        self.output
            .partitions
            .drain(..)
            .for_each(|partition| partition.fail(reason));
    }

    fn each(
        &mut self,
        io: &IoCounters,
        act: impl Fn(&mut dyn Operator, &mut dyn Collector) -> Result<(), OperatorError>,
    ) -> Result<(), OperatorError> {
        for index in 0..self.operators.len() {
            let (head, behind) = self.operators.split_at_mut(index + 1);
            let mut link = Link {
                operators: behind,
                output: &mut self.output,
                records: &io.records_out,
            };
            act(head[index].as_mut(), &mut link)?;
        }
        Ok(())
    }
}

/// Takes the records for the first operator, and counts them.
pub(super) struct Entrance<'a> {
    records: &'a Counter,
    link: Link<'a>,
}

impl Collector for Entrance<'_> {
    fn emit(&mut self, record: Record<'_>) -> Result<(), OperatorError> {
        self.records.add(1);
        self.link.emit(record)
    }
}

/// Takes the records for the operators that are left, or for the partitions when none is.
struct Link<'a> {
    operators: &'a mut [Box<dyn Operator>],
    output: &'a mut Output,
    records: &'a Counter,
}

impl Collector for Link<'_> {
    fn emit(&mut self, record: Record<'_>) -> Result<(), OperatorError> {
        match self.operators {
            // The last operator of a task without partitions is a sink: what it takes is written.
            [sink] if self.output.partitions.is_empty() => {
                self.records.add(1);
                sink.process(record, &mut Nowhere)
            }
            [operator, behind @ ..] => {
                let mut link = Link {
                    operators: behind,
                    output: self.output,
                    records: self.records,
                };
                operator.process(record, &mut link)
            }
            [] => {
                self.records.add(1);
                self.output.write(record)
            }
        }
    }
}

impl Output {
    fn write(&mut self, record: Record<'_>) -> Result<(), OperatorError> {
        for partition in &mut self.partitions {
            partition.write(record).map_err(output_error)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), OperatorError> {
        let mut partitions = self.partitions.iter_mut();
        partitions.try_for_each(|partition| partition.flush().map_err(output_error))
    }
}

/// Takes what a sink hands on by mistake.
struct Nowhere;

impl Collector for Nowhere {
    fn emit(&mut self, _: Record<'_>) -> Result<(), OperatorError> {
        Ok(())
    }
}

fn output_error(error: WriteError) -> OperatorError {
    match error {
        WriteError::Canceled(canceled) => canceled.into(),
        error => OperatorError::Output(error.into()),
    }
}
