use std::collections::HashMap;

/// Longest n-grams.
const ORDER: usize = 6;
/// Weight of recall against precision, squared.
const BETA2: f64 = 4.0;

/// Counts behind chrF (Popović 2015) with sacrebleu's defaults: character 1- to 6-grams, blanks left out, case kept,
/// beta 2, effective order. Add up those of many sentences for the corpus' score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChrF {
    /// By order: n-grams of the hypothesis, of the reference, in both.
    counts: [[usize; 3]; ORDER],
}

impl ChrF {
    /// Counts of one pair.
    #[must_use]
    pub fn of(hypothesis: &str, reference: &str) -> Self {
        let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<Vec<_>>();
        let (h, r) = (letters(hypothesis), letters(reference));
        let mut counts = [[0; 3]; ORDER];
        for (n, count) in (1..).zip(&mut counts) {
            let (mut theirs, ours) = (grams(&r, n), grams(&h, n));
            let total = |length: usize| (length + 1).saturating_sub(n);
            // A reference too short for this order says nothing about it.
            *count = [if theirs.is_empty() { 0 } else { total(h.len()) }, total(r.len()), 0];
            for (gram, times) in ours {
                count[2] += times.min(theirs.remove(gram).unwrap_or(0));
            }
        }
        Self { counts }
    }

    /// Adds another sentence.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().flatten().zip(other.counts.iter().flatten()) {
            *mine += theirs;
        }
    }

    /// The score, 0 to 100.
    #[must_use]
    pub fn score(&self) -> f64 {
        let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0_f64);
        for [hypothesis, reference, both] in self.counts {
            if hypothesis > 0 && reference > 0 {
                precision += both as f64 / hypothesis as f64;
                recall += both as f64 / reference as f64;
                orders += 1.0;
            }
        }
        let (p, r) = (precision / orders.max(1.0), recall / orders.max(1.0));
        if p + r > 0.0 { 100.0 * (1.0 + BETA2) * p * r / (BETA2 * p + r) } else { 0.0 }
    }
}

fn grams(letters: &[char], n: usize) -> HashMap<&[char], usize> {
    let mut grams = HashMap::new();
    for gram in letters.windows(n) {
        *grams.entry(gram).or_insert(0) += 1;
    }
    grams
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hypothesis, reference, `CHRF().sentence_score` of sacrebleu 2.6.0 (nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no).
    const SACREBLEU: [(&str, &str, f64); 11] = [
        (
            "The cook forgot the blue coat at the office yesterday.",
            "The cook forgot the blue coat at the office yesterday.",
            100.0,
        ),
        (
            "The cook forgot the coat in the office.",
            "The cook forgot the blue coat at the office yesterday.",
            55.945_364_370_789_655,
        ),
        ("昨日、料理人は青いコートを忘れた。", "昨日、料理人は会社で青いコートを忘れました。", 55.218_385_967_730_99),
        ("ab", "abc", 63.636_363_636_363_626),
        ("", "abc", 0.0),
        ("xyz", "abc", 0.0),
        ("a b  c", "abc", 100.0),
        ("aaaa", "aa", 78.124_999_999_999_99),
        ("abcdefgh", "ab", 55.000_000_000_000_01),
        ("", "", 0.0),
        (" trailing \u{3000}space\n", "trailing space", 100.0),
    ];

    #[test]
    fn equals_sacrebleu() {
        for (hypothesis, reference, score) in SACREBLEU {
            let got = ChrF::of(hypothesis, reference).score();
            assert!((got - score).abs() < 1e-9, "{hypothesis:?}: {got} instead of {score}");
        }
        let mut corpus = ChrF::default();
        SACREBLEU[..9].iter().for_each(|(h, r, _)| corpus.add(&ChrF::of(h, r)));
        assert!((corpus.score() - 72.959_910_927_154_64).abs() < 1e-9, "{}", corpus.score());
    }
}
