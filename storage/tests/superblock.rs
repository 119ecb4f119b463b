//! Ownership of a data folder: it is claimed by its owner only, one process at a time.

use std::fs;

use evenkeel_storage::superblock::{ClaimError, Superblock, claim, read};

const OURS: [u8; 16] = *b"evenkeel testing";

#[test]
fn a_new_folder_is_claimed_once_at_a_time_by_its_owner_only() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("site/data");
    let held = claim(&folder, OURS, 3).unwrap();
    assert_eq!(held.superblock, Superblock { cluster: OURS, node: 3 });
    assert!(matches!(claim(&folder, OURS, 3), Err(ClaimError::Locked { .. })));
    assert_eq!(read(&folder).unwrap(), held.superblock);
    drop(held);
    drop(claim(&folder, OURS, 3).unwrap());

    let error = claim(&folder, OURS, 4).unwrap_err();
    assert!(matches!(error, ClaimError::Foreign { .. }));
    assert!(error.to_string().contains("node 3") && error.to_string().contains("node 4"));
    let error = claim(&folder, *b"another cluster.", 3).unwrap_err().to_string();
    // As it is written in node.toml and the certificates.
    assert!(error.contains("node 3 of cluster 6576656e-6b65-656c-2074-657374696e67"), "{error}");
    assert!(error.contains("node.data"), "{error}");
    drop(claim(&folder, OURS, 3).unwrap());
}

#[test]
fn a_damaged_or_missing_superblock_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    drop(claim(folder.path(), OURS, 1).unwrap());
    let path = folder.path().join("superblock");
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 2;
        fs::write(&path, &bytes).unwrap();
        let error = claim(folder.path(), OURS, 1).unwrap_err();
        assert!(matches!(error, ClaimError::Damaged { .. }), "byte {at}: {error}");
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(folder.path().join("journal")).unwrap();
    assert!(matches!(claim(folder.path(), OURS, 1), Err(ClaimError::Missing { .. })));
}
