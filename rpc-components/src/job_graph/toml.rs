//! A job graph from a file.
//!
//! ```toml
//! name = "long-words"                 # what people call the job
//! slot_wait_seconds = 60              # how long it may wait for slots; without it for ever
//!
//! [restart]                           # without it as the cluster is configured
//! strategy = "fixed-delay"            # exponential-delay, failure-rate, fixed-delay or none
//! attempts = 3                        # every other key is an option of the strategy
//! delay_seconds = 1
//!
//! [[vertex]]
//! name = "lines"                      # unique in the job
//! operator = "file-source"            # one of the registry
//! parallelism = 4                     # without it, that of the command
//! path = ["/data/a.txt", "/data/b"]   # every other key is an option of the operator
//!
//! [[vertex]]
//! name = "words"
//! operator = "words"
//! parallelism = 4
//!
//! [[vertex]]
//! name = "out"
//! operator = "stdout-sink"
//! parallelism = 1
//!
//! [[edge]]
//! from = "lines"
//! to = "words"
//! ship = "forward"                    # broadcast, forward, hash or rebalance
//!
//! [[edge]]                            # without `ship`: forward if the two have the same
//! from = "words"                      # parallelism, and otherwise rebalance
//! to = "out"
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::{
    Edge, JobFileError, JobGraph, OperatorSpec, OptionValue, RestartStrategy, RestartStrategyError,
    Ship, Vertex,
};
use crate::id::{JobId, VertexId};

impl JobGraph {
    /// Reads a graph from a TOML file; `parallelism` is that of the vertices that name none.
    ///
    /// The format is that of [`from_toml`](Self::from_toml).
    ///
    /// # Errors
    ///
    /// [`JobFileError`] names the file, the line and the key.
    pub fn read_toml(file: &Path, parallelism: u32) -> Result<Self, JobFileError> {
        let text = fs::read_to_string(file).map_err(|source| JobFileError::Read {
            file: file.into(),
            source,
        })?;
        Self::from_toml(file, &text, parallelism)
    }

    /// Parses a graph from TOML; `file` is what errors call it.
    ///
    /// Whether the graph can be run is for [`validate`](Self::validate) to say. Paths are as they are
    /// in the text: [`change_paths`](Self::change_paths) makes them absolute.
    ///
    /// # Errors
    ///
    /// [`JobFileError`] names the file, the line and the key.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::path::Path;
    ///
    /// use rpc_components::job_graph::JobGraph;
    ///
    /// let text = r#"
    ///     name = "lines"
    ///     [[vertex]]
    ///     name = "lines"
    ///     operator = "generator-source"
    ///     count = 100
    ///     [[vertex]]
    ///     name = "out"
    ///     operator = "stdout-sink"
    ///     [[edge]]
    ///     from = "lines"
    ///     to = "out"
    /// "#;
    /// let job = JobGraph::from_toml(Path::new("lines.toml"), text, 2)?;
    /// assert_eq!(job.vertices[1].parallelism, 2);
    /// # Ok::<(), rpc_components::job_graph::JobFileError>(())
    /// ```
    pub fn from_toml(file: &Path, text: &str, parallelism: u32) -> Result<Self, JobFileError> {
        let source = Source { file, text };
        let document = DeTable::parse(text).map_err(|error| JobFileError::Syntax {
            file: file.into(),
            line: source.line(error.span()),
            message: error.message().into(),
        })?;
        let job = Section::new(source, "job", document.span(), document.get_ref());
        job.check_keys(&["edge", "name", "restart", "slot_wait_seconds", "vertex"])?;
        let mut vertices = Vec::new();
        for section in job.sections("vertex")? {
            vertices.push(parse_vertex(&section, parallelism)?);
        }
        let places = (0..).map(VertexId).zip(&vertices);
        let ids = places
            .map(|(id, vertex)| (vertex.name.as_str(), id))
            .collect();
        let mut edges = Vec::new();
        for section in job.sections("edge")? {
            edges.push(parse_edge(&section, &ids, &vertices)?);
        }
        let slot_wait = job.optional("slot_wait_seconds", "a number of seconds", seconds)?;
        Ok(Self {
            id: JobId::random(),
            name: job.required("name", "a text", text_of)?,
            vertices,
            edges,
            slot_wait,
            restart: job.section("restart")?.map(parse_restart).transpose()?,
        })
    }
}

