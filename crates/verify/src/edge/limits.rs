//! Rows from runs in processes of their own: memory, a share of the processor, no network.

use super::child::{ChildRun, End, SHARE};
use super::{Confined, Family, Row, mib};
use crate::Verdict;
use crate::stats::mean;

/// Further than this factor from the slow-down that the share explains, the machine was busy or something is wrong.
const TOLERANCE: f64 = 2.0;

/// A memory budget.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryBudget {
    /// Whose.
    pub target: String,
    /// Bytes.
    pub limit: u64,
    /// Positions the target's caches are sized for.
    pub context: usize,
}

/// The peak of `run` against `budget`; without one the figure only informs.
///
/// The peak is the kernel's own high-water mark over private and mapped pages together, so it is exact. A run that was
/// refused memory fails with the refusal as its figure.
#[must_use]
pub fn memory(run: &ChildRun, budget: Option<&MemoryBudget>) -> Row {
    let mut row = Row::new(Family::Memory, "resident peak");
    row.unit = "MiB";
    row.target = budget.map(|b| b.target.clone());
    row.limit = budget.map(|b| mib(b.limit));
    let allowed = run.bounds.memory.map_or(String::new(), |b| format!(" within {} MiB", number(mib(b))));
    let positions = run.bounds.prompt + run.bounds.decode;
    row.method = format!("a process of its own{allowed}: opened, {positions} positions filled");
    if let Some(budget) = budget.filter(|b| b.context > positions) {
        row.method += &format!(" of the {} it is sized for", budget.context);
    }
    if run.bounds.memory.is_some() {
        row.method += ", private memory beyond that refused by the kernel (RLIMIT_DATA), all pages counted (VmHWM)";
    }
    let Some(took) = run.took() else {
        row.figure = run.trouble().unwrap_or_default();
        row.verdict = Some(Verdict::Fail);
        return row;
    };
    if let Some(why) = &took.not_enforced.memory {
        row.method += &format!(". NOT ENFORCED HERE: {why}");
    }
    let Some(memory) = took.memory else {
        row.figure = "unknown".into();
        row.verdict = budget.map(|_| Verdict::NotMeasured);
        return row;
    };
    row.value = Some(mib(memory.peak));
    let [peak, own, file] = [memory.peak, memory.anonymous, memory.file].map(|b| number(mib(b)));
    row.figure = format!("{peak} MiB, at the end {own} private and {file} mapped from files");
    row.verdict = budget.map(|b| match (memory.peak <= b.limit, &took.not_enforced.memory) {
        (false, _) => Verdict::Fail,
        (true, None) => Verdict::Pass,
        (true, Some(_)) => Verdict::Inconclusive,
    });
    row
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// The row of [`throttled`] on a system that cannot stop a process.
#[must_use]
pub fn not_throttled() -> Row {
    let mut row = Row::new(Family::Constrained, format!("{:.0} % CPU", 100.0 * SHARE));
    row.figure = "unknown".into();
    row.verdict = Some(Verdict::NotMeasured);
    row.method = format!("NOT ENFORCED HERE: {} does not stop and continue processes", std::env::consts::OS);
    row
}

/// How decoding slows down with a share of the processor, and whether it computes the same.
#[must_use]
pub fn throttled(free: &ChildRun, slow: &ChildRun) -> Row {
    let mut row = Row::new(Family::Constrained, format!("{:.0} % CPU", 100.0 * SHARE));
    row.unit = "× slower";
    row.limit = Some(TOLERANCE / SHARE);
    row.method = format!(
        "a process of its own, all threads stopped 15 ms of every 20 (SIGSTOP); the share explains {:.0} × slower, and \
         {TOLERANCE:.0} times more or less than that says that the machine was busy",
        1.0 / SHARE
    );
    let (Some(free), Some(slow)) = (free.took(), slow.took()) else {
        row.figure = [free, slow].iter().find_map(|run| run.trouble()).unwrap_or_default();
        row.verdict = Some(Verdict::Fail);
        return row;
    };
    let (before, after) = (mean(&free.token_ms), mean(&slow.token_ms));
    let ratio = after / before;
    row.value = Some(ratio).filter(|r| r.is_finite());
    row.figure = format!("{ratio:.1} × slower: {before:.2} → {after:.2} ms a token");
    if let (Some(a), Some(b)) = (free.decode_cpu_ms.filter(|a| *a > 0.0), slow.decode_cpu_ms) {
        row.figure += &format!(", {:.2} × the processor time", b / a);
    }
    row.verdict = Some(if free.digest != slow.digest {
        row.figure += "; OTHER LOGITS";
        Verdict::Fail
    } else if (1.0 / (TOLERANCE * SHARE)..=TOLERANCE / SHARE).contains(&ratio) {
        Verdict::Pass
    } else {
        // Time is the machine's too: a busy one proves nothing for the artifact or against it.
        Verdict::Inconclusive
    });
    row
}

/// Whether the run did without sockets.
#[must_use]
pub fn offline(run: &ChildRun) -> Row {
    let mut row = Row::new(Family::Offline, "sockets opened");
    row.limit = Some(0.0);
    row.method = "a process of its own that the kernel ends at its first try to open a socket (seccomp)".into();
    match &run.end {
        End::OpenedSocket => {
            row.value = Some(1.0);
            row.figure = "it tried to open one and was ended".into();
            row.verdict = Some(Verdict::Fail);
        }
        End::Finished { took } => finished(&mut row, took),
        End::OutOfMemory { .. } | End::Failed { .. } => {
            row.figure = "the run did not reach its end".into();
            row.verdict = Some(Verdict::Inconclusive);
        }
    }
    row
}

fn finished(row: &mut Row, took: &Confined) {
    let open = took.sockets.map(|s| s.after.saturating_sub(s.before));
    row.value = open.map(|n| n as f64);
    if let Some(why) = &took.not_enforced.sockets {
        row.method = format!("sockets among the open files after the run. NOT ENFORCED HERE: {why}");
        row.figure = open.map_or("unknown".into(), |n| format!("{n} open after the run"));
        row.verdict = Some(match open {
            None => Verdict::NotMeasured,
            // A socket that came and went would not be seen.
            Some(0) => Verdict::Inconclusive,
            Some(_) => Verdict::Fail,
        });
    } else {
        row.value = Some(0.0);
        row.figure = "none".into();
        row.verdict = Some(Verdict::Pass);
    }
}

#[cfg(test)]
mod tests {
    use super::super::confined::NotEnforced;
    use super::super::{Bounds, Sockets};
    use super::*;
    use crate::memory::Memory;

    const BOUNDS: Bounds = Bounds { memory: Some(100 << 20), no_sockets: true, prompt: 60, decode: 4 };

    fn took() -> Confined {
        Confined {
            not_enforced: NotEnforced::default(),
            prompt: 60,
            load_ms: 1.0,
            prefill_ms: 1.0,
            token_ms: vec![1.0, 3.0],
            decode_cpu_ms: Some(4.0),
            digest: "a".into(),
            memory: Some(Memory { peak: 90 << 20, anonymous: 60 << 20, file: 20 << 20 }),
            sockets: Some(Sockets { before: 1, after: 1 }),
            threads: 1,
        }
    }

    fn run(end: End) -> ChildRun {
        ChildRun { bounds: BOUNDS, share: 1.0, end }
    }

    fn ended(change: impl FnOnce(&mut Confined)) -> ChildRun {
        let mut took = took();
        change(&mut took);
        run(End::Finished { took })
    }

    #[test]
    fn memory_is_judged_by_all_of_it() {
        let budget = |mib: u64| MemoryBudget { target: "t".into(), limit: mib << 20, context: 1024 };
        let fine = ended(|_| {});
        let row = memory(&fine, Some(&budget(90)));
        assert_eq!((row.verdict, row.value, row.limit), (Some(Verdict::Pass), Some(90.0), Some(90.0)));
        assert!(row.figure.contains("60 private and 20 mapped") && row.method.contains("64 positions"), "{row:?}");
        assert!(row.method.contains("of the 1024"), "{}", row.method);
        assert_eq!(memory(&fine, Some(&budget(89))).verdict, Some(Verdict::Fail), "the peak, not its private part");
        assert_eq!(memory(&fine, None).verdict, None);
        let refused = run(End::OutOfMemory { why: "memory allocation of 7 bytes failed".into() });
        let row = memory(&refused, Some(&budget(90)));
        assert!(row.verdict == Some(Verdict::Fail) && row.figure.contains("7 bytes"), "{row:?}");
        let loose = ended(|t| t.not_enforced.memory = Some("no limit here".into()));
        let row = memory(&loose, Some(&budget(90)));
        assert!(row.verdict == Some(Verdict::Inconclusive) && row.method.contains("NOT ENFORCED HERE: no limit here"));
        let blind = ended(|t| t.memory = None);
        assert_eq!(memory(&blind, Some(&budget(90))).verdict, Some(Verdict::NotMeasured));
    }

    #[test]
    fn a_share_of_the_processor_slows_and_changes_nothing() {
        let free = ended(|_| {});
        for (ms, digest, verdict) in [
            (8.0, "a", Verdict::Pass),
            (15.9, "a", Verdict::Pass),
            (3.0, "a", Verdict::Inconclusive),
            (17.0, "a", Verdict::Inconclusive),
            (8.0, "b", Verdict::Fail),
        ] {
            let slow = ended(|t| (t.token_ms, t.digest) = (vec![ms; 3], digest.into()));
            assert_eq!(throttled(&free, &slow).verdict, Some(verdict), "{ms} {digest}");
        }
        let died = run(End::Failed { why: "ended by signal 9".into() });
        let row = throttled(&free, &died);
        assert!(row.verdict == Some(Verdict::Fail) && row.figure.contains("signal 9"));
    }

    #[test]
    fn a_socket_fails_and_a_blind_count_proves_nothing() {
        let unfiltered = |after: usize| {
            ended(|t| {
                t.not_enforced.sockets = Some("no filter".into());
                t.sockets = Some(Sockets { before: 1, after });
            })
        };
        for (run, verdict) in [
            (ended(|_| {}), Verdict::Pass),
            (run(End::OpenedSocket), Verdict::Fail),
            (unfiltered(1), Verdict::Inconclusive),
            (unfiltered(2), Verdict::Fail),
            (run(End::Failed { why: "x".into() }), Verdict::Inconclusive),
        ] {
            assert_eq!(offline(&run).verdict, Some(verdict), "{:?}", run.end);
        }
    }
}
