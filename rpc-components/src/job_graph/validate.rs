//! Whether a job graph can be run at all.

use std::collections::{BTreeSet, VecDeque};

use super::{
    JobGraph, JobGraphError, OperatorCatalog, OperatorKind, OperatorSpecError, Ship, Vertex,
};
use crate::id::{VertexId, check_name};

impl JobGraph {
    /// Checks the graph: its names, its edges, that it has no cycle, that its operators exist, stand
    /// where they may stand and have the options they need, that no two sinks write the same, and
    /// that its restart strategy can be used.
    ///
    /// Whether paths of sinks are the same is told from how they are spelt, without symbolic links.
    ///
    /// # Errors
    ///
    /// [`JobGraphError`] names the first thing that is wrong.
    pub fn validate(&self, operators: &dyn OperatorCatalog) -> Result<(), JobGraphError> {
        self.check_vertices()?;
        self.check_edges()?;
        self.topological_order()?;
        self.check_operators(operators)?;
        self.check_outputs(operators)?;
        match &self.restart {
            Some(strategy) => Ok(strategy.check()?),
            None => Ok(()),
        }
    }

    /// Returns the vertices, producers before their consumers, and otherwise as they are listed.
    ///
    /// The edges must name vertices that exist.
    pub(super) fn topological_order(&self) -> Result<Vec<VertexId>, JobGraphError> {
        let mut inputs = vec![0_usize; self.vertices.len()];
        let mut consumers = vec![Vec::new(); self.vertices.len()];
        for edge in &self.edges {
            inputs[place(edge.to)] += 1;
            consumers[place(edge.from)].push(edge.to);
        }
        let mut ready: VecDeque<VertexId> = (0_u32..)
            .zip(&inputs)
            .filter(|(_, inputs)| **inputs == 0)
            .map(|(index, _)| VertexId(index))
            .collect();
        let mut order = Vec::with_capacity(self.vertices.len());
        while let Some(vertex) = ready.pop_front() {
            order.push(vertex);
            for consumer in &consumers[place(vertex)] {
                inputs[place(*consumer)] -= 1;
                if inputs[place(*consumer)] == 0 {
                    ready.push_back(*consumer);
                }
            }
        }
        if order.len() == self.vertices.len() {
            return Ok(order);
        }
        Err(self.cycle_among(&inputs))
    }

    fn check_vertices(&self) -> Result<(), JobGraphError> {
        if self.vertices.is_empty() {
            return Err(JobGraphError::Empty);
        }
        if self.vertices.len() > VERTICES_MAX {
            return Err(JobGraphError::TooManyVertices {
                count: self.vertices.len(),
                max: VERTICES_MAX,
            });
        }
        if self.edges.len() > EDGES_MAX {
            return Err(JobGraphError::TooManyEdges {
                count: self.edges.len(),
                max: EDGES_MAX,
            });
        }
        check_shown("the job's", &self.name)?;
        let mut names = BTreeSet::new();
        for vertex in &self.vertices {
            check_shown("a vertex's", &vertex.name)?;
            if !names.insert(&vertex.name) {
                return Err(JobGraphError::DuplicateVertex {
                    vertex: vertex.name.clone(),
                });
            }
            if !(1..=PARALLELISM_MAX).contains(&vertex.parallelism) {
                return Err(JobGraphError::Parallelism {
                    vertex: vertex.name.clone(),
                    parallelism: vertex.parallelism,
                    max: PARALLELISM_MAX,
                });
            }
        }
        Ok(())
    }

    fn check_edges(&self) -> Result<(), JobGraphError> {
        let count = self.vertices.len();
        for edge in &self.edges {
            if let Some(id) = [edge.from, edge.to].iter().find(|id| place(**id) >= count) {
                return Err(JobGraphError::UnknownVertex {
                    vertex: id.0,
                    count,
                });
            }
            let from = &self.vertices[place(edge.from)];
            let to = &self.vertices[place(edge.to)];
            if edge.ship == Ship::Forward && from.parallelism != to.parallelism {
                return Err(JobGraphError::Forward {
                    from: from.name.clone(),
                    from_parallelism: from.parallelism,
                    to: to.name.clone(),
                    to_parallelism: to.parallelism,
                });
            }
        }
        Ok(())
    }

