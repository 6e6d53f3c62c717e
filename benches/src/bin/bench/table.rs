use std::fmt;

/// A table in Markdown whose columns stand below each other in a terminal, too.
#[derive(Debug)]
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    /// Makes one whose columns have these names.
    pub(crate) fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(vec![names.into_iter().map(Into::into).collect()])
    }

    /// Adds a row. What it is short of is left empty; what would end a cell or the row is replaced.
    pub(crate) fn push(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let clean = |cell: String| cell.replace(['\n', '|'], " ");
        let cells = cells.into_iter().map(Into::into);
        let mut row: Vec<String> = cells.map(clean).collect();
        row.resize(self.0[0].len(), String::new());
        self.0.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |cell: &String| cell.chars().count();
        let width = |column: usize| self.0.iter().map(|row| length(&row[column])).max();
        let widths: Vec<usize> = (0..self.0[0].len()).filter_map(width).collect();
        for (number, row) in self.0.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")?;
            if number == 0 {
                for width in &widths {
                    write!(f, "|{}", "-".repeat(width + 2))?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest() {
        let mut table = Table::new(["a", "bc"]);
        table.push(["µs"]);
        table.push(["", "|"]);
        let text = "| a  | bc |\n|----|----|\n| µs |    |\n|    |    |\n";
        assert_eq!(table.to_string(), text);
    }
}
