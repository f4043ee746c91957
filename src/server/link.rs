//! The TCP stream below TLS: it can be cut from outside, counts what the peer takes, and leaves politely.

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
    time::{Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{meter::Traffic, uptake::Taker};

/// One connection, and what is held as long as it is open.
pub(super) struct Link {
    tcp: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Nobody before the handshake, which has a deadline of its own.
    taker: Option<Taker>,
    linger: Linger,
    traffic: Traffic,
    held: Vec<Box<dyn Any + Send>>,
}

enum Linger {
    Talking(Duration),
    Listening(Pin<Box<Sleep>>),
}

impl Link {
    /// `cut` ends it at once; `linger` is how long we listen after our last word; what comes and goes is added to `traffic`.
    pub(super) fn new(
        tcp: TcpStream,
        cut: CancellationToken,
        linger: Duration,
        traffic: Traffic,
    ) -> Self {
        Self {
            tcp,
            cut: Box::pin(cut.cancelled_owned()),
            taker: None,
            linger: Linger::Talking(linger),
            traffic,
            held: Vec::new(),
        }
    }

    /// Counts from now on what is written as taken by `taker`.
    pub(super) fn count_for(&mut self, taker: Taker) {
        self.taker = Some(taker);
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

    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.traffic.went(*bytes);
        }
        match (&self.taker, &written) {
            (Some(taker), Poll::Pending) => taker.waits(),
            (Some(taker), Poll::Ready(Ok(bytes))) => taker.took(*bytes),
            _ => {}
        }
        written
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_cut(cx)?;
        let before = buf.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(cx, buf);
        self.traffic.came(buf.filled().len() - before);
        read
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
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_cut(cx)?;
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        self.count(written)
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
