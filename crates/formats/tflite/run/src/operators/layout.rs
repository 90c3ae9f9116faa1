//! Walking over values along strides, and moving elements about.

use crate::tensor::{Buffer, Why};
use lfmq_interpreter::layout::broadcast_strides;
pub(crate) use lfmq_interpreter::layout::{around, axis, broadcast, index, size, strides};
use rayon::prelude::*;

/// Elements below which cutting work among threads costs more than it saves.
pub(crate) const GRAIN: usize = 1 << 13;

/// A walk over an output row by row with the offsets of `N` inputs, neighbouring axes that all walk alike made one.
#[derive(Clone, Debug)]
pub(crate) struct Walk<const N: usize> {
    outer: Vec<usize>,
    /// Strides of the outer axes.
    strides: [Vec<usize>; N],
    /// Elements of a row.
    pub run: usize,
    /// Distance of neighbours within a row.
    pub steps: [usize; N],
}

impl<const N: usize> Walk<N> {
    pub fn new(shape: &[usize], strides: [Vec<usize>; N]) -> Self {
        let mut axes: Vec<(usize, [usize; N])> = Vec::new();
        for (i, extent) in shape.iter().enumerate().filter(|(_, extent)| **extent != 1) {
            let here: [usize; N] = std::array::from_fn(|n| strides[n][i]);
            match axes.last_mut() {
                Some((outer, wide)) if (0..N).all(|n| wide[n] == here[n].wrapping_mul(*extent)) => {
                    *outer *= extent;
                    *wide = here;
                }
                _ => axes.push((*extent, here)),
            }
        }
        let (run, steps) = axes.pop().unwrap_or((1, [0; N]));
        Self {
            outer: axes.iter().map(|(extent, _)| *extent).collect(),
            strides: std::array::from_fn(|n| axes.iter().map(|(_, strides)| strides[n]).collect()),
            run,
            steps,
        }
    }

    /// Over `shape` with inputs of these shapes broadcast to it.
    pub fn broadcast(shape: &[usize], inputs: [&[usize]; N]) -> Self {
        Self::new(shape, inputs.map(|input| broadcast_strides(input, shape)))
    }

    /// Where the inputs of row `row` start.
    pub fn offsets(&self, mut row: usize) -> [usize; N] {
        let mut offsets = [0_usize; N];
        for d in (0..self.outer.len()).rev() {
            let place = row % self.outer[d];
            row /= self.outer[d];
            for (offset, strides) in offsets.iter_mut().zip(&self.strides) {
                *offset = offset.wrapping_add(place.wrapping_mul(strides[d]));
            }
        }
        offsets
    }

    /// Fills `out` piece by piece: `piece(offsets, out)` gets a run of a row, on several threads when there is much.
    pub fn fill<T: Send>(&self, out: &mut [T], piece: impl Fn([usize; N], &mut [T]) + Sync) {
        if self.run == 0 || out.is_empty() {
            return;
        }
        if out.len() <= GRAIN {
            out.chunks_exact_mut(self.run).enumerate().for_each(|(row, out)| piece(self.offsets(row), out));
        } else if self.outer.is_empty() {
            out.par_chunks_mut(GRAIN).enumerate().for_each(|(i, out)| {
                piece(self.steps.map(|step| (i * GRAIN).wrapping_mul(step)), out);
            });
        } else {
            let rows = GRAIN.div_ceil(self.run);
            out.par_chunks_mut(rows * self.run).enumerate().for_each(|(i, out)| {
                let pieces = out.chunks_exact_mut(self.run).enumerate();
                pieces.for_each(|(row, out)| piece(self.offsets(i * rows + row), out));
            });
        }
    }
}

/// Elements of `from`, from `start` on, read along `walk` into `to`. The walk's offsets must lie in `from`.
pub(crate) fn gather(walk: &Walk<1>, from: &Buffer, start: usize, len: usize, to: &mut Buffer) -> Result<(), Why> {
    fn typed<T: Copy + Send + Sync>(walk: &Walk<1>, from: &[T], to: Option<&mut [T]>) -> Result<(), Why> {
        let to = to.ok_or("an output is too short")?;
        let [step] = walk.steps;
        walk.fill(to, |[at], to| {
            if step == 1 {
                to.copy_from_slice(&from[at..at + to.len()]);
            } else {
                to.iter_mut().enumerate().for_each(|(i, to)| *to = from[at.wrapping_add(i.wrapping_mul(step))]);
            }
        });
        Ok(())
    }
    match (from, to) {
        (Buffer::F32(from), Buffer::F32(to)) => typed(walk, &from[start..], to.get_mut(..len)),
        (Buffer::I32(from), Buffer::I32(to)) => typed(walk, &from[start..], to.get_mut(..len)),
        (Buffer::I64(from), Buffer::I64(to)) => typed(walk, &from[start..], to.get_mut(..len)),
        (Buffer::Bytes(from), Buffer::Bytes(to)) => typed(walk, &from[start..], to.get_mut(..len)),
        _ => Err("values of different types".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_walk_alike_become_one() {
        let same = Walk::broadcast(&[1, 4, 8], [&[1, 4, 8], &[1, 4, 8]]);
        assert_eq!((same.outer.len(), same.run, same.steps), (0, 32, [1, 1]));
        let scalar = Walk::broadcast(&[1, 4, 8], [&[1, 4, 8], &[1]]);
        assert_eq!((scalar.outer.len(), scalar.run, scalar.steps), (0, 32, [1, 0]));
        let column = Walk::broadcast(&[1, 4, 8], [&[1, 4, 8], &[1, 4, 1]]);
        assert_eq!((column.outer.as_slice(), column.run, column.steps), (&[4][..], 8, [1, 0]));
        assert_eq!(column.offsets(3), [24, 3]);
        let between = Walk::broadcast(&[1, 2, 3, 4], [&[1, 2, 3, 4], &[1, 2, 1, 4]]);
        assert_eq!((0..6).map(|r| between.offsets(r)[1]).collect::<Vec<_>>(), [0, 0, 0, 4, 4, 4]);
    }

    #[test]
    fn much_is_filled_as_little_is() {
        for (shape, other) in [(vec![3, 7000], vec![3, 1]), (vec![5000, 5], vec![5]), (vec![30_000], vec![1])] {
            let walk = Walk::broadcast(&shape, [&other]);
            let mut out = vec![0; shape.iter().product()];
            walk.fill(&mut out, |[at], out| {
                out.iter_mut().enumerate().for_each(|(i, o)| *o = at + i * walk.steps[0]);
            });
            let last = *shape.last().unwrap();
            let expected = |i: usize| match other.as_slice() {
                [3, 1] => i / last,
                [5] => i % 5,
                _ => 0,
            };
            assert!(out.iter().enumerate().all(|(i, o)| *o == expected(i)), "{shape:?}");
        }
    }
}
