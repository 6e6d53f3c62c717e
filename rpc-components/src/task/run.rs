//! What a task's thread does.

use std::any::Any;
use std::error::Error;
use std::panic::{self, AssertUnwindSafe};

use thiserror::Error;
use tokio::sync::watch;
use tokio::time;

use super::chain::Chain;
use super::{Stage, TaskEnvironment, TaskOutcome};
use crate::gateway::{self, FailureKind, TaskDeploymentDescriptor};
use crate::job_graph::{OperatorSpec, OperatorSpecError};
use crate::operator::{
    Canceled, Collector, IoCounters, OperatorContext, OperatorError, RecordReader,
    RunnableOperator, Source, Step, count,
};
use crate::shuffle::{
    ChannelError, InputGate, PartitionError, Polled, ReadError, Segment, WriteError,
};

/// A task that is ready to run.
#[derive(Debug)]
pub(super) struct Run {
    operators: Vec<OperatorSpec>,
    source: Option<Box<dyn Source>>,
    chain: Chain,
    inputs: Vec<gateway::InputGateDescriptor>,
    gate: Option<InputGate>,
    environment: TaskEnvironment,
    context: OperatorContext,
}

/// Why a task failed.
#[derive(Debug, Error)]
pub(super) enum RunError {
    #[error(transparent)]
    Canceled(#[from] Canceled),
    #[error("the task has no operator")]
    Empty,
    #[error("an input of the task is malformed")]
    Malformed(#[source] ChannelError),
    #[error("operator {index} of the task is {found} and cannot stand there")]
    Misplaced { index: usize, found: &'static str },
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error(transparent)]
    Partition(#[from] PartitionError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Spec(#[from] OperatorSpecError),
}

impl RunError {
    fn kind(&self) -> FailureKind {
        if self.is_a_neighbours() {
            FailureKind::Neighbour
        } else if self.is_fatal() {
            FailureKind::Fatal
        } else {
            FailureKind::Recoverable
        }
    }

    /// Tells whether another attempt would fail in the same way.
    fn is_fatal(&self) -> bool {
        match self {
            Self::Empty
            | Self::Misplaced { .. }
            | Self::Partition(PartitionError::Subpartitions { .. })
            | Self::Spec(_) => true,
            Self::Operator(OperatorError::Output(source)) => matches!(
                source.downcast_ref(),
                Some(WriteError::RecordTooLarge { .. })
            ),
            Self::Operator(error) => error.is_fatal(),
            Self::Canceled(_) | Self::Malformed(_) | Self::Partition(_) | Self::Read(_) => false,
        }
    }

    /// Tells whether it says no more than that a task before or after this one is gone.
    fn is_a_neighbours(&self) -> bool {
        match self {
            Self::Operator(OperatorError::Output(source)) => matches!(
                source.downcast_ref(),
                Some(WriteError::ConsumerGone { .. } | WriteError::Released { .. })
            ),
            Self::Read(ReadError::Channel { source, .. }) => matches!(
                source,
                ChannelError::Broken(_)
                    | ChannelError::Dial(_)
                    | ChannelError::NotFound
                    | ChannelError::ProducerFailed { .. }
                    | ChannelError::Released
            ),
            _ => false,
        }
    }
}

impl Run {
    /// Registers the partitions.
    pub(super) fn prepare(
        descriptor: TaskDeploymentDescriptor,
        environment: &TaskEnvironment,
        context: OperatorContext,
    ) -> Result<Self, RunError> {
        let register = |partition| environment.shuffle.register_partition(partition, &context);
        let partitions: Result<Vec<_>, _> = descriptor.outputs.iter().map(register).collect();
        Ok(Self {
            operators: descriptor.operators,
            source: None,
            chain: Chain::new(partitions?),
            inputs: descriptor.inputs,
            gate: None,
            environment: environment.clone(),
            context,
        })
    }

    /// Runs the task on the thread that calls, and sets the stage it has come to.
    ///
    /// A failure is known before the neighbours hear of it, so that the first one of a job is the
    /// one that the others follow from.
    pub(super) fn run(mut self, stage: &watch::Sender<Stage>) {
        let run = AssertUnwindSafe(|| self.run_to_end(|| drop(stage.send_replace(Stage::Running))));
        let mut outcome = match panic::catch_unwind(run) {
            Ok(Ok(())) => TaskOutcome::Finished,
            // Whatever else went wrong because of the cancellation is of no interest.
            Ok(Err(_)) if self.context.cancellation.is_canceled() => TaskOutcome::Canceled,
            Ok(Err(error)) => failed(&error),
            Err(panic) => panicked(panic.as_ref()),
        };
        let drop_operators = AssertUnwindSafe(|| {
            drop(self.source.take());
            self.chain.drop_operators();
        });
        if let Err(panic) = panic::catch_unwind(drop_operators) {
            outcome = panicked(panic.as_ref());
        }
        stage.send_replace(Stage::Ended(outcome.clone()));
        match &outcome {
            TaskOutcome::Failed { causes, .. } => self.chain.fail(&causes.join(": ")),
            TaskOutcome::Canceled => self.chain.fail("it was canceled"),
            TaskOutcome::Finished => {}
        }
    }

    fn run_to_end(&mut self, set_running: impl FnOnce()) -> Result<(), RunError> {
        self.make_operators()?;
        let context = self.context.clone();
        let opening = self.environment.shuffle.open_gate(&self.inputs, &context);
        let gate = context.cancellation.block_on(opening)??;
        self.gate = Some(gate);
        if let Some(source) = &mut self.source {
            source.open(&context)?;
        }
        for operator in self.chain.operators() {
            operator.open(&context)?;
        }
        set_running();
        if self.source.is_some() {
            self.pump_source()?;
        } else {
            self.pump_gate()?;
        }
        self.chain.finish(&context.io)?;
        Ok(())
    }

    fn make_operators(&mut self) -> Result<(), RunError> {
        if self.operators.is_empty() {
            return Err(RunError::Empty);
        }
        for (index, spec) in self.operators.iter().enumerate() {
            let is_source_due = index == 0 && self.inputs.is_empty();
            let misplaced = |found| RunError::Misplaced { index, found };
            match self.environment.registry.make(spec)? {
                RunnableOperator::Source(source) if is_source_due => self.source = Some(source),
                RunnableOperator::Source(_) => return Err(misplaced("a source")),
                RunnableOperator::Operator(_) if is_source_due => {
                    return Err(misplaced("not a source"));
                }
                RunnableOperator::Operator(operator) => self.chain.push(operator),
            }
        }
        Ok(())
    }

    fn pump_source(&mut self) -> Result<(), RunError> {
        let OperatorContext {
            cancellation, io, ..
        } = &self.context;
        while let Some(source) = &mut self.source {
            if cancellation.is_canceled() {
                return Err(Canceled.into());
            }
            match source.step(&mut self.chain.entrance(io))? {
                Step::End => break,
                Step::More => {}
                Step::Wait(duration) => {
                    self.chain.flush(io)?;
                    cancellation.block_on(time::sleep(duration))?;
                }
            }
        }
        Ok(())
    }

    fn pump_gate(&mut self) -> Result<(), RunError> {
        let OperatorContext {
            cancellation, io, ..
        } = &self.context;
        while let Some(gate) = &mut self.gate {
            if cancellation.is_canceled() {
                return Err(Canceled.into());
            }
            let segment = match gate.poll()? {
                Polled::Segment(segment) => Some(segment),
                Polled::End => None,
                // Nobody else would send on what is gathered while this task waits.
                Polled::Pending => {
                    self.chain.flush(io)?;
                    gate.next_segment()?
                }
            };
            match segment {
                Some(segment) => process(&mut self.chain, &segment, io)?,
                None => break,
            }
        }
        Ok(())
    }
}

fn process(chain: &mut Chain, segment: &Segment, io: &IoCounters) -> Result<(), RunError> {
    let Segment::Records(records) = segment;
    io.bytes_in.add(count(records.len()));
    let mut entrance = chain.entrance(io);
    let mut reader = RecordReader::new(records);
    let malformed = |error| RunError::Malformed(ChannelError::Malformed(error));
    while let Some(record) = reader.next().map_err(malformed)? {
        entrance.emit(record)?;
    }
    Ok(())
}

/// Makes the outcome of an error and all its causes.
pub(super) fn failed(error: &RunError) -> TaskOutcome {
    let mut causes = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        causes.push(error.to_string());
        source = error.source();
    }
    let kind = error.kind();
    TaskOutcome::Failed { kind, causes }
}

fn panicked(panic: &(dyn Any + Send)) -> TaskOutcome {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("with no message");
    TaskOutcome::recoverable(vec![format!("the task panicked: {text}")])
}
