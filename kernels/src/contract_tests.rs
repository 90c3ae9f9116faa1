//! One suite, run for every rung by name against the scalar rung with `==` on bit patterns.

use crate::{
    Acts32, Acts256, ActsRow, Coding, Factors, Kernels, RowSums, STRIP, Strips32, Strips256, StripsRow, pack_codes,
};

/// Widths of LFM2 matrices beside all small lengths.
const WIDTHS: [usize; 7] = [256, 1024, 1536, 1792, 2048, 4608, 8192];

/// Deterministic noise.
struct Noise(u64);

impl Noise {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 ^ (self.0 >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 16
    }

    /// In -1..1, of very different magnitudes so that every wrong order of adding shows.
    fn float(&mut self) -> f32 {
        let unit = (self.bits() % (1 << 24)) as f32 / (1 << 23) as f32 - 1.0;
        unit * [1.0, 1e-3, 30.0, 1.0][self.bits() as usize % 4]
    }

    fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.float()).collect()
    }

    fn codes(&mut self, n: usize, low: i64, high: i64) -> Vec<i8> {
        (0..n).map(|_| (low + (self.bits() % (high - low + 1) as u64) as i64) as i8).collect()
    }
}

fn bits(v: &[f32]) -> Vec<u32> {
    v.iter().map(|x| x.to_bits()).collect()
}

fn lengths() -> impl Iterator<Item = usize> {
    (0..200).chain(WIDTHS)
}

fn oracle() -> &'static Kernels {
    Kernels::by_name("scalar").expect("scalar is everywhere")
}

fn dots(k: &Kernels) {
    let mut noise = Noise(1);
    for len in lengths() {
        let (a, b) = (noise.floats(len), noise.floats(len));
        let (ours, theirs) = ((k.dot_f32)(&a, &b), (oracle().dot_f32)(&a, &b));
        assert_eq!(ours.to_bits(), theirs.to_bits(), "{}: dot of {len}", k.name);
        let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        let size: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(a * b).abs()).sum();
        assert!((f64::from(ours) - exact).abs() <= 1e-6 * size + 1e-30, "{}: dot of {len} is wrong", k.name);
    }
}

fn gemms(k: &Kernels) {
    let mut noise = Noise(2);
    let small = (1..200).step_by(7).map(|len| (len, 5, 7));
    let shapes = small
        .chain((0..8).flat_map(|n| (0..6).map(move |m| (48, n, m))))
        .chain(WIDTHS.map(|w| (w, 4, 3)))
        .chain([(64, 7, 70), (1030, 13, 33)]);
    for (len, n, m) in shapes {
        let (x, w) = (noise.floats(n * len), noise.floats(m * len));
        let ldo = m + 2;
        let mut out = vec![7.5; n * ldo];
        (k.gemm_f32)(&x, &w, len, &mut out, ldo);
        for (i, row) in out.chunks_exact(ldo).enumerate() {
            for (j, o) in row.iter().enumerate() {
                let expected = if j < m { (oracle().dot_f32)(&x[i * len..][..len], &w[j * len..][..len]) } else { 7.5 };
                assert_eq!(o.to_bits(), expected.to_bits(), "{}: [{n}, {len}] x [{m}, {len}] at {i}, {j}", k.name);
            }
        }
    }
}

fn weighted_sums(k: &Kernels) {
    let mut noise = Noise(3);
    for width in lengths().take(205) {
        for rows in [0, 1, 2, 9] {
            let (p, v) = (noise.floats(rows), noise.floats(rows * width));
            let (mut ours, mut theirs) = (vec![1.0; width], vec![2.0; width]);
            (k.weighted_sum_f32)(&p, &v, &mut ours);
            (oracle().weighted_sum_f32)(&p, &v, &mut theirs);
            assert_eq!(bits(&ours), bits(&theirs), "{}: weighted sum of {rows} rows of {width}", k.name);
        }
    }
}

