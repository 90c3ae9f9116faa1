//! Sizes as people type and read them.

use lfmq_core::{Fault, Kind};

/// `500M`, `2G`, `64K` or plain bytes, in powers of 1000 as llama.cpp's converter takes them.
///
/// # Errors
/// Anything else, zero included.
pub fn parse(text: &str) -> Result<u64, Fault> {
    let (digits, unit) = match text.chars().last().map(|c| c.to_ascii_uppercase()) {
        Some('K') => (&text[..text.len() - 1], 1_000),
        Some('M') => (&text[..text.len() - 1], 1_000_000),
        Some('G') => (&text[..text.len() - 1], 1_000_000_000),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).filter(|n| *n > 0).ok_or_else(|| {
        Fault::new(Kind::Usage, format!("`{text}` is not a size")).with_hint("write bytes or 64K, 500M, 2G")
    })
}

/// Bytes for people, in powers of 1000 with three digits.
pub fn show(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.5 {
            return match (unit, value) {
                ("B", _) => format!("{bytes} B"),
                (_, v) if v < 9.995 => format!("{v:.2} {unit}"),
                (_, v) if v < 99.95 => format!("{v:.1} {unit}"),
                (_, v) => format!("{v:.0} {unit}"),
            };
        }
        value /= 1000.0;
    }
    format!("{value:.2} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, want) in [("1", 1), ("64K", 64_000), ("500m", 500_000_000), ("2G", 2_000_000_000)] {
            assert_eq!(parse(text).expect(text), want);
        }
        for bad in ["", "0", "M", "-1", "1.5G", "99999999999G", "2é"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        for (bytes, want) in
            [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (3_436_000, "3.44 MB"), (999_600, "1.00 MB")]
        {
            assert_eq!(show(bytes), want);
        }
    }
}
