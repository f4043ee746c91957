//! Sealing and opening one chunk with AES-256-GCM (NIST SP 800-38D).
//!
//! A sealed chunk is `nonce (12) || ciphertext || tag (16)`. Its associated data is 72 bytes of fixed layout that name
//! the stream, the key, the position, whether it is the last, and both lengths: a chunk that was moved, repeated,
//! dropped from the end or taken from another transfer does not open.

use super::{
    CryptoError,
    aead::{self, Cipher},
    key::{FileKey, KeyCommitment},
};

/// The random nonce of one sealed chunk.
pub type Nonce = [u8; NONCE_LENGTH];

/// What authenticates one sealed chunk.
pub type Tag = [u8; TAG_LENGTH];

/// Bytes of a nonce.
pub const NONCE_LENGTH: usize = aead::NONCE;

/// Bytes of a tag.
pub const TAG_LENGTH: usize = aead::TAG;

/// How much longer a sealed chunk is than its plain bytes: nonce and tag.
pub const OVERHEAD: usize = NONCE_LENGTH + TAG_LENGTH;

/// The nonce and the tag of a sealed chunk.
///
/// # Panics
/// If `sealed` is shorter than [`OVERHEAD`], which no sealed chunk is.
pub fn nonce_and_tag(sealed: &[u8]) -> (Nonce, Tag) {
    let nonce = sealed.first_chunk().copied();
    let tag = sealed.last_chunk().copied();
    nonce.zip(tag).expect("a sealed chunk has both")
}

/// The three byte streams of a transfer, each under its own key and label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// The bytes of the files, back to back.
    Content,
    /// Names, kinds and sizes.
    Table,
    /// BLAKE3 of each plain file.
    Sums,
}

impl Stream {
    pub(super) fn key_info(self) -> &'static [u8] {
        match self {
            Self::Content => b"chunk",
            Self::Table => b"table",
            Self::Sums => b"sums",
        }
    }

    fn label(self) -> &'static [u8; 16] {
        match self {
            Self::Content => b"colis/v1/chunk\0\0",
            Self::Table => b"colis/v1/table\0\0",
            Self::Sums => b"colis/v1/sums\0\0\0",
        }
    }

    fn chunk_name(self) -> &'static str {
        match self {
            Self::Content => "content chunk",
            Self::Table => "table chunk",
            Self::Sums => "sums chunk",
        }
    }
}

/// Where a chunk stands in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkPosition {
    /// Its index from 0.
    pub index: u64,
    /// Whether the stream ends with it.
    pub last: bool,
}

/// Seals the chunks of one stream.
pub struct ChunkSealer(ChunkCipher);

/// Opens the chunks of one stream.
pub struct ChunkOpener(ChunkCipher);

struct ChunkCipher {
    cipher: Cipher,
    stream: Stream,
    key_id: KeyCommitment,
    chunk_size: u32,
}

impl ChunkSealer {
    /// A sealer for `stream` under `key`.
    pub fn new(key: &FileKey, stream: Stream, chunk_size: u32) -> Self {
        Self(ChunkCipher::new(key, stream, chunk_size))
    }

    /// Seals `plain` under a fresh random nonce, which the result begins with.
    ///
    /// # Errors
    /// [`CryptoError::NoRandom`].
    pub fn seal(&self, position: ChunkPosition, plain: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let mut chunk = PlainBuffer::with_capacity(plain.len());
        chunk.extend_by(|buffer| buffer.extend_from_slice(plain));
        self.seal_buffer(position, chunk)
    }

    /// The same, where the bytes are.
    ///
    /// # Errors
    /// [`CryptoError::NoRandom`].
    pub fn seal_buffer(
        &self,
        position: ChunkPosition,
        plain: PlainBuffer,
    ) -> Result<Vec<u8>, CryptoError> {
        let mut nonce = [0; NONCE_LENGTH];
        getrandom::fill(&mut nonce)?;
        Ok(self.seal_again_with(nonce, position, plain))
    }

    /// Seals `plain` under a nonce that was used before. Only to find out whether the plain bytes are still the ones
    /// that were sealed with it: if the tag differs, the result must be thrown away, never sent.
    pub fn seal_again_with(
        &self,
        nonce: Nonce,
        position: ChunkPosition,
        plain: PlainBuffer,
    ) -> Vec<u8> {
        let aad = self.0.aad(position, plain.bytes().len());
        let mut sealed = plain.0;
        let (head, text) = sealed.split_at_mut(NONCE_LENGTH);
        head.copy_from_slice(&nonce);
        let tag = self.0.cipher.seal(nonce, &aad, text);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens, where it is, what this sealer has sealed, so that it can be sealed under another nonce.
    ///
    /// # Errors
    /// [`CryptoError::Forged`] if it was not sealed here.
    pub fn unseal(
        &self,
        position: ChunkPosition,
        mut sealed: Vec<u8>,
    ) -> Result<PlainBuffer, CryptoError> {
        let length = self.0.open(position, &mut sealed)?.len();
        sealed.truncate(NONCE_LENGTH + length);
        Ok(PlainBuffer(sealed))
    }
}

impl ChunkOpener {
    /// An opener for `stream` under `key`, which must have been checked against its commitment.
    pub fn new(key: &FileKey, stream: Stream, chunk_size: u32) -> Self {
        Self(ChunkCipher::new(key, stream, chunk_size))
    }

