//! The chain: one blake3 hash per record, over everything that could change an outcome.
//!
//! `link = blake3(previous link ‖ cluster ‖ header bytes 8..40 ‖ payload)`, over the exact bytes on
//! disk. The envelope's checksum and the marks aren't part of it: they differ from node to node.

use crate::{ClusterId, Link};

/// The link before the first record of a cluster.
pub fn genesis_link(cluster: &ClusterId) -> Link {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"evenkeel genesis").update(cluster);
    Link(*hasher.finalize().as_bytes())
}

/// The link of a record. `header` is its header bytes 8..40.
pub(crate) fn compute_link(
    previous: &Link,
    cluster: &ClusterId,
    header: &[u8; 32],
    payload: &[u8],
) -> Link {
    let mut prefix = [0; 80];
    prefix[..32].copy_from_slice(&previous.0);
    prefix[32..48].copy_from_slice(cluster);
    prefix[48..].copy_from_slice(header);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&prefix).update(payload);
    Link(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_hash_exactly_the_bytes_the_drawing_says() {
        let cluster = *b"evenkeel testing";
        let first = genesis_link(&cluster);
        assert_eq!(first.0, *blake3::hash(b"evenkeel genesisevenkeel testing").as_bytes());
        let header = [9; 32];
        let whole = [&first.0[..], &cluster[..], &header[..], b"payload"].concat();
        assert_eq!(
            compute_link(&first, &cluster, &header, b"payload").0,
            *blake3::hash(&whole).as_bytes()
        );
    }
}
