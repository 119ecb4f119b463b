//! Ownership of a data folder: it is claimed by its owner only, one process at a time.

use std::fs;

use evenkeel_storage::superblock::{ClaimError, FOUNDING, JOINING, Superblock, claim, read};

const OURS: [u8; 16] = *b"evenkeel testing";

#[test]
fn a_new_folder_is_claimed_once_at_a_time_by_its_owner_only() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(FOUNDING), "").unwrap();
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
    fs::write(folder.path().join(FOUNDING), "").unwrap();
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

/// An unmounted disk leaves an empty mount point. It was once filled with a new copy of everything.
#[test]
fn an_empty_folder_is_claimed_only_with_a_marker_and_otherwise_left_as_it_is() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let refused = |what: &str| {
        let error = claim(&folder, OURS, 1).unwrap_err();
        assert!(matches!(error, ClaimError::Unmarked { .. }), "{what}: {error}");
        let text = error.to_string();
        assert!(text.contains("mount it") && text.contains("the empty file joining"), "{text}");
    };
    refused("a folder that doesn't exist");
    assert!(!folder.exists());
    fs::create_dir(&folder).unwrap();
    refused("an empty folder");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "no lock file on the wrong disk");

    fs::write(folder.join(JOINING), "").unwrap();
    drop(claim(&folder, OURS, 1).unwrap());
    assert!(folder.join(JOINING).exists(), "it stays until the copy has caught up");
}

#[test]
fn the_marker_of_a_new_cluster_is_used_once_and_a_crash_between_two_steps_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let (path, founding) = (folder.path(), folder.path().join(FOUNDING));
    fs::write(&founding, "").unwrap();
    // A crash after the unfinished superblock was written.
    fs::write(path.join("superblock.new"), "torn").unwrap();
    drop(claim(path, OURS, 1).unwrap());
    assert!(!founding.exists());
    // A crash before the marker was removed.
    fs::write(&founding, "").unwrap();
    drop(claim(path, OURS, 1).unwrap());
    assert!(!founding.exists());
    // The disk is lost: the marker isn't there to say that the next one may be empty.
    fs::remove_file(path.join("superblock")).unwrap();
    assert!(matches!(claim(path, OURS, 1), Err(ClaimError::Unmarked { .. })));
    // Another node's marker isn't used up by a mistake.
    fs::write(&founding, "").unwrap();
    drop(claim(path, OURS, 1).unwrap());
    fs::write(&founding, "").unwrap();
    assert!(matches!(claim(path, OURS, 2), Err(ClaimError::Foreign { .. })));
    assert!(founding.exists());
}

#[test]
fn a_folder_that_vanishes_or_is_replaced_is_noticed() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, away) = (parent.path().join("data"), parent.path().join("away"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(FOUNDING), "").unwrap();
    let held = claim(&folder, OURS, 1).unwrap();
    let watch = held.folder_watch();
    assert!(!watch.is_gone());
    fs::rename(&folder, &away).unwrap();
    assert!(watch.is_gone(), "as if it was unmounted");
    fs::create_dir(&folder).unwrap();
    assert!(watch.is_gone(), "an empty mount point");
    fs::copy(away.join("superblock"), folder.join("superblock")).unwrap();
    assert!(watch.is_gone(), "a copy");
    fs::remove_dir_all(&folder).unwrap();
    fs::rename(&away, &folder).unwrap();
    assert!(!watch.is_gone());
}
