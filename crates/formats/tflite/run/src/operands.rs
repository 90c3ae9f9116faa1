//! What a step runs on: constants that are loaded once, activations that are rounded once, and steps that need not run
//! at all.

use crate::draft::{Draft, Draw, Known, Lowered};
use crate::lower::Lowering;
use crate::operators::{Const, Inputs, Operand, Place, Run, View};
use crate::program::Doing;
use crate::tensor::{Acts, Buffer, Class, Type, Why, elements};
use rayon::prelude::*;
use std::sync::Arc;

/// Elements of a value that is computed while opening, at most.
const FOLD_LIMIT: usize = 1 << 22;

impl Lowering<'_> {
    /// Computes a node whose operands are all constant and small. What fails here is left to the run.
    pub fn fold(
        &self,
        operands: &[Operand],
        inputs: &[Option<Known>],
        outputs: &[Type],
        run: &Run,
    ) -> Option<Vec<Known>> {
        let (mut constants, mut views) = (Vec::new(), Vec::new());
        for operand in operands {
            let Operand::Input(i) = operand else { return None };
            let Some(Some(Known::Constant(constant))) = inputs.get(*i) else { return None };
            let len = constant.of().len();
            if len > FOLD_LIMIT {
                return None;
            }
            views.push(View { place: Place::Constant(constants.len()), start: 0, len });
            constants.push(constant.load().ok()?);
        }
        if operands.is_empty() || outputs.iter().any(|of| of.len() > FOLD_LIMIT) {
            return None;
        }
        let class = |of: &Type| Class::of(of.kind).ok().map(|class| Buffer::zeros(class, of.len()));
        let mut results: Vec<Buffer> = outputs.iter().map(class).collect::<Option<_>>()?;
        run(&Inputs { views: &views, slots: &[], states: &[], constants: &constants, over: None }, &mut results)
            .ok()?;
        let ready = |(of, buffer): (&Type, Buffer)| Known::Constant(Const::Ready(of.clone(), Arc::new(buffer)));
        Some(outputs.iter().zip(results).map(ready).collect())
    }

    pub fn draw_all(
        &mut self,
        operands: &[Operand],
        inputs: &[Option<Known>],
        title: &str,
        lowered: &mut Lowered,
    ) -> Result<Vec<Draw>, Why> {
        let mut draws = Vec::with_capacity(operands.len());
        for operand in operands {
            let (Operand::Input(i) | Operand::Rounded(i, _)) = operand;
            let input = inputs.get(*i).and_then(Option::as_ref).ok_or_else(|| format!("input {i} is missing"))?;
            let draw = self.draw(input)?;
            draws.push(match operand {
                Operand::Input(_) => draw,
                Operand::Rounded(_, cols) => self.rounded(draw, *cols, title, lowered)?,
            });
        }
        Ok(draws)
    }

    /// Where a value comes from; a constant is loaded the first time.
    fn draw(&mut self, known: &Known) -> Result<Draw, Why> {
        let constant = match known {
            Known::Value(v) => return Ok(Draw::Root { root: v.root, start: v.start, len: v.of.len() }),
            Known::Constant(constant) => constant,
        };
        let len = constant.of().len();
        let key = match constant {
            Const::Stored { tensor, widened } => Some((tensor.place(), tensor.kind, *widened)),
            Const::Ready(..) => None,
        };
        if let Some(index) = key.as_ref().and_then(|key| self.loaded.get(key)) {
            return Ok(Draw::Constant { index: *index, len });
        }
        elements(&constant.of().shape)?;
        let index = self.constants.len();
        self.constants.push(constant.load()?);
        if let Some(key) = key {
            self.loaded.insert(key, index);
        }
        Ok(Draw::Constant { index, len })
    }

    /// The 8-bit form of rows of `cols` values, made once for all that read them.
    fn rounded(&mut self, draw: Draw, cols: usize, title: &str, lowered: &mut Lowered) -> Result<Draw, Why> {
        let (key, len) = match draw {
            Draw::Root { root, start, len } => (Some((root, start, cols)), len),
            Draw::Constant { len, .. } => (None, len),
        };
        if let Some(root) = key.and_then(|key| lowered.rounded.get(&key)) {
            return Ok(Draw::Root { root: *root, start: 0, len });
        }
        let root = lowered.root(Class::Acts, len);
        let work = Doing::Run(round(cols, self.options.kernels));
        let title = title.to_owned();
        let draft = Draft {
            title,
            operator: "rounding",
            draws: vec![draw],
            outputs: vec![root],
            over: vec![],
            work,
            hint: None,
        };
        lowered.drafts.push(draft);
        if let Some(key) = key {
            lowered.rounded.insert(key, root);
        }
        Ok(Draw::Root { root, start: 0, len })
    }
}

/// Rounds rows of `cols` values.
fn round(cols: usize, kernels: &'static lfmq_kernels::Kernels) -> Run {
    let width = cols.next_multiple_of(32).max(32);
    Box::new(move |x, outputs| {
        let values = x.f32(0)?;
        let Some(Buffer::Acts(acts)) = outputs.first_mut() else { return Err("an output is missing".into()) };
        let n = values.len().checked_div(cols).unwrap_or(0);
        acts.resize(n, width);
        let Acts { codes, scales, zeros, totals } = acts;
        let outs = codes.par_chunks_mut(width).zip(totals.par_chunks_mut(width / 32));
        let rows = values.par_chunks_exact(cols).zip(outs).zip(scales.par_iter_mut().zip(zeros));
        rows.with_min_len(8).for_each(|((x, (codes, totals)), (scale, zero))| {
            (*scale, *zero) = (kernels.quantize_row)(x, codes, totals);
        });
        Ok(())
    })
}
