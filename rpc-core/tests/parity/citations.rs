//! The citations of Flink's tests in the sources of this workspace.

use std::fs;
use std::path::{Path, PathBuf};

/// A function, with the rows that the comment above it cites.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) place: &'static str,
    /// The keys of the rows: `Class#test` or `A7`.
    pub(crate) cites: Vec<String>,
    /// Something runs it.
    pub(crate) is_test: bool,
}

/// Who cites a row, and where.
#[derive(Clone, Debug)]
pub(crate) struct Cited {
    pub(crate) name: String,
    pub(crate) place: &'static str,
}

/// Where tests are, by the beginning of the path; the first that fits counts.
const PLACES: [(&str, &str); 9] = [
    ("rpc-core/src/testing/conformance/", "conformance"),
    ("rpc-core/tests/it/", "it"),
    ("rpc-core/tests/own_transport/", "own transport"),
    ("rpc-core/tls/", "tls"),
    ("rpc-core/macros/src/", "unit"),
    ("rpc-core/src/", "unit"),
    ("rpc-transport-local/tests/", "local"),
    ("rpc-transport-quic/tests/", "quic"),
    ("rpc-transport-tcp/tests/", "tcp"),
];

/// Returns all functions at these places.
pub(crate) fn functions() -> Vec<Function> {
    let suite = read("rpc-core/src/testing/mod.rs");
    let mut functions = Vec::new();
    for (path, place) in files() {
        functions.extend(functions_of(&read(&path), place, &suite));
    }
    functions
}

/// Returns how many citations there are, whatever they stand above.
pub(crate) fn citations() -> usize {
    let count = |text: &str| {
        let mut reader = Reader::default();
        text.lines()
            .map(|line| reader.read(line).len())
            .sum::<usize>()
    };
    files().iter().map(|(path, _)| count(&read(path))).sum()
}

fn functions_of(text: &str, place: &'static str, suite: &str) -> Vec<Function> {
    let mut functions = Vec::new();
    let mut reader = Reader::default();
    let mut above = Above::default();
    for line in text.lines() {
        above.cites.extend(reader.read(line));
        let line = line.trim();
        if let Some(name) = function_name(line) {
            let Above {
                cites,
                is_test,
                is_doctest,
            } = std::mem::take(&mut above);
            let in_suite = place == "conformance" && suite.lines().any(|it| it.trim() == name);
            functions.push(Function {
                name: name.to_owned(),
                place: if is_doctest && !is_test { "doc" } else { place },
                cites,
                is_test: is_test || is_doctest || in_suite,
            });
        } else if line.starts_with("#[") {
            above.is_test |= line.contains("test");
        } else if line.starts_with("///") {
            above.is_doctest |= line.contains("```compile_fail");
        } else if !line.starts_with("//") {
            above = Above::default();
        }
    }
    functions
}

/// What was read since the last line that is neither a comment nor an attribute.
#[derive(Default)]
struct Above {
    cites: Vec<String>,
    is_test: bool,
    is_doctest: bool,
}

fn function_name(line: &str) -> Option<&str> {
    let (before, rest) = line.split_once("fn ")?;
    let modifiers = ["pub", "pub(crate)", "pub(super)", "async", "const"];
    let name = rest.split(['(', '<']).next()?;
    before
        .split_whitespace()
        .all(|it| modifiers.contains(&it))
        .then_some(name)
}

/// Reads the citations of one comment, line by line.
#[derive(Default)]
struct Reader {
    kind: Option<Kind>,
    /// The class that a `#test` without one belongs to.
    class: String,
}

#[derive(Clone, Copy)]
enum Kind {
    Test,
    Untested,
}

impl Reader {
    fn read(&mut self, line: &str) -> Vec<String> {
        let Some(mut comment) = comment(line) else {
            *self = Self::default();
            return Vec::new();
        };
        if let Some(rest) = comment.strip_prefix("Flink, untested:") {
            (self.kind, comment) = (Some(Kind::Untested), rest);
        } else if let Some(rest) = comment.strip_prefix("Flink:") {
            (self.kind, comment) = (Some(Kind::Test), rest);
        }
        let words = comment.split([' ', ',', ';']).filter(|it| !it.is_empty());
        words.filter_map(|word| self.key(word)).collect()
    }

    fn key(&mut self, word: &str) -> Option<String> {
        match self.kind? {
            Kind::Untested => {
                let number = word.strip_prefix('A')?;
                number.parse::<u8>().ok()?;
                Some(word.to_owned())
            }
            Kind::Test => {
                let (class, test) = word.split_once('#')?;
                if !class.is_empty() {
                    class.clone_into(&mut self.class);
                }
                Some(format!("{}#{test}", self.class))
            }
        }
    }
}

/// Returns the text of a line that is a comment and no documentation.
fn comment(line: &str) -> Option<&str> {
    let text = line.trim().strip_prefix("//")?;
    (!text.starts_with(['/', '!'])).then(|| text.trim())
}

/// Returns the sources at [`PLACES`], by their path from the workspace's root.
fn files() -> Vec<(String, &'static str)> {
    let mut files = Vec::new();
    for (start, _) in PLACES {
        walk(&root().join(start), &mut files);
    }
    files.sort();
    files.dedup();
    let place = |path: &String| PLACES.iter().find(|(start, _)| path.starts_with(start));
    files
        .into_iter()
        .filter_map(|path| place(&path).map(|(_, place)| (path.clone(), *place)))
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let path = path.strip_prefix(root()).unwrap();
            files.push(path.to_str().unwrap().replace('\\', "/"));
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
