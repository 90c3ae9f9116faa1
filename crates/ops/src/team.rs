//! Keeping the threads of a pool at hand while a token goes through many short products.

use rayon::Yield;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread without work looks for some before it goes to sleep. Longer than what lies between two products of
/// a token, shorter than what a busy machine's scheduler gives a thread: where others want the processor, they get it.
const PATIENCE: Duration = Duration::from_micros(200);

/// Looking for work so long does not ask whether others want the processor.
const EAGER: Duration = Duration::from_micros(20);

/// Runs `work` on the current pool, all of it: from outside, every product would hand over and wake up anew. Meanwhile the
/// pool's other threads look for parts of it without going to sleep in between: waking a thread takes longer than
/// many a product. Which thread does what cannot matter to the result.
pub(crate) fn awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let done = &AtomicBool::new(false);
    rayon::scope(|scope| {
        let own = rayon::current_thread_index();
        if rayon::current_num_threads() > 1 {
            scope.spawn_broadcast(move |_, thread| {
                if Some(thread.index()) != own {
                    look(done);
                }
            });
        }
        let result = work();
        done.store(true, Ordering::Relaxed);
        result
    })
}

/// Does what work there is until all is done, or there was none for too long. That bound also parts two threads which
/// look for each other's work.
fn look(done: &AtomicBool) {
    let mut since = Instant::now();
    while !done.load(Ordering::Relaxed) {
        if rayon::yield_now() == Some(Yield::Executed) {
            since = Instant::now();
            continue;
        }
        match since.elapsed() {
            idle if idle > PATIENCE => return,
            idle if idle > EAGER => thread::yield_now(),
            _ => spin_loop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    /// Each may find the other's search for work while it waits for its own.
    #[test]
    fn several_at_once_come_to_an_end() {
        let sum = |n: u64| awake(|| (0..50).map(|_| (0..n).into_par_iter().sum::<u64>()).sum::<u64>());
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let sums: Vec<u64> = pool.install(|| (0..8_u64).into_par_iter().map(|i| sum(10 * i)).collect());
            let expected: Vec<u64> = (0..8).map(|i| 10 * i).map(|n: u64| 50 * n * n.saturating_sub(1) / 2).collect();
            assert_eq!(sums, expected, "{threads} threads");
        }
        assert_eq!(sum(4), 300, "from outside a pool");
    }
}
