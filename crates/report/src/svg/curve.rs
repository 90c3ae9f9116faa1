use super::{Area, COLOURS, Canvas, Scale, WIDTH, axis_x, axis_y};

/// One line through points of rising `x`.
pub(crate) struct Curve {
    /// What it is.
    pub(crate) label: String,
    /// Its points, all above 0.
    pub(crate) points: Vec<(f64, f64)>,
    /// Colour.
    pub(crate) series: usize,
}

/// Lines over powers of ten in both directions.
pub(crate) fn curves(title: &str, caption: &str, names: (&str, &str), curves: &[Curve]) -> String {
    let area = Area { left: 58.0, right: WIDTH - 14.0, top: 34.0, bottom: 276.0 };
    let all = || curves.iter().flat_map(|c| c.points.iter().copied());
    let x = Scale::decades(all().map(|p| p.0), area.left, area.right);
    let y = Scale::decades(all().map(|p| p.1), area.bottom, area.top);
    let legend = 18.0 * curves.len() as f64;
    let mut canvas = Canvas::new(WIDTH, area.bottom + 48.0 + legend);
    axis_x(&mut canvas, &x, area, names.0);
    axis_y(&mut canvas, &y, area, names.1);
    for (curve, row) in curves.iter().zip(0_u32..) {
        let class = format!("s{}", curve.series % COLOURS);
        let places: Vec<(f64, f64)> = curve.points.iter().map(|(px, py)| (x.at(*px), y.at(*py))).collect();
        canvas.path(&format!("curve {class}"), &places);
        for (place, (px, py)) in places.iter().zip(&curve.points) {
            let said =
                format!("{}: {} of tokens above {}", curve.label, percent(*py), crate::number::significant(*px, 3));
            canvas.dot(&format!("dot {class}"), *place, 3.5, &said);
        }
        let at = area.bottom + 56.0 + 18.0 * f64::from(row);
        canvas.rect(&format!("bar {class}"), (area.left, at - 10.0), (14.0, 10.0));
        canvas.text("label", (area.left + 22.0, at), "start", &curve.label);
    }
    canvas.figure(title, caption)
}

fn percent(share: f64) -> String {
    format!("{} %", crate::number::significant(100.0 * share, 2))
}
