//! What members give each other of their circle.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, header};

use super::PeerClient;
use crate::{
    store::{ProtocolFault, StoreError},
    tls::{MAX_CIRCLE, MAX_LISTS},
    trust::MAX_DIRECTORY,
    wire::{MAX_MANIFEST_BODY, PutBody, media, route},
};

impl PeerClient {
    /// The newest revocation list that the peer has, as PEM.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn crl(&self) -> Result<Option<String>, StoreError> {
        let question = self.question(Duration::ZERO);
        let list = self.get_body(route::CRL, media::PEM, MAX_LISTS, &question);
        match list.await {
            Ok(body) => self.text(body).map(Some),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The circle's own certificate that the peer has, as PEM.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn circle(&self) -> Result<String, StoreError> {
        let question = self.question(Duration::ZERO);
        let body = self.get_body(route::CIRCLE, media::PEM, MAX_CIRCLE, &question);
        self.text(body.await?)
    }

    /// Brings the peer a revocation list, which it takes over if it is newer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_crl(&self, pem: &str) -> Result<(), StoreError> {
        let body = Bytes::copy_from_slice(pem.as_bytes());
        let patience = self.options.idle_timeout;
        let bounds = (patience, &self.question(patience));
        let answer: Result<PutBody, _> =
            self.put(route::CRL, media::PEM, &body, None, bounds).await;
        answer.map(drop)
    }

    /// The circle's directory that the peer has, in its envelope.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn directory(&self) -> Result<Bytes, StoreError> {
        let question = self.question(Duration::ZERO);
        self.get_body(route::DIRECTORY, media::ENVELOPE, MAX_DIRECTORY, &question)
            .await
    }

    /// Brings the peer a directory, which it takes over if it is newer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_directory(&self, envelope: &Bytes) -> Result<(), StoreError> {
        let patience = self.options.idle_timeout;
        let bounds = (patience, &self.question(patience));
        let answer: Result<PutBody, _> = self
            .put(route::DIRECTORY, media::ENVELOPE, envelope, None, bounds)
            .await;
        answer.map(drop)
    }

    /// Asks the circle's machine for a new certificate for our key. Gives it as PEM.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the circle's key is not there; [`StoreError::Refused`].
    pub async fn renew(&self, signing_request: &str) -> Result<String, StoreError> {
        let request = self
            .request(Method::POST, route::RENEW)
            .header(header::CONTENT_TYPE, media::PEM);
        let body = self
            .send_once(request.body(signing_request.to_owned()))
            .await?
            .body(media::PEM, MAX_MANIFEST_BODY)
            .await?;
        self.text(body)
    }

    /// Asks the circle's machine to revoke us: we leave the circle.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the circle's key is not there; [`StoreError::Refused`].
    pub async fn leave_circle(&self) -> Result<(), StoreError> {
        let request = self.request(Method::POST, route::LEAVE);
        self.send_once(request).await.map(drop)
    }

    fn text(&self, body: Bytes) -> Result<String, StoreError> {
        String::from_utf8(body.into()).map_err(|_| self.protocol(ProtocolFault::NotUtf8))
    }
}
