//! Words for the size of a model: reading them in names, and making them from a number of weights.

use crate::identity::is_digits;

const UNITS: [char; 4] = ['k', 'm', 'b', 't'];

/// `1.2b`, `350m`, `a1b`, `8x7b`, `7b1`, `mini`.
pub(crate) fn is_size(lower: &str) -> bool {
    if matches!(lower, "small" | "mini" | "medium" | "large" | "xl" | "xxl") {
        return true;
    }
    let is_count = |text: &str| {
        let number = text.strip_suffix(|c: char| c.is_ascii_digit()).filter(|t| t.ends_with(UNITS)).unwrap_or(text);
        let Some(number) = number.strip_suffix(UNITS) else { return false };
        match number.split_once(['.', '_']) {
            Some((whole, part)) => is_digits(whole) && is_digits(part),
            None => is_digits(number),
        }
    };
    let experts = lower.split_once('x').filter(|(count, _)| is_digits(count)).map(|(_, rest)| rest);
    is_count(lower) || lower.strip_prefix('a').is_some_and(is_count) || experts.is_some_and(is_count)
}

/// `1_2b` -> `1.2B`, `7b1` -> `7.1B`.
pub(crate) fn spell_size(text: &str) -> String {
    let mut chars: Vec<char> = text.replace('_', ".").chars().collect();
    if let [.., unit, digit] = chars.as_mut_slice()
        && digit.is_ascii_digit()
    {
        std::mem::swap(unit, digit);
        let at = chars.len().saturating_sub(2);
        chars.insert(at, '.');
    }
    if let [.., digit, unit] = chars.as_mut_slice()
        && digit.is_ascii_digit()
        && UNITS.contains(unit)
    {
        *unit = unit.to_ascii_uppercase();
    }
    chars.into_iter().collect()
}

/// Whether a size label is further than 7/8 of the true size away from it. Labels that are not plain numbers
/// (`A1B`, `8x7B`, `mini`) are believed.
pub(crate) fn contradicts(label: &str, parameters: u64) -> bool {
    let mut chars = label.chars();
    let unit = chars.next_back();
    let power = match unit {
        Some('K') => 1,
        Some('M') => 2,
        Some('B') => 3,
        Some('T') => 4,
        _ => return false,
    };
    let Ok(number) = chars.as_str().parse::<f64>() else { return false };
    if parameters == 0 {
        return false;
    }
    let far = u128::from(parameters) * 7 / 8;
    (number * 1000f64.powi(power) - parameters as f64).abs() > far as f64
}

/// A number of weights in two or more digits: `1.2B`, `354M`.
fn rounded(count: u64) -> String {
    let (factor, unit) = match count as f64 {
        n if n > 1e12 => (1e-12, "T"),
        n if n > 1e9 => (1e-9, "B"),
        n if n > 1e6 => (1e-6, "M"),
        _ => (1e-3, "K"),
    };
    let scaled = count as f64 * factor;
    let whole = format!("{:.0}", scaled.round_ties_even());
    let decimals = 2usize.saturating_sub(whole.trim_start_matches('0').len());
    format!("{scaled:.decimals$}{unit}")
}

/// The size label of a model whose name tells none: the whole of a dense model, `{experts}x{one}` of a mixture,
/// where `one` is everything shared and one expert of each stack.
pub(crate) fn size_label(total: u64, experts: u64, expert_weights: u64) -> String {
    match expert_weights.checked_div(experts) {
        Some(one) if one > 0 => format!("{experts}x{}", rounded(total - expert_weights + one)),
        _ => rounded(total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size_label(354_483_968, 0, 0), "354M");
        assert_eq!(size_label(1_170_340_608, 0, 0), "1.2B");
        assert_eq!(size_label(9_500, 0, 0), "10K");
        assert_eq!(size_label(600, 0, 0), "0.6K");
        assert_eq!(size_label(1_000_000, 10, 500_000), "10x550K");
    }
}
