//! What operators are tested with.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::{
    BoxError, Collector, Operator, OperatorContext, OperatorError, OperatorRegistry, Record,
    ResultSink, RunnableOperator, Source, SplitProvider, Step, Value,
};
use crate::gateway::FileSplit;
use crate::id::{AttemptId, JobId, VertexId};
use crate::job_graph::OperatorSpec;

/// Keeps what it is given.
#[derive(Debug, Default)]
pub(crate) struct Collected(pub(crate) Vec<(String, String)>);

impl Collected {
    /// Returns the values, without their keys.
    pub(crate) fn values(self) -> Vec<String> {
        self.0.into_iter().map(|(_, value)| value).collect()
    }
}

impl Collector for Collected {
    fn emit(&mut self, record: Record<'_>) -> Result<(), OperatorError> {
        let value = match record.value {
            Value::Text(text) => text.into(),
            Value::Int(number) => number.to_string(),
            value => format!("{value:?}"),
        };
        self.0.push((record.key.into(), value));
        Ok(())
    }
}

/// Hands out what it was made with, and keeps what it is sent.
#[derive(Debug, Default)]
pub(crate) struct JobMasterStub {
    splits: Mutex<VecDeque<FileSplit>>,
    results: Mutex<Vec<u8>>,
    longest_piece: AtomicUsize,
}

impl JobMasterStub {
    pub(crate) fn new(splits: impl IntoIterator<Item = FileSplit>) -> Arc<Self> {
        Arc::new(Self {
            splits: Mutex::new(splits.into_iter().collect()),
            results: Mutex::default(),
            longest_piece: AtomicUsize::default(),
        })
    }

    /// Returns how many bytes the longest piece of the results has.
    pub(crate) fn longest_piece(&self) -> usize {
        self.longest_piece.load(Ordering::Relaxed)
    }

    /// Returns the results as text.
    pub(crate) fn results(&self) -> String {
        String::from_utf8(self.results.lock().clone()).unwrap()
    }
}

impl SplitProvider for JobMasterStub {
    fn next_split(&self, _: AttemptId) -> BoxFuture<'static, Result<Option<FileSplit>, BoxError>> {
        let split = self.splits.lock().pop_front();
        async { Ok(split) }.boxed()
    }
}

impl ResultSink for JobMasterStub {
    fn send(&self, _: AttemptId, lines: Bytes) -> BoxFuture<'static, Result<(), BoxError>> {
        self.results.lock().extend_from_slice(&lines);
        self.longest_piece.fetch_max(lines.len(), Ordering::Relaxed);
        async { Ok(()) }.boxed()
    }
}

/// Names an attempt of a job that there is only here.
pub(crate) fn attempt(vertex: u32, subtask: u32) -> AttemptId {
    AttemptId {
        job: "0000000000000000000000000000abcd".parse::<JobId>().unwrap(),
        vertex: VertexId(vertex),
        subtask,
        attempt: 0,
    }
}

/// Describes a task that gets its splits from `job_master`.
pub(crate) fn context(
    subtask: u32,
    parallelism: u32,
    job_master: &Arc<JobMasterStub>,
) -> OperatorContext {
    let splits: Arc<dyn SplitProvider> = Arc::<JobMasterStub>::clone(job_master);
    let results: Arc<dyn ResultSink> = Arc::<JobMasterStub>::clone(job_master);
    OperatorContext::new(attempt(0, subtask), parallelism, splits, results)
}

/// Makes a transform or a sink.
pub(crate) fn operator(spec: &OperatorSpec) -> Box<dyn Operator> {
    match OperatorRegistry::new().make(spec).unwrap() {
        RunnableOperator::Operator(operator) => operator,
        RunnableOperator::Source(_) => panic!("{} is a source", spec.name),
    }
}

/// Makes a source.
pub(crate) fn source(spec: &OperatorSpec) -> Box<dyn Source> {
    match OperatorRegistry::new().make(spec).unwrap() {
        RunnableOperator::Source(source) => source,
        RunnableOperator::Operator(_) => panic!("{} is no source", spec.name),
    }
}

/// Runs an operator over some records.
pub(crate) fn run(
    spec: &OperatorSpec,
    records: &[Record<'_>],
) -> Result<Vec<(String, String)>, OperatorError> {
    let mut operator = operator(spec);
    let mut out = Collected::default();
    operator.open(&context(0, 1, &JobMasterStub::new(vec![])))?;
    records
        .iter()
        .try_for_each(|record| operator.process(*record, &mut out))?;
    operator.finish(&mut out)?;
    Ok(out.0)
}

/// Runs a source to its end.
pub(crate) fn run_source(
    spec: &OperatorSpec,
    context: &OperatorContext,
) -> Result<Vec<String>, OperatorError> {
    let mut source = source(spec);
    let mut out = Collected::default();
    source.open(context)?;
    while source.step(&mut out)? != Step::End {}
    Ok(out.values())
}
