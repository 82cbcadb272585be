//! Rows in columns, for people.

use std::fmt::Write as _;

use crate::output;

/// Columns that stay aligned over pages of rows: they grow, and never shrink.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    heads: [&'static str; N],
    /// Columns of numbers stand to the right.
    numbers: [bool; N],
    widths: [usize; N],
    begun: bool,
}

impl<const N: usize> Table<N> {
    /// A head that begins with `#` is that of a column of numbers.
    pub(crate) fn new(heads: [&'static str; N]) -> Table<N> {
        let shown = heads.map(|head| head.trim_start_matches('#'));
        let numbers = heads.map(|head| head.starts_with('#'));
        Table { heads: shown, numbers, widths: shown.map(str::len), begun: false }
    }

    /// The text of these rows, with the heads before the first; no rows, no text.
    pub(crate) fn lines(&mut self, rows: Vec<[String; N]>) -> String {
        let mut text = String::new();
        let rows: Vec<_> = rows.into_iter().map(|row| row.map(|cell| output::shown(&cell).into_owned())).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if !rows.is_empty() && !std::mem::replace(&mut self.begun, true) {
            self.line(&mut text, &self.heads);
        }
        for row in &rows {
            self.line(&mut text, row);
        }
        text
    }

    fn line<S: AsRef<str>>(&self, text: &mut String, row: &[S; N]) {
        let mut line = String::new();
        for ((cell, &width), &number) in row.iter().zip(&self.widths).zip(&self.numbers) {
            let cell = cell.as_ref();
            // Writing to a string does not fail.
            let _ = if number { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:<width$}  ") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: [&str; 3]) -> [String; 3] {
        cells.map(str::to_owned)
    }

    #[test]
    fn columns_grow_and_stay() {
        let mut table = Table::new(["id", "#n", "why"]);
        assert_eq!(table.lines(vec![]), "");
        assert_eq!(
            table.lines(vec![row(["a", "10", "x"]), row(["bcd", "2", ""])]),
            "id    n  why\na    10  x\nbcd   2\n"
        );
        assert_eq!(table.lines(vec![row(["ä\n", "3", "y"])]), "ä\\n   3  y\n");
    }
}
