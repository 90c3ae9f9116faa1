//! Any codes, scales and zeros on a grid, in mixtures of any shape: what the format's own reader, which knows nothing of
//! how they were packed, finds under each expert's name is what was written for it, and computes the same with it as
//! the readers of other formats.

use crate::ways::Way;
use lfmq_checkpoint::Checkpoint;
use lfmq_core::{
    ExportJob, Grid, Payload, QuantPlan, QuantizedRows, ScaleKind, SourceTensor, TensorPlan, TensorSource, Want,
    Weights, Zero,
};
use lfmq_quant::{Recipe, dequantize, scheme};
use lfmq_testkit::arith::{raw, vals};
use lfmq_testkit::kit::{self, Experts};
use lfmq_testkit::sink::{self, Folder};
use lfmq_testkit::{Moe, Shape};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::path::Path;

const TOKENS: [u32; 9] = [1, 77, 300, 12, 401, 9, 55, 12, 260];

fn open(parent: &Path, experts: usize, width: usize, hidden: usize, layout: Experts) -> Checkpoint {
    let shape = Shape {
        hidden,
        layers: 3,
        attention: &[2],
        heads: 2,
        kv_heads: 1,
        head_dim: hidden / 2,
        ffn: 64,
        vocab: 512,
        untied: false,
        moe: Some(Moe { experts, width, dense: 1 }),
    };
    // The folder's name is the model's, and so part of the files.
    let folder = kit::write_shape(&parent.join(format!("{layout:?}")), "tiny", &shape, layout).unwrap();
    Checkpoint::open(&folder).unwrap()
}

/// All in f32 but the experts, whose gate and up are on one scheme and down on another.
fn plan_of(source: &Checkpoint, up: &str, down: &str) -> QuantPlan {
    let mut recipe = Recipe::named("F32").unwrap();
    for (role, scheme) in [("expert_gate", up), ("expert_up", up), ("expert_down", down)] {
        recipe.set(&format!("{role}={scheme}")).unwrap();
    }
    lfmq_quant::plan(source, &recipe, None).unwrap()
}

/// Some values on the grid of `planned`, not those that anything would quantize to.
fn random(planned: &TensorPlan, seed: u64) -> QuantizedRows {
    let (rows, cols) = planned.shape;
    let name = format!("{seed} {}", planned.name);
    let words = |what: &str, n: usize| raw(&format!("{name} {what}"), n);
    // Eight significant bits, so that every type of scale holds them.
    let float = |z: &u64| (1 + z % 255) as f32 * 2f32.powi(-12);
    let power = |z: &u64| 2f32.powi((z % 9) as i32 - 10);
    let payload = match planned.grid {
        Grid::Affine { codes: (low, high), group, zero, .. } => {
            let groups = rows * cols.checked_div(group).unwrap_or(1);
            let code = |z: &u64| low + (z % (high - low + 1) as u64) as i16;
            let zeros = match zero {
                Zero::None => Vec::new(),
                Zero::Int => words("zeros", groups).iter().map(|z| f32::from(code(z))).collect(),
                Zero::Bias => words("zeros", groups).iter().map(|z| -float(z)).collect(),
            };
            let scales = words("scales", groups).iter().map(float).collect();
            Payload::Codes { codes: words("codes", rows * cols).iter().map(|z| code(z) as i8).collect(), scales, zeros }
        }
        Grid::Codebook { levels, group, scale } => {
            let value = if scale == ScaleKind::E8M0 { power } else { float };
            let scales = words("scales", rows * cols / group).iter().map(value).collect();
            let codes = words("codes", rows * cols).iter().map(|z| (z % levels.len() as u64) as i8).collect();
            Payload::Codes { codes, scales, zeros: Vec::new() }
        }
        // Values of these grids are not free to be chosen.
        Grid::Float { .. } | Grid::Opaque { .. } => {
            let values: Vec<f32> = vals(&name, rows * cols).iter().map(|v| v * 16.0).collect();
            return quantized(planned, &values);
        }
    };
    QuantizedRows { rows, cols, payload }
}

fn quantized(planned: &TensorPlan, x: &[f32]) -> QuantizedRows {
    let mut rows = QuantizedRows::default();
    scheme(planned.scheme.0).unwrap().quantize(x, planned.shape.1, None, &mut rows).unwrap();
    rows
}

/// Writes `folder` with random experts, and everything else as it is; returns the rows of each tensor.
fn write(source: &Checkpoint, plan: &QuantPlan, way: Way, seed: u64, folder: &Path) -> Vec<QuantizedRows> {
    let exporter = way.exporter();
    let export = exporter.plan(&ExportJob { source, plan, stem: "x" }).unwrap();
    let sink = Folder::of(&*export, folder).unwrap();
    export.write_frame(&sink).unwrap();
    let rows_of = |(index, planned): (usize, &TensorPlan)| {
        if planned.id.role.expert().is_some() {
            return random(planned, seed);
        }
        let (rows, cols) = planned.shape;
        let mut x = vec![0.0; rows * cols];
        source.read_rows(index, 0..rows, &mut x).unwrap();
        quantized(planned, &x)
    };
    let all: Vec<QuantizedRows> = plan.tensors.iter().enumerate().map(rows_of).collect();
    all.iter().enumerate().for_each(|(index, rows)| export.write_rows(index, 0, rows, &sink).unwrap());
    all
}