/// Rows of weights of different reach, as those of one attention head.
fn weighted_sums_of_rows(k: &Kernels) {
    let mut noise = Noise(11);
    for (n, longest, width) in [(0, 3, 5), (1, 9, 64), (6, 40, 64), (13, 30, 80), (32, 70, 128), (7, 5, 23), (6, 6, 1)]
    {
        let counts: Vec<usize> = (0..n).map(|i| (longest + 2 * i - n.min(longest)) % (longest + 1)).collect();
        let (p, v) = (noise.floats(n * longest), noise.floats(longest * width));
        let (mut ours, mut theirs) = (vec![1.0; n * width], vec![2.0; n * width]);
        (k.weighted_sums_f32)(&p, &counts, &v, &mut ours);
        for (i, (count, out)) in counts.iter().zip(theirs.chunks_mut(width)).enumerate() {
            (oracle().weighted_sum_f32)(&p[i * longest..][..*count], &v[..count * width], out);
        }
        assert_eq!(bits(&ours), bits(&theirs), "{}: weighted sums of {counts:?} rows of {width}", k.name);
    }
}

fn elementwise(k: &Kernels) {
    type Rowwise = fn(&Kernels) -> fn(&mut [f32]);
    let mut noise = Noise(4);
    let kernels: [(&str, Rowwise); 3] =
        [("exp", |k| k.exp_f32), ("sigmoid", |k| k.sigmoid_f32), ("softmax", |k| k.softmax_f32)];
    for len in lengths() {
        let x = noise.floats(len);
        for (what, kernel) in kernels {
            let (mut ours, mut theirs) = (x.clone(), x.clone());
            kernel(k)(&mut ours);
            kernel(oracle())(&mut theirs);
            assert_eq!(bits(&ours), bits(&theirs), "{}: {what} of {len}", k.name);
        }
        let (up, mut ours, mut theirs) = (noise.floats(len), x.clone(), x);
        (k.silu_mul_f32)(&mut ours, &up);
        (oracle().silu_mul_f32)(&mut theirs, &up);
        assert_eq!(bits(&ours), bits(&theirs), "{}: silu of {len}", k.name);
    }
}

fn halves(k: &Kernels) {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    let mut out = vec![0.0; all.len()];
    (k.widen_f16)(&all, &mut out);
    for (b, o) in all.iter().zip(&out) {
        let expected = half::f16::from_bits(*b).to_f32();
        assert!(o.to_bits() == expected.to_bits() || (o.is_nan() && expected.is_nan()), "{}: f16 {b:#06x}", k.name);
    }
    (k.widen_bf16)(&all, &mut out);
    for (b, o) in all.iter().zip(&out) {
        assert_eq!(o.to_bits(), u32::from(*b) << 16, "{}: bf16 {b:#06x}", k.name);
    }
}

fn quantizers(k: &Kernels) {
    let mut noise = Noise(5);
    let mut x = noise.floats(256 * 20);
    x[..256].fill(0.0); // a zero block
    x[300] = f32::NAN;
    x[600..640].fill(1e-42); // subnormal
    x[1024..1280].iter_mut().enumerate().for_each(|(i, x)| *x = [4.0, -4.0][i % 2]); // ties for the greatest
    x[1280..1536].iter_mut().enumerate().for_each(|(i, x)| *x = (i as f32 - 100.0) * 0.5); // halves
    (x[1600], x[1800], x[1801]) = (f32::INFINITY, f32::NEG_INFINITY, f32::INFINITY);
    x[1900..1910].iter_mut().for_each(|x| *x *= 1e35); // past binary16
    x[2048..2304].fill(f32::NAN);
    let blocks = x.len() / 32;
    let run32 = |k: &Kernels| {
        let (mut q, mut d, mut s, mut t) = (vec![1; x.len()], vec![1.0; blocks], vec![1.0; blocks], vec![1; blocks]);
        (k.quantize_b32)(&x, &mut q, &mut d, &mut s, &mut t);
        (q, bits(&d), bits(&s), t)
    };
    assert_eq!(run32(k), run32(oracle()), "{}: 32-blocks", k.name);
    let run256 = |k: &Kernels| {
        let (mut q, mut d, mut s) = (vec![1; x.len()], vec![1.0; blocks / 8], vec![1; blocks * 2]);
        (k.quantize_b256)(&x, &mut q, &mut d, &mut s);
        (q, bits(&d), s)
    };
    let (q, _, sums) = run256(k);
    assert_eq!(run256(k), run256(oracle()), "{}: 256-blocks", k.name);
    assert!(q.iter().chain(&run32(k).0).all(|q| *q != -128), "{}: codes stop at -127", k.name);
    for (sum, codes) in sums.iter().zip(q.chunks_exact(16)) {
        assert_eq!(i32::from(*sum), codes.iter().map(|q| i32::from(*q)).sum::<i32>());
    }
    let (q32, _, _, totals) = run32(k);
    assert_eq!(totals, totals_of(&q32), "{}: totals of 32-blocks", k.name);
    assert_eq!(q[1024], -127, "{}: the first of the greatest becomes -127", k.name);
}

