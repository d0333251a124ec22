//! Tables for people: columns as wide as what is in them, two spaces apart.

use std::fmt;

/// Rows under a heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows yet.
    pub fn new<const N: usize>(heading: [&str; N]) -> Self {
        Table { rows: vec![heading.iter().map(|cell| cell.to_uppercase()).collect()] }
    }

    /// Adds a row, as long as the heading.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        // A cell is one line, whatever is in it.
        self.rows.push(cells.map(|cell| cell.replace(['\n', '\r', '\t'], " ")).into());
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let widest = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        (0..columns).map(|column| widest(column).unwrap_or(0)).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_cells_are_one_line() {
        let mut table = Table::new(["name", "n"]);
        table.row(["é\nb".into(), "1".into()]);
        table.row(["longer".into(), "22".into()]);
        assert_eq!(table.to_string(), "NAME    N\né b     1\nlonger  22\n");
    }
}
