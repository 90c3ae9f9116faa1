use super::{Area, COLOURS, Canvas, Scale, WIDTH, axis_x, axis_y};

/// One artifact in the plane.
pub(crate) struct Point {
    /// Written beside it.
    pub(crate) label: String,
    /// Its place to the right.
    pub(crate) x: f64,
    /// Its place upwards, above 0.
    pub(crate) y: f64,
    /// Ends of the vertical whisker.
    pub(crate) whisker: Option<(f64, f64)>,
    /// Colour.
    pub(crate) series: usize,
}

/// Letters of a label take about this much.
const LETTER: f64 = 7.2;

/// Points with whiskers, powers of ten upwards.
pub(crate) fn scatter(title: &str, caption: &str, names: (&str, &str), points: &[Point]) -> String {
    let area = Area { left: 58.0, right: WIDTH - 14.0, top: 34.0, bottom: 276.0 };
    let x = Scale::from_zero(points.iter().map(|p| p.x * 1.08), area.left, area.right);
    let ends = points.iter().flat_map(|p| [Some(p.y), p.whisker.map(|w| w.0), p.whisker.map(|w| w.1)]).flatten();
    let y = Scale::decades(ends, area.bottom, area.top);
    let mut canvas = Canvas::new(WIDTH, area.bottom + 44.0);
    axis_x(&mut canvas, &x, area, names.0);
    axis_y(&mut canvas, &y, area, names.1);
    let mut taken: Vec<(f64, f64, f64)> = Vec::new();
    // From top to bottom, because labels only move down.
    let mut order: Vec<&Point> = points.iter().collect();
    order.sort_by(|a, b| b.y.total_cmp(&a.y));
    for point in order {
        let (px, py) = (x.at(point.x), y.at(point.y));
        if let Some((low, high)) = point.whisker {
            canvas.line("whisker", (px, y.at(low)), (px, y.at(high)));
            for end in [y.at(low), y.at(high)] {
                canvas.line("whisker", (px - 5.0, end), (px + 5.0, end));
            }
        }
        let class = format!("dot s{}", point.series % COLOURS);
        canvas.dot(&class, (px, py), 5.5, &point.label);
        let width = LETTER * point.label.chars().count() as f64;
        let right = px + 10.0 + width <= area.right;
        let from = if right { px + 10.0 } else { (px - 10.0 - width).max(area.left) };
        // A label moves down until it covers none before it.
        let mut ty = py - 3.0;
        while taken.iter().any(|(l, r, t)| from < *r && *l < from + width && (ty - t).abs() < 14.0) {
            ty += 4.0;
        }
        taken.push((from, from + width, ty));
        let (at, anchor) = if right { (from, "start") } else { (px - 10.0, "end") };
        canvas.text(&format!("label s{}", point.series % COLOURS), (at, ty), anchor, &point.label);
    }
    canvas.figure(title, caption)
}
