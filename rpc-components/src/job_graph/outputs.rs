//! Whether two sinks of a job write the same file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::validate::wrong_operator;
use super::{JobGraph, JobGraphError, OperatorCatalog, OperatorKind, OptionValue, Vertex};

impl JobGraph {
    /// Checks that no two sinks write the same file.
    ///
    /// Paths are compared as they are spelt, after `.` and `..` are taken out of them: symbolic links
    /// are not known here, where the files need not be. So two names of one file are not found if they
    /// differ by a link, and what comes before a `..` is taken for a folder.
    pub(super) fn check_outputs(
        &self,
        operators: &dyn OperatorCatalog,
    ) -> Result<(), JobGraphError> {
        let mut writers: BTreeMap<PathBuf, &Vertex> = BTreeMap::new();
        for vertex in &self.vertices {
            for path in output_paths(vertex, operators)? {
                if let Some(first) = writers.insert(normal(Path::new(path)), vertex) {
                    return Err(JobGraphError::SamePath {
                        first: first.name.clone(),
                        second: vertex.name.clone(),
                        path: path.to_owned(),
                    });
                }
            }
        }
        let mut paths = writers.iter();
        paths.try_for_each(|(path, vertex)| check_no_part(path, vertex, &writers))
    }
}

/// Returns what a vertex writes; nothing if it is no sink.
fn output_paths<'a>(
    vertex: &'a Vertex,
    operators: &dyn OperatorCatalog,
) -> Result<Vec<&'a str>, JobGraphError> {
    let operator = &vertex.operator;
    let wrong = |source| wrong_operator(vertex, source);
    if operators.kind(operator).map_err(wrong)? != OperatorKind::Sink {
        return Ok(Vec::new());
    }
    let options = operators.path_options(operator).map_err(wrong)?;
    let values = options
        .iter()
        .filter_map(|option| operator.options.get(option));
    let paths = values.filter_map(|value| match value {
        OptionValue::Text(path) => Some(path.as_str()),
        _ => None,
    });
    Ok(paths.collect())
}

/// Checks that what a vertex writes is none of the parts that another one writes, nor within one.
fn check_no_part(
    path: &Path,
    vertex: &Vertex,
    writers: &BTreeMap<PathBuf, &Vertex>,
) -> Result<(), JobGraphError> {
    for part in path.ancestors() {
        let number = part.file_name().and_then(part_number);
        let folder = part.parent().filter(|_| number.is_some());
        if let Some(folder) = folder
            && let Some(writer) = writers.get(folder)
            && writer.parallelism > 1
        {
            return Err(JobGraphError::PathOfPart {
                vertex: vertex.name.clone(),
                path: path.display().to_string(),
                folder: folder.display().to_string(),
                writer: writer.name.clone(),
            });
        }
    }
    Ok(())
}

/// Takes `.` and `..` out of a path, but those `..` at its beginning that nothing comes before.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match (component, normal.components().next_back()) {
            (Component::CurDir, _)
            | (Component::ParentDir, Some(Component::RootDir | Component::Prefix(_))) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                normal.pop();
            }
            (component, _) => normal.push(component),
        }
    }
    normal
}

/// Returns the number of the subtask that writes a file of this name, `part-0` for the first one,
/// into the folder of a sink that has several subtasks; `None` for all other names.
pub(crate) fn part_number(name: &OsStr) -> Option<u32> {
    let number = name.to_str()?.strip_prefix("part-")?;
    number.parse().ok()
}
