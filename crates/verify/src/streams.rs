//! A model's residual stream after each layer, and which of a candidate's values comes nearest to it: a graph has no layers,
//! only values.

use lfmq_core::{Executor, Fault};
use rayon::prelude::*;
use std::collections::HashMap;

/// The stream of a model for some tokens, and all values a candidate showed for them.
pub(crate) struct Streams {
    tokens: usize,
    width: usize,
    places: Vec<Place>,
    values: Vec<Value>,
    /// Where each name is among the values.
    names: HashMap<String, usize>,
}

/// The stream at one place, `[tokens, width]`.
struct Place {
    name: String,
    stream: Vec<f32>,
}

/// A value of the candidate, as far as it was shown.
struct Value {
    name: String,
    /// Rows seen.
    rows: usize,
    /// How far it is from each place.
    distances: Vec<Distance>,
}

/// How far a value is from the stream at one place.
#[derive(Clone, Default)]
struct Distance {
    rows: Vec<f64>,
    sums: Sums,
}

/// Over all tokens, of the stream and the value.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub signal: f64,
    pub energy: f64,
    pub dot: f64,
    pub noise: f64,
}

/// What came nearest to the stream at a place.
pub(crate) struct Nearest<'s> {
    pub place: &'s str,
    pub value: &'s str,
    /// Median over tokens of the root mean square error as a share of the stream's deviation. A router at a tie may send
    /// single tokens elsewhere.
    pub error: f64,
    pub sums: Sums,
}

impl Streams {
    /// Runs `tokens` on both. `None` where either has nothing to show.
    ///
    /// # Errors
    /// Those of the executors.
    pub fn compare(model: &dyn Executor, candidate: &dyn Executor, tokens: &[u32]) -> Result<Option<Self>, Fault> {
        let mut places: Vec<Place> = Vec::new();
        model.trace(tokens, &mut |name, stream| {
            places.push(Place { name: name.to_owned(), stream: stream.to_vec() });
        })?;
        let length = places.first().map_or(0, |place| place.stream.len());
        let width = length.checked_div(tokens.len()).unwrap_or(0);
        places.retain(|place| place.stream.len() == length);
        if width == 0 {
            return Ok(None);
        }
        let mut streams = Self { tokens: tokens.len(), width, places, values: Vec::new(), names: HashMap::new() };
        candidate.trace(tokens, &mut |name, values| streams.see(name, values))?;
        Ok((!streams.values.is_empty()).then_some(streams))
    }

    /// Adds what the candidate shows of the value `name`: all its tokens, or the next of them.
    fn see(&mut self, name: &str, values: &[f32]) {
        let rows = values.len() / self.width;
        if rows == 0 || !values.len().is_multiple_of(self.width) {
            return;
        }
        let index = *self.names.entry(name.to_owned()).or_insert(self.values.len());
        if index == self.values.len() {
            let distances = vec![Distance::default(); self.places.len()];
            self.values.push(Value { name: name.to_owned(), rows: 0, distances });
        }
        let value = &mut self.values[index];
        let (first, width) = (value.rows, self.width);
        value.rows += rows;
        if value.rows <= self.tokens {
            let pairs = self.places.par_iter().zip(&mut value.distances);
            pairs.for_each(|(place, distance)| {
                let stream = &place.stream[first * width..(first + rows) * width];
                stream.chunks_exact(width).zip(values.chunks_exact(width)).for_each(|(s, v)| distance.add(s, v));
            });
        }
    }

    /// For each place the value called like it, else the one with the least error. Empty for a candidate that shows no
    /// value of the stream's shape.
    pub fn nearest(&self) -> Vec<Nearest<'_>> {
        self.places.iter().enumerate().filter_map(|(i, place)| self.nearest_to(i, place)).collect()
    }

    fn nearest_to<'s>(&'s self, i: usize, place: &'s Place) -> Option<Nearest<'s>> {
        let whole = || self.values.iter().filter(|value| value.rows == self.tokens);
        let namesake = whole().find(|value| value.name == place.name);
        let all = whole().filter(|value| namesake.is_none_or(|n| n.name == value.name));
        let errors = all.map(|value| (median(&value.distances[i].rows), value));
        let (error, value) = errors.min_by(|a, b| a.0.total_cmp(&b.0))?;
        Some(Nearest { place: &place.name, value: &value.name, error, sums: value.distances[i].sums })
    }
}

impl Distance {
    /// Adds one token of the stream and of the value.
    fn add(&mut self, stream: &[f32], value: &[f32]) {
        self.rows.push(row_error(stream, value));
        for (s, v) in stream.iter().zip(value) {
            let (s, v) = (f64::from(*s), f64::from(*v));
            self.sums.signal += s * s;
            self.sums.energy += v * v;
            self.sums.dot += s * v;
            self.sums.noise += (s - v) * (s - v);
        }
    }
}

/// Median over rows of the root mean square difference, as a share of the deviation of the expected row; NaN where shapes
/// differ.
pub(crate) fn error(expected: &[f32], found: &[f32], width: usize) -> f64 {
    if expected.len() != found.len() || expected.is_empty() {
        return f64::NAN;
    }
    let rows = expected.chunks_exact(width).zip(found.chunks_exact(width));
    median(&rows.map(|(e, f)| row_error(e, f)).collect::<Vec<_>>())
}

fn median(errors: &[f64]) -> f64 {
    let mut sorted = errors.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn row_error(expected: &[f32], found: &[f32]) -> f64 {
    let n = expected.len() as f64;
    let mean = expected.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let (mut spread, mut off) = (0.0, 0.0);
    for (e, f) in expected.iter().zip(found) {
        let (e, f) = (f64::from(*e), f64::from(*f));
        spread += (e - mean) * (e - mean);
        off += (e - f) * (e - f);
    }
    (off / spread.max(f64::MIN_POSITIVE)).sqrt()
}
