//! SIMD and scalar kernels: slices in, slices out.
