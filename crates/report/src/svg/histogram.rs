use super::{Area, COLOURS, Canvas, Scale, WIDTH, axis_x, axis_y};
use crate::view::Histogram;

/// Bars over powers of ten. Empty bars at both ends are left out.
pub(crate) fn histogram(title: &str, caption: &str, names: (&str, &str), of: &Histogram, series: usize) -> String {
    let filled = |count: &u64| *count > 0;
    let (Some(first), Some(last)) = (of.counts.iter().position(filled), of.counts.iter().rposition(filled)) else {
        return String::new();
    };
    let edge = |bar: usize| 10_f64.powf(of.first + bar as f64 / of.per_decade.max(1.0));
    let area = Area { left: 58.0, right: WIDTH - 14.0, top: 34.0, bottom: 236.0 };
    let x = Scale::decades([edge(first), edge(last + 1)], area.left, area.right);
    let most = of.counts.iter().copied().max().unwrap_or(1) as f64;
    let y = Scale::from_zero([most], area.bottom, area.top);
    let mut canvas = Canvas::new(WIDTH, area.bottom + 44.0);
    axis_x(&mut canvas, &x, area, names.0);
    axis_y(&mut canvas, &y, area, names.1);
    let class = format!("bar s{}", series % COLOURS);
    for (bar, count) in of.counts.iter().enumerate().skip(first).take(last + 1 - first) {
        let (left, right, top) = (x.at(edge(bar)), x.at(edge(bar + 1)), y.at(*count as f64));
        canvas.rect(&class, (left + 0.5, top), (right - left - 1.0, area.bottom - top));
    }
    canvas.figure(title, caption)
}
