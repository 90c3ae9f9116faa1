//! Checkpoints that lie about themselves, and weights that cannot be read.

use lfmq_checkpoint::Checkpoint;
use lfmq_core::{ExecError, Executor, ModelSpec, SourceError, SourceTensor, TensorRole, TensorSource, Want};
use lfmq_kernels::Kernels;
use lfmq_reference::{Reference, ReferenceError};
use lfmq_testkit::golden;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// A checkpoint with its list of tensors spoiled, or whose reads fail from some time on.
struct Spoiled {
    inner: Checkpoint,
    tensors: Vec<SourceTensor>,
    broken: AtomicBool,
}

impl Spoiled {
    fn new(spoil: impl FnOnce(&mut Vec<SourceTensor>)) -> Self {
        let case = golden::load("moe-published").expect("the golden is readable");
        let inner = Checkpoint::open(&case.model).expect("its checkpoint is valid");
        let mut tensors = inner.tensors().to_vec();
        spoil(&mut tensors);
        Self { inner, tensors, broken: AtomicBool::new(false) }
    }
}

impl TensorSource for Spoiled {
    fn spec(&self) -> &ModelSpec {
        self.inner.spec()
    }

    fn name(&self) -> &str {
        "spoiled"
    }

    fn tensors(&self) -> &[SourceTensor] {
        &self.tensors
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<(), SourceError> {
        if self.broken.load(Ordering::Relaxed) && self.tensors[index].id.role == TensorRole::AttnOut {
            let tensor = self.tensors[index].name.clone();
            return Err(SourceError { path: "shard".into(), tensor, why: "gone".into() });
        }
        self.inner.read_rows(index, rows, out)
    }

    fn sidecar(&self, name: &str) -> Option<&[u8]> {
        self.inner.sidecar(name)
    }
}

fn refusal(source: &Spoiled) -> ReferenceError {
    Reference::open(source, Kernels::best()).map(|_| ()).expect_err("a spoiled checkpoint was taken")
}

#[test]
fn a_missing_tensor_is_named() {
    let source = Spoiled::new(|tensors| tensors.retain(|t| t.id.role != TensorRole::ExpertDown(3)));
    assert_eq!(refusal(&source).to_string(), "spoiled: no tensor for layer 1 expert_down[3]");
}

#[test]
fn a_wrong_shape_is_named() {
    let source = Spoiled::new(|tensors| {
        let q = tensors.iter_mut().find(|t| t.id.role == TensorRole::AttnQ).unwrap();
        (q.rows, q.cols) = (q.rows / 2, q.cols * 2);
    });
    let message = refusal(&source).to_string();
    assert!(message.contains("q_proj") && message.ends_with("expected [64, 64], found [32, 128]"), "{message}");
}

#[test]
fn a_weight_that_cannot_be_read_is_an_error_and_not_a_number() {
    let source = Spoiled::new(|_| ());
    let reference = Reference::open(&source, Kernels::best()).unwrap();
    let mut session = reference.session(8).unwrap();
    let mut out = Vec::new();
    session.feed(&[1, 2], Want::Last, &mut out).unwrap();
    source.broken.store(true, Ordering::Relaxed);
    let error = session.feed(&[3], Want::Last, &mut out).unwrap_err();
    assert!(matches!(&error, ExecError::Read(e) if e.tensor.contains("out_proj")), "{error}");
    source.broken.store(false, Ordering::Relaxed);
    session.reset();
    let mut again = Vec::new();
    session.feed(&[1, 2], Want::Last, &mut again).unwrap();
    assert_eq!(out, again);
}
