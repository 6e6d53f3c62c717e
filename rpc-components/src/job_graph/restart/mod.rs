//! How often a job may be restarted, and after which time. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How often a job whose task failed is run again from its beginning, and how long it waits before.
///
/// Answers to Flink's `RestartStrategies`, without its `fallBackRestart`. As text, on the command
/// line and in a configuration file, it is the name and the values of its options, separated by
/// colons; what is left out at the end has its default. Times are in seconds.
///
/// ```
/// use std::time::Duration;
///
/// use rpc_components::job_graph::RestartStrategy;
///
/// let strategy: RestartStrategy = "fixed-delay:5:0.5".parse()?;
/// let (attempts, delay) = (5, Duration::from_millis(500));
/// assert_eq!(strategy, RestartStrategy::FixedDelay { attempts, delay });
/// assert_eq!(strategy.to_string(), "fixed-delay:5:0.5");
/// # Ok::<(), rpc_components::job_graph::RestartStrategyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RestartStrategy {
    /// `exponential-delay`: the delay grows with every restart, and is the first again when the job
    /// has run for long enough. Flink's `ExponentialDelayRestartBackoffTimeStrategy`, with its
    /// defaults.
    ExponentialDelay {
        /// The first delay, and the least; at least 1 ms. `initial_seconds`, by default 1.
        initial: Duration,
        /// The longest delay, not less than the first. `max_seconds`, by default 60.
        max: Duration,
        /// How many times as long as the last one a delay is; at least 1. By default 1.5.
        multiplier: f64,
        /// How long the job has to run for the delay to be the first again. `reset_after_seconds`,
        /// by default 3,600.
        reset_after: Duration,
        /// Up to which part of itself a delay is made longer or shorter, at random, so that jobs
        /// that failed together are not all restarted together; from 0 to 1. By default 0.1.
        jitter: f64,
        /// How many restarts there are at most before the delay is the first again; without end if
        /// `None`, which is the default.
        attempts: Option<u32>,
    },
    /// `failure-rate`: as often as need be, but not if there are too many failures within a time.
    /// Flink's `FailureRateRestartBackoffTimeStrategy`, with its defaults.
    FailureRate {
        /// How many failures there may be within the time; from 1 to 1,000. By default 1.
        failures_max: u32,
        /// The time. `interval_seconds`, by default 60.
        interval: Duration,
        /// How long to wait before each restart. `delay_seconds`, by default 1.
        delay: Duration,
    },
    /// `fixed-delay`: so many times in all. Flink's `FixedDelayRestartBackoffTimeStrategy`.
    FixedDelay {
        /// How many times; at least 1. By default 3, where Flink has 1.
        attempts: u32,
        /// How long to wait before each restart. `delay_seconds`, by default 1.
        delay: Duration,
    },
    /// `none`: never. Flink's `NoRestartBackoffTimeStrategy`.
    None,
}

/// Three times, after 1 s each.
///
/// Flink's default is never, unless the job makes checkpoints: a stream without end would begin
/// anew for every failure, and lose what it held. Here jobs have an end and their sources can be
/// read again, so that to begin anew is right, and costs no more than what was done so far.
impl Default for RestartStrategy {
    fn default() -> Self {
        Self::FixedDelay {
            attempts: 3,
            delay: SECOND,
        }
    }
}

/// Why a restart strategy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RestartStrategyError {
    /// There are more values than the strategy has options.
    #[error("the restart strategy `{strategy}` has {options} options, not {found}")]
    TooManyOptions {
        /// The strategy.
        strategy: String,
        /// How many options it has.
        options: usize,
        /// How many values were given.
        found: usize,
    },
    /// There is no such strategy.
    #[error("there is no restart strategy `{strategy}`; there are {}", STRATEGIES.join(", "))]
    Unknown {
        /// What was asked for.
        strategy: String,
    },
    /// The strategy has no such option.
    #[error("the restart strategy `{strategy}` has no option `{option}`")]
    UnknownOption {
        /// The strategy.
        strategy: String,
        /// What was given.
        option: String,
    },
    /// An option's value is of no use.
    #[error("`{option}` of the restart strategy is {found}, not {expected}")]
    Value {
        /// The option.
        option: String,
        /// What was given.
        found: String,
        /// What it takes.
        expected: String,
    },
}

