//! Logits against those the transformers library made in f32, and against ourselves: however the tokens are cut,
//! however many threads there are and whatever the kernel rung, the bits must be the same.

use lfmq_checkpoint::Checkpoint;
use lfmq_core::{ExecError, Executor, Want};
use lfmq_kernels::Kernels;
use lfmq_reference::Reference;
use lfmq_testkit::golden::{self, Golden};

/// The largest difference to transformers that counts as rounding; its own modes differ by 1e-5 among themselves.
const TOLERANCE: f32 = 1e-4;

/// The golden cases, each with its checkpoint.
fn cases() -> Vec<(Golden, Checkpoint)> {
    let goldens = golden::all().expect("the goldens are readable");
    assert!(goldens.len() >= 16, "fixtures/golden/transformers is incomplete: {} cases", goldens.len());
    let open = |g: Golden| {
        let checkpoint = Checkpoint::open(&g.model).unwrap_or_else(|e| panic!("{}: {e}", g.name));
        (g, checkpoint)
    };
    goldens.into_iter().map(open).collect()
}

/// Logits of `ids` fed in pieces of these sizes.
fn logits(executor: &dyn Executor, ids: &[u32], pieces: &[usize]) -> Vec<f32> {
    let mut session = executor.session(ids.len()).unwrap();
    let (mut out, mut rest) = (Vec::new(), ids);
    for piece in pieces {
        let (now, later) = rest.split_at(*piece);
        session.feed(now, Want::All, &mut out).unwrap();
        rest = later;
    }
    assert_eq!(session.position(), ids.len());
    out
}

fn bits(v: &[f32]) -> Vec<u32> {
    v.iter().map(|x| x.to_bits()).collect()
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |m, (a, b)| if (a - b).abs() <= m { m } else { (a - b).abs() })
}

#[test]
fn logits_are_those_of_transformers() {
    for (golden, checkpoint) in cases() {
        let reference = Reference::open(&checkpoint, Kernels::best()).unwrap();
        let n = golden.ids.len();
        for (mode, pieces, expected) in [
            ("prefill", vec![n], &golden.prefill),
            ("decode", vec![1; n], &golden.decode),
            ("chunks", golden.chunks.clone(), &golden.chunked),
        ] {
            let gap = worst(&logits(&reference, &golden.ids, &pieces), expected);
            assert!(gap < TOLERANCE, "{}, {mode}: off by {gap}", golden.name);
        }
    }
}

#[test]
fn bits_depend_on_nothing_but_the_model() {
    for (golden, checkpoint) in cases() {
        let n = golden.ids.len();
        let run = |kernels, threads, pieces: &[usize]| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let reference = Reference::open(&checkpoint, kernels).unwrap();
            pool.install(|| bits(&logits(&reference, &golden.ids, pieces)))
        };
        let expected = run(Kernels::best(), 1, &[n]);
        for threads in [2, 7] {
            assert_eq!(run(Kernels::best(), threads, &[n]), expected, "{}: {threads} threads", golden.name);
        }
        for pieces in [vec![1; n], golden.chunks.clone(), vec![0, n - 3, 0, 3]] {
            assert_eq!(run(Kernels::best(), 2, &pieces), expected, "{}: fed as {pieces:?}", golden.name);
        }
        for kernels in Kernels::available() {
            assert_eq!(run(kernels, 2, &[n]), expected, "{}: rung {}", golden.name, kernels.name);
        }
    }
}

#[test]
fn wanted_positions_reset_and_routes() {
    for (golden, checkpoint) in cases() {
        let reference = Reference::open(&checkpoint, Kernels::best()).unwrap();
        let spec = reference.spec().unwrap().clone();
        let (n, vocab) = (golden.ids.len(), golden.vocab);
        let all = logits(&reference, &golden.ids, &[n]);
        let mut session = reference.session(n).unwrap();
        for (want, first) in [(Want::Nothing, n), (Want::Last, n - 1), (Want::From(5), 5), (Want::From(n + 1), n)] {
            session.reset();
            let mut out = vec![1.0];
            session.feed(&golden.ids, want, &mut out).unwrap();
            assert_eq!(bits(&out[1..]), bits(&all[first * vocab..]), "{}: {want:?}", golden.name);
        }
        let moe_layers = spec.layers.iter().filter(|l| l.ffn == lfmq_core::Ffn::Moe).count();
        assert_eq!(session.routes().len(), moe_layers, "{}", golden.name);
        for layer in session.routes() {
            assert_eq!(layer.len(), n);
            let k = spec.moe.as_ref().unwrap().top_k;
            assert!(layer.iter().all(|t| t.len() == k && t.is_sorted() && t.iter().all(|e| usize::from(*e) < 64)));
        }
    }
}

#[test]
fn what_cannot_be_fed_is_refused_and_changes_nothing() {
    let (golden, checkpoint) = cases().remove(0);
    let reference = Reference::open(&checkpoint, Kernels::best()).unwrap();
    let mut session = reference.session(6).unwrap();
    let mut out = Vec::new();
    session.feed(&golden.ids[..4], Want::Nothing, &mut out).unwrap();
    let bad = session.feed(&[1, golden.vocab as u32], Want::All, &mut out);
    assert!(matches!(bad, Err(ExecError::Token { token, vocab }) if token as usize == vocab && vocab == golden.vocab));
    let bad = session.feed(&golden.ids[..3], Want::All, &mut out);
    assert!(matches!(bad, Err(ExecError::Full { position: 6, limit: 6 })));
    assert_eq!((session.position(), out.len()), (4, 0));
    session.feed(&golden.ids[4..6], Want::All, &mut out).unwrap();
    assert!(worst(&out, &golden.prefill[4 * golden.vocab..6 * golden.vocab]) < TOLERANCE);
    assert!(session.feed(&[], Want::Last, &mut out).is_ok());
    assert!(session.feed(&[1], Want::Last, &mut out).is_err());
}

#[test]
fn a_walk_layer_by_layer_is_the_session() {
    use lfmq_ops::Step;
    let (golden, checkpoint) = cases().pop().unwrap();
    let reference = Reference::open(&checkpoint, Kernels::best()).unwrap();
    let decoder = reference.decoder();
    let step = Step::new(decoder.config(), decoder.kernels(), 0, golden.ids.len());
    let mut x = decoder.embed(&golden.ids).unwrap();
    for layer in decoder.layers() {
        layer.forward(&step, &mut x, &mut layer.state(decoder.config())).unwrap();
    }
    let mut out = Vec::new();
    decoder.logits(&x, &mut out).unwrap();
    assert_eq!(bits(&out), bits(&logits(&reference, &golden.ids, &[golden.ids.len()])));
}