fn parse_restart(section: Section<'_>) -> Result<RestartStrategy, JobFileError> {
    let name = section.required("strategy", "a text", text_of)?;
    let wrong = |error| match error {
        RestartStrategyError::UnknownOption { option, .. } => section.unknown_key(&option),
        RestartStrategyError::Value {
            option,
            found,
            expected,
        } => section.useless(&option, expected, found),
        _ => {
            let expected = "exponential-delay, failure-rate, fixed-delay or none";
            section.mistyped("strategy", expected)
        }
    };
    let mut strategy = RestartStrategy::named(&name).map_err(&wrong)?;
    for (key, value) in section.table {
        let key = key.get_ref().as_ref();
        if key != "strategy" {
            let number = number_of(value.get_ref());
            let number = number.ok_or_else(|| section.mistyped(key, "a number"))?;
            strategy.set(key, &number).map_err(&wrong)?;
        }
    }
    strategy.check_together().map_err(&wrong)?;
    Ok(strategy)
}

fn parse_vertex(section: &Section<'_>, parallelism: u32) -> Result<Vertex, JobFileError> {
    let mut operator = OperatorSpec::new(section.required("operator", "a text", text_of)?);
    for (key, value) in section.table {
        let key = key.get_ref().as_ref();
        if !["name", "operator", "parallelism"].contains(&key) {
            let expected = "a truth value, a number, a text or a list of texts";
            let value = option_of(value.get_ref());
            let value = value.ok_or_else(|| section.mistyped(key, expected))?;
            operator.options.insert(key.into(), value);
        }
    }
    let own = section.optional("parallelism", "a number of subtasks", |value| {
        value.as_integer().and_then(integer_of)?.try_into().ok()
    })?;
    Ok(Vertex {
        name: section.required("name", "a text", text_of)?,
        operator,
        parallelism: own.unwrap_or(parallelism),
    })
}

fn parse_edge(
    section: &Section<'_>,
    ids: &BTreeMap<&str, VertexId>,
    vertices: &[Vertex],
) -> Result<Edge, JobFileError> {
    section.check_keys(&["from", "ship", "to"])?;
    let vertex = |key| {
        let name = section.required(key, "a text", text_of)?;
        let id = ids.get(name.as_str()).copied();
        id.ok_or_else(|| JobFileError::Edge {
            file: section.source.file.into(),
            line: section.line_of(key),
            vertex: name,
        })
    };
    let (from, to) = (vertex("from")?, vertex("to")?);
    let parallelism = |id: VertexId| {
        let vertex = usize::try_from(id.0)
            .ok()
            .and_then(|place| vertices.get(place));
        vertex.map(|vertex| vertex.parallelism)
    };
    let ship = section.optional("ship", "broadcast, forward, hash or rebalance", ship_of)?;
    let default_ship = if parallelism(from) == parallelism(to) {
        Ship::Forward
    } else {
        Ship::Rebalance
    };
    Ok(Edge {
        from,
        to,
        ship: ship.unwrap_or(default_ship),
    })
}

/// The text that is parsed, and where it is from.
#[derive(Clone, Copy)]
struct Source<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn line(&self, span: Option<Range<usize>>) -> usize {
        let start = span.map_or(0, |span| span.start).min(self.text.len());
        let before = &self.text.as_bytes()[..start];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// A table of the file.
struct Section<'a> {
    source: Source<'a>,
    name: &'static str,
    span: Range<usize>,
    table: &'a DeTable<'a>,
}

impl<'a> Section<'a> {
    const fn new(
        source: Source<'a>,
        name: &'static str,
        span: Range<usize>,
        table: &'a DeTable<'a>,
    ) -> Self {
        Self {
            source,
            name,
            span,
            table,
        }
    }

    /// Returns the tables of the list `key`; none if it is not there.
    fn sections(&self, key: &'static str) -> Result<Vec<Self>, JobFileError> {
        let expected = "a list of tables, each begun with its name in double brackets";
        let Some(value) = self.table.get(key) else {
            return Ok(Vec::new());
        };
        let tables = |list: &'a DeArray<'a>| {
            let section = |item: &'a Spanned<DeValue<'a>>| {
                let table = item.get_ref().as_table()?;
                Some(Self::new(self.source, key, item.span(), table))
            };
            list.iter().map(section).collect::<Option<Vec<_>>>()
        };
        let sections = value.get_ref().as_array().and_then(tables);
        sections.ok_or_else(|| self.mistyped(key, expected))
    }

