//! The job that everyone runs first.

use super::{Edge, JobGraph, OperatorSpec, OptionValue, Ship, Vertex};
use crate::id::{JobId, VertexId};

impl JobGraph {
    /// Counts the words of files: a word is a maximal run of `char::is_alphanumeric` characters,
    /// lower-cased, and the result has a line `word<TAB>count` for each, sorted by its bytes.
    ///
    /// ```text
    /// file-source ▶ words ▶ key-by ▶ reduce count, partial ═hash═▶ reduce sum ─▶ sort ▶ sink
    ///                     × parallelism                         × parallelism      × 1
    /// ```
    ///
    /// The result goes to the file `output`, or to the client that follows the job. The counts are
    /// combined before they travel, so that little does.
    #[must_use]
    pub fn word_count(inputs: Vec<String>, output: Option<String>, parallelism: u32) -> Self {
        let sink = match output {
            Some(path) => OperatorSpec::new("file-sink").with("path", path),
            None => OperatorSpec::new("stdout-sink"),
        };
        let count = OperatorSpec::new("reduce")
            .with("function", "count")
            .with("partial", true);
        let sum = OperatorSpec::new("reduce").with("function", "sum");
        let inputs = OptionValue::Texts(inputs);
        let vertices = vec![
            vertex(
                "source",
                OperatorSpec::new("file-source").with("path", inputs),
                parallelism,
            ),
            vertex("words", OperatorSpec::new("words"), parallelism),
            vertex("key", OperatorSpec::new("key-by"), parallelism),
            vertex("count", count, parallelism),
            vertex("sum", sum, parallelism),
            vertex("sort", OperatorSpec::new("sort"), 1),
            vertex("sink", sink, 1),
        ];
        let ships = [
            Ship::Forward,
            Ship::Forward,
            Ship::Forward,
            Ship::Hash,
            Ship::Rebalance,
            Ship::Forward,
        ];
        let edges = (0..).zip(ships).map(|(from, ship)| Edge {
            from: VertexId(from),
            to: VertexId(from + 1),
            ship,
        });
        Self {
            id: JobId::random(),
            name: "word-count".into(),
            vertices,
            edges: edges.collect(),
            slot_wait: None,
            restart: None,
        }
    }
}

fn vertex(name: &str, operator: OperatorSpec, parallelism: u32) -> Vertex {
    Vertex {
        name: name.into(),
        operator,
        parallelism,
    }
}
