//! The life of an endpoint. Pure.
//!
//! ```text
//!           start            stop
//!  Created ───────▶ Started ◀─────▶ Paused
//!     │               │     start     │
//!     │ terminate     │ terminate     │ terminate
//!     ▼               ▼               ▼
//!  Terminated ◀── Terminating ◀───────┘
//!            stopped
//! ```
//!
//! As in Flink a paused endpoint refuses calls, one that terminates still serves, and one that was
//! never started ends without `on_stop`. Unlike Flink `on_start` runs once, `on_stop` runs once
//! whenever `on_start` ran well, and a start that comes too late is ignored instead of killing the
//! service.

/// Where an endpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Created,
    Started,
    Paused,
    Terminating,
    Terminated,
}

/// What an endpoint is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Start,
    Stop,
    Terminate,
    /// `on_stop` is done, or the endpoint failed.
    Stopped,
}

/// What is to be run for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    None,
    OnStart,
    OnStop,
}

impl State {
    pub(crate) const ALL: [Self; 5] = [
        Self::Created,
        Self::Started,
        Self::Paused,
        Self::Terminating,
        Self::Terminated,
    ];

    /// Tells whether calls are served.
    pub(crate) const fn serves(self) -> bool {
        matches!(self, Self::Started | Self::Terminating)
    }

    /// Takes the step that `command` asks for.
    pub(crate) const fn step(self, command: Command) -> (Self, Hook) {
        match (self, command) {
            (_, Command::Stopped) | (Self::Created, Command::Terminate) => {
                (Self::Terminated, Hook::None)
            }
            (Self::Created, Command::Start) => (Self::Started, Hook::OnStart),
            (Self::Paused, Command::Start) => (Self::Started, Hook::None),
            (Self::Started, Command::Stop) => (Self::Paused, Hook::None),
            (Self::Started | Self::Paused, Command::Terminate) => (Self::Terminating, Hook::OnStop),
            (Self::Created | Self::Paused, Command::Stop)
            | (Self::Started, Command::Start)
            | (Self::Terminating | Self::Terminated, _) => (self, Hook::None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, Hook, State};

    #[test]
    fn every_state_takes_every_command() {
        use Command::{Start, Stop, Stopped, Terminate};
        use State::{Created, Paused, Started, Terminated, Terminating};
        let table = [
            (Created, [Started, Created, Terminated, Terminated]),
            (Started, [Started, Paused, Terminating, Terminated]),
            (Paused, [Started, Paused, Terminating, Terminated]),
            (
                Terminating,
                [Terminating, Terminating, Terminating, Terminated],
            ),
            (Terminated, [Terminated; 4]),
        ];
        for (state, next) in table {
            for (command, next) in [Start, Stop, Terminate, Stopped].into_iter().zip(next) {
                assert_eq!(state.step(command).0, next, "{state:?} {command:?}");
            }
        }
    }

    #[test]
    fn hooks_run_once() {
        let mut state = State::Created;
        let mut hooks = Vec::new();
        use Command::{Start, Stop, Terminate};
        for command in [Start, Start, Stop, Start, Stop, Terminate, Terminate, Start] {
            let (next, hook) = state.step(command);
            state = next;
            if hook != Hook::None {
                hooks.push(hook);
            }
        }
        assert_eq!(hooks, [Hook::OnStart, Hook::OnStop]);
    }
}
