//! What goes wrong, on one line and with an exit status.

use std::error::Error;
use std::fmt;

use crate::output::shown;

/// Why the command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct CliError {
    message: String,
    status: u8,
}

impl CliError {
    /// The command line or a file is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            message: one_line(&message.into()),
            status: 2,
        }
    }

    /// As [`usage`](Self::usage), with an error and its causes.
    pub(crate) fn wrong(error: &(dyn Error + 'static)) -> Self {
        Self::usage(in_options(&chain(error)))
    }

    /// The cluster does not answer.
    pub(crate) fn unreachable(error: &(dyn Error + 'static)) -> Self {
        Self::job(&[in_options(&chain(error))])
    }

    /// The job or the cluster failed.
    pub(crate) fn job(causes: &[String]) -> Self {
        Self {
            message: one_line(&causes.join(": ")),
            status: 1,
        }
    }

    /// Something failed, and this is why.
    pub(crate) fn failed(what: &str, error: &(dyn Error + 'static)) -> Self {
        Self {
            message: one_line(&format!("{what}: {}", chain(error))),
            status: 1,
        }
    }

    pub(crate) const fn status(&self) -> u8 {
        self.status
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// An error and its causes, each once: some say what their cause says too.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = error.source();
    }
    text
}

/// The transports name the methods that would help; here these are options.
fn in_options(text: &str) -> String {
    let text = text.replace("give it certificates by `mtls`", "give it --tls-cert");
    let text = text.replace("advertise the one", "--advertise the one");
    text.replace("`insecure`", "--insecure")
}

fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|it| !it.is_empty());
    shown(&lines.collect::<Vec<_>>().join(" "))
}
