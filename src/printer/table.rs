//! A small table: columns as wide as their cells, no lines but one under the head.

use super::Tone;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Rows of cells; the head may be empty.
pub struct Table {
    head: Vec<&'static str>,
    align: Vec<Align>,
    rows: Vec<Vec<(String, Option<Tone>)>>,
}

impl Table {
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { head: columns.iter().map(|c| c.0).collect(), align: columns.iter().map(|c| c.1).collect(), rows: vec![] }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into_iter().map(|c| (c, None)).collect());
    }

    pub fn toned<const N: usize>(&mut self, cells: [(String, Option<Tone>); N]) {
        self.rows.push(cells.into());
    }

    pub fn render(&self, paint: &dyn Fn(&str, Tone) -> String) -> String {
        let columns = self.head.len();
        let mut width: Vec<usize> = self.head.iter().map(|h| columns_of(h)).collect();
        for row in &self.rows {
            for (w, (cell, _)) in width.iter_mut().zip(row) {
                *w = (*w).max(columns_of(cell));
            }
        }
        let mut text = String::new();
        if self.head.iter().any(|h| !h.is_empty()) {
            let head: Vec<(String, Option<Tone>)> =
                self.head.iter().map(|h| ((*h).to_owned(), Some(Tone::Dim))).collect();
            self.push_row(&mut text, &head, &width, paint);
        }
        for row in &self.rows {
            self.push_row(&mut text, &row[..columns.min(row.len())], &width, paint);
        }
        text
    }

    fn push_row(
        &self,
        text: &mut String,
        row: &[(String, Option<Tone>)],
        width: &[usize],
        paint: &dyn Fn(&str, Tone) -> String,
    ) {
        let last = row.iter().rposition(|(cell, _)| !cell.is_empty()).map_or(0, |i| i + 1);
        for (i, (cell, tone)) in row[..last].iter().enumerate() {
            text.push_str("  ");
            let pad = " ".repeat(width[i] - columns_of(cell));
            let shown = tone.map_or_else(|| cell.clone(), |t| paint(cell, t));
            match self.align[i] {
                Align::Left if i + 1 == last => text.push_str(&shown),
                Align::Left => text.push_str(&(shown + &pad)),
                Align::Right => text.push_str(&(pad + &shown)),
            }
        }
        text.push('\n');
    }
}

/// Columns a cell takes; cells hold no wide characters but what file names bring.
fn columns_of(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_lines_have_no_trailing_blanks() {
        let mut table = Table::new(&[("name", Align::Left), ("bytes", Align::Right), ("", Align::Left)]);
        table.row(["a".into(), "1".into(), String::new()]);
        table.row(["long".into(), "1000".into(), "x".into()]);
        let text = table.render(&|t, _| t.to_owned());
        assert_eq!(text, "  name  bytes\n  a         1\n  long   1000  x\n");
    }
}
