//! The time that a client may take to send a request's head, to read an answer, or to stay idle. A
//! connection that is too slow is closed, but never while its request is being served and its
//! answer is read.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, interval},
};

use crate::limits::{HTTP_HEAD_PATIENCE, HTTP_IDLE_PATIENCE, HTTP_WRITE_PATIENCE};

/// The activity of a connection. Times are milliseconds since it began.
#[derive(Debug)]
pub(crate) struct Activity {
    began: Instant,
    /// Requests being served, and slow answers being written.
    busy: AtomicU32,
    /// Idle since this time.
    idle_since: AtomicU64,
    /// When the first byte of a head arrived; 0: none has.
    head_since: AtomicU64,
    /// When the client stopped reading; 0: it reads.
    stuck_since: AtomicU64,
}

/// The connection counts as served while this exists.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Clone for Busy {
    fn clone(&self) -> Self {
        Activity::start_serving(&self.0)
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
            stuck_since: AtomicU64::new(0),
        })
    }

    /// Records that a request's head is complete.
    pub(crate) fn start_serving(this: &Arc<Self>) -> Busy {
        this.busy.fetch_add(1, Ordering::Relaxed);
        this.head_since.store(0, Ordering::Relaxed);
        Busy(this.clone())
    }

    #[cfg(test)]
    pub(crate) fn is_serving(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    /// Never 0, because 0 means never.
    fn now(&self) -> u64 {
        let passed = self.began.elapsed().as_millis();
        u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn mark_received(&self) {
        if self.busy.load(Ordering::Relaxed) == 0 && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.now(), Ordering::Relaxed);
        }
    }

    fn mark_write(&self, stuck: bool) {
        let since = self.stuck_since.load(Ordering::Relaxed);
        if !stuck && since != 0 {
            self.stuck_since.store(0, Ordering::Relaxed);
        } else if stuck && since == 0 {
            self.stuck_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// The reason why the client is too slow, if it is.
    fn overdue(&self) -> Option<&'static str> {
        let now = self.now();
        let over = |since: u64, patience: Duration| {
            since != 0 && u128::from(now.saturating_sub(since)) > patience.as_millis()
        };
        if over(self.stuck_since.load(Ordering::Relaxed), HTTP_WRITE_PATIENCE) {
            return Some("the client doesn't read");
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
        self.activity.mark_write(polled.is_pending());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.activity.mark_write(polled.is_pending());
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
        activity.mark_write(true);
        tokio::time::advance(HTTP_WRITE_PATIENCE + MOMENT).await;
        assert_eq!(activity.overdue(), Some("the client doesn't read"));
        activity.mark_write(false);
        assert_eq!(activity.overdue(), None);
        let streaming = busy.clone();
        drop(busy);
        tokio::time::advance(HTTP_IDLE_PATIENCE * 2).await;
        assert_eq!(activity.overdue(), None, "a stream is being served");
        drop(streaming);
        assert_eq!(activity.overdue(), None, "idle since now");
        tokio::time::advance(HTTP_IDLE_PATIENCE + MOMENT).await;
        assert_eq!(activity.overdue(), Some("it's idle"));
    }
}