impl RestartStrategy {
    /// Returns the name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ExponentialDelay { .. } => "exponential-delay",
            Self::FailureRate { .. } => "failure-rate",
            Self::FixedDelay { .. } => "fixed-delay",
            Self::None => "none",
        }
    }

    /// Returns how many restarts there may be in all, if that is known beforehand.
    #[must_use]
    pub const fn attempts(&self) -> Option<u32> {
        match self {
            Self::FixedDelay { attempts, .. } => Some(*attempts),
            Self::None => Some(0),
            Self::ExponentialDelay { .. } | Self::FailureRate { .. } => None,
        }
    }

    /// Returns the strategy of a name, with the defaults of its options.
    pub(super) fn named(name: &str) -> Result<Self, RestartStrategyError> {
        match name {
            "exponential-delay" => Ok(Self::ExponentialDelay {
                initial: SECOND,
                max: Duration::from_secs(60),
                multiplier: 1.5,
                reset_after: Duration::from_secs(3600),
                jitter: 0.1,
                attempts: None,
            }),
            "failure-rate" => Ok(Self::FailureRate {
                failures_max: 1,
                interval: Duration::from_secs(60),
                delay: SECOND,
            }),
            "fixed-delay" => Ok(Self::default()),
            "none" => Ok(Self::None),
            strategy => Err(RestartStrategyError::Unknown {
                strategy: strategy.to_owned(),
            }),
        }
    }

    /// Sets an option.
    pub(super) fn set(&mut self, option: &str, text: &str) -> Result<(), RestartStrategyError> {
        let strategy = self.name();
        let set = match (&mut *self, option) {
            (Self::ExponentialDelay { initial: it, .. }, "initial_seconds") => {
                put(it, time(text).filter(|it| *it >= DELAY_MIN)).ok_or(INITIAL)
            }
            (Self::ExponentialDelay { max: it, .. }, "max_seconds") => {
                put(it, time(text)).ok_or(TIME)
            }
            (Self::ExponentialDelay { multiplier: it, .. }, "multiplier") => {
                put(it, number(text, 1.0, MULTIPLIER_MAX)).ok_or("a number from 1 to 1000")
            }
            (
                Self::ExponentialDelay {
                    reset_after: it, ..
                },
                "reset_after_seconds",
            ) => put(it, time(text)).ok_or(TIME),
            (Self::ExponentialDelay { jitter: it, .. }, "jitter") => {
                put(it, number(text, 0.0, 1.0)).ok_or("a number from 0 to 1")
            }
            (Self::ExponentialDelay { attempts: it, .. }, "attempts") => {
                put(it, count(text, u32::MAX).map(Some)).ok_or(COUNT)
            }
            (
                Self::FailureRate {
                    failures_max: it, ..
                },
                "failures_max",
            ) => put(it, count(text, FAILURES_MAX)).ok_or("a whole number from 1 to 1000"),
            (Self::FailureRate { interval: it, .. }, "interval_seconds") => {
                put(it, time(text).filter(|it| *it >= DELAY_MIN)).ok_or(INITIAL)
            }
            (
                Self::FailureRate { delay: it, .. } | Self::FixedDelay { delay: it, .. },
                "delay_seconds",
            ) => put(it, time(text)).ok_or(TIME),
            (Self::FixedDelay { attempts: it, .. }, "attempts") => {
                put(it, count(text, u32::MAX)).ok_or(COUNT)
            }
            _ => {
                return Err(RestartStrategyError::UnknownOption {
                    strategy: strategy.to_owned(),
                    option: option.to_owned(),
                });
            }
        };
        set.map_err(|expected| RestartStrategyError::value(option, text, expected))
    }

    /// Checks what depends on more than one option.
    pub(super) fn check_together(&self) -> Result<(), RestartStrategyError> {
        match self {
            Self::ExponentialDelay { initial, max, .. } if max < initial => {
                let found = max.as_secs_f64().to_string();
                let expected = "at least `initial_seconds`";
                Err(RestartStrategyError::value("max_seconds", &found, expected))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the strategy, which may come from anywhere, can be used.
    pub(super) fn check(&self) -> Result<(), RestartStrategyError> {
        let mut same = self.clone();
        for (option, text) in self.values() {
            same.set(option, &text)?;
        }
        self.check_together()
    }

    /// Returns the options that have a value, in the order in which the text has them.
    fn values(&self) -> Vec<(&'static str, String)> {
        let seconds = |it: &Duration| it.as_secs_f64().to_string();
        match self {
            Self::ExponentialDelay {
                initial,
                max,
                multiplier,
                reset_after,
                jitter,
                attempts,
            } => {
                let mut values = vec![
                    ("initial_seconds", seconds(initial)),
                    ("max_seconds", seconds(max)),
                    ("multiplier", multiplier.to_string()),
                    ("reset_after_seconds", seconds(reset_after)),
                    ("jitter", jitter.to_string()),
                ];
                values.extend(attempts.map(|it| ("attempts", it.to_string())));
                values
            }
            Self::FailureRate {
                failures_max,
                interval,
                delay,
            } => vec![
                ("failures_max", failures_max.to_string()),
                ("interval_seconds", seconds(interval)),
                ("delay_seconds", seconds(delay)),
            ],
            Self::FixedDelay { attempts, delay } => vec![
                ("attempts", attempts.to_string()),
                ("delay_seconds", seconds(delay)),
            ],
            Self::None => Vec::new(),
        }
    }

    /// Returns the names of the options, in the order in which the text has them.
    fn options(&self) -> Vec<&'static str> {
        let mut options: Vec<_> = self.values().into_iter().map(|(name, _)| name).collect();
        if matches!(self, Self::ExponentialDelay { attempts: None, .. }) {
            options.push("attempts");
        }
        options
    }
}

impl RestartStrategyError {
    fn value(option: &str, found: &str, expected: &str) -> Self {
        Self::Value {
            option: option.to_owned(),
            found: found.to_owned(),
            expected: expected.to_owned(),
        }
    }
}

impl fmt::Display for RestartStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        for (_, value) in self.values() {
            write!(f, ":{value}")?;
        }
        Ok(())
    }
}

