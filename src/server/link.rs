//! The TCP stream below TLS: it can be cut from outside, gives up on a peer that takes nothing, and leaves politely.

use std::{
    any::Any,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// One connection, and what is held as long as it is open.
pub(super) struct Link {
    tcp: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    stall: Stall,
    linger: Linger,
    held: Vec<Box<dyn Any + Send>>,
}

/// Time since the peer last took something that we have for it.
struct Stall {
    timer: Pin<Box<Sleep>>,
    limit: Duration,
    waiting: bool,
}

enum Linger {
    Talking(Duration),
    Listening(Pin<Box<Sleep>>),
}

impl Link {
    /// `cut` ends it at once; `stall` bounds an unread response; `linger` is how long we listen after our last word.
    pub(super) fn new(
        tcp: TcpStream,
        cut: CancellationToken,
        stall: Duration,
        linger: Duration,
    ) -> Self {
        Self {
            tcp,
            cut: Box::pin(cut.cancelled_owned()),
            stall: Stall {
                timer: Box::pin(sleep(stall)),
                limit: stall,
                waiting: false,
            },
            linger: Linger::Talking(linger),
            held: Vec::new(),
        }
    }

    /// Keeps `guard` until the connection is closed.
    pub(super) fn hold(&mut self, guard: impl Any + Send) {
        self.held.push(Box::new(guard));
    }

    /// Also registers the task to be woken when the connection is cut; every poll of hyper comes by here.
    /// What the kernel has not sent by then is thrown away: to a slow reader it would go on sending for long.
    fn check_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.cut.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        let _ = SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO));
        Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut"))
    }
}

impl Stall {
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.waiting = false;
            return result;
        }
        if !self.waiting {
            self.waiting = true;
            self.timer.as_mut().reset(Instant::now() + self.limit);
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer takes nothing",
        )))
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_cut(cx)?;
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_cut(cx)?;
        let written = Pin::new(&mut self.tcp).poll_write(cx, buf);
        self.stall.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_cut(cx)?;
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        self.stall.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_cut(cx)?;
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    /// Closing a socket that has unread bytes resets it, and the reset may overtake our answer: a peer told "413" while
    /// it still sends would never read why. So we say that we are done, and listen until it is done too.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_cut(cx)?;
        let me = &mut *self;
        if let Linger::Talking(limit) = me.linger {
            ready!(Pin::new(&mut me.tcp).poll_shutdown(cx))?;
            me.linger = Linger::Listening(Box::pin(sleep(limit)));
        }
        let Linger::Listening(end) = &mut me.linger else {
            return Poll::Ready(Ok(()));
        };
        if end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut scratch = [0; 8 << 10];
        loop {
            let mut unwanted = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut me.tcp).poll_read(cx, &mut unwanted)) {
                Ok(()) if !unwanted.filled().is_empty() => {}
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}
