use crate::decoder::{Decoder, LayerState, Step};
use crate::team::awake;
use lfmq_core::{ExecError, Session, Want};

/// Tokens that go through the layers together; longer feeds are cut, which changes no result and bounds the memory.
const CHUNK: usize = 512;

/// One sequence of a [`Decoder`].
pub struct DecoderSession<'d> {
    decoder: &'d Decoder<'d>,
    states: Vec<LayerState>,
    position: usize,
    limit: usize,
    routes: Vec<Vec<Vec<u16>>>,
}

impl<'d> DecoderSession<'d> {
    pub(crate) fn new(decoder: &'d Decoder<'d>, limit: usize) -> Self {
        let states = decoder.layers().iter().map(|l| l.state(decoder.config())).collect();
        Self { decoder, states, position: 0, limit, routes: Vec::new() }
    }

    /// Everything that can be refused, before anything moves.
    fn admit(&self, tokens: &[u32]) -> Result<(), ExecError> {
        for token in tokens {
            self.decoder.row(*token)?;
        }
        if tokens.len() > self.limit - self.position {
            return Err(ExecError::Full { position: self.limit, limit: self.limit });
        }
        Ok(())
    }

    /// Runs one chunk through the layers; gives the residual stream after the last.
    fn advance(&mut self, tokens: &[u32]) -> Result<Vec<f32>, ExecError> {
        let step = Step::new(self.decoder.config(), self.decoder.kernels(), self.position, tokens.len());
        let mut x = self.decoder.embed(tokens)?;
        let mut mixture = 0;
        for (layer, state) in self.decoder.layers().iter().zip(&mut self.states) {
            let routes = layer.forward(&step, &mut x, state)?;
            if matches!(layer.ffn, crate::Ffn::Moe(_)) {
                if self.routes.len() == mixture {
                    self.routes.push(Vec::new());
                }
                self.routes[mixture].extend(routes);
                mixture += 1;
            }
        }
        self.position += tokens.len();
        Ok(x)
    }

    /// Feeds `tokens`; logits from index `first` on.
    fn run(&mut self, tokens: &[u32], first: usize, out: &mut Vec<f32>) -> Result<(), ExecError> {
        for (index, chunk) in tokens.chunks(CHUNK).enumerate() {
            let x = self.advance(chunk)?;
            let skip = first.saturating_sub(index * CHUNK).min(chunk.len());
            self.decoder.logits(&x[skip * self.decoder.config().hidden..], out)?;
        }
        Ok(())
    }
}

impl Session for DecoderSession<'_> {
    fn feed(&mut self, tokens: &[u32], want: Want, out: &mut Vec<f32>) -> Result<(), ExecError> {
        self.admit(tokens)?;
        self.routes.iter_mut().for_each(Vec::clear);
        let first = match want {
            Want::Nothing => tokens.len(),
            Want::Last => tokens.len().saturating_sub(1),
            Want::All => 0,
            Want::From(index) => index,
        };
        awake(|| self.run(tokens, first, out))
    }

    fn position(&self) -> usize {
        self.position
    }

    fn reset(&mut self) {
        self.states.iter_mut().for_each(LayerState::reset);
        self.routes.clear();
        self.position = 0;
    }

    fn routes(&self) -> &[Vec<Vec<u16>>] {
        &self.routes
    }
}
