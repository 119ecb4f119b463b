//! The time that a client may take to send a request's head, to read an answer, or to stay idle. A
//! connection that is too slow is closed, but never while its request is being served and its
//! answer is read.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, interval},
};

use crate::limits::{CLIENT_RATE_MIN, HTTP_HEAD_PATIENCE, HTTP_IDLE_PATIENCE, HTTP_WRITE_PATIENCE};

/// The activity of a connection. Times are microseconds since it began.
#[derive(Debug)]
pub(crate) struct Activity {
    began: Instant,
    /// Requests being served, and slow answers being written.
    busy: AtomicU32,
    /// Idle since this time.
    idle_since: AtomicU64,
    /// When the first byte of a head arrived; 0: none has.
    head_since: AtomicU64,
    /// Since when a client that reads at the lowest rate would have been waited for; 0: it keeps
    /// up. Every byte that it reads moves this on.
    behind_since: AtomicU64,
    /// Bytes wait for the client now.
    is_blocked: AtomicBool,
    /// The answer has no end, and its reader no rate.
    is_streaming: AtomicBool,
}

/// The connection counts as served while this exists.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Clone for Busy {
    fn clone(&self) -> Self {
        Activity::start_serving(&self.0)
    }
}

impl Busy {
    /// Records that the answer has no end: its reader may take its time.
    pub(crate) fn mark_streaming(&self) {
        self.0.is_streaming.store(true, Ordering::Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            busy: AtomicU32::new(0),
            idle_since: AtomicU64::new(1),
            head_since: AtomicU64::new(0),
            behind_since: AtomicU64::new(0),
            is_blocked: AtomicBool::new(false),
            is_streaming: AtomicBool::new(false),
        })
    }

    /// Records that a request's head is complete.
    pub(crate) fn start_serving(this: &Arc<Self>) -> Busy {
        this.busy.fetch_add(1, Ordering::Relaxed);
        this.head_since.store(0, Ordering::Relaxed);
        this.behind_since.store(0, Ordering::Relaxed);
        this.is_streaming.store(false, Ordering::Relaxed);
        Busy(this.clone())
    }

    #[cfg(test)]
    pub(crate) fn is_serving(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    /// Never 0, because 0 means never.
    fn now(&self) -> u64 {
        let passed = self.began.elapsed().as_micros();
        u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn mark_received(&self) {
        if self.busy.load(Ordering::Relaxed) == 0 && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Records a write: the bytes that were taken, or that the client must read first.
    fn mark_write(&self, polled: &Poll<io::Result<usize>>) {
        let behind = self.behind_since.load(Ordering::Relaxed);
        self.is_blocked.store(polled.is_pending(), Ordering::Relaxed);
        match polled {
            Poll::Pending if behind == 0 => {
                self.behind_since.store(self.now(), Ordering::Relaxed);
            }
            Poll::Ready(Ok(bytes)) if behind != 0 => {
                let paid = bytes.saturating_mul(1_000_000) / CLIENT_RATE_MIN;
                let next = behind.saturating_add(u64::try_from(paid).unwrap_or(u64::MAX));
                let caught_up = self.is_streaming.load(Ordering::Relaxed) || next >= self.now();
                self.behind_since.store(if caught_up { 0 } else { next }, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// The reason why the client is too slow, if it is.
    fn overdue(&self) -> Option<&'static str> {
        let now = self.now();
        let over = |since: u64, patience: Duration| {
            since != 0 && u128::from(now.saturating_sub(since)) > patience.as_micros()
        };
        let behind = self.behind_since.load(Ordering::Relaxed);
        if self.is_blocked.load(Ordering::Relaxed) && over(behind, HTTP_WRITE_PATIENCE) {
            return Some("the client reads too slowly");
        }
        if self.busy.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let head_since = self.head_since.load(Ordering::Relaxed);
        if head_since != 0 {
            return over(head_since, HTTP_HEAD_PATIENCE)
                .then_some("a request's head is incomplete");
        }
        over(self.idle_since.load(Ordering::Relaxed), HTTP_IDLE_PATIENCE).then_some("it's idle")
    }

    /// Ends when the client is too slow; returns the reason.
    pub(crate) async fn wait_until_overdue(&self) -> &'static str {
        let mut look = interval(Duration::from_secs(1));
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            if let Some(why) = self.overdue() {
                return why;
            }
        }
    }
}

/// A stream that records its activity.
#[derive(Debug)]
pub(crate) struct TrackedStream<S> {
    pub(crate) stream: S,
    pub(crate) activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for TrackedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.mark_received();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TrackedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.activity.mark_write(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.activity.mark_write(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(10);

    #[tokio::test(start_paused = true)]
    async fn each_kind_of_slowness_has_its_own_patience() {
        let activity = Activity::new();
        assert_eq!(activity.overdue(), None);
        tokio::time::advance(HTTP_IDLE_PATIENCE + MOMENT).await;
        assert_eq!(activity.overdue(), Some("it's idle"));

        activity.mark_received();
        assert_eq!(activity.overdue(), None, "a head has begun");
        tokio::time::advance(HTTP_HEAD_PATIENCE / 2).await;
        activity.mark_received();
        tokio::time::advance(HTTP_HEAD_PATIENCE / 2 + MOMENT).await;
        assert_eq!(
            activity.overdue(),
            Some("a request's head is incomplete"),
            "more bytes don't reset it"
        );

        let busy = Activity::start_serving(&activity);
        tokio::time::advance(HTTP_IDLE_PATIENCE * 2).await;
        assert_eq!(activity.overdue(), None, "a client being served isn't slow");
        activity.mark_write(&Poll::Pending);
        tokio::time::advance(HTTP_WRITE_PATIENCE + MOMENT).await;
        assert_eq!(activity.overdue(), Some("the client reads too slowly"));
        activity.mark_write(&Poll::Ready(Ok(1)));
        assert_eq!(activity.overdue(), None, "nothing waits for it now");
        let streaming = busy.clone();
        drop(busy);
        tokio::time::advance(HTTP_IDLE_PATIENCE * 2).await;
        assert_eq!(activity.overdue(), None, "a stream is being served");
        drop(streaming);
        assert_eq!(activity.overdue(), None, "idle since now");
        tokio::time::advance(HTTP_IDLE_PATIENCE + MOMENT).await;
        assert_eq!(activity.overdue(), Some("it's idle"));
    }
    /// How long a client that reads `bytes` every second is waited for, up to a minute and a half.
    async fn waited_for(bytes: usize, streaming: bool) -> Option<u64> {
        let activity = Activity::new();
        let busy = Activity::start_serving(&activity);
        if streaming {
            busy.mark_streaming();
        }
        for second in 0..90 {
            activity.mark_write(&Poll::Pending);
            tokio::time::advance(Duration::from_secs(1)).await;
            if activity.overdue().is_some() {
                return Some(second);
            }
            activity.mark_write(&Poll::Ready(Ok(bytes)));
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_read_at_a_rate_and_a_stream_at_any() {
        assert_eq!(waited_for(CLIENT_RATE_MIN, false).await, None);
        assert_eq!(waited_for(1, false).await, Some(30), "a byte a second keeps no place");
        assert_eq!(waited_for(CLIENT_RATE_MIN / 2, false).await, Some(59));
        assert_eq!(waited_for(1, true).await, None);
    }
}
