//! Plots as inline SVG, drawn by hand: no script, colours by the page's classes, so light and dark follow the reader.

mod bars;
mod curve;
mod heat;
mod histogram;
mod scale;
mod scatter;

pub(crate) use bars::{Bar, bars};
pub(crate) use curve::{Curve, curves};
pub(crate) use heat::heat;
pub(crate) use histogram::histogram;
pub(crate) use scatter::{Point, scatter};

use crate::junit::escape;
use scale::Scale;
use std::fmt::Write as _;

/// Width of a plot in its own units; on a phone one unit is about 0.75 px, so letters of 13 units stay readable.
const WIDTH: f64 = 480.0;

/// Colours of series, `.s0` to `.s7` in the style sheet.
pub(crate) const COLOURS: usize = 8;

/// A drawing that grows.
struct Canvas {
    body: String,
    width: f64,
    height: f64,
}

impl Canvas {
    const fn new(width: f64, height: f64) -> Self {
        Self { body: String::new(), width, height }
    }

    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ =
            write!(self.body, "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>");
    }

    fn rect(&mut self, class: &str, at: (f64, f64), size: (f64, f64)) {
        let (w, h) = (size.0.max(0.0), size.1.max(0.0));
        let _ = write!(
            self.body,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{w:.1}\" height=\"{h:.1}\"/>",
            at.0, at.1
        );
    }

    fn dot(&mut self, class: &str, at: (f64, f64), radius: f64, title: &str) {
        let _ = write!(
            self.body,
            "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius}\"><title>{}</title></circle>",
            at.0,
            at.1,
            escape(title)
        );
    }

    fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(self.body, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }

    /// `anchor` is `start`, `middle` or `end`.
    fn text(&mut self, class: &str, at: (f64, f64), anchor: &str, text: &str) {
        let _ = write!(
            self.body,
            "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            at.0,
            at.1,
            escape(text)
        );
    }

    /// The whole figure. `title` is read out; `caption` says in words what the plot shows.
    fn figure(self, title: &str, caption: &str) -> String {
        let Self { body, width, height } = self;
        let wide = if width > WIDTH { " class=\"wide\"" } else { "" };
        format!(
            "<figure{wide}><h4>{title}</h4><div class=\"plot\">\
             <svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{title}\" \
             style=\"min-width:{:.0}px;max-width:{:.0}px\">{body}</svg></div><figcaption>{}</figcaption></figure>\n",
            width * 0.7,
            width * 1.35,
            escape(caption),
            title = escape(title)
        )
    }
}

/// Room around the plot's area: left, right, top, bottom.
#[derive(Clone, Copy)]
struct Area {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

/// Lines and numbers of the horizontal axis, and its name below.
fn axis_x(canvas: &mut Canvas, scale: &Scale, area: Area, name: &str) {
    for (value, label) in scale.ticks() {
        let x = scale.at(value);
        canvas.line("grid", (x, area.top), (x, area.bottom));
        canvas.text("tick", (x, area.bottom + 16.0), "middle", &label);
    }
    canvas.text("axis", (area.right, area.bottom + 34.0), "end", name);
}

/// Lines and numbers of the vertical axis, and its name above.
fn axis_y(canvas: &mut Canvas, scale: &Scale, area: Area, name: &str) {
    for (value, label) in scale.ticks() {
        let y = scale.at(value);
        canvas.line("grid", (area.left, y), (area.right, y));
        canvas.text("tick", (area.left - 6.0, y + 4.0), "end", &label);
    }
    canvas.text("axis", (4.0, area.top - 10.0), "start", name);
}
