//! What this node remembers of itself and of every member: which life of theirs was the newest, and
//! up to where they are known to have had the committed records. It tells a copy that was rolled
//! back from one that wasn't.
//!
//! Two files, `memory.a` and `memory.b`, with the same layout. A durable save writes and syncs `b`,
//! then `a`; a lazy one overwrites `b` alone, without a sync. So `a` is whole, or `b` is whole and
//! synced: no crash loses a durable save. They are overwritten in place and need no new space.
//!
//! ```text
//!   0 magic "EKP\x01"
//!   4 u32   crc32 of bytes 8..512
//!   8 u64   sequence: the higher one is newer
//!  16 u16   format version: 1
//!  18 u16   number of members
//!  20 [4]   zero
//!  24 u64   start number of this node's newest life; 0 before the first
//!  32 u64   its nonce
//!  40       for each member, by node number, 40 bytes:
//!           0 u64 node   8 u64 start number of its newest known life; 0 if none   16 u64 its nonce
//!           24 u64 term   32 u64 position + 1 of the newest record that it is known to have had of
//!           what was committed; 0 if none
//! 400       zero, to 512
//! ```
//! If neither copy can be read, loading fails. The memory never grows doubts by being lost: a peer
//! that remembers less doubts nobody wrongly.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bytes_at::{read_u16, read_u32, read_u64, write_array, write_u16, write_u32, write_u64};
use crate::disk::{Disk, File};
use crate::{Position, Term};

const MAGIC: [u8; 4] = *b"EKP\x01";
const VERSION: u16 = 1;
const BYTES: usize = 512;
const MEMBERS_AT: usize = 40;
const MEMBER_BYTES: usize = 40;
/// A cluster has at most nine members.
pub const MEMBERS_MAX: usize = 9;
const MEMBERS_END: usize = MEMBERS_AT + MEMBERS_MAX * MEMBER_BYTES;
const NAMES: [&str; 2] = ["memory.a", "memory.b"];
const UNFINISHED: &str = "memory.new";

/// One life of a node: from a start of its process to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Counts the starts of the node, from 1.
    pub start: u64,
    /// Drawn at the start: two processes of one folder have the same start number, but never this.
    pub nonce: u64,
}

/// What is remembered of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberMemory {
    /// The member's node number.
    pub node: u64,
    /// Its newest life that was seen.
    pub life: Option<Life>,
    /// Term and position of the newest record that it acknowledged and that was committed.
    pub had: Option<(Term, Position)>,
}

/// What a node remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyMemory {
    /// This node's newest life.
    pub own: Option<Life>,
    /// The members, by node number, this node included. At most [`MEMBERS_MAX`].
    pub members: Vec<MemberMemory>,
}

/// Why the memory can't be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// Neither copy passes its checks.
    #[error(
        "both copies of what this node remembers are unusable: {}: {a}; {}: {b}",
        NAMES[0], NAMES[1]
    )]
    BothBad {
        /// What is wrong with `memory.a`.
        a: String,
        /// What is wrong with `memory.b`.
        b: String,
    },
    /// A disk operation failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the disk.
        source: io::Error,
    },
}

/// Both files, open, and the newest content.
pub(crate) struct MemoryFiles {
    files: [Arc<dyn File>; 2],
    sequence: u64,
    newest: CopyMemory,
}

impl MemoryFiles {
    /// Loads the newest memory of a data folder, and makes both copies hold it durably. Without
    /// either file the memory is empty.
    pub(crate) fn open(disk: &dyn Disk, folder: &Path) -> Result<Self, MemoryError> {
        let (sequence, newest) = read_newest(disk, folder)?;
        for name in NAMES {
            if read(disk, &folder.join(name))? != Ok((sequence, newest.clone())) {
                replace(disk, folder, name, &encode(sequence, &newest))?;
            }
        }
        let open = |name: &str| {
            let path = folder.join(name);
            let file = disk.open(&path).and_then(|file| file.sync_data().map(|()| file));
            file.map_err(|source| MemoryError::Io { path, source })
        };
        Ok(Self { files: [open(NAMES[0])?, open(NAMES[1])?], sequence, newest })
    }

