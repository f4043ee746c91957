//! Frames: a kind, a length, a body. Nothing is read beyond the limit that the step allows.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

use super::{Breach, PairError};
use crate::tls::MAX_LISTS;

/// The longest body of a side that has proved nothing yet.
pub(super) const MAX_BODY: u32 = 16 << 10;
/// The longest body of the inviting machine once it has: the revocation lists, each line end of which JSON writes as two
/// characters, and beside them what [`MAX_BODY`] holds.
pub(super) const MAX_GRANT: u32 = MAX_LISTS as u32 / 64 * 65 + MAX_BODY;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Hello = 1,
    Confirm = 2,
    Request = 3,
    Grant = 4,
    Ready = 5,
    Done = 6,
    Refusal = 7,
    Taken = 8,
    OtherName = 9,
}

impl Kind {
    fn parse(byte: u8) -> Option<Self> {
        let kinds = [
            Self::Hello,
            Self::Confirm,
            Self::Request,
            Self::Grant,
            Self::Ready,
            Self::Done,
            Self::Refusal,
            Self::Taken,
            Self::OtherName,
        ];
        kinds.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A frame as it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) body: Vec<u8>,
}

/// Reads one frame with a body of at most `limit` bytes, all of it within `patience`.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    limit: u32,
    patience: Duration,
) -> Result<Frame, PairError> {
    timeout(patience, read_now(stream, limit))
        .await
        .map_err(|_| PairError::Silent)?
}

async fn read_now(stream: &mut (impl AsyncRead + Unpin), limit: u32) -> Result<Frame, PairError> {
    let kind = stream.read_u8().await.map_err(PairError::Broken)?;
    rest(stream, kind, limit).await
}

/// Reads the first frame of a visitor, who may hang up in good order before it.
pub(super) async fn read_first(
    stream: &mut (impl AsyncRead + Unpin),
    limit: u32,
    patience: Duration,
) -> Result<Frame, PairError> {
    let reading = async {
        let mut kind = [0];
        match stream.read(&mut kind).await.map_err(PairError::Broken)? {
            0 => Err(PairError::OnlyLooked),
            _ => rest(stream, kind[0], limit).await,
        }
    };
    timeout(patience, reading)
        .await
        .map_err(|_| PairError::Silent)?
}

async fn rest(
    stream: &mut (impl AsyncRead + Unpin),
    kind: u8,
    limit: u32,
) -> Result<Frame, PairError> {
    let kind = Kind::parse(kind).ok_or(Breach::FrameKind)?;
    let length = stream.read_u32().await.map_err(PairError::Broken)?;
    if length > limit {
        return Err(Breach::FrameLength.into());
    }
    // Grows with what comes, not with what is announced.
    let mut body = Vec::new();
    let read = stream.take(length.into()).read_to_end(&mut body).await;
    if read.map_err(PairError::Broken)? as u64 != u64::from(length) {
        return Err(PairError::Broken(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(Frame { kind, body })
}

/// Writes one frame, within `patience`.
pub(super) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    kind: Kind,
    body: &[u8],
    patience: Duration,
) -> Result<(), PairError> {
    let length = u32::try_from(body.len()).map_err(PairError::failed)?;
    let mut bytes = vec![kind as u8];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(body);
    let written = async {
        stream.write_all(&bytes).await?;
        stream.flush().await
    };
    let written = timeout(patience, written).await;
    written
        .map_err(|_| PairError::Silent)?
        .map_err(PairError::Broken)
}