    /// Returns the table `key`, if it is there.
    fn section(&self, key: &'static str) -> Result<Option<Self>, JobFileError> {
        let Some(value) = self.table.get(key) else {
            return Ok(None);
        };
        let table = value.get_ref().as_table();
        let table = table.ok_or_else(|| self.mistyped(key, "a table"))?;
        Ok(Some(Self::new(self.source, key, value.span(), table)))
    }

    fn required<T>(
        &self,
        key: &'static str,
        expected: &'static str,
        parse: impl Fn(&DeValue<'_>) -> Option<T>,
    ) -> Result<T, JobFileError> {
        let value = self.optional(key, expected, parse)?;
        value.ok_or_else(|| JobFileError::MissingKey {
            file: self.source.file.into(),
            line: self.source.line(Some(self.span.clone())),
            table: self.name.into(),
            key: key.into(),
        })
    }

    fn optional<T>(
        &self,
        key: &'static str,
        expected: &'static str,
        parse: impl Fn(&DeValue<'_>) -> Option<T>,
    ) -> Result<Option<T>, JobFileError> {
        let Some(value) = self.table.get(key) else {
            return Ok(None);
        };
        let parsed = parse(value.get_ref());
        parsed.map(Some).ok_or_else(|| self.mistyped(key, expected))
    }

    fn check_keys(&self, known: &[&str]) -> Result<(), JobFileError> {
        let mut keys = self.table.keys();
        match keys.find(|key| !known.contains(&key.get_ref().as_ref())) {
            Some(key) => Err(self.unknown_key(key.get_ref())),
            None => Ok(()),
        }
    }

    fn unknown_key(&self, key: &str) -> JobFileError {
        let known = self.table.get_key_value(key);
        JobFileError::UnknownKey {
            file: self.source.file.into(),
            line: self.source.line(known.map(|(key, _)| key.span())),
            table: self.name.into(),
            key: key.into(),
        }
    }

    fn mistyped(&self, key: &str, expected: &'static str) -> JobFileError {
        let value = self.table.get(key);
        let integer = value.and_then(|value| value.get_ref().as_integer());
        let is_too_large = integer.is_some_and(|integer| integer_of(integer).is_none());
        let expected = match is_too_large {
            true => "a whole number of at most 64 bits",
            false => expected,
        };
        let found = value.map_or_else(String::new, |value| describe(value.get_ref()));
        self.useless(key, expected.into(), found)
    }

    fn useless(&self, key: &str, expected: String, found: String) -> JobFileError {
        JobFileError::Value {
            file: self.source.file.into(),
            line: self.line_of(key),
            key: key.into(),
            expected,
            found,
        }
    }

    fn line_of(&self, key: &str) -> usize {
        let span = self
            .table
            .get(key)
            .map_or_else(|| self.span.clone(), Spanned::span);
        self.source.line(Some(span))
    }
}

/// Says what a value is, with the value where that is short.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("`{text}`"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

fn text_of(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(Into::into)
}

fn seconds(value: &DeValue<'_>) -> Option<Duration> {
    let seconds = value.as_integer().and_then(integer_of)?;
    seconds.try_into().ok().map(Duration::from_secs)
}

fn integer_of(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn number_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(number) => integer_of(number).map(|number| number.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

fn ship_of(value: &DeValue<'_>) -> Option<Ship> {
    match value.as_str()? {
        "broadcast" => Some(Ship::Broadcast),
        "forward" => Some(Ship::Forward),
        "hash" => Some(Ship::Hash),
        "rebalance" => Some(Ship::Rebalance),
        _ => None,
    }
}

fn option_of(value: &DeValue<'_>) -> Option<OptionValue> {
    match value {
        DeValue::String(text) => Some(OptionValue::Text(text.to_string())),
        DeValue::Integer(number) => integer_of(number).map(OptionValue::Int),
        DeValue::Float(number) => number.as_str().parse().ok().map(OptionValue::Float),
        DeValue::Boolean(truth) => Some(OptionValue::Bool(*truth)),
        DeValue::Array(list) => {
            let texts = list
                .iter()
                .map(|item| text_of(item.get_ref()))
                .collect::<Option<_>>();
            texts.map(OptionValue::Texts)
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}
