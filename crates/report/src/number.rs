//! Numbers as people read them.

use crate::view::Estimate;

/// Where there is no number.
pub(crate) const NONE: &str = "–";

/// `value` with `digits` significant digits, without an exponent where that stays readable.
pub(crate) fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !value.is_finite() {
        return NONE.into();
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-5..9).contains(&magnitude) {
        return format!("{value:.*e}", digits.saturating_sub(1));
    }
    let decimals = usize::try_from(digits as i32 - 1 - magnitude).unwrap_or(0);
    format!("{value:.decimals$}")
}

/// The same, or a dash.
pub(crate) fn maybe(value: Option<f64>, digits: usize) -> String {
    value.map_or(NONE.to_owned(), |v| significant(v, digits))
}

/// The interval of an estimate in words.
pub(crate) fn interval(e: &Estimate, digits: usize) -> String {
    match (e.low, e.high) {
        (Some(low), Some(high)) => format!("{} to {}", significant(low, digits), significant(high, digits)),
        _ => "no interval: a single window".into(),
    }
}

/// `99.86 %`.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or(NONE.to_owned(), |s| format!("{:.2} %", 100.0 * s))
}

/// Powers of 1024.
pub(crate) fn bytes(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    match bytes {
        0..=1023 => format!("{bytes} B"),
        1024..=1_048_575 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..=1_073_741_823 => format!("{} MiB", significant(mib, 4)),
        _ => format!("{:.2} GiB", mib / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits() {
        for (value, digits, text) in [
            (0.007_632_3, 3, "0.00763"),
            (0.0, 3, "0"),
            (43.258_69, 4, "43.26"),
            (1234.6, 3, "1235"),
            (0.000_000_12, 2, "1.2e-7"),
            (-0.5, 2, "-0.50"),
            (f64::NAN, 2, "–"),
        ] {
            assert_eq!(significant(value, digits), text);
        }
        for (n, text) in [(17, "17 B"), (2048, "2.0 KiB"), (3_431_552, "3.273 MiB"), (4_900_000_000, "4.56 GiB")] {
            assert_eq!(bytes(n), text);
        }
        assert_eq!(percent(Some(0.998_62)), "99.86 %");
    }
}
