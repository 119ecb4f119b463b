//! What an error of the disk says: that space is missing, that the process or the machine lacks
//! something for the moment, or that bytes are lost. Everything else says none of these.
//!
//! Only the last kind proves damage. A file is set aside, and a copy called damaged, for a proof
//! alone: a process without a free descriptor can't open a file that is whole.

use std::error::Error;
use std::fmt;
use std::io;

use std::time::Duration;

use rustix::io::Errno;

/// Whether an error reports a lack of space (full disk or quota), which may end later.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether an error reports that the process or the machine lacks descriptors or memory for the
/// moment, or that a signal came: the operation wasn't performed and can be tried again. Never true
/// for a failed sync, after which nobody knows what is on the disk.
#[must_use]
pub fn is_transient(error: &io::Error) -> bool {
    let kind = matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::OutOfMemory);
    let errno = find_errno(error);
    let lacks =
        [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::AGAIN, Errno::INTR];
    !is_failed_sync(error) && (kind || errno.is_some_and(|errno| lacks.contains(&errno)))
}

/// Whether an error proves that bytes or files are lost: the medium can't return them, they aren't
/// the ones written, or they aren't there.
#[must_use]
pub fn proves_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    let lost = [Errno::IO, Errno::BADMSG, Errno::UCLEAN, Errno::NODATA, Errno::REMOTEIO];
    matches!(error.kind(), InvalidData | NotFound | UnexpectedEof)
        || find_errno(error).is_some_and(|errno| lost.contains(&errno))
}

/// How often, and how far apart, something is tried again whose failure would end the node: for a
/// quarter of a second in all.
const TRIES: u32 = 25;
const PAUSE: Duration = Duration::from_millis(10);

/// Tries again while the failure is transient, for a quarter of a second.
pub(crate) fn try_patiently<T>(
    attempt: impl Fn() -> io::Result<T>,
    wait: impl Fn(Duration),
) -> io::Result<T> {
    for _ in 1..TRIES {
        match attempt() {
            Err(error) if is_transient(&error) => wait(PAUSE),
            done => return done,
        }
    }
    attempt()
}

/// Adds what was done, or the file, in front of an error. The error below stays known.
pub(crate) fn add_context(doing: impl fmt::Display, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), DoingError { doing: doing.to_string(), source: error })
}

/// Marks the error of a sync, which is final whatever its number.
pub(crate) fn failed_sync(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), FailedSync(error))
}

#[derive(Debug, thiserror::Error)]
#[error("{doing}: {source}")]
struct DoingError {
    doing: String,
    source: io::Error,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct FailedSync(#[source] io::Error);

/// The number of the system call's error, through all that was put around it.
fn find_errno(error: &io::Error) -> Option<Errno> {
    find_cause(error, |cause| Errno::from_io_error(cause.downcast_ref::<io::Error>()?))
        .or_else(|| Errno::from_io_error(error))
}

fn is_failed_sync(error: &io::Error) -> bool {
    find_cause(error, |cause| cause.downcast_ref::<FailedSync>().map(drop)).is_some()
}

/// The first of the errors inside an error for which `find` has an answer.
fn find_cause<T>(
    error: &io::Error,
    find: impl Fn(&(dyn Error + 'static)) -> Option<T>,
) -> Option<T> {
    let mut cause: Option<&(dyn Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(inner) = cause {
        if let Some(found) = find(inner) {
            return Some(found);
        }
        // An error in an `io::Error` isn't its source: that is the inner one's source.
        cause = match inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(within) => Some(within as _),
            None => inner.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(errno: Errno) -> io::Error {
        errno.into()
    }

    #[test]
    fn a_lack_of_descriptors_is_known_through_every_wrapping_and_is_no_damage() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR] {
            let plain = os(errno);
            let twice = io::Error::other(add_context("b", add_context("a", os(errno))));
            for error in [plain, add_context("opening", os(errno)), twice] {
                assert!(is_transient(&error), "{error}");
                assert!(!proves_damage(&error) && !is_full(&error), "{error}");
            }
        }
        let text = add_context("opening", os(Errno::MFILE)).to_string();
        assert_eq!(text, "opening: Too many open files (os error 24)");
    }

    #[test]
    fn what_may_pass_is_tried_again_and_not_for_ever() {
        let tries = std::cell::Cell::new(0);
        let failing_before = |success: u32, errno: Errno| {
            tries.set(0);
            try_patiently(
                || {
                    tries.set(tries.get() + 1);
                    if tries.get() < success { Err(os(errno)) } else { Ok(()) }
                },
                |_| (),
            )
        };
        assert!(failing_before(20, Errno::MFILE).is_ok());
        assert!(failing_before(99, Errno::MFILE).is_err());
        assert_eq!(tries.get(), TRIES);
        assert!(failing_before(2, Errno::IO).is_err());
        assert_eq!(tries.get(), 1);
    }

    #[test]
    fn a_failed_sync_is_never_tried_again() {
        let failed = add_context("appending", failed_sync(os(Errno::NOMEM)));
        assert!(!is_transient(&failed) && !proves_damage(&failed), "{failed}");
        assert!(is_full(&failed_sync(os(Errno::NOSPC))));
    }

    #[test]
    fn lost_bytes_prove_damage_and_other_errors_prove_nothing() {
        assert!(proves_damage(&add_context("reading", os(Errno::IO))));
        assert!(proves_damage(&io::Error::from(io::ErrorKind::UnexpectedEof)));
        assert!(proves_damage(&os(Errno::NOENT)));
        for errno in [Errno::ACCESS, Errno::NOSPC, Errno::STALE] {
            assert!(!proves_damage(&os(errno)) && !is_transient(&os(errno)), "{errno}");
        }
    }
}
