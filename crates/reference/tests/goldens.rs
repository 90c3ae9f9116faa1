//! Logits against those the transformers library made in f32, and against ourselves: however the tokens are cut,
//! however many threads there are and whatever the kernel rung, the bits must be the same.

use lfmq_checkpoint::Checkpoint;
use lfmq_core::{ExecError, Executor, ModelSpec, SourceError, SourceTensor, TensorId, TensorSource, Want};
use lfmq_kernels::Kernels;
use lfmq_reference::{Ahead, Reference};
use lfmq_testkit::golden::{self, Golden};
use std::ops::Range;
use std::sync::Mutex;

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

/// `[mixture layer][token][K]`, as a session tells them after a feed.
type Routes = Vec<Vec<Vec<u16>>>;

/// Bits of the logits, and routes a piece, of sequences fed in pieces; one session for all.
fn fed(executor: &dyn Executor, sequences: &[Vec<u32>], pieces: &[usize]) -> Vec<(Vec<u32>, Vec<Routes>)> {
    let mut session = executor.session(sequences.iter().map(Vec::len).max().unwrap()).unwrap();
    let mut all = Vec::new();
    for sequence in sequences {
        session.reset();
        let (mut out, mut routes, mut rest) = (Vec::new(), Vec::new(), &sequence[..]);
        for (i, piece) in pieces.iter().chain([&usize::MAX]).enumerate() {
            let (now, later) = rest.split_at((*piece).min(rest.len()));
            session.feed(now, if i == 0 { Want::From(1) } else { Want::All }, &mut out).unwrap();
            routes.push(session.routes().to_vec());
            rest = later;
        }
        assert_eq!(session.position(), sequence.len());
        all.push((bits(&out), routes));
    }
    all
}

#[test]
fn what_is_run_ahead_has_the_same_bits() {
    for (golden, checkpoint) in cases() {
        let reference = Reference::open(&checkpoint, Kernels::best()).unwrap();
        let id = |i: usize| golden.ids[i % golden.ids.len()];
        // Of different lengths, two with a common start, one longer than a chunk.
        let mut known: Vec<Vec<u32>> = [9, 5, 520].iter().map(|n| (0..*n).map(id).collect()).collect();
        known.push(known[0].iter().rev().copied().collect());
        // Partly known, unknown from the start on, known again.
        let mut asked = known.clone();
        asked.push([&known[0][..6], &[id(1), id(0), id(1)]].concat());
        asked.insert(0, (0..7).map(|i| id(i + 3)).collect());
        let expected = fed(&reference, &asked, &[4, 2]);
        for limit in [usize::MAX, 1] {
            let ahead = Ahead::within(&reference, known.iter().map(Vec::as_slice), limit);
            if limit > 1 {
                ahead.prepare(&lfmq_core::Silent).unwrap();
            }
            assert!(fed(&ahead, &asked, &[4, 2]) == expected, "{}, at most {limit} bytes", golden.name);
        }
    }
}

#[test]
fn running_ahead_reads_each_weight_once_a_batch() {
    let (_, checkpoint) = cases().remove(0);
    let counted = Counted { source: &checkpoint, reads: Mutex::default() };
    let reference = Reference::open(&counted, Kernels::best()).unwrap();
    let sequences: Vec<Vec<u32>> = (0..6).map(|i| (1..9).map(|t| t + i).collect()).collect();
    let ahead = Ahead::new(&reference, sequences.iter().map(Vec::as_slice));
    counted.reads.lock().unwrap().clear();
    ahead.prepare(&lfmq_core::Silent).unwrap();
    // Once a tensor is left for another of the same kind in a later layer, it is not touched again.
    let layers: Vec<u16> = counted.reads.lock().unwrap().iter().filter_map(|id| id.layer).collect();
    assert!(layers.is_sorted() && !layers.is_empty(), "a layer was gone back to");
}

/// A checkpoint that notes which tensors are read, in order.
struct Counted<'a> {
    source: &'a Checkpoint,
    reads: Mutex<Vec<TensorId>>,
}

impl TensorSource for Counted<'_> {
    fn spec(&self) -> &ModelSpec {
        self.source.spec()
    }

    fn name(&self) -> &str {
        self.source.name()
    }

    fn tensors(&self) -> &[SourceTensor] {
        self.source.tensors()
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<(), SourceError> {
        self.reads.lock().unwrap().push(self.source.tensors()[index].id);
        self.source.read_rows(index, rows, out)
    }

    fn sidecar(&self, name: &str) -> Option<&[u8]> {
        self.source.sidecar(name)
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
