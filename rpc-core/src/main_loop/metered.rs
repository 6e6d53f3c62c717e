//! What the main loop tells the recorder.

use super::MainLoop;
use crate::endpoint::RpcEndpoint;
use crate::metering;

impl<E: RpcEndpoint> MainLoop<'_, E> {
    /// Tells the recorder, if there is one, of a round in which so many messages were taken.
    pub(super) fn tell(&mut self, taken: u32) {
        let laps = self.laps.as_mut().filter(|_| taken > 0);
        if let (Some(laps), Some(meter)) = (laps, &self.core.meter) {
            laps.interrupt();
            meter.taken(taken);
            self.core.tell_waiting();
            metering::tell();
        }
    }

    /// Something begins that is not a handler.
    pub(super) fn interrupt_lap(&mut self) {
        self.laps.iter_mut().for_each(|it| it.interrupt());
    }
}
