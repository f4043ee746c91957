//! What the owner of a peer asks of it while it serves.

use std::time::Duration;

use reqwest::Method;

use super::{MAX_JSON, PeerClient};
use crate::{
    id::{PeerId, TransferId},
    store::{Freed, StoreError},
    wire::{
        Arriving, ArrivingList, DecidedQuestion, DeleteQuestion, GcBody, GcQuestion, ReloadBody,
        route,
    },
};

/// How long a peer may take to collect: it reads every folder of its store, and removes files.
const COLLECTING: Duration = Duration::from_secs(60 * 60);

impl PeerClient {
    /// Lists the transfers that members are bringing now.
    ///
    /// # Errors
    /// Fails if the peer is not ours, or does not answer.
    pub async fn arriving(&self) -> Result<Vec<Arriving>, StoreError> {
        let list: ArrivingList = self.get_json(route::ARRIVING.to_owned()).await?;
        Ok(list.arriving)
    }

    /// Refuses the transfer of [`sender`](Arriving::sender_id) that is arriving: another's may have the same id.
    ///
    /// # Errors
    /// Fails if the peer is not ours, or nothing of it is arriving.
    pub async fn cancel_arriving(
        &self,
        transfer: TransferId,
        sender: PeerId,
    ) -> Result<(), StoreError> {
        let path = route::ARRIVING_TRANSFER.replace("{transfer_id}", &transfer.to_string());
        let path = format!("{path}?sender={sender}");
        let request = self.request(Method::DELETE, &path);
        self.send_once(request).await.map(drop)
    }

    /// Collects what no transfer needs any more; chunks of unfinished transfers too, if so.
    ///
    /// # Errors
    /// Fails if the peer is not ours, or its store fails.
    pub async fn collect(&self, unfinished: bool) -> Result<GcBody, StoreError> {
        let question = GcQuestion { unfinished };
        self.post_json(route::GC, &question, COLLECTING).await
    }

    /// Has recorded what the owner has decided about a transfer for the peer.
    ///
    /// # Errors
    /// Fails if the peer is not ours, has no such transfer, or its store fails.
    pub async fn decided(&self, question: &DecidedQuestion) -> Result<(), StoreError> {
        let asked = &self.question(Duration::ZERO);
        self.retrying(asked, || async {
            let request = self.request(Method::POST, route::DECIDED).json(question);
            let reply = self.send(request, self.patience(0), asked).await;
            reply.map(drop)
        })
        .await
    }

    /// Deletes a transfer from the peer's store, or only says what that would leave.
    ///
    /// # Errors
    /// Fails if the peer is not ours, has no such transfer, or its store fails.
    pub async fn delete_own(&self, question: &DeleteQuestion) -> Result<Freed, StoreError> {
        self.post_json(route::OWNER_DELETE, question, COLLECTING)
            .await
    }

    /// Has the settings read again, and certificates, revocations, roles and rights. Gives what became of the settings.
    ///
    /// # Errors
    /// Fails if the peer is not ours, or the settings cannot be used.
    pub async fn reload(&self) -> Result<ReloadBody, StoreError> {
        let request = self.request(Method::POST, route::RELOAD);
        let reply = self.send_once(request).await?;
        reply.json(MAX_JSON).await
    }

    /// Ends the peer.
    ///
    /// # Errors
    /// Fails if the peer is not ours, or does not answer.
    pub async fn stop(&self) -> Result<(), StoreError> {
        let request = self.request(Method::POST, route::STOP);
        self.send_once(request).await.map(drop)
    }
}