    /// Opens a sealed chunk where it is. Nothing of a chunk that fails is returned.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] if it is too short or too long, [`CryptoError::Forged`] if it does not authenticate.
    pub fn open<'a>(
        &self,
        position: ChunkPosition,
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], CryptoError> {
        self.0.open(position, sealed)
    }
}

/// Plain bytes with room before and after them, so that they are sealed where they are.
#[derive(Debug)]
pub struct PlainBuffer(Vec<u8>);

impl PlainBuffer {
    /// Room for `length` plain bytes.
    pub fn with_capacity(length: usize) -> Self {
        let mut buffer = Vec::with_capacity(length + OVERHEAD);
        buffer.resize(NONCE_LENGTH, 0);
        Self(buffer)
    }

    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        &self.0[NONCE_LENGTH..]
    }

    /// Lets `append` add bytes at the end.
    pub fn extend_by<T>(&mut self, append: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        append(&mut self.0)
    }
}

impl ChunkCipher {
    fn new(key: &FileKey, stream: Stream, chunk_size: u32) -> Self {
        let stream_key = key.stream_key(stream);
        let cipher = match stream {
            Stream::Content => Cipher::bulk(&stream_key),
            Stream::Table | Stream::Sums => Cipher::small(&stream_key),
        };
        Self {
            cipher,
            stream,
            key_id: key.commitment(),
            chunk_size,
        }
    }

