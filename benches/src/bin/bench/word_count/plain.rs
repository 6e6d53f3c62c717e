use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// Counts words as one would without a cluster.
pub(super) fn count(input: &Path, output: &Path) -> io::Result<()> {
    let mut counts = HashMap::<String, u64>::new();
    for line in BufReader::new(File::open(input)?).lines() {
        let line = line?;
        let words = line.split(|c: char| !c.is_alphanumeric());
        for word in words.filter(|word| !word.is_empty()) {
            *counts.entry(word.to_lowercase()).or_default() += 1;
        }
    }
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_unstable();
    let mut output = BufWriter::new(File::create(output)?);
    for (word, count) in counts {
        writeln!(output, "{word}\t{count}")?;
    }
    output.flush()
}
