//! Lines on their way to a stream, written by a thread of their own: a reader that stops reading, or a disk that stalls,
//! costs lines and never the work.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Lines and bytes that wait for a stream; what comes while so much waits is dropped and counted.
const MOST_LINES: usize = 8192;
const MOST_BYTES: usize = 1 << 20;

/// Takes lines without ever waiting for the stream that they go to.
#[derive(Clone)]
pub(super) struct Spool(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Line>,
    bytes: usize,
    /// Lines that are missing after everything in `waiting`.
    dropped: u64,
    writing: bool,
    /// The last line could not be written.
    failing: bool,
    /// The reader has gone.
    closed: bool,
}

enum Line {
    Text(Vec<u8>),
    /// So many are missing here.
    Gap(u64),
}

impl Spool {
    /// Writes to `stream`. `gap` is the line that stands for a number of dropped ones; `failed` is told of the first of
    /// several failures in a row.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn to(
        stream: impl Write + Send + 'static,
        gap: fn(u64) -> String,
        failed: impl FnMut(io::Error) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let writer = shared.clone();
        thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || writer.write_on(stream, gap, failed))?;
        Ok(Self(shared))
    }

    /// Takes a line, with its end. It is dropped if too many wait.
    pub(super) fn push(&self, line: Vec<u8>) {
        let mut state = self.0.lock();
        if state.closed {
            return;
        }
        if !state.has_room(line.len()) {
            state.dropped += 1;
            return;
        }
        if state.dropped > 0 {
            let gap = Line::Gap(std::mem::take(&mut state.dropped));
            state.waiting.push_back(gap);
        }
        state.bytes += line.len();
        state.waiting.push_back(Line::Text(line));
        drop(state);
        self.0.changed.notify_all();
    }

    /// Waits until everything is written, for at most `patience`.
    pub(super) fn drain(&self, patience: Duration) {
        let end = Instant::now() + patience;
        let mut state = self.0.lock();
        while !state.is_idle() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.0.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is locked while the stream is written.
    fn write_on(
        &self,
        mut stream: impl Write,
        gap: fn(u64) -> String,
        mut failed: impl FnMut(io::Error),
    ) {
        loop {
            let line = self.next();
            let written = match &line {
                Line::Text(text) => stream.write_all(text),
                Line::Gap(count) => stream.write_all(gap(*count).as_bytes()),
            };
            let Err(error) = written.and_then(|()| stream.flush()) else {
                self.lock().failing = false;
                continue;
            };
            let mut state = self.lock();
            state.dropped += match line {
                Line::Text(_) => 1,
                Line::Gap(count) => count,
            };
            let first = !std::mem::replace(&mut state.failing, true);
            let gone = error.kind() == io::ErrorKind::BrokenPipe;
            if gone {
                state.close();
            }
            drop(state);
            if first {
                failed(error);
            }
            if gone {
                return self.changed.notify_all();
            }
        }
    }

    /// Waits for a line, or for a gap that no line follows.
    fn next(&self) -> Line {
        let mut state = self.lock();
        state.writing = false;
        loop {
            if let Some(line) = state.take() {
                state.writing = true;
                return line;
            }
            self.changed.notify_all();
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    /// One line always fits, however long it is.
    fn has_room(&self, bytes: usize) -> bool {
        let fits = self.waiting.len() < MOST_LINES && self.bytes + bytes <= MOST_BYTES;
        fits || self.waiting.is_empty()
    }

    fn take(&mut self) -> Option<Line> {
        if let Some(line) = self.waiting.pop_front() {
            if let Line::Text(text) = &line {
                self.bytes -= text.len();
            }
            return Some(line);
        }
        // While nothing can be written, the gap waits for the next line.
        let told = self.dropped > 0 && !self.failing;
        told.then(|| Line::Gap(std::mem::take(&mut self.dropped)))
    }

    fn is_idle(&self) -> bool {
        let told = self.dropped == 0 || self.failing;
        self.closed || (self.waiting.is_empty() && !self.writing && told)
    }

    fn close(&mut self) {
        self.closed = true;
        self.waiting.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, SyncSender};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A reader that takes a line only when the test does.
    struct Slow(SyncSender<String>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let line = String::from_utf8_lossy(bytes).into_owned();
            let sent = self.0.send(line);
            sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gap(count: u64) -> String {
        format!("{count} dropped\n")
    }

    fn slow() -> (Spool, Receiver<String>) {
        let (sender, reader) = mpsc::sync_channel(0);
        (Spool::to(Slow(sender), gap, |_| {}).unwrap(), reader)
    }

    /// Lines of a number each, the first of which is on its way when the others come.
    fn fill(spool: &Spool, lines: usize) {
        spool.push(b"0\n".to_vec());
        while !spool.0.lock().writing {
            thread::yield_now();
        }
        (1..lines).for_each(|n| spool.push(format!("{n}\n").into_bytes()));
    }

    #[test]
    fn what_nobody_reads_is_dropped_and_its_number_stands_where_it_is_missing() {
        let (spool, reader) = slow();
        fill(&spool, 1 + MOST_LINES + 5);
        spool.drain(Duration::from_millis(1));
        assert_eq!(reader.recv().unwrap(), "0\n");
        assert_eq!(reader.recv().unwrap(), "1\n");
        spool.push(b"after\n".to_vec());
        let rest: Vec<_> = (0..MOST_LINES + 1)
            .map(|_| reader.recv().unwrap())
            .collect();
        let (last, before) = rest.split_at(MOST_LINES - 1);
        assert_eq!(last.last().unwrap(), &format!("{MOST_LINES}\n"));
        assert_eq!(before, ["5 dropped\n", "after\n"]);
        spool.drain(LONG);
        assert!(spool.0.lock().is_idle());
    }

    #[test]
    fn a_gap_that_no_line_follows_is_told_too() {
        let (spool, reader) = slow();
        fill(&spool, 1 + MOST_LINES + 2);
        let read: Vec<_> = (0..MOST_LINES + 2)
            .map(|_| reader.recv().unwrap())
            .collect();
        assert_eq!(read.last().unwrap(), "2 dropped\n");
    }

    #[test]
    fn bytes_that_wait_are_bounded_and_one_line_always_fits() {
        let (spool, _reader) = slow();
        fill(&spool, 1);
        spool.push(vec![b'x'; 2 * MOST_BYTES]);
        assert_eq!(spool.0.lock().dropped, 0);
        spool.push(b"more\n".to_vec());
        assert_eq!(spool.0.lock().dropped, 1);
    }

    #[test]
    fn a_reader_that_has_gone_ends_it() {
        let (spool, reader) = slow();
        drop(reader);
        spool.push(b"x\n".to_vec());
        spool.drain(LONG);
        assert!(spool.0.lock().closed);
        spool.push(b"x\n".to_vec());
        assert!(spool.0.lock().waiting.is_empty());
    }

    /// A disk that is full until it is told otherwise.
    struct Full(Arc<Mutex<Option<Vec<u8>>>>);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match &mut *self.0.lock().unwrap() {
                Some(disk) => disk.write(bytes),
                None => Err(io::ErrorKind::StorageFull.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_could_not_be_written_are_counted_and_told_once() {
        let disk = Arc::new(Mutex::new(None));
        let (told, failures) = mpsc::channel();
        let failed = move |error: io::Error| told.send(error.kind()).unwrap();
        let spool = Spool::to(Full(disk.clone()), gap, failed).unwrap();
        for line in ["1\n", "2\n", "3\n"] {
            spool.push(line.into());
            spool.drain(LONG);
        }
        *disk.lock().unwrap() = Some(Vec::new());
        spool.push(b"4\n".to_vec());
        spool.drain(LONG);
        assert_eq!(failures.try_iter().count(), 1);
        let written = disk.lock().unwrap().take().unwrap();
        assert_eq!(String::from_utf8_lossy(&written), "3 dropped\n4\n");
    }
}
