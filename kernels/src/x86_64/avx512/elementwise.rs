//! The shared bodies on 512-bit registers.

use crate::x86_64::avx2::elementwise::compile_bodies;

compile_bodies!("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c");
