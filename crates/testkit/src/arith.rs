//! Weights by arithmetic: no random number library, no file, the same bits everywhere.

use half::bf16;

/// Step between the counters of a splitmix64 stream.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
/// Rows that [`nasty`] replaces.
pub const NASTY_ROWS: usize = 24;

/// FNV-1a, 64 bits, of a name.
#[must_use]
pub fn fnv(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Element `index` of the stream with this key: the splitmix64 finaliser of a counter.
#[must_use]
pub fn mix(key: u64, index: u64) -> u64 {
    let mut z = key.wrapping_add(index.wrapping_add(1).wrapping_mul(STEP));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The first `n` elements of the stream called `name`.
#[must_use]
pub fn raw(name: &str, n: usize) -> Vec<u64> {
    let key = fnv(name);
    (0u64..).take(n).map(|i| mix(key, i)).collect()
}

/// One element as a bell-shaped value of sigma 0.018 that f32 holds exactly.
#[must_use]
pub fn bell(z: u64) -> f32 {
    let lanes = (z & 0xffff) + (z >> 16 & 0xffff) + (z >> 32 & 0xffff) + (z >> 48);
    let low = z.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 59;
    // |32 * lanes| < 2^22, so nothing is lost on the way to f32.
    ((lanes as i64 - 131_070) * 32 + low as i64) as f32 * 2f32.powi(-26)
}

/// The first `n` bell-shaped values of the stream called `name`.
#[must_use]
pub fn vals(name: &str, n: usize) -> Vec<f32> {
    let key = fnv(name);
    (0u64..).take(n).map(|i| bell(mix(key, i))).collect()
}

/// Nearest bf16, ties to even, of a finite value.
#[must_use]
pub fn bf16_bits(x: f32) -> u16 {
    bf16::from_f32(x).to_bits()
}

/// Replaces the first rows of `x` (`[rows, cols]`) by what quantizers get wrong: zeros of both signs, constants,
/// one-sided rows, subnormals, outliers, ties, powers of two and their lower neighbours, rows almost all zero.
pub fn nasty(x: &mut [f32], cols: usize, name: &str) {
    let z = raw(&format!("{name}#"), cols);
    for (kind, row) in x.chunks_exact_mut(cols).take(NASTY_ROWS).enumerate() {
        for (i, value) in row.iter_mut().enumerate() {
            *value = spoil(kind, *value, i, cols, z[i]);
        }
    }
}

/// Element `i` of nasty row `kind`, made of the plain value `v` and the random word `z` of its column.
fn spoil(kind: usize, v: f32, i: usize, cols: usize, z: u64) -> f32 {
    let power = pow2((z % 23) as i32 - 20);
    let only = |keep: bool, value: f32, other: f32| if keep { value } else { other };
    match kind {
        0 => v * 0.0,
        1 => v * 0.0 + 0.5,
        2 => v * 0.0 - 0.25,
        3 => v.abs(),
        4 => -v.abs(),
        5 => v * pow2(-23),
        6 => v * pow2(-100),
        7 => v * pow2(-126),
        8 => v * pow2(-133),
        9 => v * 1024.0,
        10 => only(i.is_multiple_of(37), v * 64.0, v),
        11 => (i % 17) as f32 - 8.0,
        12 => (i % 2) as f32 * 2.0 - 1.0,
        13 => only(i >= cols / 2, v, 0.0),
        14 => power,
        15 => f32::from_bits(power.to_bits() - 1),
        16 => (v * 256.0).round_ties_even() / 64.0,
        17 => v * 32.0 * v * 32.0 * v * 32.0,
        18 => only(z.is_multiple_of(20), v * 128.0, 0.0),
        19 => v * pow2(-53),
        20 => v * pow2(-40),
        21 => v * 32768.0,
        22 => only(i % 32 == 31, v, -0.0),
        _ => only(z.is_multiple_of(2), 1.0, 1f32.next_up()),
    }
}

/// Two to a power, subnormal powers included.
fn pow2(exponent: i32) -> f32 {
    2f64.powi(exponent) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(raw("x", 3), [0x3382_62d8_f096_398f, 0xcefb_9c22_cf51_9144, 0xa4b0_db91_8693_ba8a]);
        let bits: Vec<u32> = vals("x", 4).iter().map(|v| v.to_bits()).collect();
        assert_eq!(bits, [0xbbfd_f860, 0x3ccb_b418, 0x3cc1_6060, 0x3d06_377c]);
        let bytes: Vec<u8> = vals("x", 1000).iter().flat_map(|v| v.to_le_bytes()).collect();
        assert!(crate::sha256_hex(&bytes).starts_with("ddbed6cd9b0ba02f"));
    }

    #[test]
    fn bf16_ties_go_to_even() {
        for (bits, rounded) in
            [(0x3f80_8000, 0x3f80), (0x3f81_8000, 0x3f82), (0x3f80_8001, 0x3f81), (0x8000_0000, 0x8000)]
        {
            assert_eq!(bf16_bits(f32::from_bits(bits)), rounded, "{bits:#x}");
        }
    }
}