    /// The newest content.
    pub(crate) fn newest(&self) -> &CopyMemory {
        &self.newest
    }

    /// Saves a memory. `durable`: both copies hold it on return, synced. After an error nothing
    /// more may be saved.
    pub(crate) fn save(&mut self, memory: &CopyMemory, durable: bool) -> io::Result<()> {
        self.sequence += 1;
        let bytes = encode(self.sequence, memory);
        let [a, b] = &self.files;
        b.write_at(&bytes, 0)?;
        if durable {
            b.sync_data()?;
            a.write_at(&bytes, 0)?;
            a.sync_data()?;
        }
        self.newest.clone_from(memory);
        Ok(())
    }
}

/// Loads the newest memory of a data folder; empty without the files. Never writes.
pub fn load(disk: &dyn Disk, folder: &Path) -> Result<CopyMemory, MemoryError> {
    Ok(read_newest(disk, folder)?.1)
}

const MISSING: &str = "missing";

fn read_newest(disk: &dyn Disk, folder: &Path) -> Result<(u64, CopyMemory), MemoryError> {
    let [a, b] = NAMES.map(|name| read(disk, &folder.join(name)));
    match (a?, b?) {
        (Ok(a), Ok(b)) => Ok(if a.0 >= b.0 { a } else { b }),
        (Ok(content), Err(_)) | (Err(_), Ok(content)) => Ok(content),
        (Err(a), Err(b)) if a == MISSING && b == MISSING => Ok((0, CopyMemory::default())),
        (Err(a), Err(b)) => Err(MemoryError::BothBad { a, b }),
    }
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Result<(u64, CopyMemory), String>, MemoryError> {
    let at_disk = |source| MemoryError::Io { path: path.to_path_buf(), source };
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Err(MISSING.to_owned()));
        }
        Err(error) => return Err(at_disk(error)),
    };
    let mut bytes = [0; BYTES + 1];
    let count = file.read_at(&mut bytes, 0).map_err(at_disk)?;
    Ok(decode(&bytes[..count]))
}

/// Writes a copy under a temporary name, syncs it, and renames it.
fn replace(disk: &dyn Disk, folder: &Path, name: &str, bytes: &[u8]) -> Result<(), MemoryError> {
    let path = folder.join(UNFINISHED);
    let write = || {
        match disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.create(&path)?;
        file.write_at(bytes, 0)?;
        file.sync_data()?;
        disk.rename(&path, &folder.join(name))?;
        disk.sync_folder(folder)
    };
    write().map_err(|source| MemoryError::Io { path: folder.join(name), source })
}

fn put_life(bytes: &mut [u8], at: usize, life: Option<Life>) {
    if let Some(life) = life {
        write_u64(bytes, at, life.start);
        write_u64(bytes, at + 8, life.nonce);
    }
}

fn life_at(bytes: &[u8], at: usize) -> Option<Life> {
    let life = Life { start: read_u64(bytes, at), nonce: read_u64(bytes, at + 8) };
    (life.start > 0).then_some(life)
}

fn encode(sequence: u64, memory: &CopyMemory) -> [u8; BYTES] {
    assert!(memory.members.len() <= MEMBERS_MAX, "a cluster has at most {MEMBERS_MAX} members");
    let mut bytes = [0; BYTES];
    write_array(&mut bytes, 0, &MAGIC);
    write_u64(&mut bytes, 8, sequence);
    write_u16(&mut bytes, 16, VERSION);
    let count = u16::try_from(memory.members.len()).expect("at most nine");
    write_u16(&mut bytes, 18, count);
    put_life(&mut bytes, 24, memory.own);
    for (at, member) in (MEMBERS_AT..).step_by(MEMBER_BYTES).zip(&memory.members) {
        write_u64(&mut bytes, at, member.node);
        put_life(&mut bytes, at + 8, member.life);
        if let Some((term, position)) = member.had {
            write_u64(&mut bytes, at + 24, term);
            write_u64(&mut bytes, at + 32, position + 1);
        }
    }
    let checksum = crc32fast::hash(&bytes[8..]);
    write_u32(&mut bytes, 4, checksum);
    bytes
}