fn totals_of(codes: &[i8]) -> Vec<i16> {
    codes.chunks_exact(32).map(|c| c.iter().map(|q| i16::from(*q)).sum()).collect()
}

static LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Every coding with the codes it holds.
const CODINGS: [(Coding, i64, i64); 7] = [
    (Coding::Byte, -128, 127),
    (Coding::Four { offset: 8 }, -8, 7),
    (Coding::Four { offset: 0 }, 0, 15),
    (Coding::Five { offset: 16 }, -16, 15),
    (Coding::Five { offset: 0 }, 0, 31),
    (Coding::Six { offset: 32 }, -32, 31),
    (Coding::Table(&LEVELS), 0, 15),
];

/// Codes `[m, cols]` by row and packed; `extreme` for the one of greatest magnitude everywhere.
fn strips(noise: &mut Noise, coding: (Coding, i64, i64), m: usize, cols: usize, extreme: bool) -> (Vec<i8>, Vec<u8>) {
    let (coding, low, high) = coding;
    let end = if low < 0 { low } else { high };
    let mut codes = if extreme { noise.codes(m * cols, end, end) } else { noise.codes(m * cols, low, high) };
    if let Coding::Table(levels) = coding {
        codes.iter_mut().for_each(|q| *q = levels[if extreme { 0 } else { *q as usize }]);
    }
    let mut packed = vec![0; m.div_ceil(STRIP) * cols / 32 * coding.chunk_bytes()];
    for (codes, out) in codes.chunks(STRIP * cols).zip(packed.chunks_mut(cols / 32 * coding.chunk_bytes())) {
        pack_codes(coding, cols, codes, out);
    }
    (codes, packed)
}

/// Shapes `(blocks of 256, tokens, rows, codes and activations at their extremes)`.
const SHAPES: [(usize, usize, usize, bool); 9] = [
    (1, 1, 1, true),
    (1, 3, 9, false),
    (4, 2, 6, false),
    (8, 1, 5, true),
    (2, 15, 33, false),
    (1, 9, 16, true),
    (32, 2, 20, false),
    (3, 37, 17, false),
    (1, 22, 16, true),
];

fn acts(noise: &mut Noise, len: usize, extreme: bool) -> Vec<i8> {
    if extreme { vec![127; len] } else { noise.codes(len, -127, 127) }
}

