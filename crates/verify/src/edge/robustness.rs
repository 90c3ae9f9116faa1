//! What a model must survive: prompts that are empty, full, cut in the middle of a character, or not words at all.
//!
//! A case holds when the executor answers as its contract says: finite logits, or an error that leaves the sequence as
//! it was. A panic is caught and does not hold.

use super::{Family, Row};
use crate::Verdict;
use crate::latency::random_tokens;
use lfmq_core::{ExecError, Executor, Fault, Session, Want};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The tokenizer that the artifact carries.
pub trait Words {
    /// Ids of a trusted text: special tokens spelled out become their ids.
    ///
    /// # Errors
    /// A text the tokenizer refuses.
    fn encode(&self, text: &str) -> Result<Vec<u32>, Fault>;

    /// Ids of a user's text: special tokens spelled out are letters and signs.
    ///
    /// # Errors
    /// A text the tokenizer refuses.
    fn encode_plain(&self, text: &str) -> Result<Vec<u32>, Fault>;

    /// The text of `ids`, special tokens spelled out; ids that stand for nothing give nothing.
    fn decode(&self, ids: &[u32]) -> String;

    /// Special tokens as they are spelled, with their ids.
    fn specials(&self) -> Vec<(String, u32)>;
}

/// Characters of one to four bytes, marks that join, and a flag of two: every cut but few fall inside one.
const SCRIPTS: &str = "na\u{ef}ve caf\u{e9} — Łódź, Ελλάδα, 東京都, हिन्दी, مرحبا 👩\u{200d}🚀🇵🇱 ½";
/// Control characters, a byte order mark, the last code point, the replacement character and runs of blanks.
const ODD: [&str; 5] =
    ["\u{0}\u{1}\u{7f}", "\u{feff}x\u{fffd}", "\u{10ffff}\u{e000}", "\t\t  \r\n\n   ", "\u{202e}abc\u{202c}"];

/// A prompt of this many tokens is room enough for the cases that are not about room.
const ROOM: usize = 256;

/// Rows of all cases; the fullest prompt has `positions` tokens.
#[must_use]
pub fn rows(executor: &dyn Executor, words: &dyn Words, positions: usize) -> Vec<Row> {
    let positions = positions.clamp(2, executor.facts().context.max(2));
    let probe = Probe { executor, words, room: ROOM.min(executor.facts().context) };
    vec![
        row(
            "empty prompt",
            "no token, then one; the empty text",
            [attempt(|| probe.empty_feed()), attempt(|| probe.feeds(""))],
        ),
        row("one token", "the first, the middle and the last id", [0, 1, 2].map(|which| attempt(|| probe.one(which)))),
        row(
            "fullest prompt",
            format!("{positions} positions, then one token more, then more than fits at once"),
            [attempt(|| probe.full(positions)), attempt(|| probe.too_long(positions))],
        ),
        row(
            "cut characters",
            "text cut inside every character of several scripts, and between its tokens",
            inside_characters().map(|at| attempt(|| probe.cut(at))).chain([attempt(|| probe.cut_ids())]),
        ),
        row(
            "unknown characters",
            "control characters, byte order marks, private and last code points",
            ODD.map(|text| attempt(|| probe.round_trip(text))),
        ),
        row(
            "special tokens in text",
            "each is one id in a trusted text and letters in a user's, which come back as typed",
            words.specials().iter().map(|(word, id)| attempt(|| probe.special(word, *id))),
        ),
        row(
            "ids outside the vocabulary",
            "refused as errors, alone and behind good ids; the sequence goes on as if nothing was",
            [attempt(|| probe.outside(0)), attempt(|| probe.outside(1)), attempt(|| probe.last_rows())],
        ),
    ]
}

/// A row of `cases`: how many hold, and the first that does not.
fn row(name: &str, method: impl Into<String>, cases: impl IntoIterator<Item = Result<(), String>>) -> Row {
    let cases: Vec<Result<(), String>> = cases.into_iter().collect();
    let (all, held) = (cases.len(), cases.iter().filter(|c| c.is_ok()).count());
    let first = cases.into_iter().find_map(Result::err);
    let mut row = Row::new(Family::Robustness, name);
    row.value = Some(held as f64);
    row.limit = Some(all as f64);
    row.unit = "cases";
    row.method = method.into();
    row.figure = format!("{held} of {all} hold");
    row.verdict = Some(match &first {
        _ if all == 0 => Verdict::NotMeasured,
        None => Verdict::Pass,
        Some(why) => {
            row.figure += &format!("; {why}");
            Verdict::Fail
        }
    });
    row
}

