use crate::junit::escape;

/// A table that grows; the first cell of a row is its header.
pub(crate) struct Table {
    html: String,
    numbers: Vec<bool>,
}

impl Table {
    /// `columns` that start with `#` hold numbers.
    pub(crate) fn new(caption: &str, columns: &[&str]) -> Self {
        let mut html = String::from("<div class=\"scroll\"><table>");
        if !caption.is_empty() {
            // The span keeps to the window when the table is wider.
            html += &format!("<caption><span>{}</span></caption>", escape(caption));
        }
        html += "<thead><tr>";
        let numbers: Vec<bool> = columns.iter().map(|c| c.starts_with('#')).collect();
        for column in columns {
            let class = if column.starts_with('#') { " class=\"n\"" } else { "" };
            html += &format!("<th scope=\"col\"{class}>{}</th>", escape(column.trim_start_matches('#')));
        }
        html += "</tr></thead><tbody>\n";
        Self { html, numbers }
    }

    /// Adds a row of finished HTML.
    pub(crate) fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        self.html += "<tr>";
        for (index, cell) in cells.iter().enumerate() {
            let class = if self.numbers.get(index) == Some(&true) { " class=\"n\"" } else { "" };
            let cell = cell.as_ref();
            self.html += &if index == 0 {
                format!("<th scope=\"row\"{class}>{cell}</th>")
            } else {
                format!("<td{class}>{cell}</td>")
            };
        }
        self.html += "</tr>\n";
    }

    pub(crate) fn finish(self) -> String {
        self.html + "</tbody></table></div>\n"
    }
}
