//! SHA-256. The rounds of a stream wait for each other and leave room for those of a second one: a byte of two side by
//! side takes three quarters of the time (a third finds no room). Bytes come from files, and asking for them ahead is
//! worth a quarter: what a processor fetches by itself ends with the page.

use sha2::block_api::compress256;
use std::fmt;

/// Bytes that are hashed at a time.
const BLOCK: usize = 64;

type Block = [u8; BLOCK];

/// A SHA-256 under way.
#[derive(Clone)]
pub struct Sha256 {
    state: [u32; 8],
    /// Bytes taken so far.
    bytes: u64,
    /// Those that do not fill a block yet are the first `bytes % 64` of it.
    begun: Block,
}

impl Default for Sha256 {
    fn default() -> Self {
        /// The first 32 bits of the fractions of the square roots of the first eight primes.
        const START: [u32; 8] =
            [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
        Self { state: START, bytes: 0, begun: [0; BLOCK] }
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sha256").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Sha256 {
    /// That of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> [u8; 32] {
        let mut sha = Self::default();
        sha.update(bytes);
        sha.finish()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let blocks = self.take(bytes);
        one(&mut self.state, blocks);
    }

    /// Takes the next bytes of two streams.
    pub fn update_two(a: (&mut Self, &[u8]), b: (&mut Self, &[u8])) {
        let (of_a, of_b) = (a.0.take(a.1), b.0.take(b.1));
        let ((of_a, rest_a), (of_b, rest_b)) = {
            let both = of_a.len().min(of_b.len());
            (of_a.split_at(both), of_b.split_at(both))
        };
        two([&mut a.0.state, &mut b.0.state], [of_a, of_b]);
        one(&mut a.0.state, rest_a);
        one(&mut b.0.state, rest_b);
    }

    /// The digest of all bytes taken.
    #[must_use]
    pub fn finish(mut self) -> [u8; 32] {
        let bits = self.bytes.wrapping_mul(8);
        let begun = self.begun();
        // A one bit, zeros, and the length fill the last block, or the last two.
        let mut last = [0; 2 * BLOCK];
        last[..begun].copy_from_slice(&self.begun[..begun]);
        last[begun] = 0x80;
        let end = if begun < BLOCK - 8 { BLOCK } else { 2 * BLOCK };
        last[end - 8..end].copy_from_slice(&bits.to_be_bytes());
        one(&mut self.state, last[..end].as_chunks().0);
        let mut digest = [0; 32];
        for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(self.state) {
            *bytes = word.to_be_bytes();
        }
        digest
    }

    /// Bytes of the block that is begun.
    fn begun(&self) -> usize {
        (self.bytes % BLOCK as u64) as usize
    }

    /// Notes `bytes`: fills the block that is begun, keeps what does not fill one, and gives the whole ones between,
    /// which are still to be hashed.
    fn take<'a>(&mut self, bytes: &'a [u8]) -> &'a [Block] {
        let begun = self.begun();
        self.bytes = self.bytes.wrapping_add(bytes.len() as u64);
        let missing = (BLOCK - begun) % BLOCK;
        if bytes.len() < missing {
            self.begun[begun..begun + bytes.len()].copy_from_slice(bytes);
            return &[];
        }
        let (front, bytes) = bytes.split_at(missing);
        if missing > 0 {
            self.begun[begun..].copy_from_slice(front);
            one(&mut self.state, &[self.begun]);
        }
        let (blocks, rest) = bytes.as_chunks();
        self.begun[..rest.len()].copy_from_slice(rest);
        blocks
    }
}

/// Hashes blocks of one stream.
fn one(state: &mut [u32; 8], blocks: &[Block]) {
    #[cfg(target_arch = "x86_64")]
    if x86::here() {
        // SAFETY: the machine has the instructions.
        return unsafe { x86::hash([state], [blocks]) };
    }
    compress256(state, blocks);
}

