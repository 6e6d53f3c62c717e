//! What of a sample is compared.

use benches::harness::{Load, Sample};
use clap::ValueEnum;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Figure {
    /// The mean time of a call.
    Mean,
    /// The time that half of the calls do not exceed.
    P50,
    /// The time that 99 of 100 calls do not exceed.
    P99,
    /// Calls per second, or bytes, which are as many times more.
    Rate,
    /// The processor time of a call.
    Cpu,
}

impl Figure {
    /// Returns it of a sample, if the sample has it.
    pub(crate) fn of(self, sample: &Sample) -> Option<f64> {
        match self {
            Self::Mean => Some(sample.mean_ns()),
            Self::P50 => sample.percentile_ns(50.0),
            Self::P99 => sample.percentile_ns(99.0),
            Self::Rate => Some(sample.rate()),
            Self::Cpu => Some(sample.cpu_ns()),
        }
    }

    /// Tells what a ratio to a floor says.
    pub(crate) fn ratio(self, floor: &str) -> String {
        match self {
            Self::Mean => format!("a call takes so many times as long as with `{floor}`"),
            Self::P50 => format!("the p50 is so many times that of `{floor}`"),
            Self::P99 => format!("the p99 is so many times that of `{floor}`"),
            Self::Rate => format!("so many times the throughput of `{floor}`"),
            Self::Cpu => {
                format!("a call uses the processors so many times as long as with `{floor}`")
            }
        }
    }
}

/// Returns what is usually asked of a load.
pub(crate) const fn usual(load: Load) -> Figure {
    match load {
        Load::Ask { callers: 1, .. } if load.is_alone() => Figure::Mean,
        Load::Ask { .. } | Load::Tell | Load::Echo { .. } => Figure::Rate,
    }
}
