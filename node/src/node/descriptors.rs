//! File descriptors: raises this process' limit, and divides it. What the journal, the peers and
//! the operator need is kept in reserve; clients get what is left.
//!
//! Connections of clients over QUIC need no descriptors: they share one socket.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::RunError;
use crate::limits::{DESCRIPTORS_MIN, DESCRIPTORS_RESERVED, HTTP_CONNECTIONS_MAX, INDEX_FILES_MAX};

/// How many descriptors each part may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DescriptorBudget {
    pub(crate) limit: u64,
    /// Index files that are held open.
    pub(crate) index_files: usize,
    pub(crate) http_connections: usize,
}

/// Raises the soft limit as far as it's useful and allowed, and divides it.
///
/// # Errors
/// When even the raised limit is too low for a node.
pub(crate) fn claim_descriptors() -> Result<DescriptorBudget, RunError> {
    let found = getrlimit(Resource::Nofile);
    let wanted = wanted(found);
    if found.current != wanted {
        let raised = Rlimit { current: wanted, maximum: found.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files can't be raised");
        }
    }
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let budget = divide(limit).ok_or(RunError::FewDescriptors { limit })?;
    let before = found.current.unwrap_or(u64::MAX);
    let DescriptorBudget { index_files, http_connections, .. } = budget;
    tracing::info!(before, limit, index_files, http_connections, "divided the limit of open files");
    if http_connections < HTTP_CONNECTIONS_MAX {
        tracing::warn!(
            limit,
            http_connections,
            "the limit of open files allows fewer HTTP connections than usual: raise it with \
             LimitNOFILE= or `ulimit -n`"
        );
    }
    Ok(budget)
}

/// The soft limit to ask for: enough for everything, but never lower than it is.
fn wanted(found: Rlimit) -> Option<u64> {
    let all = HTTP_CONNECTIONS_MAX + INDEX_FILES_MAX + DESCRIPTORS_RESERVED;
    let all = u64::try_from(all).unwrap_or(u64::MAX);
    let allowed = found.maximum.map_or(all, |maximum| maximum.min(all));
    found.current.map(|current| current.max(allowed))
}

/// `None`: too few for a node.
fn divide(limit: u64) -> Option<DescriptorBudget> {
    if limit < DESCRIPTORS_MIN {
        return None;
    }
    let free = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(DESCRIPTORS_RESERVED);
    let index_files = INDEX_FILES_MAX.min(free / 4);
    let http_connections = HTTP_CONNECTIONS_MAX.min(free - index_files);
    Some(DescriptorBudget { limit, index_files, http_connections })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(current: u64, maximum: Option<u64>) -> Rlimit {
        Rlimit { current: Some(current), maximum }
    }

    #[test]
    fn the_soft_limit_is_raised_as_far_as_useful_and_never_lowered() {
        let all = u64::try_from(HTTP_CONNECTIONS_MAX + INDEX_FILES_MAX + DESCRIPTORS_RESERVED);
        let all = Some(all.unwrap());
        assert_eq!(wanted(limits(1_024, Some(1 << 20))), all);
        assert_eq!(wanted(limits(1_024, None)), all);
        assert_eq!(wanted(limits(256, Some(300))), Some(300));
        assert_eq!(wanted(limits(65_536, Some(65_536))), Some(65_536));
        assert_eq!(wanted(Rlimit { current: None, maximum: None }), None);
    }

    #[test]
    fn clients_get_what_the_node_itself_does_not_need() {
        for limit in [DESCRIPTORS_MIN, 300, 1_024, 4_096, 1 << 20, u64::MAX] {
            let budget = divide(limit).unwrap();
            let all = budget.index_files + budget.http_connections + DESCRIPTORS_RESERVED;
            assert!(u64::try_from(all).unwrap() <= limit, "{budget:?}");
            assert!(budget.index_files >= 16 && budget.http_connections >= 32, "{budget:?}");
        }
        let most = divide(u64::MAX).unwrap();
        assert_eq!(most.http_connections, HTTP_CONNECTIONS_MAX);
        assert_eq!(most.index_files, INDEX_FILES_MAX);
        assert_eq!(divide(DESCRIPTORS_MIN - 1), None);
    }
}
