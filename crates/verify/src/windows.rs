use crate::VerifyError;

/// How a text is cut.
#[derive(Clone, Copy, Debug)]
pub struct WindowOptions {
    /// Tokens of a window, if the text is long enough.
    pub context: usize,
    /// The window is halved (down to [`Windows::SMALLEST`]) until there are this many: without several windows there
    /// is no standard error.
    pub min_windows: usize,
    /// Windows after this many are left out.
    pub max_windows: Option<usize>,
}

impl Default for WindowOptions {
    fn default() -> Self {
        Self { context: 512, min_windows: 8, max_windows: None }
    }
}

/// A text cut into windows of equal length, each run from an empty sequence, the second half of each scored: the cut of
/// `llama-perplexity -c N` and of `LiquidONNX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    context: usize,
    /// `[count, context]`.
    tokens: Vec<u32>,
    /// The first token of each window before the beginning-of-sequence token took its place.
    replaced: Vec<u32>,
    /// Index of the first window in the whole text.
    first: usize,
}

impl Windows {
    /// The shortest window that is used.
    pub const SMALLEST: usize = 32;

    /// Cuts `tokens`; a rest shorter than a window is left out. With `bos`, the first token of each window is replaced
    /// by it (so the text should not start with one more than the model expects).
    ///
    /// # Errors
    /// When shorter windows than [`Self::SMALLEST`] are asked for, or there is not one of the smallest size.
    pub fn cut(tokens: &[u32], bos: Option<u32>, options: &WindowOptions) -> Result<Self, VerifyError> {
        let mut context = options.context;
        if context < Self::SMALLEST {
            return Err(VerifyError::WindowTooShort { asked: context, least: Self::SMALLEST });
        }
        while context / 2 >= Self::SMALLEST && tokens.len() / context < options.min_windows.max(1) {
            context /= 2;
        }
        let count = (tokens.len() / context).min(options.max_windows.unwrap_or(usize::MAX));
        if count == 0 {
            return Err(VerifyError::TextTooShort { found: tokens.len(), needed: context });
        }
        Ok(Self::whole(tokens.iter().take(count * context).copied().collect(), context, bos))
    }

    /// Windows of exactly `context` tokens; `tokens` is `[count, context]`.
    pub(crate) fn whole(mut tokens: Vec<u32>, context: usize, bos: Option<u32>) -> Self {
        let replaced = tokens.iter().step_by(context).copied().collect();
        if let Some(bos) = bos {
            tokens.iter_mut().step_by(context).for_each(|first| *first = bos);
        }
        Self { context, tokens, replaced, first: 0 }
    }

    /// Tokens of a window.
    #[must_use]
    pub const fn context(&self) -> usize {
        self.context
    }

    /// Index of the first window in the whole text: 0 unless these are a part of it.
    #[must_use]
    pub const fn first_window(&self) -> usize {
        self.first
    }

    /// The windows `range` of these, clipped to what there is.
    pub(crate) fn range(&self, range: std::ops::Range<usize>) -> Self {
        let (start, end) = (range.start.min(self.count()), range.end.min(self.count()));
        let tokens = self.tokens.iter().skip(start * self.context).take(end.saturating_sub(start) * self.context);
        let replaced = self.replaced.iter().skip(start).take(end.saturating_sub(start));
        Self {
            context: self.context,
            tokens: tokens.copied().collect(),
            replaced: replaced.copied().collect(),
            first: self.first + start,
        }
    }

    /// Number of windows.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.replaced.len()
    }

    /// The first scored position: its logits are compared, and its target is the token after it.
    #[must_use]
    pub const fn first_scored(&self) -> usize {
        self.context / 2
    }

    /// Scored positions of a window: the second half, without the last position, which has no target.
    #[must_use]
    pub const fn scored(&self) -> usize {
        self.context - 1 - self.context / 2
    }

    /// The windows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.tokens.chunks_exact(self.context)
    }

    /// The text as it was before the first tokens were replaced, `[count, context]`.
    pub(crate) fn original(&self) -> Vec<u32> {
        let mut tokens = self.tokens.clone();
        tokens.iter_mut().step_by(self.context).zip(&self.replaced).for_each(|(token, was)| *token = *was);
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(n: u32, context: usize, min: usize, max: Option<usize>) -> Result<Windows, VerifyError> {
        let tokens: Vec<u32> = (100..100 + n).collect();
        Windows::cut(&tokens, Some(1), &WindowOptions { context, min_windows: min, max_windows: max })
    }

    #[test]
    fn halves_until_there_are_enough() {
        for (n, context, min, max, expected) in [
            (4096, 512, 8, None, (512, 8)),
            (4095, 512, 8, None, (256, 15)),
            (4096, 512, 8, Some(3), (512, 3)),
            (100, 512, 8, None, (32, 3)),
            (32, 512, 8, None, (32, 1)),
            (1024, 512, 1, None, (512, 2)),
        ] {
            let windows = cut(n, context, min, max).unwrap();
            assert_eq!((windows.context(), windows.count()), expected, "{n} tokens");
        }
        assert!(matches!(cut(100, 31, 1, None), Err(VerifyError::WindowTooShort { asked: 31, least: 32 })));
        assert!(matches!(cut(31, 512, 8, None), Err(VerifyError::TextTooShort { found: 31, needed: 32 })));
    }

    #[test]
    fn second_half_is_scored_and_first_token_replaced() {
        let windows = cut(1024, 512, 2, None).unwrap();
        assert_eq!((windows.first_scored(), windows.scored()), (256, 255));
        let firsts: Vec<_> = windows.iter().map(|w| (w[0], w[1], w.len())).collect();
        assert_eq!(firsts, [(1, 101, 512), (1, 613, 512)]);
        assert_eq!(windows.original(), (100..1124).collect::<Vec<u32>>());
    }
}
