//! Plain Rust compiled once per instruction set: for loops of other crates that the compiler vectorises by itself. They
//! contain no `unsafe`; the one unsafe step, entering code of a wider instruction set, is taken here.
//!
//! Results do not depend on the instruction set: rustc neither reorders sums nor fuses a multiply with an add, so every
//! version does the operations of the source in the order of the source.

use crate::Kernels;
use std::cell::Cell;

/// Work whose body every instruction set compiles anew. What [`crate::multiversion!`] makes of a function.
pub trait Body {
    /// What comes out.
    type Output;

    /// The work. Must be `#[inline(always)]`, and so must every function in it that has loops: what is not inlined keeps
    /// the features of the crate it is in.
    fn run(self) -> Self::Output;
}

/// An instruction set that this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Set {
    /// What every machine of the architecture has.
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

thread_local!(static CHOSEN: Cell<Option<Isa>> = const { Cell::new(None) });

impl Isa {
    /// What this machine has, narrowest first. Never empty.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let all = [
            (Set::Baseline, true),
            #[cfg(target_arch = "x86_64")]
            (Set::Avx2, avx2_here()),
            #[cfg(target_arch = "x86_64")]
            (Set::Avx512, avx512_here()),
        ];
        all.into_iter().filter(|(_, here)| *here).map(|(set, _)| Self(set)).collect()
    }

    /// The widest of this machine.
    #[must_use]
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if avx512_here() {
                return Self(Set::Avx512);
            }
            if avx2_here() {
                return Self(Set::Avx2);
            }
        }
        Self(Set::Baseline)
    }

    /// The widest of this machine that does not exceed a rung of kernels.
    #[must_use]
    pub fn of(kernels: &Kernels) -> Self {
        let widest = match kernels.name {
            #[cfg(target_arch = "x86_64")]
            "avx2" | "avxvnni" => Set::Avx2,
            #[cfg(target_arch = "x86_64")]
            "avx512" | "avx512vnni" | "amx" => Set::Avx512,
            _ => Set::Baseline,
        };
        // Each set has all of the ones before it.
        Self(Self::best().0.min(widest))
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
        }
    }

    /// The one in force on this thread: that of the innermost [`Self::scope`], else [`Self::best`].
    #[must_use]
    pub fn current() -> Self {
        CHOSEN.get().unwrap_or_else(Self::best)
    }

    /// Runs `f` with this instruction set in force on this thread.
    pub fn scope<R>(self, f: impl FnOnce() -> R) -> R {
        let outer = CHOSEN.replace(Some(self));
        let result = f();
        CHOSEN.set(outer);
        result
    }

    /// Runs `body` in the version of this instruction set.
    #[inline]
    pub fn run<B: Body>(self, body: B) -> B::Output {
        match self.0 {
            Set::Baseline => body.run(),
            // SAFETY: a value of this kind is made only where the machine was found to have the features.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2(body) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512(body) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn avx2_here() -> bool {
    std::is_x86_feature_detected!("avx2")
        && std::is_x86_feature_detected!("fma")
        && std::is_x86_feature_detected!("f16c")
}

#[cfg(target_arch = "x86_64")]
fn avx512_here() -> bool {
    avx2_here()
        && std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512vl")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn avx2<B: Body>(body: B) -> B::Output {
    body.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn avx512<B: Body>(body: B) -> B::Output {
    body.run()
}

/// Defines functions whose bodies are compiled for each instruction set and run in the version of
/// [`Isa::current`]. Lifetimes of arguments and const parameters are declared in square brackets:
///
/// ```
/// lfmq_kernels::multiversion! {
///     /// `y += a x`.
///     pub fn axpy['a, const N: usize](a: f32, x: &'a [f32; N], y: &'a mut [f32; N]) -> () {
///         for (y, x) in y.iter_mut().zip(x) {
///             *y += a * x;
///         }
///     }
/// }
/// let mut y = [1.0, 2.0];
/// axpy(2.0, &[1.0, 1.0], &mut y);
/// assert_eq!(y, [3.0, 4.0]);
/// ```
///
/// What the body calls has to be `#[inline(always)]`, see [`Body::run`].
#[macro_export]
macro_rules! multiversion {
    ($(
        $(#[$attribute:meta])*
        $vis:vis fn $name:ident $([$life:lifetime $(, const $g:ident: $of:ty)*])?
        ($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty $body:block
    )*) => {$(
        $(#[$attribute])*
        $vis fn $name $(<$life $(, const $g: $of)*>)? ($($arg: $ty),*) -> $ret {
            struct Work $(<$life $(, const $g: $of)*>)? {
                $($arg: $ty,)*
            }
            impl $(<$life $(, const $g: $of)*>)? $crate::Body for Work $(<$life $(, $g)*>)? {
                type Output = $ret;

                #[inline(always)]
                fn run(self) -> $ret {
                    let Self { $($arg),* } = self;
                    $body
                }
            }
            $crate::Isa::current().run(Work { $($arg),* })
        }
    )*};
}

#[cfg(test)]
mod tests {
    use super::*;

    multiversion! {
        fn polynomial['a](x: &'a [f32], out: &'a mut [f32]) -> usize {
            for (o, x) in out.iter_mut().zip(x) {
                *o = (x * x + x) * 0.1 + x.sqrt();
            }
            out.len()
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let x: Vec<f32> = (0..1003).map(|i| i as f32 * 0.317).collect();
        let results: Vec<Vec<f32>> = Isa::available()
            .into_iter()
            .map(|isa| {
                let mut out = vec![0.0; x.len()];
                assert_eq!(isa.scope(|| polynomial(&x, &mut out)), x.len());
                out
            })
            .collect();
        assert!(results.iter().all(|r| r == &results[0]));
    }

    #[test]
    fn a_scope_ends() {
        let all = Isa::available();
        assert_eq!(all.first().unwrap().scope(Isa::current), all[0]);
        assert_eq!(Isa::current(), *all.last().unwrap());
        assert_eq!(Isa::best(), *all.last().unwrap());
    }

    #[test]
    fn a_rung_bounds_the_instruction_set() {
        for kernels in Kernels::available() {
            let name = Isa::of(kernels).name();
            match kernels.name {
                "avx2" | "avxvnni" => assert_eq!(name, "avx2"),
                "avx512" | "avx512vnni" | "amx" => assert!(name == "avx512" || name == "avx2"),
                _ => assert_eq!(name, "baseline"),
            }
        }
    }
}
