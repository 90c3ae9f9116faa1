//! The edge suite finds what it looks for: every way of being wrong fails its row, and a good model passes all.
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use lfmq_core::{ExecError, Executor, Facts, Fault, Session, Want};
use lfmq_verify::Verdict;
use lfmq_verify::edge::child::{self, End};
use lfmq_verify::edge::{Bounds, Row, consistency, robustness};
use std::process::Command;

/// A way of being wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    PanicsOnNothing,
    NotFinite,
    TakesOneTooMany,
    MovesWhenFull,
    TakesStrangers,
    RefusesTheLastRow,
    Random,
    RemembersAfterReset,
    DependsOnThreads,
    DependsOnCut,
    /// And says so.
    DependsOnCutOpenly,
    LosesBrokenCharacters,
    LosesControls,
    TakesSpecialsFromUsers,
}

/// A model whose logits depend on all tokens before.
struct Model {
    facts: Facts,
    wrong: Wrong,
    calls: std::sync::atomic::AtomicU32,
}

/// Bytes are tokens, and one more is special.
const SPECIAL: u32 = 256;
const END: &str = "<|end|>";

impl Model {
    fn new(wrong: Wrong) -> Self {
        let facts = Facts { what: "model".into(), vocab: 257, layers: 1, context: 1000, ..Facts::default() };
        Self { facts, wrong, calls: Default::default() }
    }
}

impl Executor for Model {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn divisible(&self) -> bool {
        self.wrong != Wrong::DependsOnCutOpenly
    }

    fn session(&self, positions: usize) -> Result<Box<dyn Session + '_>, Fault> {
        Ok(Box::new(Sequence { model: self, state: 1.0, position: 0, limit: positions }))
    }
}

struct Sequence<'a> {
    model: &'a Model,
    state: f32,
    position: usize,
    limit: usize,
}

impl Session for Sequence<'_> {
    fn feed(&mut self, tokens: &[u32], want: Want, out: &mut Vec<f32>) -> Result<(), ExecError> {
        let (wrong, vocab) = (self.model.wrong, self.model.facts.vocab);
        assert!(!(tokens.is_empty() && wrong == Wrong::PanicsOnNothing), "no token at all");
        let rows = vocab - usize::from(wrong == Wrong::RefusesTheLastRow);
        let stranger = tokens.iter().find(|t| **t as usize >= rows);
        if let Some(token) = stranger.filter(|_| wrong != Wrong::TakesStrangers) {
            return Err(ExecError::Token { token: *token, vocab });
        }
        let limit = self.limit + usize::from(wrong == Wrong::TakesOneTooMany);
        if self.position + tokens.len() > limit {
            self.position += usize::from(wrong == Wrong::MovesWhenFull);
            return Err(ExecError::Full { position: limit, limit });
        }
        let first = match want {
            Want::Nothing => tokens.len(),
            Want::Last => tokens.len().saturating_sub(1),
            Want::All => 0,
            Want::From(first) => first,
        };
        for (i, token) in tokens.iter().enumerate() {
            self.state = (self.state * 1.7 + *token as f32 + 0.3) % 101.0;
            let off = match wrong {
                Wrong::Random => self.model.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) as f32,
                Wrong::DependsOnThreads => rayon::current_num_threads() as f32,
                Wrong::DependsOnCut | Wrong::DependsOnCutOpenly => tokens.len() as f32,
                Wrong::NotFinite => f32::NAN,
                _ => 0.0,
            };
            if i >= first {
                out.extend((0..vocab).map(|v| self.state * (v as f32 + 1.0).sin() + off));
            }
        }
        self.position += tokens.len();
        Ok(())
    }

    fn position(&self) -> usize {
        self.position
    }

    fn reset(&mut self) {
        self.position = 0;
        if self.model.wrong != Wrong::RemembersAfterReset {
            self.state = 1.0;
        }
    }
}

impl robustness::Words for Model {
    fn encode(&self, text: &str) -> Result<Vec<u32>, Fault> {
        let parts: Vec<Vec<u32>> = text.split(END).map(|part| part.bytes().map(u32::from).collect()).collect();
        Ok(parts.join(&SPECIAL))
    }

    fn encode_plain(&self, text: &str) -> Result<Vec<u32>, Fault> {
        if self.wrong == Wrong::TakesSpecialsFromUsers {
            return self.encode(text);
        }
        Ok(text.bytes().map(u32::from).collect())
    }

    fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().filter_map(|id| u8::try_from(*id).ok()).collect();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match self.wrong {
            Wrong::LosesBrokenCharacters => text.replace('\u{fffd}', ""),
            Wrong::LosesControls => text.chars().filter(|c| !c.is_control()).collect(),
            _ => text,
        }
    }

    fn specials(&self) -> Vec<(String, u32)> {
        vec![(END.into(), SPECIAL)]
    }
}

fn rows(wrong: Wrong) -> Vec<Row> {
    let model = Model::new(wrong);
    let mut rows = robustness::rows(&model, &model, 100);
    rows.extend(consistency::rows(&model));
    rows
}

