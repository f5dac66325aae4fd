//! Tables for a terminal: columns padded to their widest cell, colours outside the padding.

use crate::{Style, escape_line};

/// How a cell is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paint {
    /// Not at all.
    #[default]
    Plain,
    /// Failure.
    Red,
    /// Success.
    Green,
    /// Worth a look.
    Yellow,
    /// A name.
    Cyan,
    /// Beside the point.
    Dim,
}

impl Paint {
    pub(crate) fn on(self, style: Style, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Red => style.red(text),
            Self::Green => style.green(text),
            Self::Yellow => style.yellow(text),
            Self::Cyan => style.cyan(text),
            Self::Dim => style.dim(text),
        }
    }
}

/// One cell: its text, which may come from anywhere, and its colour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    paint: Paint,
}

impl Cell {
    /// A cell of this colour.
    pub fn new(text: impl Into<String>, paint: Paint) -> Self {
        Self { text: text.into(), paint }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Paint::Plain)
    }
}

/// Rows under a heading.
#[derive(Clone, Debug)]
pub struct Table {
    heading: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<Cell>>,
    /// Of the pages that were written; none before the first.
    widths: Option<Vec<usize>>,
}

impl Table {
    /// An empty table. A heading that begins with `>` belongs to a column of numbers, aligned to the right.
    pub fn new(heading: &[&str]) -> Self {
        let right = heading.iter().map(|title| title.starts_with('>')).collect();
        let heading = heading.iter().map(|title| title.trim_start_matches('>').to_owned()).collect();
        Self { heading, right, rows: Vec::new(), widths: None }
    }

    /// Adds a row; it has as many cells as the heading.
    pub fn row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let escaped = |cell: Cell| Cell { text: escape_line(&cell.text).into_owned(), paint: cell.paint };
        let row: Vec<Cell> = cells.into_iter().map(|cell| escaped(cell.into())).collect();
        debug_assert_eq!(row.len(), self.heading.len(), "a row has a cell for each column");
        self.rows.push(row);
    }

    /// Lines with a line feed each; nothing at all, not even the heading, without rows.
    pub fn to_text(mut self, style: Style) -> String {
        self.page(style)
    }

    /// The rows since the last page as lines, below the heading where they are the first. Columns never become narrower, so
    /// that a long list can be shown from its beginning.
    pub fn page(&mut self, style: Style) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let rows = std::mem::take(&mut self.rows);
        let is_first = self.widths.is_none();
        let widths = self.widths_with(&rows);
        let heading: Vec<Cell> = self.heading.iter().map(|title| Cell::new(title.clone(), Paint::Dim)).collect();
        let heading = is_first.then_some(&heading);
        let text = heading.into_iter().chain(&rows).map(|row| self.line(row, &widths, style)).collect();
        self.widths = Some(widths);
        text
    }

    fn widths_with(&self, rows: &[Vec<Cell>]) -> Vec<usize> {
        let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column)).map(|cell| width(&cell.text));
        let before = |column: usize| self.widths.as_ref().map_or(0, |widths| widths[column]);
        let widest =
            |(column, title): (usize, &String)| cells(column).chain([width(title), before(column)]).max().unwrap_or(0);
        self.heading.iter().enumerate().map(widest).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize], style: Style) -> String {
        let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate().take(last + 1) {
            let padding = " ".repeat(widths[column].saturating_sub(width(&cell.text)));
            let painted = cell.paint.on(style, &cell.text);
            match (self.right[column], column == last) {
                (true, _) => line += &format!("{padding}{painted}"),
                (false, true) => line += &painted,
                (false, false) => line += &format!("{painted}{padding}"),
            }
            line += if column == last { "\n" } else { "  " };
        }
        line
    }
}

/// Columns that a text takes, taking every character for one column wide.
fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_numbers_to_the_right_and_colours_do_not_widen_them() {
        let mut table = Table::new(&["ID", ">SIZE", "WHAT"]);
        table.row([Cell::new("3fa9", Paint::Cyan), "7".into(), "one\nline".into()]);
        table.row(["77ab02", "12345", ""]);
        insta::assert_snapshot!(table.page(Style::PLAIN), @r"
        ID       SIZE  WHAT
        3fa9        7  one\nline
        77ab02  12345
        ");
        table.row([Cell::new("3fa9", Paint::Cyan), "7".into(), "x".into()]);
        assert!(table.page(Style::COLOURED).contains("\x1b[36m3fa9\x1b[0m    "), "as wide as the page before");
    }
}
