use super::{Canvas, WIDTH};

const CELL: f64 = 30.0;
const LEFT: f64 = 104.0;

/// Where the colours change, dB: below 10 the noise is a tenth of the signal or more, 4 bits lie around 20 to 25, 8
/// bits around 45.
pub(crate) const STEPS: [f64; 4] = [10.0, 20.0, 30.0, 40.0];

/// A table of signal-to-noise ratios in dB: `rows` are names with one value a column. The number stands in the cell,
/// its colour is that of the step it reaches, `.h0` (lowest) to `.h4`.
pub(crate) fn heat(title: &str, caption: &str, columns: usize, rows: &[(String, Vec<Option<f64>>)]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let width = (LEFT + CELL * columns as f64 + 8.0).max(WIDTH);
    let mut canvas = Canvas::new(width, 26.0 + 24.0 * rows.len() as f64 + 6.0);
    for column in 0..columns {
        canvas.text("tick", (LEFT + CELL * (column as f64 + 0.5), 16.0), "middle", &column.to_string());
    }
    canvas.text("tick", (LEFT - 8.0, 16.0), "end", "layer");
    for ((name, cells), row) in rows.iter().zip(0_u32..) {
        let top = 26.0 + 24.0 * f64::from(row);
        canvas.text("label", (LEFT - 8.0, top + 15.0), "end", name);
        for (value, column) in cells.iter().zip(0_u32..) {
            let Some(value) = value else { continue };
            let class = STEPS.iter().filter(|step| *value >= **step).count();
            let left = LEFT + CELL * f64::from(column);
            canvas.rect(&format!("h{class}"), (left + 1.0, top), (CELL - 2.0, 22.0));
            canvas.text(&format!("cell t{class}"), (left + CELL / 2.0, top + 15.0), "middle", &format!("{value:.0}"));
        }
    }
    canvas.figure(title, caption)
}
