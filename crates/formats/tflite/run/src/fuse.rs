//! Steps that are computed as one.

use crate::draft::{Draft, Draw, Lowered};
use crate::operators::{Hint, attend};
use crate::program::Doing;
use lfmq_kernels::Kernels;

/// Makes one step of every chain of a product, the sum with a mask, a softmax and a product, where nothing else reads the
/// values between.
pub(crate) fn fuse(lowered: &mut Lowered, kernels: &'static Kernels) {
    let mut makers = vec![None; lowered.roots.len()];
    for (number, draft) in lowered.drafts.iter().enumerate() {
        for root in &draft.outputs {
            if let Some(maker) = makers.get_mut(*root) {
                *maker = Some(number);
            }
        }
    }
    let readers = readers(lowered);
    let mut gone = vec![false; lowered.drafts.len()];
    for last in 0..lowered.drafts.len() {
        let Some((chain, fused)) = chain(lowered, &makers, &readers, last, kernels) else { continue };
        if let Some(draft) = lowered.drafts.get_mut(last) {
            *draft = fused;
        }
        chain.into_iter().for_each(|number| gone.iter_mut().skip(number).take(1).for_each(|g| *g = true));
    }
    let mut gone = gone.into_iter();
    lowered.drafts.retain(|_| !gone.next().unwrap_or(false));
}

/// How often each root is read.
fn readers(lowered: &Lowered) -> Vec<usize> {
    let mut readers = vec![0; lowered.roots.len()];
    let draws = lowered.drafts.iter().flat_map(|d| &d.draws).filter_map(|d| match d {
        Draw::Root { root, .. } => Some(*root),
        Draw::Constant { .. } => None,
    });
    for root in draws.chain(lowered.outputs.iter().map(|v| v.root)) {
        if let Some(readers) = readers.get_mut(root) {
            *readers += 1;
        }
    }
    readers
}

/// The steps before `last` that it can be computed with, and the step that does.
fn chain(
    lowered: &Lowered,
    makers: &[Option<usize>],
    readers: &[usize],
    last: usize,
    kernels: &'static Kernels,
) -> Option<([usize; 3], Draft)> {
    // The step that made a whole value which nothing else reads.
    let maker = |draw: &Draw| -> Option<(usize, &Draft)> {
        let Draw::Root { root, start: 0, len } = *draw else { return None };
        let whole = lowered.roots.get(root)?.len == len && readers.get(root) == Some(&1);
        let number = makers.get(root).copied().flatten().filter(|_| whole)?;
        Some((number, lowered.drafts.get(number)?))
    };
    let mix = lowered.drafts.get(last)?;
    let Some(Hint::Product(second)) = &mix.hint else { return None };
    let (soft_at, soft) = maker(mix.draws.first()?)?;
    let Some(Hint::Softmax) = soft.hint else { return None };
    let (sum_at, sum) = maker(soft.draws.first()?)?;
    let Some(Hint::Sum(matrices)) = sum.hint else { return None };
    let ([left, right], [_, true]) = (sum.draws.as_slice(), matrices) else { return None };
    let (score_at, score) = maker(left)?;
    let Some(Hint::Product(first)) = &score.hint else { return None };
    let straight = second.starts.iter().enumerate().all(|(i, s)| s.first() == Some(&i));
    let fits = first.one.turned
        && second.one.turned
        && straight
        && first.starts.len() == second.starts.len()
        && (first.one.rows, first.one.cols) == (second.one.rows, second.one.inner)
        && first.one.rows * first.one.cols > 0;
    let ([q, k], [_, v]) = (score.draws.as_slice(), mix.draws.as_slice()) else { return None };
    let fused = Draft {
        title: mix.title.clone(),
        operator: mix.operator,
        draws: vec![*q, *k, *right, *v],
        outputs: mix.outputs.clone(),
        over: vec![],
        work: Doing::Run(attend(first.clone(), second.clone(), kernels)),
        hint: None,
    };
    fits.then_some(([soft_at, sum_at, score_at], fused))
}
