//! SHA-256 (FIPS 180-4) of several messages side by side, each in a lane of the vector registers.
//!
//! Each round of SHA-256 needs the one before, so a single message leaves wide registers idle. Messages are independent
//! of each other: here every word of the algorithm is an array with one element for each message. It is plain
//! arithmetic. The compiler makes vector instructions of it, because `fearless_simd` runs it inside a function that may
//! use them; `#[inline(always)]` stands wherever code must become part of that function.

use std::{
    array,
    ops::{Add, BitAnd, BitXor, Not},
    sync::LazyLock,
};

use fearless_simd::{Level, dispatch};

use super::Digest;

/// Messages that are hashed side by side: a register of AVX2 has eight words.
pub(super) const LANES: usize = 8;
/// From so many on they are faster side by side than one after the other.
const FEWEST: usize = 4;

/// What one step of the algorithm takes of a message.
type Block = [u8; 64];

static FASTEST: LazyLock<Option<Lanes>> = LazyLock::new(Lanes::detect);

/// How a machine hashes several messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lanes {
    level: Level,
    fewest: usize,
}

impl Lanes {
    /// What suits this machine; `None` if nothing is faster than one message after the other.
    pub(super) fn fastest() -> Option<Self> {
        *FASTEST
    }

    /// A processor with SHA instructions is faster with them.
    #[cfg(target_arch = "x86_64")]
    fn detect() -> Option<Self> {
        let level = Level::new();
        let useful = !std::is_x86_feature_detected!("sha") && level.as_avx2().is_some();
        useful.then_some(Self {
            level,
            fewest: FEWEST,
        })
    }

    /// Elsewhere nothing was measured, and most processors have SHA instructions.
    #[cfg(not(target_arch = "x86_64"))]
    fn detect() -> Option<Self> {
        None
    }

    /// The digests of `messages`, in their order.
    pub(super) fn digests(self, messages: &[&[u8]]) -> Vec<Digest> {
        let mut digests = vec![Digest([0; 32]); messages.len()];
        let mut waiting = messages.iter().enumerate();
        let mut running = Vec::new();
        loop {
            let free = LANES - running.len();
            running.extend(waiting.by_ref().take(free).map(Running::new));
            if running.len() < self.fewest {
                // Alone is faster now, for what is not half done even from its beginning.
                for message in running.extract_if(.., |message| message.is_before_half()) {
                    digests[message.index] = Digest::of(message.whole);
                }
            }
            if running.is_empty() {
                return digests;
            }
            step(self.level, &mut running);
            for done in running.extract_if(.., |message| message.is_done()) {
                digests[done.index] = done.digest();
            }
        }
    }
}

/// A message that is being hashed.
struct Running<'a> {
    /// Its place among the messages.
    index: usize,
    /// All of it.
    whole: &'a [u8],
    state: [u32; 8],
    /// Its full blocks that are still to be hashed.
    body: &'a [Block],
    /// Its end with the padding: one block or two.
    tail: [Block; 2],
    /// How many blocks of `tail` are hashed, or not needed.
    tail_done: usize,
}

