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

    /// The table, the words of its last column below each other where a line would be longer than `room`.
    pub fn render(&self, room: Option<usize>, paint: &dyn Fn(&str, Tone) -> String) -> String {
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
        // Below this it would be a column of single words.
        let before: usize = width.iter().rev().skip(1).map(|w| w + 2).sum();
        let last = room.map(|room| room.saturating_sub(before + 2)).filter(|left| *left >= 20 && columns > 1);
        for row in &self.rows {
            let row = &row[..columns.min(row.len())];
            match (last, row.split_last()) {
                (Some(left), Some(((cell, tone), others))) if row.len() == columns && columns_of(cell) > left => {
                    let mut lines = wrap(cell, left).into_iter();
                    let first = (lines.next().unwrap_or_default(), *tone);
                    self.push_row(&mut text, &[others, &[first]].concat(), &width, paint);
                    for line in lines {
                        let mut rest = vec![(String::new(), None); columns - 1];
                        rest.push((line, *tone));
                        self.push_row(&mut text, &rest, &width, paint);
                    }
                }
                _ => self.push_row(&mut text, row, &width, paint),
            }
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

/// `text` in lines of at most `room` columns, broken between words; a longer word stands alone.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut().filter(|line| columns_of(line) + 1 + columns_of(word) <= room) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
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
        let text = table.render(None, &|t, _| t.to_owned());
        assert_eq!(text, "  name  bytes\n  a         1\n  long   1000  x\n");
    }

    #[test]
    fn long_last_cells_go_on_below_themselves() {
        let mut table = Table::new(&[("name", Align::Left), ("why", Align::Left)]);
        table.row(["a".into(), "words that are many and long".into()]);
        table.row(["b".into(), "few".into()]);
        let text = table.render(Some(30), &|t, _| t.to_owned());
        assert_eq!(text, "  name  why\n  a     words that are many\n        and long\n  b     few\n");
        assert_eq!(wrap("aaaa bb c", 4), ["aaaa", "bb c"]);
    }
}