fn decode(bytes: &[u8]) -> Result<(u64, CopyMemory), String> {
    if bytes.len() != BYTES {
        return Err(format!("{} bytes, expected {BYTES}", bytes.len()));
    }
    if bytes[..4] != MAGIC {
        return Err("wrong magic".to_owned());
    }
    if crc32fast::hash(&bytes[8..]) != read_u32(bytes, 4) {
        return Err("checksum doesn't match".to_owned());
    }
    let version = read_u16(bytes, 16);
    if version != VERSION {
        return Err(format!("format version {version}, known is {VERSION}"));
    }
    let count = usize::from(read_u16(bytes, 18));
    if count > MEMBERS_MAX || bytes[20..24] != [0; 4] || bytes[MEMBERS_END..].iter().any(|b| *b > 0)
    {
        return Err("too many members, or reserved bytes that aren't zero".to_owned());
    }
    let member = |at| MemberMemory {
        node: read_u64(bytes, at),
        life: life_at(bytes, at + 8),
        had: read_u64(bytes, at + 32)
            .checked_sub(1)
            .map(|position| (read_u64(bytes, at + 24), position)),
    };
    let members = (MEMBERS_AT..).step_by(MEMBER_BYTES).take(count).map(member).collect();
    Ok((read_u64(bytes, 8), CopyMemory { own: life_at(bytes, 24), members }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;

    const DATA: &str = "/data";

    fn memory(start: u64) -> CopyMemory {
        let life = Some(Life { start, nonce: start * 7 });
        let members = (1..=9)
            .map(|node| MemberMemory {
                node,
                life: life.filter(|_| node != 2),
                had: (node != 3).then_some((start, node * 10)),
            })
            .collect();
        CopyMemory { own: life, members }
    }

    fn disk() -> MemoryDisk {
        let disk = MemoryDisk::new(3);
        disk.create_folder(Path::new(DATA)).unwrap();
        disk.sync_folder(Path::new("/")).unwrap();
        disk
    }

    fn open(disk: &MemoryDisk) -> MemoryFiles {
        MemoryFiles::open(disk, Path::new(DATA)).unwrap()
    }

    #[test]
    fn what_was_saved_durably_survives_and_what_was_saved_lazily_may() {
        for seed in 0..50 {
            let disk = MemoryDisk::new(seed);
            disk.create_folder(Path::new(DATA)).unwrap();
            disk.sync_folder(Path::new("/")).unwrap();
            let mut files = open(&disk);
            assert_eq!(*files.newest(), CopyMemory::default());
            files.save(&memory(4), true).unwrap();
            files.save(&memory(5), false).unwrap();
            drop(files);
            disk.crash();
            let mut files = open(&disk);
            assert!([memory(4), memory(5)].contains(files.newest()), "seed {seed}");
            files.save(&memory(6), true).unwrap();
            drop(files);
            disk.crash();
            assert_eq!(*open(&disk).newest(), memory(6), "seed {seed}");
            assert_eq!(load(&disk, Path::new(DATA)).unwrap(), memory(6));
        }
    }

    #[test]
    fn one_bad_copy_is_replaced_and_two_are_refused() {
        let disk = disk();
        open(&disk).save(&memory(4), true).unwrap();
        let spoil = |name: &str, at: u64| {
            let file = disk.open(&Path::new(DATA).join(name)).unwrap();
            file.write_at(&[0xff], at).unwrap();
            file.sync_data().unwrap();
        };
        for name in NAMES {
            for at in [0, 4, 8, 16, 19, 21, 24, 399, 400, 511] {
                spoil(name, at);
                assert_eq!(*open(&disk).newest(), memory(4), "{name} at {at}");
            }
        }
        NAMES.iter().for_each(|name| spoil(name, 30));
        let refused = MemoryFiles::open(&disk, Path::new(DATA)).err().unwrap();
        assert!(matches!(refused, MemoryError::BothBad { .. }), "{refused}");
    }

    #[test]
    fn a_newer_format_is_refused_by_its_version() {
        let mut bytes = encode(1, &memory(1));
        bytes[16] = 2;
        let checksum = crc32fast::hash(&bytes[8..]);
        write_u32(&mut bytes, 4, checksum);
        assert_eq!(decode(&bytes), Err("format version 2, known is 1".to_owned()));
    }
}