    fn check_operators(&self, operators: &dyn OperatorCatalog) -> Result<(), JobGraphError> {
        let inputs: BTreeSet<VertexId> = self.edges.iter().map(|edge| edge.to).collect();
        let outputs: BTreeSet<VertexId> = self.edges.iter().map(|edge| edge.from).collect();
        for (index, vertex) in (0..).zip(&self.vertices) {
            let id = VertexId(index);
            let name = vertex.name.clone();
            let operator = vertex.operator.name.clone();
            let kind = operators.kind(&vertex.operator);
            let kind = kind.map_err(|source| wrong_operator(vertex, source))?;
            let is_source = kind == OperatorKind::Source;
            let is_sink = kind == OperatorKind::Sink;
            match (inputs.contains(&id), outputs.contains(&id)) {
                (true, _) if is_source => {
                    let vertex = name;
                    return Err(JobGraphError::InputOfSource { vertex, operator });
                }
                (false, _) if !is_source => {
                    let vertex = name;
                    return Err(JobGraphError::InputMissing { vertex, operator });
                }
                (_, true) if is_sink => {
                    let vertex = name;
                    return Err(JobGraphError::OutputOfSink { vertex, operator });
                }
                (_, false) if !is_sink => {
                    let vertex = name;
                    return Err(JobGraphError::OutputMissing { vertex, operator });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Finds a cycle among the vertices that were not sorted, which still have `inputs` left.
    ///
    /// Each of them has a producer among them, so a walk from producer to producer comes round.
    fn cycle_among(&self, inputs: &[usize]) -> JobGraphError {
        let is_left = |id: VertexId| inputs[place(id)] > 0;
        let producer_of = |id: VertexId| {
            let mut edges = self.edges.iter();
            edges.find(|edge| edge.to == id && is_left(edge.from))
        };
        let mut path: Vec<VertexId> = Vec::new();
        let mut next = self
            .edges
            .iter()
            .map(|edge| edge.to)
            .find(|id| is_left(*id));
        while let Some(id) = next {
            if let Some(start) = path.iter().position(|seen| *seen == id) {
                path.drain(..start);
                path.push(id);
                break;
            }
            path.push(id);
            next = producer_of(id).map(|edge| edge.from);
        }
        path.reverse();
        JobGraphError::Cycle {
            vertices: path
                .iter()
                .map(|id| self.vertices[place(*id)].name.clone())
                .collect(),
        }
    }
}

fn check_shown(whose: &str, name: &str) -> Result<(), JobGraphError> {
    check_name(name).map_err(|reason| JobGraphError::Name {
        whose: whose.to_owned(),
        reason,
    })
}

pub(super) fn wrong_operator(vertex: &Vertex, source: OperatorSpecError) -> JobGraphError {
    let vertex = vertex.name.clone();
    JobGraphError::Operator { vertex, source }
}

/// Returns the place of a vertex in the list of vertices.
pub(super) fn place(id: VertexId) -> usize {
    id.0.try_into().unwrap_or(usize::MAX)
}

/// How many subtasks a vertex may have: each pair of subtasks of two shuffled vertices is a channel
/// with buffers of its own, and 4096² of them is more than a cluster bears.
pub const PARALLELISM_MAX: u32 = 4096;

/// How many vertices a job may have: each is one more thread in every slot, unless it is chained to
/// its producer, and more than 4096 of them are more than a TaskManager bears.
pub const VERTICES_MAX: usize = 4096;

/// No job has more edges than this.
pub const EDGES_MAX: usize = 4 * VERTICES_MAX;