impl<'a> Running<'a> {
    /// The padding is a one bit, zeros, and the length in bits (FIPS 180-4 section 5.1.1).
    fn new((index, whole): (usize, &&'a [u8])) -> Self {
        let (body, rest) = whole.as_chunks();
        let tail_done = usize::from(rest.len() < 56);
        let mut tail = [[0; 64]; 2];
        let padded = tail[tail_done..].as_flattened_mut();
        padded[..rest.len()].copy_from_slice(rest);
        padded[rest.len()] = 0x80;
        tail[1][56..].copy_from_slice(&(whole.len() as u64 * 8).to_be_bytes());
        Self {
            index,
            whole,
            state: INITIAL,
            body,
            tail,
            tail_done,
        }
    }

    /// What to hash next; empty when the message is done.
    fn blocks(&self) -> &[Block] {
        if self.body.is_empty() {
            &self.tail[self.tail_done..]
        } else {
            self.body
        }
    }

    fn is_done(&self) -> bool {
        self.blocks().is_empty()
    }

    fn is_before_half(&self) -> bool {
        let left = self.body.len() + self.tail.len() - self.tail_done;
        2 * left * size_of::<Block>() >= self.whole.len()
    }

    fn skip(&mut self, count: usize) {
        if self.body.is_empty() {
            self.tail_done += count;
        } else {
            self.body = &self.body[count..];
        }
    }

    fn digest(&self) -> Digest {
        let words = self.state.map(u32::to_be_bytes);
        let bytes = words.as_flattened().try_into();
        Digest(bytes.expect("eight words have 32 bytes"))
    }
}

/// Hashes as many blocks of each message as the one with the fewest has next. There are 1 to 8 messages; the lanes that
/// are left over repeat the last one, and what they give is dropped.
fn step(level: Level, messages: &mut [Running]) {
    let lengths = messages.iter().map(|message| message.blocks().len());
    let count = lengths.min().expect("a step is for at least one message");
    let of_lane = |lane: usize| &messages[lane.min(messages.len() - 1)];
    let mut state = array::from_fn(|word| Words(array::from_fn(|lane| of_lane(lane).state[word])));
    let blocks = array::from_fn(|lane| &of_lane(lane).blocks()[..count]);
    dispatch!(level, _ => compress_all(&mut state, blocks));
    for (lane, message) in messages.iter_mut().enumerate() {
        message.state = state.map(|word| word.0[lane]);
        message.skip(count);
    }
}

/// The compression function over equally many blocks of each lane.
#[inline(always)]
fn compress_all(state: &mut [Words; 8], blocks: [&[Block]; LANES]) {
    for at in 0..blocks[0].len() {
        compress(state, blocks.map(|blocks| &blocks[at]));
    }
}

/// One block of each lane (FIPS 180-4 section 6.2.2).
#[inline(always)]
fn compress(state: &mut [Words; 8], blocks: [&Block; LANES]) {
    let mut schedule = [Words([0; LANES]); 16];
    for (lane, block) in blocks.iter().enumerate() {
        for (word, bytes) in schedule.iter_mut().zip(block.as_chunks().0) {
            word.0[lane] = u32::from_be_bytes(*bytes);
        }
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (t, k) in K.into_iter().enumerate() {
        // Only the last sixteen words of the schedule are ever needed.
        let w = |back: usize| schedule[(t + 16 - back) % 16];
        if t >= 16 {
            schedule[t % 16] = small_sigma1(w(2)) + w(7) + small_sigma0(w(15)) + w(16);
        }
        let t1 = h + big_sigma1(e) + ch(e, f, g) + Words([k; LANES]) + schedule[t % 16];
        let t2 = big_sigma0(a) + maj(a, b, c);
        (h, g, f, e, d, c, b, a) = (g, f, e, d + t1, c, b, a, t1 + t2);
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = *word + add;
    }
}

#[inline(always)]
fn ch(x: Words, y: Words, z: Words) -> Words {
    (x & y) ^ (!x & z)
}

#[inline(always)]
fn maj(x: Words, y: Words, z: Words) -> Words {
    (x & y) ^ (x & z) ^ (y & z)
}

#[inline(always)]
fn big_sigma0(x: Words) -> Words {
    x.rotate_right(2) ^ x.rotate_right(13) ^ x.rotate_right(22)
}

#[inline(always)]
fn big_sigma1(x: Words) -> Words {
    x.rotate_right(6) ^ x.rotate_right(11) ^ x.rotate_right(25)
}

#[inline(always)]
fn small_sigma0(x: Words) -> Words {
    x.rotate_right(7) ^ x.rotate_right(18) ^ x.shift_right(3)
}

#[inline(always)]
fn small_sigma1(x: Words) -> Words {
    x.rotate_right(17) ^ x.rotate_right(19) ^ x.shift_right(10)
}

/// The same word of the algorithm in each lane.
#[derive(Clone, Copy)]
struct Words([u32; LANES]);

impl Words {
    #[inline(always)]
    fn map(mut self, f: impl Fn(u32) -> u32) -> Self {
        for lane in 0..LANES {
            self.0[lane] = f(self.0[lane]);
        }
        self
    }

    #[inline(always)]
    fn zip(mut self, other: Self, f: impl Fn(u32, u32) -> u32) -> Self {
        for lane in 0..LANES {
            self.0[lane] = f(self.0[lane], other.0[lane]);
        }
        self
    }

    #[inline(always)]
    fn rotate_right(self, n: u32) -> Self {
        self.map(|word| word.rotate_right(n))
    }

    #[inline(always)]
    fn shift_right(self, n: u32) -> Self {
        self.map(|word| word >> n)
    }
}

impl Add for Words {
    type Output = Self;

    /// Modulo 2^32, as every addition of the algorithm.
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, u32::wrapping_add)
    }
}

