//! What the command line names.

use benches::harness::{Entry, Load};
use benches::subjects;

/// Finds a subject, or tells which there are.
pub(crate) fn subject(name: &str) -> Result<Entry, String> {
    subjects::find(name).ok_or_else(|| {
        let names: Vec<_> = subjects::all().map(|it| it.name).collect();
        format!(
            "no subject is called '{name}'; there are {}",
            names.join(", ")
        )
    })
}

/// Reads a load, or tells which there are.
pub(crate) fn load(text: &str) -> Result<Load, String> {
    let known = match text.split_once(':') {
        None if text == "tell" => Some(Load::Tell),
        Some(("ask", rest)) => pair(rest).map(|(callers, in_flight)| Load::ask(callers, in_flight)),
        Some(("echo", rest)) => pair(rest).map(|(bytes, in_flight)| Load::echo(bytes, in_flight)),
        _ => None,
    };
    known.ok_or_else(|| {
        format!("no load is '{text}'; there are ask:CALLERSxINFLIGHT, tell, echo:BYTESxINFLIGHT")
    })
}

/// Reads two counts, neither of them 0.
fn pair(text: &str) -> Option<(usize, usize)> {
    let (first, second) = text.split_once('x')?;
    let count = |it: &str| it.parse().ok().filter(|it| *it > 0);
    Some((count(first)?, count(second)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_read() {
        assert_eq!(load("ask:8x16"), Ok(Load::ask(8, 16)));
        assert_eq!(load("echo:1024x1"), Ok(Load::echo(1024, 1)));
        assert_eq!(load("tell"), Ok(Load::Tell));
    }

    #[test]
    fn what_is_no_load_is_named() {
        for text in [
            "", "ask", "ask:1", "ask:0x1", "ask:1xy", "tell:1x1", "echo:x1",
        ] {
            let error = load(text).unwrap_err();
            assert!(
                error.starts_with(&format!("no load is '{text}'")),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_no_subject_is_named_beside_those_that_are() {
        let error = subject("tcp/none").unwrap_err();
        assert!(
            error.contains("'tcp/none'") && error.contains("tcp/rpc"),
            "{error}"
        );
    }
}