/// Blocks of 32 in every coding, with and without minima, with both kinds of factors.
fn blocks_of_32(k: &Kernels) {
    let mut noise = Noise(6);
    for ((blocks, n, m, extreme), coding) in SHAPES.iter().flat_map(|s| CODINGS.map(|c| (*s, c))) {
        let (cols, strip_rows) = (256 * blocks, m.next_multiple_of(STRIP));
        let (codes, packed) = strips(&mut noise, coding, m, cols, extreme);
        let acts = acts(&mut noise, n * cols, extreme);
        let (per, pern) = (strip_rows * cols / 32, n * cols / 32);
        let (d, mins, da, s) = (noise.floats(per), noise.floats(per), noise.floats(pern), noise.floats(pern));
        let halves: Vec<u16> = d.iter().map(|d| half::f16::from_f32(*d).to_bits()).collect();
        let x = Acts32 { codes: &acts, scales: &da, sums: &s, totals: &totals_of(&acts) };
        for (scales, mins) in [
            (Factors::F32(&d), Factors::NONE),
            (Factors::F32(&d), Factors::F32(&mins)),
            (Factors::F16(&halves), Factors::NONE),
            (Factors::F16(&halves), Factors::F16(&halves)),
        ] {
            let w = Strips32 { rows: m, cols, coding: coding.0, codes: &packed, scales, mins };
            let what = format!("32-blocks, {:?}, {blocks} x 256, minima {}", coding.0, !mins.is_empty());
            let ours = same_product(k, n, m, &what, |k, out, ldo| (k.gemm_b32)(&x, &w, out, ldo));
            let block = |i: usize, j: usize, b: usize| {
                let at = (j / STRIP * cols / 32 + b) * STRIP + j % STRIP;
                let pairs = codes[j * cols + 32 * b..][..32].iter().zip(&acts[i * cols + 32 * b..]);
                let isum: i32 = pairs.map(|(q, a)| i32::from(*q) * i32::from(*a)).sum();
                let (at_x, min) = (i * cols / 32 + b, if mins.is_empty() { None } else { Some(mins.at(at)) });
                (scales.at(at) * da[at_x], isum, min.map(|m| (m, s[at_x])))
            };
            for (i, j) in (0..n).flat_map(|i| (0..m).map(move |j| (i, j))) {
                let sum = (0..cols / 32).map(|b| block(i, j, b)).fold(0.0_f32, |sum, (d, isum, min)| {
                    let sum = d.mul_add(isum as f32, sum);
                    min.map_or(sum, |(m, s)| m.mul_add(s, sum))
                });
                assert_eq!(ours[i * (m + 1) + j], sum.to_bits(), "{}: {what} at {i}, {j}", k.name);
            }
            let from = m / 3;
            let run = |k: &Kernels| widen((m - from) * cols, |out| (k.widen_b32)(&w, from..m, out));
            assert_eq!(run(k), run(oracle()), "{}: widened {what}", k.name);
            let (first, at) = (f32::from_bits(run(k)[5]), from / STRIP * cols / 32 * STRIP + from % STRIP);
            let value = scales.at(at) * f32::from(codes[from * cols + 5]);
            assert_eq!(first, if mins.is_empty() { value } else { value + mins.at(at) }, "{}: {what}", k.name);
        }
    }
}

/// Blocks of 256 in every coding, of 8 and 16 sub-blocks, with and without minima.
fn blocks_of_256(k: &Kernels) {
    let mut noise = Noise(7);
    for ((blocks, n, m, extreme), coding) in SHAPES.iter().flat_map(|s| CODINGS.map(|c| (*s, c))) {
        let (cols, per) = (256 * blocks, m.next_multiple_of(STRIP) * blocks);
        let (codes, packed) = strips(&mut noise, coding, m, cols, extreme);
        let acts = acts(&mut noise, n * cols, extreme);
        let bsums: Vec<i16> = acts.chunks_exact(16).map(|c| c.iter().map(|q| i16::from(*q)).sum()).collect();
        let (d, mins, da) = (noise.floats(per), noise.floats(per), noise.floats(n * blocks));
        let halves: Vec<u16> = d.iter().map(|d| half::f16::from_f32(*d).to_bits()).collect();
        let x = Acts256 { codes: &acts, scales: &da, sums: &bsums };
        for (subs, minima) in [(8, false), (8, true), (16, false), (16, true)] {
            let sub_scales = if extreme { vec![-128; per * subs] } else { noise.codes(per * subs, -128, 127) };
            let sub_mins: Vec<u8> = noise.codes(per * subs, 0, 127).iter().map(|c| *c as u8).collect();
            let scales = if minima { Factors::F32(&d) } else { Factors::F16(&halves) };
            let mins_of = if minima { Factors::F32(&mins) } else { Factors::NONE };
            let sub_mins_of: &[u8] = if minima { &sub_mins } else { &[] };
            let w = Strips256 {
                rows: m,
                cols,
                coding: coding.0,
                subs,
                codes: &packed,
                scales,
                sub_scales: &sub_scales,
                mins: mins_of,
                sub_mins: sub_mins_of,
            };
            let what = format!("256-blocks of {subs}, {:?}, {blocks}, minima {minima}", coding.0);
            let ours = same_product(k, n, m, &what, |k, out, ldo| (k.gemm_b256)(&x, &w, out, ldo));
            for (i, j) in (0..n).flat_map(|i| (0..m).map(move |j| (i, j))) {
                let mut sum = 0.0_f32;
                for b in 0..blocks {
                    let at = j / STRIP * blocks + b;
                    let (mut isum, mut low) = (0, 0);
                    for e in 0..256 {
                        let sub = (at * subs + e * subs / 256) * STRIP + j % STRIP;
                        let act = i32::from(acts[i * cols + 256 * b + e]);
                        isum += i32::from(sub_scales[sub]) * i32::from(codes[j * cols + 256 * b + e]) * act;
                        low += i32::from(sub_mins[sub]) * act;
                    }
                    let (at, da) = (at * STRIP + j % STRIP, da[i * blocks + b]);
                    sum = (scales.at(at) * da).mul_add(isum as f32, sum);
                    if minima {
                        sum = (-(mins[at] * da)).mul_add(low as f32, sum);
                    }
                }
                assert_eq!(ours[i * (m + 1) + j], sum.to_bits(), "{}: {what} at {i}, {j}", k.name);
            }
            let from = m / 3;
            let run = |k: &Kernels| widen((m - from) * cols, |out| (k.widen_b256)(&w, from..m, out));
            assert_eq!(run(k), run(oracle()), "{}: widened {what}", k.name);
        }
    }
}

