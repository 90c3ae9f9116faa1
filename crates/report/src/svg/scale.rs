use crate::number::significant;

/// From values to places on an axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    min: f64,
    max: f64,
    log: bool,
    from: f64,
    to: f64,
}

impl Scale {
    /// From 0 to a bit more than the largest of `values`, onto `from..to`.
    pub(super) fn from_zero(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let max = values.into_iter().filter(|v| v.is_finite()).fold(0.0, f64::max);
        Self { min: 0.0, max: if max > 0.0 { max * 1.02 } else { 1.0 }, log: false, from, to }
    }

    /// Powers of ten around the positive of `values`.
    pub(super) fn decades(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let positive = values.into_iter().filter(|v| v.is_finite() && *v > 0.0);
        let (low, high) = positive.fold((f64::INFINITY, 0.0), |(l, h): (f64, f64), v| (l.min(v), h.max(v)));
        let (low, high) = if low.is_finite() { (low, high) } else { (0.1, 1.0) };
        let (min, mut max) = (low.log10().floor(), high.log10().ceil());
        if max <= min {
            max = min + 1.0;
        }
        Self { min, max, log: true, from, to }
    }

    /// Where `value` lies; what is outside lies at the edge.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let share = ((value - self.min) / (self.max - self.min)).clamp(0.0, 1.0);
        self.from + share * (self.to - self.from)
    }

    /// Round values with their labels.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        if self.log { self.log_ticks() } else { self.linear_ticks() }
    }

    fn linear_ticks(&self) -> Vec<(f64, String)> {
        let rough = (self.max - self.min) / 4.5;
        let magnitude = 10_f64.powf(rough.log10().floor());
        let round = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * magnitude);
        let step = round.clone().find(|s| *s >= rough).unwrap_or(10.0 * magnitude);
        let decimals = usize::try_from((1.0 - (step * 1.0001).log10().floor()) as i64).unwrap_or(0);
        let label = |v: f64| {
            let text = format!("{v:.decimals$}");
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        };
        let count = ((self.max - self.min) / step + 1e-9).floor() as usize;
        (0..=count.min(12)).map(|i| self.min + step * i as f64).map(|v| (v, label(v))).collect()
    }

    fn log_ticks(&self) -> Vec<(f64, String)> {
        let decades = (self.max - self.min).round() as i32;
        let steps: &[f64] = if decades <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        // With many decades every second or third is enough.
        let every = (decades / 6 + 1).max(1);
        let first = self.min.round() as i32;
        let mut ticks = Vec::new();
        for decade in (0..=decades).step_by(every as usize) {
            for step in steps {
                let value = step * 10_f64.powi(first + decade);
                if value.log10() <= self.max + 1e-9 {
                    ticks.push((value, significant(value, 1)));
                }
            }
        }
        ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(labels(&Scale::from_zero([9.0], 0.0, 100.0)), ["0", "2.5", "5", "7.5"]);
        assert_eq!(labels(&Scale::from_zero([400.0], 0.0, 100.0)), ["0", "100", "200", "300", "400"]);
        assert_eq!(labels(&Scale::from_zero([0.013], 0.0, 100.0)), ["0", "0.005", "0.01"]);
        assert_eq!(labels(&Scale::decades([0.003, 0.7], 0.0, 1.0)), ["0.001", "0.01", "0.1", "1"]);
        assert_eq!(labels(&Scale::decades([0.02, 0.05], 0.0, 1.0)), ["0.01", "0.02", "0.05", "0.1"]);
        assert!(
            !labels(&Scale::from_zero([], 0.0, 1.0)).is_empty() && !labels(&Scale::decades([], 0.0, 1.0)).is_empty()
        );
    }

    #[test]
    fn places() {
        let scale = Scale::decades([0.01, 1.0], 200.0, 0.0);
        for (value, place) in [(0.01, 200.0), (0.1, 100.0), (1.0, 0.0), (0.0, 200.0), (50.0, 0.0)] {
            assert!((scale.at(value) - place).abs() < 1e-9, "{value}");
        }
    }
}
