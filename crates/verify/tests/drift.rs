//! Drift of models whose logits are known.

mod common;

use common::{Table, noise};
use lfmq_core::Silent;
use lfmq_verify::drift::{Drift, DriftOptions, measure};
use lfmq_verify::{WindowOptions, Windows};

const VOCAB: usize = 16;

fn windows() -> Windows {
    let text: Vec<u32> = (0..400).map(|i| (i * 7 + i / 5) % VOCAB as u32).collect();
    Windows::cut(&text, Some(1), &WindowOptions { context: 32, ..WindowOptions::default() }).unwrap()
}

fn base(position: usize, token: u32) -> Vec<f32> {
    (0..VOCAB).map(|v| 3.0 * noise((position * 977 + token as usize * 31 + v) as u64)).collect()
}

fn drift(candidate: Table) -> Drift {
    measure(&Table::new(VOCAB, base), &candidate, &windows(), &DriftOptions::default(), &Silent).unwrap()
}

#[test]
fn the_same_model_has_no_drift_at_all() {
    let d = drift(Table::new(VOCAB, base));
    assert_eq!((d.windows, d.scored, d.kld.tokens), (12, 15, 180));
    assert_eq!((d.kld.mean.value, d.kld.max, d.kld.mean.se, d.kld.p99_interval), (0.0, 0.0, 0.0, (0.0, 0.0)));
    assert_eq!((d.perplexity.ratio.value, d.perplexity.ratio.high), (1.0, 1.0));
    assert_eq!((d.agreement.same_top.value, d.probability.rms), (1.0, 0.0));
    assert!(d.agreement.same_top.low < 1.0, "180 hits of 180 prove no certainty");
    let greedy = d.greedy.unwrap();
    assert_eq!((greedy.exact, greedy.median, greedy.runs.len()), (1.0, 32.0, 4));
}

#[test]
fn a_shifted_logit_gives_the_divergence_of_the_textbook() {
    let shifted = |p: usize, t: u32| {
        let mut l = base(p, t);
        l[3] += 0.5;
        l
    };
    let d = drift(Table::new(VOCAB, shifted));
    // By the definition, over the scored positions: sum p (ln p - ln q).
    let (mut sum, mut n) = (0.0, 0);
    for window in windows().iter() {
        for (position, token) in window.iter().copied().enumerate().take(31).skip(16) {
            let softmax = |l: Vec<f32>| {
                let e: Vec<f64> = l.iter().map(|x| f64::from(*x).exp()).collect();
                let total: f64 = e.iter().sum();
                e.into_iter().map(move |x| x / total).collect::<Vec<f64>>()
            };
            let (p, q) = (softmax(base(position, token)), softmax(shifted(position, token)));
            sum += p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum::<f64>();
            n += 1;
        }
    }
    assert!((d.kld.mean.value - sum / f64::from(n)).abs() < 1e-6, "{} {}", d.kld.mean.value, sum / f64::from(n));
    assert!(d.kld.mean.low < d.kld.mean.value && d.kld.mean.value < d.kld.mean.high);
}

#[test]
fn permuted_logits_are_far_away() {
    let d = drift(Table::new(VOCAB, |p, t| {
        let mut l = base(p, t);
        l.rotate_right(1);
        l
    }));
    assert!(d.kld.mean.low > 0.5 && d.agreement.same_top.value < 0.3 && d.greedy.unwrap().exact == 0.0);
}

#[test]
fn the_one_bad_position_is_found() {
    let window = windows().iter().nth(2).unwrap().to_vec();
    let token = window[21];
    // Only where this token stands at position 21; the text repeats every 80 tokens, so take the first such window.
    let first = windows().iter().position(|w| w[21] == token).unwrap();
    let d = drift(Table::new(VOCAB, move |p, t| {
        let mut l = base(p, t);
        if p == 21 && t == token {
            l[0] += 9.0;
        }
        l
    }));
    let at = d.kld.max_at.unwrap();
    assert_eq!((at.window, at.position, at.target), (first, 21, window[22]));
    assert!(d.kld.max > 0.5 && d.kld.p50 == 0.0);
}

