//! Making files durable while the next ones are written: the disk works while the processor does.

use std::{
    io,
    panic::resume_unwind,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
};

use super::{ReceivedError, StagedFile, Staging};

/// Requests that may wait; whoever makes one more waits with them.
const WAITING: usize = 2;

/// Something that was written and may still be in memory only.
#[derive(Debug)]
pub enum Unsynced {
    /// The bytes of these files.
    Files(Vec<Arc<StagedFile>>),
    /// All of a staging, in which these files were written to last.
    Everything(Arc<Staging>, Vec<Arc<StagedFile>>),
}

/// Syncs what it is given, one after the other, in a thread of its own; where the system refuses it one, in that of the
/// caller. The first error ends it.
#[derive(Debug)]
pub struct Syncer {
    running: Option<Running>,
    tell: Sender<u64>,
    done: Receiver<u64>,
}

#[derive(Debug)]
struct Running {
    requests: SyncSender<(Unsynced, Option<u64>)>,
    thread: JoinHandle<Result<(), ReceivedError>>,
}

impl Default for Syncer {
    fn default() -> Self {
        let (tell, done) = channel();
        Self {
            running: None,
            tell,
            done,
        }
    }
}

impl Syncer {
    /// Asks for `what` to be durable. `mark` comes back when it is, and all that was asked for before.
    ///
    /// # Errors
    /// [`ReceivedError`] of an earlier request: then nothing that was asked for is known to be durable.
    pub fn sync(&mut self, what: Unsynced, mark: Option<u64>) -> Result<(), ReceivedError> {
        if self.running.is_none() {
            self.running = Running::start(self.tell.clone()).ok();
        }
        let Some(running) = &self.running else {
            return what.sync_and_tell(&self.tell, mark);
        };
        match running.requests.send((what, mark)) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.finish().expect_err("it ends early only by an error")),
        }
    }

    /// The last mark that came back since this was asked.
    pub fn done(&self) -> Option<u64> {
        self.done.try_iter().last()
    }

    /// Waits until everything that was asked for is durable.
    ///
    /// # Errors
    /// [`ReceivedError`] of any of the requests.
    pub fn finish(&mut self) -> Result<(), ReceivedError> {
        let Some(Running { requests, thread }) = self.running.take() else {
            return Ok(());
        };
        drop(requests);
        let done = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        self.done.try_iter().for_each(drop);
        done
    }
}

impl Running {
    fn start(tell: Sender<u64>) -> io::Result<Self> {
        let (requests, todo) = sync_channel::<(Unsynced, Option<u64>)>(WAITING);
        let work = move || {
            let mut todo = todo.into_iter();
            todo.try_for_each(|(what, mark)| what.sync_and_tell(&tell, mark))
        };
        let thread = thread::Builder::new().name("sync".into()).spawn(work)?;
        Ok(Self { requests, thread })
    }
}

impl Unsynced {
    fn sync_and_tell(&self, tell: &Sender<u64>, mark: Option<u64>) -> Result<(), ReceivedError> {
        self.sync()?;
        if let Some(mark) = mark {
            // Nobody may be listening any more.
            let _ = tell.send(mark);
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), ReceivedError> {
        match self {
            Self::Files(files) => files.iter().try_for_each(|file| file.sync()),
            Self::Everything(staging, files) => {
                staging.sync_all()?;
                files.iter().for_each(|file| file.drop_synced());
                Ok(())
            }
        }
    }
}
