//! Which weights are laid out, once however many subgraphs and nodes use them, and which wait until they are used.

use crate::stored::{Place, Scaling, Stored};
use crate::tensor::{Kind, Why};
use crate::weights::Matrix;
use lfmq_interpreter::{Bank, Laid, Later};
use lfmq_kernels::{STRIP, StripsRow};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Weights by their place in the file and their width.
pub(crate) struct Shelf {
    known: Mutex<HashMap<(Place, usize), Weight>>,
    bank: Arc<Bank>,
}

/// Weights of a product, laid out or to be.
#[derive(Clone)]
pub(crate) struct Weight {
    pub rows: usize,
    pub cols: usize,
    /// Whether they are integers.
    pub rounded: bool,
    pub laid: Laid<Matrix>,
}

impl Shelf {
    /// A shelf with `room` bytes for weights that only some runs use.
    pub fn new(room: u64) -> Self {
        Self { known: Mutex::default(), bank: Arc::new(Bank::new(room)) }
    }

    /// The weights of `tensor`. Those that only `sometimes` are used are laid out in [`Self::settle`], or where they are
    /// too many, when they are.
    ///
    /// # Errors
    /// When it is of a form that no product takes.
    pub fn weight(&self, tensor: &Arc<Stored>, sometimes: bool) -> Result<Weight, Why> {
        let (rows, cols) = tensor.matrix();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tensor.place(), cols);
        if let Some(weight) = known.get(&key).filter(|w| sometimes || matches!(w.laid, Laid::Out(_))) {
            return Ok(weight.clone());
        }
        let how = How::of(tensor)?;
        let laid = if sometimes {
            let (tensor, bytes) = (tensor.clone(), how.bytes(tensor));
            Laid::Later(Later::new(&self.bank, bytes as u64, move || Matrix::new(&tensor, how)))
        } else {
            Laid::Out(Arc::new(Matrix::new(tensor, how)?))
        };
        let rounded = !matches!(how, How::F32 | How::F16);
        let weight = Weight { rows, cols, rounded, laid };
        known.insert(key, weight.clone());
        Ok(weight)
    }

    /// Lays out what is used sometimes, if all of it fits.
    pub fn settle(&self) -> Result<(), Why> {
        self.bank.settle()
    }
}

/// How a matrix is laid out.
#[derive(Clone, Copy)]
pub(crate) enum How {
    F32,
    F16,
    /// Integers in strips, under one scale a row or for each block.
    Strips(Option<usize>),
    /// Integers in groups or rows that the kernels do not have, as the numbers they stand for.
    Widened,
}

impl How {
    fn of(tensor: &Stored) -> Result<Self, Why> {
        let (rows, cols) = tensor.matrix();
        let strips =
            |block| if cols.next_multiple_of(32) > StripsRow::WIDEST { Self::Widened } else { Self::Strips(block) };
        Ok(match (tensor.kind, &tensor.scaling) {
            (Kind::F32, _) => Self::F32,
            (Kind::F16, _) => Self::F16,
            (Kind::I8 | Kind::I4 | Kind::I2, Scaling::Affine { scales, zeros, axis }) => {
                if !zeros.is_empty() {
                    return Err("zero points of weights are not supported".into());
                }
                if scales.len() != 1 && (*axis != 0 || scales.len() != rows) {
                    return Err(format!("{} scales along dimension {axis}", scales.len()));
                }
                strips(None)
            }
            (Kind::I8 | Kind::I4 | Kind::I2, Scaling::Blocks { block, .. }) if block.is_multiple_of(32) => {
                strips(Some(*block))
            }
            (Kind::I8 | Kind::I4 | Kind::I2, Scaling::Blocks { .. }) => Self::Widened,
            (kind, _) => return Err(format!("weights of {kind:?} without scales")),
        })
    }

    /// Bytes that `tensor` takes then, at most.
    fn bytes(self, tensor: &Stored) -> usize {
        let ((rows, cols), four) = (tensor.matrix(), tensor.kind == Kind::I4);
        match self {
            Self::F32 | Self::Widened => 4 * rows * cols,
            Self::F16 => 2 * rows * cols,
            Self::Strips(block) => {
                let width = cols.next_multiple_of(32).max(32);
                rows.next_multiple_of(STRIP)
                    * (width / if four { 2 } else { 1 } + 4 * (width / block.unwrap_or(width)) + 4)
            }
        }
    }
}