impl BitAnd for Words {
    type Output = Self;

    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        self.zip(other, u32::bitand)
    }
}

impl BitXor for Words {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        self.zip(other, u32::bitxor)
    }
}

impl Not for Words {
    type Output = Self;

    #[inline(always)]
    fn not(self) -> Self {
        self.map(u32::not)
    }
}

/// The initial state (FIPS 180-4 section 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/// The constants of the rounds (FIPS 180-4 section 4.2.2).
const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::Digest as _;

    use super::*;

    /// The narrowest and the widest instructions of this machine, whatever is the fastest; without and with the way out
    /// for few messages.
    fn all() -> impl Iterator<Item = Lanes> {
        let levels = [Level::baseline(), Level::new()].into_iter();
        levels.flat_map(|level| [0, FEWEST].map(|fewest| Lanes { level, fewest }))
    }

    /// Bytes without a pattern that would hide a block in the wrong place.
    fn noise(length: usize) -> Vec<u8> {
        let mut word = 1_u32;
        let next = || {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            word.to_be_bytes()[0]
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    /// Holds all ways against `sha2` and `aws-lc-rs`.
    fn check(messages: &[&[u8]]) {
        let one_by_one: Vec<_> = messages.iter().map(|bytes| Digest::of(bytes)).collect();
        for (bytes, digest) in messages.iter().zip(&one_by_one) {
            assert_eq!(sha2::Sha256::digest(bytes)[..], digest.0);
        }
        for lanes in all() {
            let lengths: Vec<_> = messages.iter().map(|bytes| bytes.len()).collect();
            let digests = lanes.digests(messages);
            assert_eq!(digests, one_by_one, "{lanes:?}, lengths {lengths:?}");
        }
    }

    #[test]
    fn the_examples_of_nist_come_out() {
        let examples: [(&[u8], &str); 3] = [
            (
                b"",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                b"abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
        ];
        for lanes in all() {
            let digests = lanes.digests(&examples.map(|(message, _)| message));
            let texts: Vec<_> = digests.iter().map(Digest::to_string).collect();
            assert_eq!(texts, examples.map(|(_, digest)| digest), "{lanes:?}");
        }
    }

    #[test]
    fn lengths_around_the_padding_are_right() {
        let noise = noise(200);
        let messages: Vec<_> = (0..=200).map(|length| &noise[..length]).collect();
        check(&messages);
        for message in messages {
            check(&[message]);
        }
    }

    #[test]
    fn no_messages_have_no_digests() {
        check(&[]);
    }

    #[test]
    fn a_long_message_among_short_ones_is_right() {
        let noise = noise((1 << 20) + 1);
        let messages: Vec<_> = [100, noise.len(), 0, 1 << 19, 64 << 10, 700_000]
            .map(|length| &noise[noise.len() - length..])
            .to_vec();
        check(&messages);
    }

    fn length() -> impl Strategy<Value = usize> {
        let edges = vec![0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 640, 1024];
        prop_oneof![proptest::sample::select(edges), 0..3000_usize]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_mixture_of_messages_is_right(
            spans in proptest::collection::vec((0..1000_usize, length()), 1..=40)
        ) {
            let noise = noise(4000);
            let messages: Vec<_> = spans
                .iter()
                .map(|&(from, length)| &noise[from..from + length])
                .collect();
            check(&messages);
        }
    }
}