/// Rows of very different ranges, lengths that fill no chunk, and what the formula gives for them in f64.
fn row_quantizers(k: &Kernels) {
    let mut noise = Noise(8);
    for len in lengths() {
        for kind in 0..5 {
            let mut x = noise.floats(len);
            match kind {
                0 => {}
                1 => x.iter_mut().for_each(|x| *x = x.abs() + 0.5),
                2 => x.iter_mut().for_each(|x| *x = -x.abs()),
                3 => x.fill(0.0),
                _ => x.iter_mut().enumerate().for_each(|(i, x)| *x = i as f32 * 0.5 - 20.0),
            }
            let run = |k: &Kernels| {
                let (mut codes, mut totals) = (vec![7; len.next_multiple_of(32)], vec![7; len.div_ceil(32)]);
                let (scale, zero) = (k.quantize_row)(&x, &mut codes, &mut totals);
                (scale.to_bits(), zero, codes, totals)
            };
            let (scale, zero, codes, totals) = run(k);
            assert_eq!((scale, zero, codes.clone(), totals.clone()), run(oracle()), "{}: a row of {len}", k.name);
            assert_eq!(totals, totals_of(&codes), "{}: totals of a row of {len}", k.name);
            assert!(codes[len..].iter().all(|c| *c == 0) && (-128..=127).contains(&zero));
            for (x, code) in x.iter().zip(&codes) {
                let (scale, steps) = (f32::from_bits(scale), i32::from(*code) - zero);
                let off = (f64::from(steps) * f64::from(scale) - f64::from(*x)).abs();
                assert!(off <= f64::from(scale) * 0.501 + 1e-30, "{}: {x} became {steps} of {scale}", k.name);
            }
        }
    }
    let (mut codes, mut totals) = ([0; 32], [0]);
    let by_hand = (k.quantize_row)(&[-1.0, 3.0, 0.0, f32::NAN], &mut codes, &mut totals);
    // 63.75 steps a unit; -64 would miss the lower end by 0.25, and so it would the upper.
    assert_eq!((by_hand.1, codes[0], codes[1], codes[2]), (-64, -128, 127, -64), "{}", k.name);
}

/// One scale a row, every coding, activations that reach -128 beside weights that do.
fn rows(k: &Kernels) {
    let mut noise = Noise(9);
    for ((blocks, n, m, extreme), coding) in SHAPES.iter().flat_map(|s| CODINGS.map(|c| (*s, c))) {
        for cols in [256 * blocks, 256 * blocks - 32] {
            of_rows(k, &mut noise, coding, (n, m, extreme), cols, cols);
        }
    }
    of_rows(k, &mut noise, CODINGS[0], (17, 40, false), 1024, 1024);
    of_rows(k, &mut noise, CODINGS[1], (66, 80, false), 320, 320);
    of_rows(k, &mut noise, CODINGS[0], (1, 1, true), StripsRow::WIDEST, StripsRow::WIDEST);
}

