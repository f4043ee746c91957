//! Making files durable while the next ones are written: the disk works while the processor does.

use std::{
    panic::resume_unwind,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
};

use super::{ReceivedError, StagedFile, Staging, io_error};

/// Requests that may wait; whoever makes one more waits with them.
const WAITING: usize = 2;

/// Something that was written and may still be in memory only.
#[derive(Debug)]
pub enum Unsynced {
    /// The bytes of a file.
    File(Arc<StagedFile>),
    /// All of a staging.
    Everything(Arc<Staging>),
}

/// Syncs what it is given, one after the other, in a thread of its own. The first error ends it.
#[derive(Debug, Default)]
pub struct Syncer(Option<Running>);

#[derive(Debug)]
struct Running {
    requests: SyncSender<(Unsynced, u64)>,
    done: Receiver<u64>,
    thread: JoinHandle<Result<(), ReceivedError>>,
}

impl Syncer {
    /// Asks for `what` to be durable. `mark` comes back when it is.
    ///
    /// # Errors
    /// [`ReceivedError`] of an earlier request: then nothing that was asked for is known to be durable.
    pub fn sync(&mut self, what: Unsynced, mark: u64) -> Result<(), ReceivedError> {
        let running = match self.0.take() {
            Some(running) => running,
            None => Running::start(&what)?,
        };
        let running = self.0.insert(running);
        match running.requests.send((what, mark)) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.finish().expect_err("it ends early only by an error")),
        }
    }

    /// The last mark that came back since this was asked.
    pub fn done(&self) -> Option<u64> {
        self.0.as_ref()?.done.try_iter().last()
    }

    /// Waits until everything that was asked for is durable.
    ///
    /// # Errors
    /// [`ReceivedError`] of any of the requests.
    pub fn finish(&mut self) -> Result<(), ReceivedError> {
        let Some(Running {
            requests, thread, ..
        }) = self.0.take()
        else {
            return Ok(());
        };
        drop(requests);
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Running {
    fn start(first: &Unsynced) -> Result<Self, ReceivedError> {
        let (requests, todo) = sync_channel::<(Unsynced, u64)>(WAITING);
        let (tell, done) = channel();
        let work = move || {
            todo.into_iter().try_for_each(|(what, mark)| {
                what.sync()?;
                // Nobody may be listening any more.
                let _ = tell.send(mark);
                Ok(())
            })
        };
        let thread = thread::Builder::new().name("sync".into()).spawn(work);
        Ok(Self {
            requests,
            done,
            thread: thread.map_err(|e| io_error(first.path(), e))?,
        })
    }
}

impl Unsynced {
    fn sync(&self) -> Result<(), ReceivedError> {
        match self {
            Self::File(file) => file.sync(),
            Self::Everything(staging) => staging.sync_all(),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::File(file) => &file.path,
            Self::Everything(staging) => &staging.path,
        }
    }
}
