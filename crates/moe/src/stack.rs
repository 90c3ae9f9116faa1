/// Matrices of all experts of a layer as one array `[experts, parts * rows, cols]`: the experts one after another, and
/// within each the rows of its matrices in turn (gate row 0, up row 0, gate row 1, …). Of one matrix an expert this is
/// plain concatenation, as in GGUF's tensors of three dimensions and in the down operand of QMoE; of gate and up it is
/// QMoE's first operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Matrices that each expert adds.
    pub(crate) parts: usize,
    /// Rows of one matrix.
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Indices among the tensors of the checkpoint: by expert, then by part.
    pub(crate) indices: Vec<usize>,
}

/// Where the rows of one matrix lie: its row `r` is row `first + r * stride` of the array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Index among the tensors of the checkpoint.
    pub index: usize,
    /// Row of the array that is the matrix's row 0.
    pub first: usize,
    /// Rows of the array from one row of the matrix to the next.
    pub stride: usize,
}

impl Stack {
    /// `[experts, rows of an expert, cols]`.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        [self.indices.len() / self.parts, self.parts * self.rows, self.cols]
    }

    /// The matrices in the order of their first rows.
    pub fn members(&self) -> impl Iterator<Item = Member> + '_ {
        self.indices.iter().enumerate().map(|(n, index)| {
            let (expert, part) = (n / self.parts, n % self.parts);
            Member { index: *index, first: expert * self.parts * self.rows + part, stride: self.parts }
        })
    }
}
