use super::{Area, Canvas, Scale, WIDTH, axis_x};

/// One horizontal bar with its spread.
pub(crate) struct Bar {
    /// Written above it.
    pub(crate) label: String,
    /// Its length.
    pub(crate) value: f64,
    /// Ends of the whisker.
    pub(crate) whisker: Option<(f64, f64)>,
    /// Single samples.
    pub(crate) dots: Vec<f64>,
    /// Written at the right of the label: the figure in words.
    pub(crate) text: String,
    /// Colour.
    pub(crate) series: usize,
    /// A limit, drawn across the bar.
    pub(crate) limit: Option<f64>,
}

const ROW: f64 = 50.0;

/// Horizontal bars from 0 on one axis called `name`.
pub(crate) fn bars(title: &str, caption: &str, name: &str, bars: &[Bar]) -> String {
    let height = ROW * bars.len() as f64;
    let area = Area { left: 12.0, right: WIDTH - 16.0, top: 6.0, bottom: 6.0 + height };
    // A limit far away must not squeeze the bars.
    let longest = |b: &Bar| b.dots.iter().copied().fold(b.value.max(b.whisker.map_or(0.0, |w| w.1)), f64::max);
    let reach = bars.iter().map(longest).fold(0.0, f64::max);
    let limits = bars.iter().filter_map(|b| b.limit).filter(|l| *l <= 2.0 * reach);
    let scale = Scale::from_zero(limits.chain([reach]), area.left, area.right);
    let mut canvas = Canvas::new(WIDTH, area.bottom + 44.0);
    axis_x(&mut canvas, &scale, area, name);
    for (bar, row) in bars.iter().zip(0_u32..) {
        let top = area.top + ROW * f64::from(row);
        canvas.text("label", (area.left, top + 16.0), "start", &bar.label);
        canvas.text("value", (area.right, top + 16.0), "end", &bar.text);
        let (at, middle) = (top + 23.0, top + 31.0);
        let class = format!("s{}", bar.series % super::COLOURS);
        canvas.rect(&format!("bar {class}"), (area.left, at), (scale.at(bar.value) - area.left, 16.0));
        if let Some((low, high)) = bar.whisker {
            let (low, high) = (scale.at(low), scale.at(high));
            canvas.line("whisker", (low, middle), (high, middle));
            for end in [low, high] {
                canvas.line("whisker", (end, middle - 5.0), (end, middle + 5.0));
            }
        }
        for dot in &bar.dots {
            canvas.dot("sample", (scale.at(*dot), middle), 2.5, &crate::number::significant(*dot, 4));
        }
        if let Some(limit) = bar.limit.filter(|l| *l <= 2.0 * reach) {
            let x = scale.at(limit);
            canvas.line("limit", (x, at - 2.0), (x, at + 18.0));
        }
    }
    canvas.figure(title, caption)
}