/// A scale for each group of columns.
fn groups(k: &Kernels) {
    let mut noise = Noise(10);
    for ((blocks, n, m, extreme), coding) in SHAPES.iter().flat_map(|s| CODINGS.map(|c| (*s, c))) {
        for group in [32, 64, 128, 256] {
            of_rows(k, &mut noise, coding, (n, m, extreme), 256 * blocks, group);
        }
    }
    of_rows(k, &mut noise, CODINGS[1], (37, 50, false), 96, 96);
}

fn of_rows(
    k: &Kernels,
    noise: &mut Noise,
    coding: (Coding, i64, i64),
    (n, m, extreme): (usize, usize, bool),
    cols: usize,
    group: usize,
) {
    let (padded, groups) = (m.next_multiple_of(STRIP), cols / group);
    let (codes, packed) = strips(noise, coding, m, cols, extreme);
    let acts = if extreme { vec![-128; n * cols] } else { noise.codes(n * cols, -128, 127) };
    let zeros: Vec<i32> = noise.codes(n, -128, 127).into_iter().map(i32::from).collect();
    let (d, da, bias) = (noise.floats(padded * groups), noise.floats(n), noise.floats(padded));
    let halves: Vec<u16> = d.iter().map(|d| half::f16::from_f32(*d).to_bits()).collect();
    let sum = |j: usize| codes[j * cols..][..cols].iter().map(|q| i32::from(*q)).sum::<i32>();
    let sums: Vec<i32> = (0..padded).map(|j| if j < m { sum(j) } else { 0 }).collect();
    let scaled = noise.floats(padded);
    let x = ActsRow { codes: &acts, scales: &da, zeros: &zeros, totals: &totals_of(&acts) };
    for (scales, bias) in [(Factors::F32(&d), Factors::F32(&bias)), (Factors::F16(&halves), Factors::NONE)] {
        let whole = group == cols;
        let sums = if whole { RowSums::Codes(&sums) } else { RowSums::Scaled(&scaled) };
        let w = StripsRow { rows: m, cols, group, coding: coding.0, codes: &packed, scales, sums, bias };
        let what = format!("rows, {:?}, {cols} in groups of {group}", coding.0);
        let ours = same_product(k, n, m, &what, |k, out, ldo| (k.gemm_row)(&x, &w, out, ldo));
        for (i, j) in (0..n).flat_map(|i| (0..m).map(move |j| (i, j))) {
            let scale = |g: usize| scales.at((j / STRIP * groups + g) * STRIP + j % STRIP);
            let isum = |g: usize| -> i64 {
                let pairs = codes[j * cols + g * group..][..group].iter().zip(&acts[i * cols + g * group..]);
                pairs.map(|(q, a)| i64::from(*q) * i64::from(*a)).sum()
            };
            let bias = if bias.is_empty() { 0.0 } else { bias.at(j) };
            let expected = match sums {
                RowSums::Codes(sums) => {
                    let isum = isum(0) - i64::from(zeros[i]) * i64::from(sums[j]);
                    (isum as f32 * da[i]).mul_add(scale(0), bias)
                }
                RowSums::Scaled(scaled) => {
                    let first = -zeros[i] as f32 * scaled[j];
                    (0..groups).fold(first, |sum, g| scale(g).mul_add(isum(g) as f32, sum)) * da[i] + bias
                }
            };
            let (found, at) = (f32::from_bits(ours[i * (m + 1) + j]), (i, j));
            assert!(found == expected, "{}: {what} at {at:?}: {found}, expected {expected}", k.name);
        }
        let from = m / 3;
        let run = |k: &Kernels| widen((m - from) * cols, |out| (k.widen_row)(&w, from..m, out));
        assert_eq!(run(k), run(oracle()), "{}: widened {what}", k.name);
        let last = (m - from) * cols - 1;
        let value = scales.at(((m - 1) / STRIP * groups + groups - 1) * STRIP + (m - 1) % STRIP);
        assert_eq!(f32::from_bits(run(k)[last]), value * f32::from(codes[m * cols - 1]), "{}: {what}", k.name);
    }
}

