use super::Scheme;
use super::blocks::{self, BLOCK, Found, Side, Wanted, Weights};
use crate::QuantError;
use crate::lanes::{LANES, TINY, squares};
use crate::number::{half_at, nearest, put_half};
use crate::search::symmetric;
use lfmq_core::{Grid, Layout, QuantizedRows, SchemeId};
use lfmq_kernels::multiversion;

/// 16 sub-blocks of 16 codes -32..=31: `x = d sc q` with eight-bit `sc`. Importance is taken as it is.
#[allow(non_camel_case_types, reason = "the field's own name")]
pub(super) struct Q6_K;

impl Scheme for Q6_K {
    fn id(&self) -> SchemeId {
        SchemeId("q6_k")
    }

    fn grid(&self) -> Grid {
        Grid::Opaque { layout: Layout::Q6_K }
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        blocks::search(self.id(), Layout::Q6_K, x, cols, importance, out, None, search, choose)
    }
}

/// `ql[128]`, `qh[64]`, `scales[16]` (signed), `d`.
const QH: usize = 128;
const SCALES: usize = 192;
const D: usize = 208;

fn search(side: &Side<16>, codes: &mut [[u8; LANES]; 16]) -> Wanted {
    let scales = match &side.importance {
        Some(w) => symmetric(32.0, &side.x, w, codes),
        None => symmetric(32.0, &side.x, &squares(&side.x), codes),
    };
    Wanted { scales, ..Wanted::default() }
}

fn choose(x: &Weights, found: &Found<'_, 16, 16>, block: &mut [u8]) -> Result<(), f32> {
    let scales = found.scales();
    let peak = scales.iter().fold(0.0f32, |peak, s| if s.abs() > peak.abs() { *s } else { peak });
    if peak.abs() < TINY {
        return Ok(());
    }
    let s = -128.0 / peak;
    let d = put_half(block, D, 1.0 / s)?;
    let stored = scales.map(|scale| nearest(s * scale).min(127) as i8);
    for (byte, scale) in block[SCALES..D].iter_mut().zip(stored) {
        *byte = scale as u8;
    }
    let codes = found.lay(x, &stored.map(|scale| d * f32::from(scale)), &[0.0; 16], -32.0, 31.0);
    pack(&codes, block);
    Ok(())
}

pub(super) fn decode(block: &[u8], out: &mut Weights) {
    let d = half_at(block, D);
    let steps = std::array::from_fn(|s| d * f32::from(block[SCALES + s] as i8));
    widen(&steps, block, out);
}

multiversion! {
    fn pack['a](codes: &'a [u8; BLOCK], block: &'a mut [u8]) -> () {
        let (low, high) = block.split_at_mut(QH);
        let parts = low.as_chunks_mut::<64>().0.iter_mut().zip(high.as_chunks_mut::<32>().0);
        for (codes, (low, high)) in codes.as_chunks::<128>().0.iter().zip(parts) {
            let (mut first, mut second, mut top) = ([0; 32], [0; 32], [0; 32]);
            for l in 0..32 {
                let [a, b, c, d] = [codes[l], codes[l + 32], codes[l + 64], codes[l + 96]];
                first[l] = a & 15 | c << 4;
                second[l] = b & 15 | d << 4;
                top[l] = a >> 4 | b >> 4 << 2 | c >> 4 << 4 | d >> 4 << 6;
            }
            low[..32].copy_from_slice(&first);
            low[32..].copy_from_slice(&second);
            *high = top;
        }
    }

    fn widen['a](steps: &'a [f32; 16], block: &'a [u8], out: &'a mut Weights) -> () {
        let (low, high) = block.split_at(QH);
        let parts = low.as_chunks::<64>().0.iter().zip(high.as_chunks::<32>().0).zip(steps.as_chunks::<8>().0);
        for (out, ((low, high), steps)) in out.as_chunks_mut::<128>().0.iter_mut().zip(parts) {
            let (quarters, [first, second]) = (out.as_chunks_mut::<32>().0, [&low[..32], &low[32..]]);
            let [a, b, c, d] = quarters else { continue };
            *a = quarter([steps[0], steps[1]], |l| first[l] & 15 | (high[l] & 3) << 4);
            *b = quarter([steps[2], steps[3]], |l| second[l] & 15 | (high[l] >> 2 & 3) << 4);
            *c = quarter([steps[4], steps[5]], |l| first[l] >> 4 | (high[l] >> 4 & 3) << 4);
            *d = quarter([steps[6], steps[7]], |l| second[l] >> 4 | high[l] >> 6 << 4);
        }
    }
}

/// The values of two sub-blocks side by side in the layout, from their stored codes.
#[inline(always)]
fn quarter(steps: [f32; 2], code: impl Fn(usize) -> u8) -> [f32; 32] {
    let mut codes = [0; 32];
    for (l, to) in codes.iter_mut().enumerate() {
        *to = code(l);
    }
    let mut values = [0.0; 32];
    for ((values, codes), step) in values.as_chunks_mut::<16>().0.iter_mut().zip(codes.as_chunks::<16>().0).zip(steps) {
        for (value, code) in values.iter_mut().zip(codes) {
            *value = step * (f32::from(*code) - 32.0);
        }
    }
    values
}
