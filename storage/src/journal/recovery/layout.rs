//! Lists the segment files of a journal's folder and checks that they are the expected ones.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, File, add_context};
use crate::journal::damage::{Damage, Fault};
use crate::journal::format::footer::Footer;
use crate::journal::format::segment::{FRAMES_AT, HEADER_BYTES, SegmentHeader, Suffix, parse_name};
use crate::{ClusterId, Link, Position};

/// The name of the journal's folder in a data folder.
pub(crate) const FOLDER: &str = "journal";
/// The name of the folder in which recovery keeps the bytes it cut off.
pub(crate) const CUT_FOLDER: &str = "cut";

/// A segment's file, described by its name alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentFile {
    pub(crate) first: Position,
    pub(crate) suffix: Suffix,
    pub(crate) path: PathBuf,
}

/// Lists the segment files in order. Rejects two files for one segment, a journal that doesn't
/// begin at 0, and one whose newest segment is sealed: an open one always follows it.
pub(crate) fn list_segments(disk: &dyn Disk, folder: &Path) -> Result<Vec<SegmentFile>, Fault> {
    let mut segments: Vec<SegmentFile> = Vec::new();
    for name in disk.list(folder)? {
        let Some((first, suffix)) = parse_name(&name) else { continue };
        segments.push(SegmentFile { first, suffix, path: folder.join(name) });
    }
    segments.sort_by_key(|segment| segment.first);
    for pair in segments.windows(2) {
        if pair[0].first == pair[1].first {
            let what = "a second file for one segment";
            return Err(Damage::new(&pair[1].path, 0, pair[1].first, what).into());
        }
    }
    if let Some(oldest) = segments.first().filter(|oldest| oldest.first != 0) {
        let what = "the segment that begins at 0 is missing";
        return Err(Damage::new(&oldest.path, 0, oldest.first, what).into());
    }
    if let Some(newest) = segments.last().filter(|newest| newest.suffix != Suffix::Open) {
        let what = "the newest segment is sealed, and the open one after it is missing";
        return Err(Damage::new(&newest.path, 0, newest.first, what).into());
    }
    Ok(segments)
}

/// Opens a segment and checks that its header continues the chain, if `previous` is known.
pub(crate) fn open_segment(
    disk: &dyn Disk,
    named: &SegmentFile,
    cluster: &ClusterId,
    previous: Option<&Link>,
) -> Result<(Arc<dyn File>, SegmentHeader), Fault> {
    let file = disk.open(&named.path)?;
    let header = read_header(&*file, &named.path, named.first)?;
    header
        .check(cluster, named.first, previous)
        .map_err(|what| Damage::new(&named.path, 0, named.first, what))?;
    Ok((file, header))
}

pub(crate) fn read_header(
    file: &dyn File,
    path: &Path,
    first: Position,
) -> Result<SegmentHeader, Fault> {
    let mut bytes = [0; HEADER_BYTES];
    let count = file.read_at(&mut bytes, 0)?;
    Ok(SegmentHeader::decode(&bytes[..count]).map_err(|what| Damage::new(path, 0, first, what))?)
}

/// Reads the footer of a sealed segment and checks it against the file's name and size. The table
/// isn't read.
pub(crate) fn read_footer(file: &dyn File, named: &SegmentFile) -> Result<Footer, Fault> {
    let refuse =
        |what: String| Damage::new(&named.path, file.len().unwrap_or(0), named.first, what);
    let footer = Footer::read_trailer(file)?.map_err(refuse)?;
    if footer.first != named.first || footer.begins_at < FRAMES_AT {
        let what = format!("footer of a segment that begins at {}", footer.first);
        return Err(refuse(what).into());
    }
    Ok(footer)
}

/// Rejects a gap or an overlap between a segment and the records before it.
pub(crate) fn check_follows(named: &SegmentFile, due: Position) -> Result<(), Damage> {
    if named.first == due {
        return Ok(());
    }
    let what = match named.first > due {
        true => format!("the segment that begins at {due} is missing"),
        false => format!("it overlaps the one before it, which ends before {due}"),
    };
    Err(Damage::new(&named.path, 0, named.first, what))
}

/// Rejects a journal whose newest noted segment is missing.
pub(crate) fn check_newest(newest: &SegmentFile, noted: Option<Position>) -> Result<(), Damage> {
    match noted {
        Some(noted) if noted > newest.first => {
            let what = format!("the segment that begins at {noted} is missing");
            Err(Damage::new(&newest.path, 0, noted, what))
        }
        _ => Ok(()),
    }
}

/// Adds the file's path to an error of the disk.
pub(crate) fn error_with_path(path: &Path, error: io::Error) -> io::Error {
    add_context(path.display(), error)
}