    fn open<'a>(
        &self,
        position: ChunkPosition,
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], CryptoError> {
        let what = self.stream.chunk_name();
        let malformed = CryptoError::Malformed { what };
        let plain_length = sealed.len().checked_sub(OVERHEAD);
        let plain_length = plain_length.filter(|n| *n <= self.chunk_size as usize);
        let (Some(plain_length), Some((nonce, text))) =
            (plain_length, sealed.split_first_chunk_mut())
        else {
            return Err(malformed);
        };
        let aad = self.aad(position, plain_length);
        let opened = self.cipher.open(*nonce, &aad, text);
        opened.map_err(|aead::Forged| CryptoError::Forged { what })
    }

    fn aad(&self, position: ChunkPosition, plain_length: usize) -> [u8; 72] {
        let plain_length = u32::try_from(plain_length).expect("a chunk is at most 64 MiB");
        let mut aad = [0; 72];
        aad[..16].copy_from_slice(self.stream.label());
        aad[16..48].copy_from_slice(self.key_id.as_bytes());
        aad[48..56].copy_from_slice(&position.index.to_be_bytes());
        aad[56] = u8::from(position.last);
        aad[64..68].copy_from_slice(&plain_length.to_be_bytes());
        aad[68..].copy_from_slice(&self.chunk_size.to_be_bytes());
        aad
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use zeroize::Zeroizing;

    use super::*;

    const SIZE: u32 = 64 << 10;

    fn at(index: u64, last: bool) -> ChunkPosition {
        ChunkPosition { index, last }
    }

    fn sealed_by(key: &FileKey) -> Vec<u8> {
        ChunkSealer::new(key, Stream::Content, SIZE)
            .seal(at(3, false), b"plain")
            .unwrap()
    }

    #[test]
    fn a_chunk_opens_where_it_was_sealed_and_nowhere_else() {
        let (key, other) = (FileKey::generate().unwrap(), FileKey::generate().unwrap());
        let sealed = sealed_by(&key);
        let open = |key, stream, size, position| {
            let mut sealed = sealed.clone();
            let opener = ChunkOpener::new(key, stream, size);
            opener
                .open(position, &mut sealed)
                .map(|plain| plain.to_vec())
        };
        assert_eq!(
            open(&key, Stream::Content, SIZE, at(3, false)).unwrap(),
            b"plain"
        );
        let forged = Err(CryptoError::Forged {
            what: "content chunk",
        });
        assert_eq!(
            open(&key, Stream::Content, SIZE, at(4, false)),
            forged,
            "moved"
        );
        assert_eq!(
            open(&key, Stream::Content, SIZE, at(3, true)),
            forged,
            "made the last"
        );
        assert_eq!(
            open(&key, Stream::Content, 2 * SIZE, at(3, false)),
            forged,
            "other chunk size"
        );
        assert_eq!(
            open(&other, Stream::Content, SIZE, at(3, false)),
            forged,
            "other key"
        );
        assert!(
            open(&key, Stream::Table, SIZE, at(3, false)).is_err(),
            "other stream"
        );
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let key = FileKey::generate().unwrap();
        let (sealed, opener) = (
            sealed_by(&key),
            ChunkOpener::new(&key, Stream::Content, SIZE),
        );
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                opener.open(at(3, false), &mut flipped).is_err(),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_chunk_of_the_wrong_length_is_malformed() {
        let opener = ChunkOpener::new(&FileKey::generate().unwrap(), Stream::Content, SIZE);
        for length in [0, OVERHEAD - 1, SIZE as usize + OVERHEAD + 1] {
            let malformed = Err(CryptoError::Malformed {
                what: "content chunk",
            });
            assert_eq!(opener.open(at(0, true), &mut vec![0; length]), malformed);
        }
    }

    #[test]
    fn sealing_again_with_its_nonce_gives_the_same_bytes() {
        let key = FileKey::generate().unwrap();
        let sealer = ChunkSealer::new(&key, Stream::Content, SIZE);
        let opener = ChunkOpener::new(&key, Stream::Content, SIZE);
        let sealed = sealer.seal(at(0, true), b"plain").unwrap();
        let nonce: Nonce = sealed[..NONCE_LENGTH].try_into().unwrap();
        let again = |plain: &[u8]| {
            let mut buffer = PlainBuffer::with_capacity(plain.len());
            buffer.extend_by(|bytes| bytes.extend_from_slice(plain));
            sealer.seal_again_with(nonce, at(0, true), buffer)
        };
        assert_eq!(again(b"plain"), sealed);
        assert_ne!(again(b"plane"), sealed);
        let plain = sealer.unseal(at(0, true), again(b"plane")).unwrap();
        let anew = sealer.seal_buffer(at(0, true), plain).unwrap();
        assert_ne!(
            anew[..NONCE_LENGTH],
            nonce,
            "two texts never go out under one nonce"
        );
        let mut anew = anew;
        let opened = opener.open(at(0, true), &mut anew).unwrap();
        assert_eq!(opened, b"plane");
    }

    /// Computed apart from the program, in Python.
    #[test]
    fn each_stream_is_sealed_as_the_format_says() {
        let key: [u8; 32] = std::array::from_fn(|n| n as u8);
        let key = FileKey::from_bytes(Zeroizing::new(key));
        let nonce = [7; NONCE_LENGTH];
        for (stream, text, what) in [
            (
                Stream::Content,
                "ca0be17c45c62301a982e4790ac01715eb4592751c",
                "content chunk",
            ),
            (
                Stream::Table,
                "649ec3156a52c5c639255276584cd33cb723a1e2cb",
                "table chunk",
            ),
            (
                Stream::Sums,
                "c30d0ffff1bc67ac3dd650f0e345ad7d053ad1a52b",
                "sums chunk",
            ),
        ] {
            let mut plain = PlainBuffer::with_capacity(5);
            plain.extend_by(|bytes| bytes.extend_from_slice(b"plain"));
            assert_eq!(plain.bytes(), b"plain");
            let sealer = ChunkSealer::new(&key, stream, SIZE);
            let mut sealed = sealer.seal_again_with(nonce, at(3, true), plain);
            let (first, tag) = nonce_and_tag(&sealed);
            assert_eq!((first, &tag[..]), (nonce, &sealed[17..]));
            assert_eq!(sealed[..NONCE_LENGTH], nonce);
            assert_eq!(HEXLOWER.encode(&sealed[NONCE_LENGTH..]), text);
            let opener = ChunkOpener::new(&key, stream, SIZE);
            let forged = opener.open(at(3, false), &mut sealed.clone()).err();
            assert_eq!(forged, Some(CryptoError::Forged { what }));
            assert_eq!(opener.open(at(3, true), &mut sealed).unwrap(), b"plain");
        }
    }

    #[test]
    fn lengths_within_the_limits_are_judged_by_the_tag() {
        let opener = ChunkOpener::new(&FileKey::generate().unwrap(), Stream::Sums, SIZE);
        for length in [OVERHEAD, OVERHEAD + 1, SIZE as usize + OVERHEAD] {
            let forged = Err(CryptoError::Forged { what: "sums chunk" });
            assert_eq!(opener.open(at(0, true), &mut vec![0; length]), forged);
        }
    }
}
