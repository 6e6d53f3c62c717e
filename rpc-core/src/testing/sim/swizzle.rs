use std::ops::RangeInclusive;
use std::time::Duration;

use super::network::{SimNetwork, id};
use super::world::NodeId;

impl SimNetwork {
    /// Isolates some of these nodes one by one, and heals them one by one in another order.
    ///
    /// Which of them, and in which orders, is drawn; between any two steps passes a time of this
    /// range. It meets states of partial connection that nobody would think of. Links that were cut
    /// before are healed with the nodes at their ends.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped, the nodes that are isolated by then stay so.
    pub async fn swizzle(&self, names: &[&str], pause: RangeInclusive<Duration>) {
        let (isolated, healed) = self.with(|world, _| {
            let mut nodes: Vec<NodeId> = names.iter().map(|name| id(world, name)).collect();
            world.random.shuffle(&mut nodes);
            nodes.truncate(world.random.usize(0..=nodes.len()));
            let isolated = nodes.clone();
            world.random.shuffle(&mut nodes);
            (isolated, nodes)
        });
        for &node in &isolated {
            self.with(|world, now| world.isolate(now, node));
            self.pass(&pause).await;
        }
        for (place, &node) in healed.iter().enumerate() {
            let still_isolated = &healed[place + 1..];
            self.with(|world, now| {
                for other in 0..world.nodes.len() {
                    if !still_isolated.contains(&other) {
                        world.heal(now, (node, other));
                        world.heal(now, (other, node));
                    }
                }
            });
            self.pass(&pause).await;
        }
    }

    async fn pass(&self, range: &RangeInclusive<Duration>) {
        let time = self.with(|world, _| world.draw_duration(range));
        tokio::time::sleep(time).await;
    }
}