/// What a case says, a panic included.
fn attempt(case: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(case)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(format!("PANIC: {}", said.unwrap_or_default()))
    })
}

/// Places in [`SCRIPTS`] that are inside a character.
fn inside_characters() -> impl Iterator<Item = usize> {
    (0..=SCRIPTS.len()).filter(|at| !SCRIPTS.is_char_boundary(*at))
}

struct Probe<'a> {
    executor: &'a dyn Executor,
    words: &'a dyn Words,
    room: usize,
}

impl Probe<'_> {
    fn session(&self, positions: usize) -> Result<Box<dyn Session + '_>, String> {
        self.executor.session(positions).map_err(|e| e.to_string())
    }

    /// Feeds `tokens` to a fresh sequence; the last logits.
    fn answer(&self, tokens: &[u32]) -> Result<Vec<f32>, String> {
        let mut session = self.session(tokens.len().max(1))?;
        self.next(session.as_mut(), tokens)
    }

    /// Feeds `tokens`; the last logits, which must be there and finite.
    fn next(&self, session: &mut dyn Session, tokens: &[u32]) -> Result<Vec<f32>, String> {
        let mut logits = Vec::new();
        session.feed(tokens, Want::Last, &mut logits).map_err(|e| e.to_string())?;
        let vocab = self.executor.facts().vocab;
        if logits.len() != vocab {
            return Err(format!("{} logits instead of {vocab}", logits.len()));
        }
        match logits.iter().position(|l| !l.is_finite()) {
            Some(id) => Err(format!("the logit of id {id} is {}", logits[id])),
            None => Ok(logits),
        }
    }

    fn empty_feed(&self) -> Result<(), String> {
        let mut session = self.session(2)?;
        for want in [Want::Nothing, Want::Last, Want::All] {
            let mut logits = Vec::new();
            session.feed(&[], want, &mut logits).map_err(|e| format!("no token at all: {e}"))?;
            if !logits.is_empty() || session.position() != 0 {
                return Err(format!("no token at all gave {} logits", logits.len()));
            }
        }
        let after = self.next(session.as_mut(), &[0])?;
        same(&after, &self.answer(&[0])?, "after an empty prompt")
    }

    /// Encodes and runs a text, as far as there is room.
    fn feeds(&self, text: &str) -> Result<(), String> {
        let ids = self.words.encode_plain(text).map_err(|e| format!("{text:?}: {e}"))?;
        self.within(&ids)?;
        let ids = &ids[..ids.len().min(self.room)];
        if ids.is_empty() { Ok(()) } else { self.answer(ids).map(drop).map_err(|why| format!("{text:?}: {why}")) }
    }

    fn within(&self, ids: &[u32]) -> Result<(), String> {
        let vocab = self.executor.facts().vocab;
        let stranger = ids.iter().find(|id| **id as usize >= vocab);
        stranger.map_or(Ok(()), |id| Err(format!("the tokenizer gives id {id}, the model has {vocab}")))
    }

    /// One token: of the first, the middle or the last row.
    fn one(&self, which: usize) -> Result<(), String> {
        let last = u32::try_from(self.executor.facts().vocab.saturating_sub(1)).unwrap_or(u32::MAX);
        let id = [0, last / 2, last].get(which).copied().unwrap_or(last);
        self.answer(&[id]).map(drop)
    }

    /// A sequence filled to the last position, and one token more.
    fn full(&self, positions: usize) -> Result<(), String> {
        let tokens = random_tokens(self.executor, positions);
        let mut session = self.session(positions)?;
        let (last, before) = tokens.split_last().ok_or("no token")?;
        session.feed(before, Want::Nothing, &mut Vec::new()).map_err(|e| e.to_string())?;
        self.next(session.as_mut(), &[*last])?;
        self.refused(session.as_mut(), &[*last], |e| matches!(e, ExecError::Full { .. }), "one token too many")
    }

    /// More than fits, at once: nothing of it may move the sequence.
    fn too_long(&self, positions: usize) -> Result<(), String> {
        let tokens = random_tokens(self.executor, positions + 1);
        let mut session = self.session(positions)?;
        self.refused(session.as_mut(), &tokens, |e| matches!(e, ExecError::Full { .. }), "a prompt too long by one")?;
        let after = self.next(session.as_mut(), &tokens[..1])?;
        same(&after, &self.answer(&tokens[..1])?, "after a prompt that did not fit")
    }

    /// That `tokens` are refused with the right error and the sequence stays where it is.
    fn refused(
        &self,
        session: &mut dyn Session,
        tokens: &[u32],
        right: impl Fn(&ExecError) -> bool,
        what: &str,
    ) -> Result<(), String> {
        let before = session.position();
        let mut logits = Vec::new();
        match session.feed(tokens, Want::Last, &mut logits) {
            Ok(()) => Err(format!("{what} was taken")),
            Err(error) if !right(&error) => Err(format!("{what}: {error}")),
            Err(_) if session.position() != before => Err(format!("{what} moved the sequence")),
            Err(_) if !logits.is_empty() => Err(format!("{what} gave logits")),
            Err(_) => Ok(()),
        }
    }

    /// Text cut at byte `at`, as a stream or a truncating client does: what is left of a character is U+FFFD.
    fn cut(&self, at: usize) -> Result<(), String> {
        let (head, tail) = SCRIPTS.as_bytes().split_at(at);
        self.round_trip(&String::from_utf8_lossy(head))?;
        self.round_trip(&String::from_utf8_lossy(tail))
    }

    /// Ids cut anywhere decode to a beginning of the text and at most one broken character.
    fn cut_ids(&self) -> Result<(), String> {
        let ids = self.words.encode_plain(SCRIPTS).map_err(|e| e.to_string())?;
        (0..=ids.len()).try_for_each(|n| {
            let text = self.words.decode(&ids[..n]);
            let whole = text.trim_end_matches('\u{fffd}');
            if SCRIPTS.starts_with(whole) { Ok(()) } else { Err(format!("{n} of {} ids read {text:?}", ids.len())) }
        })
    }

    /// A text must come back from its ids and run.
    fn round_trip(&self, text: &str) -> Result<(), String> {
        let ids = self.words.encode_plain(text).map_err(|e| format!("{text:?}: {e}"))?;
        let back = self.words.decode(&ids);
        if back != text {
            return Err(format!("{text:?} came back as {back:?}"));
        }
        self.feeds(text)
    }

    /// A special token spelled out, in a trusted text and in a user's.
    fn special(&self, word: &str, id: u32) -> Result<(), String> {
        let trusted = self.words.encode(word).map_err(|e| format!("{word}: {e}"))?;
        if trusted != [id] {
            return Err(format!("{word} in a trusted text is {trusted:?} instead of {id}"));
        }
        let user = format!("a {word} b");
        let plain = self.words.encode_plain(&user).map_err(|e| format!("{word}: {e}"))?;
        if plain.contains(&id) {
            return Err(format!("{word} in a user's text becomes the token itself"));
        }
        let back = self.words.decode(&plain);
        if back != user {
            return Err(format!("{user:?} came back as {back:?}"));
        }
        self.within(&[id])?;
        self.answer(&[id]).map(drop)
    }

    /// Ids past the last row, behind `good` good ones.
    fn outside(&self, good: usize) -> Result<(), String> {
        let vocab = u32::try_from(self.executor.facts().vocab).unwrap_or(u32::MAX);
        let good = random_tokens(self.executor, good);
        let mut session = self.session(4)?;
        for id in [vocab, vocab.saturating_add(1), u32::MAX] {
            let tokens: Vec<u32> = good.iter().copied().chain([id]).collect();
            let what = format!("id {id}");
            self.refused(session.as_mut(), &tokens, |e| matches!(e, ExecError::Token { .. }), &what)?;
        }
        let after = self.next(session.as_mut(), &[0])?;
        same(&after, &self.answer(&[0])?, "after an id outside the vocabulary")
    }

    /// The last row runs, whether the tokenizer has a word for it or not; an id without a word reads as nothing.
    fn last_rows(&self) -> Result<(), String> {
        let last = u32::try_from(self.executor.facts().vocab.saturating_sub(1)).unwrap_or(u32::MAX);
        self.answer(&[last, last])?;
        let text = self.words.decode(&[u32::MAX]);
        if text.is_empty() { Ok(()) } else { Err(format!("id {} reads {text:?}", u32::MAX)) }
    }
}

fn same(found: &[f32], expected: &[f32], when: &str) -> Result<(), String> {
    let equal = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits());
    if equal { Ok(()) } else { Err(format!("other logits {when}")) }
}