#[test]
fn unscored_positions_do_not_count() {
    let d = drift(Table::new(VOCAB, |p, t| if p < 16 || p == 31 { vec![0.0; VOCAB] } else { base(p, t) }));
    assert_eq!(d.kld.max, 0.0);
}

#[test]
fn greedy_divergence_index_is_exact() {
    // Both models count upwards; the candidate is stuck at position 40, which follows a prompt of 32 and chooses the
    // 10th token (index 9). Equal logits mean token 0, so it stays unnoticed where 0 is next anyway.
    let count =
        |_: usize, t: u32| (0..VOCAB).map(|v| f32::from(u8::from(v as u32 == (t + 1) % VOCAB as u32))).collect();
    let base = Table::new(VOCAB, count);
    let other = Table::new(VOCAB, move |p, t| if p == 40 { vec![0.5; VOCAB] } else { count(p, t) });
    let d = measure(&base, &other, &windows(), &DriftOptions::default(), &Silent).unwrap();
    let expected: Vec<_> = windows().iter().take(4).map(|w| ((w[31] + 10) % VOCAB as u32 != 0).then_some(9)).collect();
    let greedy = d.greedy.unwrap();
    assert_eq!(greedy.runs.iter().map(|r| r.diverges_at).collect::<Vec<_>>(), expected);
    assert!(greedy.runs.iter().all(|r| r.prompt == 32) && expected.contains(&Some(9)));
}

#[test]
fn a_number_that_is_none_is_named() {
    let candidate = Table::new(VOCAB, |p, t| {
        let mut l = base(p, t);
        if p == 20 {
            l[5] = f32::NAN;
        }
        l
    });
    let fault =
        measure(&Table::new(VOCAB, base), &candidate, &windows(), &DriftOptions::default(), &Silent).unwrap_err();
    let text = fault.to_string();
    assert!(text.contains("candidate") && text.contains("window 0, position 20, token 5"), "{text}");
    assert_eq!(fault.kind, lfmq_core::Kind::Gate);
    let other = Table::new(VOCAB + 1, |_, _| vec![0.0; VOCAB + 1]);
    let fault = measure(&Table::new(VOCAB, base), &other, &windows(), &DriftOptions::default(), &Silent).unwrap_err();
    assert!(fault.to_string().contains("17"));
}

#[test]
fn routers_are_compared() {
    let mixture = |swap: bool| {
        Table::new(VOCAB, base).routed(move |p, _| if swap && p % 2 == 1 { vec![vec![0, 3]] } else { vec![vec![0, 1]] })
    };
    let d = measure(&mixture(false), &mixture(true), &windows(), &DriftOptions::default(), &Silent).unwrap();
    let r = d.router.unwrap();
    // 15 positions are scored, 7 of them odd: half of the set in common there.
    assert!((r.overlap.value - (8.0 + 3.5) / 15.0).abs() < 1e-12);
    assert!((r.layers[0].identical - 8.0 / 15.0).abs() < 1e-12);
    let windows = windows().count() as u64;
    let (yardstick, candidate) = (vec![15, 15, 0, 0], vec![15, 8, 0, 7]);
    let times = |load: Vec<u64>| load.into_iter().map(|n| n * windows).collect::<Vec<_>>();
    let load = &r.load.unwrap()[0];
    assert_eq!((&load.yardstick, &load.candidate), (&times(yardstick), &times(candidate)));
}

#[test]
fn threads_change_nothing() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let noisy = Table::new(VOCAB, |p, t| base(p, t).into_iter().map(|l| l * 1.01).collect());
        pool.install(|| serde_json::to_string(&drift(noisy)).unwrap())
    };
    assert_eq!(run(1), run(3));
}