/// What a reader finds for `tensor`.
fn found(weights: &dyn Weights, tensor: &SourceTensor) -> Vec<f32> {
    let same = |s: &lfmq_core::StoredTensor| s.id.map_or(s.name == tensor.name, |id| id == tensor.id);
    let index = weights.tensors().iter().position(same).unwrap_or_else(|| panic!("no {}", tensor.name));
    let mut out = vec![f32::NAN; tensor.rows * tensor.cols];
    weights.read_rows(index, 0..tensor.rows, &mut out).unwrap();
    out
}

/// The schemes of `way` that fit rows of `cols` weights.
fn fitting(way: Way, cols: usize) -> Vec<&'static str> {
    let fits = |name: &&&str| cols.is_multiple_of(scheme(name).unwrap().grid().block());
    way.schemes().iter().filter(fits).copied().collect()
}

/// A scheme for gate and up, and one for down.
fn schemes(way: Way, width: usize, hidden: usize, [up, down]: [Index; 2]) -> [&'static str; 2] {
    let up = *up.get(&fitting(way, hidden));
    let also = fitting(way, width);
    // One operator has one grid for all.
    let one = way == Way::Qmoe && also.contains(&up);
    [up, if one { up } else { *down.get(&also) }]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readers_find_each_expert_as_it_was_written(
        experts in 1usize..13,
        width in select(vec![32, 64, 96, 256]),
        hidden in select(vec![32, 64, 160, 256]),
        layout in select(vec![Experts::Apart, Experts::Fused]),
        chosen: [Index; 2],
        seed: u64,
    ) {
        let parent = tempfile::tempdir().unwrap();
        let source = open(parent.path(), experts, width, hidden, layout);
        for way in Way::ALL {
            let [up, down] = schemes(way, width, hidden, chosen);
            let plan = plan_of(&source, up, down);
            let folder = parent.path().join(format!("{way:?}"));
            let rows = write(&source, &plan, way, seed, &folder);
            let executor = way.open(&folder);
            let weights = executor.weights().unwrap();
            for ((tensor, planned), rows) in source.tensors().iter().zip(&plan.tensors).zip(&rows) {
                if tensor.id.role.expert().is_some() || tensor.id.role.word().starts_with("router") {
                    let mut expected = vec![0.0; rows.rows * rows.cols];
                    dequantize(&planned.grid, rows, &mut expected).unwrap();
                    prop_assert!(found(weights, tensor) == expected, "{way:?} {up} {down}: {}", tensor.name);
                }
            }
        }
    }

    /// A reader that took one expert for another, or gate for up, would find the right rows under the wrong names.
    #[test]
    fn one_plan_is_one_model_in_every_format(
        experts in 2usize..13,
        width in select(vec![32, 96]),
        hidden in select(vec![32, 64]),
        (scheme, ways) in select(vec![
            ("f32", [Way::Gguf, Way::Grouped, Way::Tflite]),
            ("q8_0", [Way::Gguf, Way::Grouped, Way::Qmoe]),
            ("q4_0", [Way::Gguf, Way::Grouped, Way::Qmoe]),
        ]),
        seed: u64,
    ) {
        let parent = tempfile::tempdir().unwrap();
        let source = open(parent.path(), experts, width, hidden, Experts::Apart);
        let plan = plan_of(&source, scheme, scheme);
        let logits = ways.map(|way| {
            let folder = parent.path().join(format!("{way:?}"));
            write(&source, &plan, way, seed, &folder);
            let executor = way.open(&folder);
            let mut logits = Vec::new();
            let mut session = executor.session(TOKENS.len()).unwrap();
            session.feed(&TOKENS, Want::Last, &mut logits).unwrap();
            logits
        });
        let size = logits[0].iter().fold(0.0f32, |m, v| m.max(v.abs()));
        for (way, other) in ways.iter().zip(&logits).skip(1) {
            let worst = logits[0].iter().zip(other).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
            prop_assert!(worst <= 1e-4 * size, "{way:?} {scheme}: {worst} of {size}");
        }
    }

    /// Whichever way a checkpoint stores its experts, in whatever slabs they come.
    #[test]
    fn both_layouts_of_a_checkpoint_give_the_same_files(
        experts in 1usize..13,
        width in select(vec![32, 64]),
        slab in 1usize..50,
        chosen: [Index; 2],
    ) {
        let parent = tempfile::tempdir().unwrap();
        let [apart, fused] = [Experts::Apart, Experts::Fused].map(|how| open(parent.path(), experts, width, 32, how));
        for way in Way::ALL {
            let [up, down] = schemes(way, width, 32, chosen);
            let write = |source: &Checkpoint, slabs| {
                let plan = plan_of(source, up, down);
                let exporter = way.exporter();
                let export = exporter.plan(&ExportJob { source, plan: &plan, stem: "x" }).unwrap();
                sink::write(source, &*export, slabs, |index, x| quantized(&plan.tensors[index], x))
            };
            let (one, other) = (write(&apart, (1 << 20, false)), write(&fused, (slab, true)));
            prop_assert!(one == other, "{way:?} {up} {down}");
        }
    }
}
