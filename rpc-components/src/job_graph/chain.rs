//! From the graph that a user submits to the plan that is deployed: vertices that only hand their
//! records on are chained into one task.

use std::collections::BTreeMap;

use super::validate::place;
use super::{Edge, JobGraph, JobGraphError, JobPlan, OperatorCatalog, PlanVertex, Ship};
use crate::id::VertexId;

impl JobGraph {
    /// Checks the graph and chains it.
    ///
    /// An edge is chained when it is forwarded and is both the only one that leaves its producer
    /// and the only one that reaches its consumer: then the two always run side by side, and a
    /// record need not be serialised between them. A chain that has [`CHAIN_OPERATORS_MAX`]
    /// operators goes on in another task.
    ///
    /// # Errors
    ///
    /// As [`validate`](Self::validate).
    pub fn plan(&self, operators: &dyn OperatorCatalog) -> Result<JobPlan, JobGraphError> {
        self.validate(operators)?;
        let order = self.topological_order()?;
        let chained = self.chained_edges();
        let mut chain_of: BTreeMap<VertexId, u32> = BTreeMap::new();
        let mut vertices: Vec<PlanVertex> = Vec::new();
        for id in order {
            let vertex = &self.vertices[place(id)];
            let chain = chained.get(&id).map(|producer| chain_of[producer]);
            let chain = chain.filter(|chain| {
                let operators = &vertices[place(VertexId(*chain))].operators;
                operators.len() < CHAIN_OPERATORS_MAX
            });
            if let Some(chain) = chain {
                let plan_vertex = &mut vertices[place(VertexId(chain))];
                plan_vertex.name.push_str(" -> ");
                plan_vertex.name.push_str(&vertex.name);
                plan_vertex.operators.push(vertex.operator.clone());
                chain_of.insert(id, chain);
            } else {
                chain_of.insert(id, vertices.len().try_into().unwrap_or(u32::MAX));
                vertices.push(PlanVertex {
                    name: vertex.name.clone(),
                    operators: vec![vertex.operator.clone()],
                    parallelism: vertex.parallelism,
                });
            }
        }
        let edges = self
            .edges
            .iter()
            .filter(|edge| chain_of[&edge.from] != chain_of[&edge.to])
            .map(|edge| Edge {
                from: VertexId(chain_of[&edge.from]),
                to: VertexId(chain_of[&edge.to]),
                ship: edge.ship,
            })
            .collect();
        Ok(JobPlan {
            job: self.id,
            name: self.name.clone(),
            vertices,
            edges,
            slot_wait: self.slot_wait,
            restart: self.restart.clone(),
        })
    }

    /// Returns the producer of each vertex that may be chained to one.
    fn chained_edges(&self) -> BTreeMap<VertexId, VertexId> {
        let mut leaving = vec![0_usize; self.vertices.len()];
        let mut reaching = vec![0_usize; self.vertices.len()];
        for edge in &self.edges {
            leaving[place(edge.from)] += 1;
            reaching[place(edge.to)] += 1;
        }
        self.edges
            .iter()
            .filter(|edge| edge.ship == Ship::Forward)
            .filter(|edge| leaving[place(edge.from)] == 1 && reaching[place(edge.to)] == 1)
            .map(|edge| (edge.to, edge.from))
            .collect()
    }
}

impl JobPlan {
    /// Returns how many slots the job needs: a slot takes one subtask of each vertex.
    #[must_use]
    pub fn slots(&self) -> u32 {
        let parallelism = self.vertices.iter().map(|vertex| vertex.parallelism);
        parallelism.max().unwrap_or(0)
    }

    /// Returns how many tasks the job has.
    #[must_use]
    pub fn tasks(&self) -> u32 {
        self.vertices.iter().map(|vertex| vertex.parallelism).sum()
    }

    /// Returns the edges that reach a vertex, in the order of its input gates.
    pub fn inputs(&self, vertex: VertexId) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |edge| edge.to == vertex)
    }

    /// Returns the edges that leave a vertex, in the order of its outputs.
    pub fn outputs(&self, vertex: VertexId) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |edge| edge.from == vertex)
    }
}

/// How many operators a chain has at most: each hands a record to the next by a call within its own,
/// and so many of them leave each 32 KiB of the 2 MiB that a thread's stack has.
pub const CHAIN_OPERATORS_MAX: usize = 64;
