//! What can be wrong with a job graph, and with the file that describes one.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::RestartStrategyError;
use crate::id::NameError;

/// Why a job graph cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum JobGraphError {
    /// Records would go round for ever.
    #[error("the job has a cycle: {}", .vertices.join(" -> "))]
    Cycle {
        /// The vertices of the cycle in the order of its edges, the first once more at the end.
        vertices: Vec<String>,
    },
    /// Two vertices have the same name.
    #[error("the job has two vertices called `{vertex}`")]
    DuplicateVertex {
        /// The name.
        vertex: String,
    },
    /// There is no vertex.
    #[error("the job is empty")]
    Empty,
    /// A forward edge joins vertices that do not have the same parallelism.
    #[error(
        "`{from}` has parallelism {from_parallelism} and cannot forward to `{to}`, which has \
         {to_parallelism}"
    )]
    Forward {
        /// The producer.
        from: String,
        /// How many subtasks the producer has.
        from_parallelism: u32,
        /// The consumer.
        to: String,
        /// How many subtasks the consumer has.
        to_parallelism: u32,
    },
    /// A vertex has no inputs, and its operator is no source.
    #[error("vertex `{vertex}` has no input, and its operator `{operator}` is not a source")]
    InputMissing {
        /// The vertex.
        vertex: String,
        /// Its operator.
        operator: String,
    },
    /// A vertex has inputs, and its operator is a source.
    #[error("vertex `{vertex}` has an input, but its operator `{operator}` is a source")]
    InputOfSource {
        /// The vertex.
        vertex: String,
        /// Its operator.
        operator: String,
    },
    /// The job or a vertex has a name that cannot be shown.
    #[error("{whose} name {reason}")]
    Name {
        /// Whose name it is.
        whose: String,
        /// What is wrong with it.
        reason: NameError,
    },
    /// A vertex's operator does not exist, or its options are wrong.
    #[error("vertex `{vertex}` cannot be made")]
    Operator {
        /// The vertex.
        vertex: String,
        /// What is wrong.
        source: OperatorSpecError,
    },
    /// Nobody reads what a vertex produces.
    #[error("vertex `{vertex}` has no output, and its operator `{operator}` is not a sink")]
    OutputMissing {
        /// The vertex.
        vertex: String,
        /// Its operator.
        operator: String,
    },
    /// A vertex has outputs, and its operator is a sink.
    #[error("vertex `{vertex}` has an output, but its operator `{operator}` is a sink")]
    OutputOfSink {
        /// The vertex.
        vertex: String,
        /// Its operator.
        operator: String,
    },
    /// A vertex has no subtasks, or more than a vertex may have.
    #[error("vertex `{vertex}` has parallelism {parallelism}, which is not from 1 to {max}")]
    Parallelism {
        /// The vertex.
        vertex: String,
        /// What was asked for.
        parallelism: u32,
        /// How many subtasks it may have.
        max: u32,
    },
    /// A sink writes into what another one writes, which is a folder of parts.
    #[error(
        "vertex `{vertex}` writes {path}, which is for `{writer}`, whose subtasks each write a \
         part in {folder}; give one of them another path"
    )]
    PathOfPart {
        /// The vertex.
        vertex: String,
        /// What it writes.
        path: String,
        /// Whose part that is.
        writer: String,
        /// The folder of the parts.
        folder: String,
    },
    /// The restart strategy cannot be used.
    #[error(transparent)]
    Restart(#[from] RestartStrategyError),
    /// Two sinks write the same, and one would replace what the other has written.
    #[error("vertices `{first}` and `{second}` both write {path}")]
    SamePath {
        /// The one that is listed first.
        first: String,
        /// The other.
        second: String,
        /// What both write.
        path: String,
    },
    /// There are more edges than a job may have.
    #[error("the job has {count} edges, which is more than {max}; make several jobs of it")]
    TooManyEdges {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// There are more vertices than a job may have.
    #[error("the job has {count} vertices, which is more than {max}; make several jobs of it")]
    TooManyVertices {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// An edge names a vertex that is not there.
    #[error("an edge names vertex {vertex}, and the job has only {count}")]
    UnknownVertex {
        /// The place that the edge names.
        vertex: u32,
        /// How many vertices there are.
        count: usize,
    },
}

/// Why an operator cannot be made as it is described.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OperatorSpecError {
    /// An option that the operator needs is not given.
    #[error("operator `{operator}` needs the option `{option}`")]
    MissingOption {
        /// The operator.
        operator: String,
        /// The option.
        option: String,
    },
    /// An option's value is of another type.
    #[error("option `{option}` of operator `{operator}` is {found}, not {expected}")]
    OptionType {
        /// The operator.
        operator: String,
        /// The option.
        option: String,
        /// What the operator takes.
        expected: String,
        /// What was given.
        found: String,
    },
    /// An option's value is of the right type, but of no use.
    #[error("option `{option}` of operator `{operator}` {reason}")]
    OptionValue {
        /// The operator.
        operator: String,
        /// The option.
        option: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such operator.
    #[error("there is no operator `{operator}`; there are {}", .known.join(", "))]
    UnknownOperator {
        /// What was asked for.
        operator: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The operator has no such option.
    #[error("operator `{operator}` has no option `{option}`; {}", knows(.known))]
    UnknownOption {
        /// The operator.
        operator: String,
        /// What was given.
        option: String,
        /// What the operator has.
        known: Vec<String>,
    },
}

/// Why a file does not describe a job graph.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JobFileError {
    /// An edge names a vertex that the file does not have.
    #[error("{}:{line}: there is no vertex `{vertex}`", .file.display())]
    Edge {
        /// The file.
        file: PathBuf,
        /// Where in it, from 1.
        line: usize,
        /// What the edge names.
        vertex: String,
    },
    /// A key is missing.
    #[error("{}:{line}: `{table}` needs the key `{key}`", .file.display())]
    MissingKey {
        /// The file.
        file: PathBuf,
        /// Where in it, from 1.
        line: usize,
        /// What it is missing in.
        table: String,
        /// What is missing.
        key: String,
    },
    /// The file cannot be read.
    #[error("cannot read {}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: {message}", .file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Where in it, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A key is not one of the format.
    #[error("{}:{line}: `{table}` has no key `{key}`", .file.display())]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// Where in it, from 1.
        line: usize,
        /// What the key stands in.
        table: String,
        /// The key.
        key: String,
    },
    /// A key's value cannot be used.
    #[error("{}:{line}: `{key}` is {found}, not {expected}", .file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// Where in it, from 1.
        line: usize,
        /// The key.
        key: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
}

fn knows(options: &[String]) -> String {
    if options.is_empty() {
        "it has none".into()
    } else {
        format!("it has {}", options.join(", "))
    }
}
