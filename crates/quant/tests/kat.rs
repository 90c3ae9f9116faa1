//! Known answers: llama.cpp's quantizer run on rows made by arithmetic, 24 of them adversarial, at five widths, with
//! and without importance. `data/kat.txt` holds SHA-256 prefixes of its blocks and of their values.

mod pack;

use lfmq_core::QuantizedRows;
use lfmq_testkit::arith::{NASTY_ROWS, nasty, raw, vals};
use lfmq_testkit::sha256_hex;

const KAT: &str = include_str!("data/kat.txt");
const WIDTHS: [(&str, usize); 5] = [
    ("blk.0.ffn_up.weight", 256),
    ("blk.0.ffn_gate.weight", 512),
    ("blk.0.ffn_down.weight", 1024),
    ("blk.0.shortconv.in_proj.weight", 1792),
    ("blk.0.shortconv.out_proj.weight", 96),
];
const ROWS: usize = NASTY_ROWS + 8;

fn rows(name: &str, cols: usize) -> Vec<f32> {
    let mut x = vals(name, ROWS * cols);
    nasty(&mut x, cols, name);
    x
}

/// Mean squares as an importance file of 48 tokens gives them, with columns of zero and of great weight.
fn importance(name: &str, cols: usize) -> Vec<f32> {
    let words = raw(&format!("{name}.im"), cols);
    let mut sums: Vec<f32> = words.iter().map(|z| ((z >> 40) as f32 + 1.0) * 2f32.powi(-18)).collect();
    sums.iter_mut().skip(5).step_by(16).for_each(|v| *v = 0.0);
    sums.iter_mut().skip(7).step_by(16).for_each(|v| *v *= 1024.0);
    sums.iter().map(|v| v / 48.0).collect()
}

fn short_sha(bytes: &[u8]) -> String {
    sha256_hex(bytes)[..12].to_owned()
}

#[test]
fn blocks_and_values_are_llama_cpps() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for line in KAT.lines() {
        let weighted = line[9..11] == *"im";
        let cells: Vec<&str> = line[11..].split_whitespace().collect();
        assert_eq!(cells.len(), WIDTHS.len(), "{line}");
        for ((name, cols), cell) in WIDTHS.into_iter().zip(cells) {
            let (ty, expected) = cell.split_once(':').unwrap();
            let scheme = lfmq_quant::scheme(ty).unwrap();
            let weights = weighted.then(|| importance(name, cols));
            let mut out = QuantizedRows::default();
            scheme.quantize(&rows(name, cols), cols, weights.as_deref(), &mut out).unwrap();
            let mut values = vec![0.0; ROWS * cols];
            lfmq_quant::dequantize(&scheme.grid(), &out, &mut values).unwrap();
            let values: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            let found = format!("{}/{}", short_sha(&pack::pack(ty, &out)), short_sha(&values));
            checked += 1;
            if found != expected {
                wrong.push(format!("{} {cols} weighted={weighted}: {found}, expected {expected}", scheme.id()));
            }
        }
    }
    assert_eq!(checked, 160);
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn slabs_and_reused_buffers_change_nothing() {
    let (name, cols) = WIDTHS[3];
    let (x, weights) = (rows(name, cols), importance(name, cols));
    for scheme in lfmq_quant::schemes::ALL {
        let (mut whole, mut part) = (QuantizedRows::default(), QuantizedRows::default());
        scheme.quantize(&x, cols, Some(&weights), &mut whole).unwrap();
        let all = pack::pack(scheme.id().0, &whole);
        let mut pieces = Vec::new();
        for rows in x.chunks(5 * cols) {
            scheme.quantize(rows, cols, Some(&weights), &mut part).unwrap();
            pieces.extend(pack::pack(scheme.id().0, &part));
        }
        assert!(all == pieces, "{}", scheme.id());
    }
}
