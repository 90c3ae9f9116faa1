use super::step::Step;
use super::{Lower, swiglu};
use crate::TfliteExportError;
use crate::flat::Value;
use crate::schema::{Op, Type};
use crate::subgraph::{Subgraph, T};
use lfmq_core::{MoeSpec, TensorId, TensorRole as R};
use lfmq_moe::Expert;

impl Lower<'_> {
    /// Adds up the experts, each in a branch that is taken only if some token of the step asks for it.
    pub(super) fn experts(
        &mut self,
        s: &mut Step,
        x: T,
        layer: u16,
        moe: &MoeSpec,
        hidden: usize,
    ) -> Result<T, TfliteExportError> {
        let shares = self.shares(s, x, layer, moe, hidden)?;
        let n = s.n;
        let most = s.g.reduce(Op::ReduceMax, shares, &[0, 1], false);
        let zero = s.g.float(0.0);
        let asked = s.g.add_one(Op::Greater, &[most, zero], &[], &[moe.experts], Type::Bool);
        let mut sum = s.g.mul(x, zero);
        let skip = self.skip(n, hidden);
        for (at, expert) in self.banks.layer(layer)?.experts().enumerate() {
            let take = self.expert(n, &format!("layers.{layer}/expert.{at}/{n}"), expert, hidden)?;
            let asked = s.g.slice(asked, &[at], &[1]);
            let share = s.g.slice(shares, &[0, 0, at], &[1, n, 1]);
            let branches = [(0, Value::int(take as i32)), (1, Value::int(skip as i32))];
            sum = s.g.add_one(Op::If, &[asked, sum, x, share], &branches, &[1, n, hidden], Type::F32);
        }
        Ok(sum)
    }

    /// What each expert contributes to each token, `[1, n, experts]`; zero for those not chosen. The bias takes part in
    /// choosing only.
    fn shares(&mut self, s: &mut Step, x: T, layer: u16, moe: &MoeSpec, hidden: usize) -> Result<T, TfliteExportError> {
        let router = self.float(&mut s.g, TensorId::layer(layer, R::Router), &[moe.experts, hidden])?;
        let bias = match moe.use_bias {
            true => Some(self.vector(&mut s.g, TensorId::layer(layer, R::RouterBias))?),
            false => None,
        };
        let (g, n) = (&mut s.g, s.n);
        let options = [(1, Value::Byte(0)), (2, Value::bool(true)), (3, Value::bool(false))];
        let logits = g.add_one(Op::FullyConnected, &[x, router], &options, &[1, n, moe.experts], Type::F32);
        let scores = g.each(Op::Logistic, logits);
        let order = bias.map_or(scores, |bias| g.add(scores, bias));
        let k = g.ints(&[], &[moe.top_k]);
        let chosen = [1, n, moe.top_k];
        let [_, ids] = g.add_many(Op::TopkV2, &[order, k], &[], [(&chosen, Type::F32), (&chosen, Type::I32)]);
        let (depth, on, off) = (g.ints(&[], &[moe.experts]), g.floats(&[], &[1.0]), g.floats(&[], &[0.0]));
        let shape = [1, n, moe.top_k, moe.experts];
        let hits = g.add_one(Op::OneHot, &[ids, depth, on, off], &[(0, Value::int(-1))], &shape, Type::F32);
        let hits = g.reduce(Op::Sum, hits, &[2], false);
        let mut shares = g.mul(scores, hits);
        if moe.norm_top_k {
            let sum = g.reduce(Op::Sum, shares, &[2], true);
            let tiny = g.float(1e-6);
            let sum = g.add(sum, tiny);
            shares = g.both(Op::Div, shares, sum);
        }
        if moe.scale != 1.0 {
            let scale = g.float(moe.scale);
            shares = g.mul(shares, scale);
        }
        Ok(shares)
    }

    /// The branch that adds an expert: (sum, x, share) -> sum + share * expert(x).
    fn expert(&mut self, n: usize, name: &str, expert: Expert, hidden: usize) -> Result<usize, TfliteExportError> {
        let mut g = Subgraph::new(name);
        let (sum, x, share) = branch(&mut g, n, hidden);
        let gate = self.linear(&mut g, x, expert.gate)?;
        let up = self.linear(&mut g, x, expert.up)?;
        let inner = swiglu(&mut g, gate, up);
        let y = self.linear(&mut g, inner, expert.down)?;
        let y = g.mul(y, share);
        let y = g.add(sum, y);
        g.output("sum", y);
        let index = self.model.reserve();
        self.model.place(index, g, false);
        Ok(index)
    }

    /// The branch that leaves an expert out.
    fn skip(&mut self, n: usize, hidden: usize) -> usize {
        if let Some(found) = self.skips.get(&n) {
            return *found;
        }
        let mut g = Subgraph::new(&format!("skip/{n}"));
        let (sum, _, _) = branch(&mut g, n, hidden);
        g.output("sum", sum);
        let index = self.model.reserve();
        self.model.place(index, g, false);
        self.skips.insert(n, index);
        index
    }
}

fn branch(g: &mut Subgraph, n: usize, hidden: usize) -> (T, T, T) {
    let mut input = |name: &str, last| g.input(name, &[1, n, last], Type::F32);
    (input("sum", hidden), input("x", hidden), input("share", 1))
}