#[test]
fn every_way_of_being_wrong_fails_its_row() {
    for (wrong, row, words) in [
        (Wrong::PanicsOnNothing, "empty prompt", "PANIC: no token at all"),
        (Wrong::NotFinite, "one token", "the logit of id 0 is NaN"),
        (Wrong::TakesOneTooMany, "fullest prompt", "one token too many was taken"),
        (Wrong::MovesWhenFull, "fullest prompt", "moved the sequence"),
        (Wrong::TakesStrangers, "ids outside the vocabulary", "id 257 was taken"),
        (Wrong::RefusesTheLastRow, "one token", "token 256 is outside"),
        (Wrong::RefusesTheLastRow, "threads", "token 256 is outside"),
        (Wrong::Random, "repeats", "differ again"),
        (Wrong::RemembersAfterReset, "repeats", "differ after a reset"),
        (Wrong::DependsOnThreads, "threads", "threads, by"),
        (Wrong::DependsOnCut, "chunkings", "differ in pieces of 1"),
        (Wrong::LosesBrokenCharacters, "cut characters", "came back as"),
        (Wrong::LosesControls, "unknown characters", "came back as"),
        (Wrong::TakesSpecialsFromUsers, "special tokens in text", "becomes the token itself"),
    ] {
        let rows = rows(wrong);
        let row = rows.iter().find(|r| r.name == row).unwrap();
        assert_eq!(row.verdict, Some(Verdict::Fail), "{wrong:?}: {row:?}");
        assert!(row.figure.contains(words), "{wrong:?}: {}", row.figure);
    }
}

#[test]
fn a_good_model_passes_all() {
    for row in rows(Wrong::Nothing) {
        assert_eq!(row.verdict, Some(Verdict::Pass), "{row:?}");
        assert!(!row.figure.is_empty() && !row.method.is_empty() && row.value.is_some(), "{row:?}");
    }
    let openly = rows(Wrong::DependsOnCutOpenly);
    let cuts = openly.iter().find(|r| r.name == "chunkings").unwrap();
    assert!(cuts.verdict.is_none() && cuts.value > Some(0.0) && cuts.method.contains("promises nothing"), "{cuts:?}");
}

const BOUNDS: Bounds = Bounds { memory: None, no_sockets: false, prompt: 1, decode: 1 };

#[cfg(unix)]
#[test]
fn every_end_of_a_process_has_a_name() {
    let took = r#"{"not_enforced":{"memory":null,"sockets":null},"prompt":1,"load_ms":1.0,"prefill_ms":1.0,
        "token_ms":[2.0],"decode_cpu_ms":null,"digest":"d","memory":null,"sockets":null,"threads":1}"#;
    let good = format!("cat <<'.'\n{took}\n.");
    for (script, expected) in [
        (good.as_str(), "finished"),
        ("echo hello", "failed"),
        ("echo 'error: no such file' >&2; echo 'hint: look' >&2; exit 3", "no such file"),
        ("echo 'memory allocation of 77 bytes failed' >&2; kill -6 $$", "out of memory: memory allocation of 77"),
        ("kill -31 $$", "socket"),
        ("kill -9 $$", "ended by signal 9"),
    ] {
        for throttled in [false, true] {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            let run = child::run(command, BOUNDS, throttled).unwrap();
            let said = serde_json::to_string(&run).unwrap() + &run.trouble().unwrap_or_default();
            assert!(said.contains(expected), "{script}: {said}");
            assert_eq!(run.took().is_some(), expected == "finished");
        }
    }
}

#[test]
#[ignore = "ends its process; the test below runs it in another"]
fn opens_a_socket() {
    let free = Bounds { no_sockets: true, ..BOUNDS }.apply();
    assert!(std::net::UdpSocket::bind("127.0.0.1:0").is_ok() && free.sockets.is_none());
}

/// Asks for memory beyond a limit of 100 MiB, or within it.
#[test]
#[ignore = "ends its process; the test below runs it in another"]
fn takes_memory() {
    let loose = Bounds { memory: Some(100 << 20), ..BOUNDS }.apply();
    assert_eq!(loose.memory, None);
    let mib: usize = std::env::var("LFMQ_TEST_MIB").unwrap().parse().unwrap();
    assert_eq!(std::hint::black_box(vec![1_u8; mib << 20]).len(), mib << 20);
}

fn again(test: &str, mib: &str) -> End {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env("LFMQ_TEST_MIB", mib);
    child::run(command, BOUNDS, false).unwrap().end
}

#[test]
fn limits_are_kept_by_the_kernel() {
    if !cfg!(target_os = "linux") {
        eprintln!("SKIPPED limits_are_kept_by_the_kernel: only Linux has these limits");
        return;
    }
    assert_eq!(again("opens_a_socket", "0"), End::OpenedSocket);
    let refused = again("takes_memory", "200");
    assert!(matches!(&refused, End::OutOfMemory { why } if why.contains("209715200")), "{refused:?}");
    // A test that ends well prints no figures: that is what is complained of here.
    let granted = again("takes_memory", "50");
    assert!(matches!(&granted, End::Failed { why } if why.contains("nothing readable")), "{granted:?}");
}
