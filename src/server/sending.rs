//! Responses on their way out. What a response takes is charged to its peer until the last byte has left for the connection:
//! the charge belongs to the bytes themselves, so it lasts as long as anything keeps them, hyper's buffers too.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::{IntoResponse, IntoResponseParts, Response, ResponseParts},
};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::{ServerState, accept::Connection, body, problem::Answer, shares::Share};
use crate::{id::PeerId, wire::media};

/// Bodies up to here need no grant of their own: a peer has only so many requests in work.
const SMALL: usize = 4 << 10;

/// Memory that a handler was granted before it made its response.
#[derive(Clone)]
pub(super) struct Granted {
    _memory: Arc<Share<PeerId>>,
}

/// Marks a response of a route that is not the server's: it may be a stream without a known length, which then has its place
/// among the requests in work and no memory but that of its connection.
#[derive(Clone)]
pub(super) struct Own;

/// What is charged for a response: its place among the requests in work, and its memory.
type Charge = Arc<(Share<PeerId>, Option<Granted>)>;

impl Granted {
    /// To be made a part of the response.
    pub(super) fn new(memory: Share<PeerId>) -> Self {
        let _memory = Arc::new(memory);
        Self { _memory }
    }

    /// For a response that was written: gives back what only writing it took. A buffer that grew may have twice the bytes.
    pub(super) fn written(mut memory: Share<PeerId>, response: impl IntoResponse) -> Response {
        let response = response.into_response();
        memory.shrink_to(length_of(&response).saturating_mul(2));
        (Self::new(memory), response).into_response()
    }
}

impl IntoResponseParts for Granted {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        parts.extensions_mut().insert(self);
        Ok(parts)
    }
}

/// Charges `response` until it is sent. An event stream is not a request in work: it has its own limit.
pub(super) async fn charge(
    state: &ServerState,
    connection: &Connection,
    mut response: Response,
    in_work: Share<PeerId>,
) -> Response {
    let events = HeaderValue::from_static(media::EVENTS);
    let is_own = response.extensions().get::<Own>().is_some();
    if !is_own && response.headers().get(header::CONTENT_TYPE) == Some(&events) {
        return response;
    }
    match memory_for(state, connection, &mut response).await {
        Ok(memory) => {
            let charge = Arc::new((in_work, memory));
            response.map(|body| Body::new(Charged { body, charge }))
        }
        Err(failure) => failure.into_response(),
    }
}

async fn memory_for(
    state: &ServerState,
    connection: &Connection,
    response: &mut Response,
) -> Answer<Option<Granted>> {
    if let Some(granted) = response.extensions_mut().remove::<Granted>() {
        return Ok(Some(granted));
    }
    let length = length_of(response);
    let is_own = response.extensions().get::<Own>().is_some();
    if length <= SMALL || (is_own && length == usize::MAX) {
        return Ok(None);
    }
    let memory = body::grant_response(state, connection, length).await?;
    Ok(Some(Granted::new(memory)))
}

/// Bytes of the body. One of unknown length is none of ours, and fits nowhere.
fn length_of(response: &Response) -> usize {
    let length = response.body().size_hint().upper().unwrap_or(u64::MAX);
    usize::try_from(length).unwrap_or(usize::MAX)
}

struct Charged {
    body: Body,
    charge: Charge,
}

/// Bytes of a body with what is charged for it.
struct ChargedBytes {
    bytes: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for ChargedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for Charged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let with_charge = |bytes| {
            Bytes::from_owner(ChargedBytes {
                bytes,
                _charge: self.charge.clone(),
            })
        };
        frame.map_ok(|frame| frame.map_data(with_charge))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