impl FromStr for RestartStrategy {
    type Err = RestartStrategyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':');
        let mut strategy = Self::named(parts.next().unwrap_or_default())?;
        let (options, values) = (strategy.options(), parts.collect::<Vec<_>>());
        if values.len() > options.len() {
            return Err(RestartStrategyError::TooManyOptions {
                strategy: strategy.name().to_owned(),
                options: options.len(),
                found: values.len(),
            });
        }
        for (option, value) in options.into_iter().zip(values) {
            strategy.set(option, value)?;
        }
        strategy.check_together()?;
        Ok(strategy)
    }
}

fn put<T>(field: &mut T, value: Option<T>) -> Option<()> {
    *field = value?;
    Some(())
}

fn time(text: &str) -> Option<Duration> {
    let time = Duration::try_from_secs_f64(text.parse().ok()?).ok()?;
    (time <= TIME_MAX).then_some(time)
}

fn number(text: &str, least: f64, most: f64) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    (least..=most).contains(&number).then_some(number)
}

fn count(text: &str, most: u32) -> Option<u32> {
    let count: u32 = text.parse().ok()?;
    (1..=most).contains(&count).then_some(count)
}

const STRATEGIES: [&str; 4] = ["exponential-delay", "failure-rate", "fixed-delay", "none"];
const SECOND: Duration = Duration::from_secs(1);
/// Nobody waits for longer, and no timer need.
const TIME_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// What grows from less does not grow, and within less nothing is counted.
const DELAY_MIN: Duration = Duration::from_millis(1);
const MULTIPLIER_MAX: f64 = 1000.0;
/// As many times are kept.
const FAILURES_MAX: u32 = 1000;
const TIME: &str = "a number of seconds up to 31536000";
const INITIAL: &str = "a number of seconds from 0.001 to 31536000";
const COUNT: &str = "a whole number from 1";

#[cfg(test)]
mod tests;
