//! Operators against plain f64 arithmetic, written here a second time from the formulas.

use lfmq_kernels::Kernels;
use lfmq_ops::conv::{Convolution, add_bias};
use lfmq_ops::norm::rms_norm;
use lfmq_ops::rope::{Rotation, inverse_frequencies};
use lfmq_ops::{Gate, Routing, by_panels};

/// Numbers without a pattern that a wrong index could hide behind.
fn noise(seed: u32, n: usize) -> Vec<f32> {
    let mut s = seed.wrapping_mul(2_654_435_761) | 1;
    let next = |_| {
        s ^= s << 13;
        s ^= s >> 17;
        s ^= s << 5;
        s as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    (0..n).map(next).collect()
}

fn close(ours: &[f32], exact: &[f64], what: &str) {
    assert_eq!(ours.len(), exact.len(), "{what}");
    for (i, (a, b)) in ours.iter().zip(exact).enumerate() {
        assert!((f64::from(*a) - b).abs() < 2e-6 * b.abs().max(1.0), "{what}[{i}]: {a} for {b}");
    }
}

#[test]
fn rms_norm_divides_by_the_root_mean_square() {
    let (x, w) = (noise(1, 3 * 20), noise(2, 20));
    let mut ours = x.clone();
    rms_norm(&mut ours, &w, 1e-3, Kernels::best());
    let exact: Vec<f64> = x
        .chunks_exact(20)
        .flat_map(|row| {
            let mean = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / 20.0 + f64::from(1e-3_f32);
            row.iter().zip(&w).map(move |(x, w)| f64::from(*x) / mean.sqrt() * f64::from(*w)).collect::<Vec<_>>()
        })
        .collect();
    close(&ours, &exact, "rms_norm");
}

#[test]
fn rotation_turns_halves_by_the_angle_of_the_position() {
    let frequencies = inverse_frequencies(1e6, 64);
    assert_eq!((frequencies.len(), frequencies[0]), (32, 1.0));
    assert!((f64::from(frequencies[31]) / 1e6_f64.powf(-62.0 / 64.0) - 1.0).abs() < 1e-6);
    let rotation = Rotation::new(&frequencies, 120_000, 3);
    let head = noise(3, 64);
    let mut ours = head.clone();
    rotation.apply(2, &mut ours);
    let mut exact = vec![0.0; 64];
    for i in 0..32 {
        // The angle itself is an f32 product by definition.
        let angle = f64::from(120_002.0 * frequencies[i]);
        let (a, b) = (f64::from(head[i]), f64::from(head[i + 32]));
        exact[i] = a * angle.cos() - b * angle.sin();
        exact[i + 32] = b * angle.cos() + a * angle.sin();
    }
    close(&ours, &exact, "rope");
}

#[test]
fn short_conv_is_a_causal_cross_correlation() {
    for (hidden, taps, n, bias) in [(5, 3, 7, false), (4, 5, 2, true), (3, 1, 4, true), (2, 3, 1, false)] {
        let (z, kernel, b) = (noise(4, n * 3 * hidden), noise(5, hidden * taps), noise(6, hidden));
        let bias = bias.then_some(&b[..]);
        let at = |t: usize, part: usize, h: usize| f64::from(z[t * 3 * hidden + part * hidden + h]);
        let mut exact = vec![];
        for t in 0..n {
            for h in 0..hidden {
                let mut c = bias.map_or(0.0, |b| f64::from(b[h]));
                for j in 0..taps.min(t + 1) {
                    c += f64::from(kernel[h * taps + taps - 1 - j]) * at(t - j, 0, h) * at(t - j, 2, h);
                }
                exact.push(at(t, 1, h) * c);
            }
        }
        // In one piece, and cut everywhere: the state carries what a cut takes away.
        for cut in 0..=n {
            let (mut state, mut ours) = (vec![0.0; (taps - 1) * hidden], vec![0.0; n * hidden]);
            let (first, second) = ours.split_at_mut(cut * hidden);
            for (z, out) in [(&z[..cut * 3 * hidden], first), (&z[cut * 3 * hidden..], second)] {
                let conv = Convolution::new(hidden, z, &kernel, bias, &state);
                out.chunks_exact_mut(hidden).enumerate().for_each(|(t, out)| conv.fill(t, out));
                state = conv.state_after(z.len() / (3 * hidden));
            }
            close(&ours, &exact, &format!("short_conv {hidden} {taps} cut at {cut}"));
            assert_eq!(state.len(), (taps - 1) * hidden);
        }
    }
    let mut x = [1.0, 2.0, 3.0, 4.0];
    add_bias(&mut x, Some(&[10.0, 20.0]));
    assert_eq!(x, [11.0, 22.0, 13.0, 24.0]);
}

#[test]
fn routing_selects_by_bias_and_weighs_without_it() {
    struct Case {
        what: &'static str,
        routing: Routing,
        logits: [f32; 4],
        experts: Vec<u16>,
        weights: Vec<f64>,
    }
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let plain = |top_k| Routing { gate: Gate::Sigmoid, top_k, bias: None, norm_top_k: false, scale: 1.0 };
    let (a, b) = (sigmoid(2.0), sigmoid(1.0));
    let cases = [
        Case {
            what: "the two greatest, ids ascending",
            routing: plain(2),
            logits: [1.0, -1.0, 2.0, 0.0],
            experts: vec![0, 2],
            weights: vec![b, a],
        },
        Case {
            what: "of equals the lowest index",
            routing: plain(2),
            logits: [0.5, 1.0, 0.5, 0.5],
            experts: vec![0, 1],
            weights: vec![sigmoid(0.5), b],
        },
        Case {
            what: "the bias selects and does not weigh",
            routing: Routing { bias: Some(vec![0.0, 9.0, 0.0, 0.0]), ..plain(1) },
            logits: [2.0, -1.0, 1.0, 0.0],
            experts: vec![1],
            weights: vec![sigmoid(-1.0)],
        },
        Case {
            what: "normalised with 1e-6, then scaled",
            routing: Routing { norm_top_k: true, scale: 2.5, ..plain(2) },
            logits: [1.0, -1.0, 2.0, 0.0],
            experts: vec![0, 2],
            weights: vec![2.5 * b / (a + b + 1e-6), 2.5 * a / (a + b + 1e-6)],
        },
        Case {
            what: "the 1e-6 counts where sigmoids are small",
            routing: Routing { norm_top_k: true, ..plain(1) },
            logits: [-14.0, -15.0, -16.0, -17.0],
            experts: vec![0],
            weights: vec![sigmoid(-14.0) / (sigmoid(-14.0) + 1e-6)],
        },
        Case {
            what: "a softmax over all experts, the bias selecting",
            routing: Routing { gate: Gate::Softmax, bias: Some(vec![0.0, 9.0, 0.0, 0.0]), ..plain(2) },
            logits: [2.0, -1.0, 1.0, 0.0],
            experts: vec![0, 1],
            weights: [2.0f64, -1.0]
                .map(|l| l.exp() / [2.0f64, -1.0, 1.0, 0.0].map(f64::exp).iter().sum::<f64>())
                .to_vec(),
        },
        Case {
            what: "a bias that weighs too",
            routing: Routing { gate: Gate::BiasedSigmoid, bias: Some(vec![0.0, 9.0, 0.0, 0.0]), ..plain(2) },
            logits: [2.0, -1.0, 1.0, 0.0],
            experts: vec![0, 1],
            weights: vec![a, sigmoid(-1.0) + 9.0],
        },
        Case {
            what: "NaN is chosen last",
            routing: plain(3),
            logits: [f32::NAN, -1.0, -2.0, -3.0],
            experts: vec![1, 2, 3],
            weights: vec![sigmoid(-1.0), sigmoid(-2.0), sigmoid(-3.0)],
        },
    ];
    for case in cases {
        let (experts, weights): (Vec<u16>, Vec<f32>) =
            case.routing.choose(&mut case.logits.clone(), Kernels::best()).into_iter().unzip();
        assert_eq!(experts, case.experts, "{}", case.what);
        close(&weights, &case.weights, case.what);
    }
}

#[test]
fn panels_cover_every_output_once() {
    for (n, rows) in [(0, 5), (3, 0), (1, 1), (1, 100), (2, 31), (5, 32), (7, 33), (3, 130)] {
        let mut out = vec![-1.0; n * rows];
        by_panels(n, rows, &mut out, |range, part| {
            let width = range.len();
            for (i, o) in part.iter_mut().enumerate() {
                *o = (i / width * 1000 + range.start + i % width) as f32;
            }
            Ok::<(), ()>(())
        })
        .unwrap();
        let expected: Vec<f32> = (0..n).flat_map(|i| (0..rows).map(move |r| (i * 1000 + r) as f32)).collect();
        assert_eq!(out, expected, "[{n}, {rows}]");
    }
    assert_eq!(by_panels(2, 64, &mut [0.0; 128], |range, _| if range.start == 32 { Err(7) } else { Ok(()) }), Err(7));
}