fn widen(len: usize, kernel: impl FnOnce(&mut [f32])) -> Vec<u32> {
    let mut out = vec![0.0; len];
    kernel(&mut out);
    bits(&out)
}

fn same_product(
    k: &Kernels,
    n: usize,
    m: usize,
    what: &str,
    product: impl Fn(&Kernels, &mut [f32], usize),
) -> Vec<u32> {
    let ldo = m + 1;
    let run = |k: &Kernels| {
        let mut out = vec![7.5; n * ldo];
        product(k, &mut out, ldo);
        bits(&out)
    };
    let ours = run(k);
    assert_eq!(ours, run(oracle()), "{}: {what}, [{n}] x [{m}]", k.name);
    assert!(ours.chunks_exact(ldo).all(|row| row[m] == 7.5_f32.to_bits()), "{}: {what} wrote past its rows", k.name);
    ours
}

/// Runs a part of the suite on every rung; a rung that the machine lacks is skipped by name.
#[allow(clippy::print_stderr, reason = "a skipped rung must be seen")]
fn every_rung(part: fn(&Kernels)) {
    for name in Kernels::known() {
        match Kernels::by_name(name) {
            Some(kernels) => part(kernels),
            None => eprintln!("SKIPPED: this machine lacks the kernel rung `{name}`"),
        }
    }
}

macro_rules! suite {
    ($($part:ident)*) => {
        mod suite {
            $(#[test] fn $part() { super::every_rung(super::$part); })*
        }
    };
}

suite! { dots gemms weighted_sums weighted_sums_of_rows elementwise halves quantizers blocks_of_32 blocks_of_256 row_quantizers rows groups }

#[test]
fn exp_is_within_two_ulp_and_right_at_the_ends() {
    let mut worst = 0.0_f64;
    let mut x = -103.0_f32;
    while x < 88.7 {
        let exact = f64::from(x).exp();
        let mut y = [x];
        (oracle().exp_f32)(&mut y);
        let ulp = f64::from(f32::from_bits((exact as f32).to_bits() + 1)) - f64::from(exact as f32);
        worst = worst.max((f64::from(y[0]) - exact).abs() / ulp);
        x += 0.000_913;
    }
    assert!(worst < 2.0, "{worst} ulp");
    let mut ends = [f32::NEG_INFINITY, -1000.0, -104.0, 0.0, -0.0, 89.0, 1000.0, f32::INFINITY, f32::NAN];
    (oracle().exp_f32)(&mut ends);
    assert_eq!(ends[..8], [0.0, 0.0, 0.0, 1.0, 1.0, f32::INFINITY, f32::INFINITY, f32::INFINITY]);
    assert!(ends[8].is_nan());
}

#[test]
fn a_softmax_of_far_scores_is_a_distribution() {
    let mut row = [-1e30, 500.0, 499.0, f32::NEG_INFINITY];
    (Kernels::best().softmax_f32)(&mut row);
    assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6 && row[1] > row[2] && row[0] == 0.0 && row[3] == 0.0);
}

/// A block by hand: what llama.cpp's formula gives for it.
#[test]
fn a_block_quantized_by_hand() {
    let mut x = [0.0_f32; 32];
    (x[0], x[1], x[2], x[3]) = (254.0, -127.0, 1.0, 3.0);
    let (mut q, mut d, mut s, mut t) = ([0; 32], [0.0], [0.0], [0]);
    (oracle().quantize_b32)(&x, &mut q, &mut d, &mut s, &mut t);
    // d = 2; 0.5 and 1.5 go to the even neighbour, -63.5 too.
    assert_eq!((q[0], q[1], q[2], q[3], d[0], s[0]), (127, -64, 0, 2, 2.0, 130.0));
}

#[test]
fn rungs_are_chosen_by_name() {
    assert_eq!(Kernels::select(None).unwrap().name, Kernels::best().name);
    assert_eq!(Kernels::select(Some("scalar")).unwrap().name, "scalar");
    let error = Kernels::select(Some("mmx")).unwrap_err();
    assert!(error.to_string().contains("`mmx`") && error.available.contains(&"scalar"));
}