/// Hashes as many blocks of each of two streams.
fn two([a, b]: [&mut [u32; 8]; 2], blocks: [&[Block]; 2]) {
    #[cfg(target_arch = "x86_64")]
    if x86::here() {
        // SAFETY: the machine has the instructions.
        return unsafe { x86::hash([a, b], blocks) };
    }
    compress256(a, blocks[0]);
    compress256(b, blocks[1]);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{BLOCK, Block};
    use std::arch::x86_64::*;

    /// How far ahead bytes are asked for.
    const AHEAD: usize = 2048;

    /// The first 32 bits of the fractions of the cube roots of the first 64 primes.
    #[rustfmt::skip]
    static ROOTS: [u32; 64] = [
        0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
        0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
        0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
        0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
        0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
        0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
        0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
        0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
    ];

    /// Whether this machine has the instructions.
    pub fn here() -> bool {
        std::is_x86_feature_detected!("sha")
            && std::is_x86_feature_detected!("sse4.1")
            && std::is_x86_feature_detected!("ssse3")
    }

    /// Hashes the blocks of `N` streams, which are as many, one of each at a time.
    #[allow(clippy::needless_range_loop, reason = "an index goes through several lists side by side")]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    pub fn hash<const N: usize>(states: [&mut [u32; 8]; N], blocks: [&[Block]; N]) {
        let count = blocks.iter().map(|blocks| blocks.len()).min().unwrap_or(0);
        // The instructions want the words as a b e f and c d g h, the first one highest.
        let (mut abef, mut cdgh) = ([_mm_setzero_si128(); N], [_mm_setzero_si128(); N]);
        for n in 0..N {
            let [a, b, c, d, e, f, g, h] = states[n].map(u32::cast_signed);
            (abef[n], cdgh[n]) = (_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h));
        }
        let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        for i in 0..count {
            let (before_abef, before_cdgh) = (abef, cdgh);
            let mut words = [[_mm_setzero_si128(); 4]; N];
            for n in 0..N {
                let block = blocks[n][i].as_ptr();
                _mm_prefetch::<_MM_HINT_T0>(block.wrapping_add(AHEAD).cast());
                for (j, word) in words[n].iter_mut().enumerate() {
                    // SAFETY: 16 of the block's 64 bytes.
                    let stored = unsafe { _mm_loadu_si128(block.add(BLOCK / 4 * j).cast()) };
                    *word = _mm_shuffle_epi8(stored, big_endian);
                }
            }
            for r in 0..16 {
                // SAFETY: four of the 64 numbers.
                let roots = unsafe { _mm_loadu_si128(ROOTS.as_ptr().add(4 * r).cast()) };
                for n in 0..N {
                    let w = &mut words[n];
                    let sum = _mm_add_epi32(w[r % 4], roots);
                    cdgh[n] = _mm_sha256rnds2_epu32(cdgh[n], abef[n], sum);
                    abef[n] = _mm_sha256rnds2_epu32(abef[n], cdgh[n], _mm_shuffle_epi32::<0x0e>(sum));
                    if r < 12 {
                        let near = _mm_alignr_epi8::<4>(w[(r + 3) % 4], w[(r + 2) % 4]);
                        let next = _mm_add_epi32(_mm_sha256msg1_epu32(w[r % 4], w[(r + 1) % 4]), near);
                        w[r % 4] = _mm_sha256msg2_epu32(next, w[(r + 3) % 4]);
                    }
                }
            }
            for n in 0..N {
                abef[n] = _mm_add_epi32(abef[n], before_abef[n]);
                cdgh[n] = _mm_add_epi32(cdgh[n], before_cdgh[n]);
            }
        }
        for n in 0..N {
            let word = |of, at: i32| match at {
                0 => _mm_extract_epi32::<0>(of),
                1 => _mm_extract_epi32::<1>(of),
                2 => _mm_extract_epi32::<2>(of),
                _ => _mm_extract_epi32::<3>(of),
            };
            let (x, y) = (abef[n], cdgh[n]);
            *states[n] = [(x, 3), (x, 2), (y, 3), (y, 2), (x, 1), (x, 0), (y, 1), (y, 0)]
                .map(|(of, at)| word(of, at).cast_unsigned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    /// Anything, but the same every time.
    fn bytes(len: usize, seed: u32) -> Vec<u8> {
        let mut x = seed;
        let next = || {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 24) as u8
        };
        std::iter::repeat_with(next).take(len).collect()
    }

    fn known(bytes: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(bytes).into()
    }

    #[test]
    fn every_length_has_the_digest_of_the_crate() {
        for len in 0..=300 {
            let bytes = bytes(len, 1);
            assert_eq!(Sha256::of(&bytes), known(&bytes), "{len}");
        }
    }

    #[test]
    fn the_standards_own_example() {
        let digest: String = Sha256::of(b"abc").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn it_does_not_matter_how_a_stream_is_cut_nor_what_runs_beside_it() {
        let (x, y) = (bytes(9_000, 2), bytes(7_001, 3));
        let mut cuts = bytes(4_000, 4).into_iter().map(|cut| usize::from(cut) * 3);
        for round in 0..40 {
            let (mut a, mut b) = (Sha256::default(), Sha256::default());
            let (mut of_x, mut of_y) = (&x[..], &y[..]);
            while !of_x.is_empty() || !of_y.is_empty() {
                let mut cut = |rest: &mut &[u8]| -> Vec<u8> {
                    let (front, back) = rest.split_at(cuts.next().unwrap_or(100).min(rest.len()));
                    *rest = back;
                    front.to_vec()
                };
                let (front_x, front_y) = (cut(&mut of_x), cut(&mut of_y));
                Sha256::update_two((&mut a, &front_x), (&mut b, &front_y));
            }
            assert_eq!((a.finish(), b.finish()), (known(&x), known(&y)), "{round}");
        }
    }
}
