//! The timeline's two files: appending, rotating, and reading after a crash. It never rewrites a
//! line.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::TimelineEvent;

const NEWEST: &str = "timeline.jsonl";
const OLDER: &str = "timeline.1.jsonl";
/// The size at which the file is rotated.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// The longest line that is read; a longer one isn't an event.
const LINE_BYTES_MAX: u64 = 1 << 20;

pub(crate) struct TimelineFile {
    folder: PathBuf,
    /// `None` after a failure: the next append reopens the file and writes behind the remains.
    file: Option<File>,
    bytes: u64,
}

impl TimelineFile {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let mut timeline = Self { folder: folder.to_owned(), file: None, bytes: 0 };
        timeline.reopen()?;
        Ok(timeline)
    }

    /// Appends events and makes them durable.
    pub(crate) fn append<'a>(
        &mut self,
        events: impl Iterator<Item = &'a TimelineEvent>,
    ) -> io::Result<()> {
        let mut lines = Vec::new();
        for event in events {
            serde_json::to_writer(&mut lines, event)?;
            lines.push(b'\n');
        }
        if self.bytes >= FILE_BYTES_MAX {
            self.rotate_files()?;
        }
        // Notices that the file was removed now, rather than when its events are missed.
        if !self.folder.join(NEWEST).is_file() {
            self.file = None;
        }
        if self.file.is_none() {
            self.reopen()?;
        }
        let mut file = self.file.take().expect("opened above");
        file.write_all(&lines)?;
        file.sync_data()?;
        self.bytes += u64::try_from(lines.len()).expect("a length fits");
        self.file = Some(file);
        Ok(())
    }

    fn rotate_files(&mut self) -> io::Result<()> {
        self.file = None;
        fs::rename(self.folder.join(NEWEST), self.folder.join(OLDER))?;
        self.bytes = 0;
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.folder.join(NEWEST))?;
        self.bytes = file.metadata()?.len();
        if self.bytes > 0 && last_byte(&mut file)? != b'\n' {
            file.write_all(b"\n")?;
            self.bytes += 1;
        }
        file.sync_all()?;
        File::open(&self.folder)?.sync_all()?;
        self.file = Some(file);
        Ok(())
    }
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// The newest `events_max` events that `wanted` selects, oldest first.
pub(crate) fn read(
    folder: &Path,
    events_max: usize,
    wanted: impl Fn(&TimelineEvent) -> bool,
) -> io::Result<Vec<TimelineEvent>> {
    let mut events = std::collections::VecDeque::new();
    for name in [OLDER, NEWEST] {
        let file = match File::open(folder.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        while (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? > 0 {
            // A torn line isn't an event; the rest of the file is still good.
            if let Ok(event) = serde_json::from_slice::<TimelineEvent>(&line)
                && wanted(&event)
            {
                events.push_back(event);
                if events.len() > events_max {
                    events.pop_front();
                }
            }
            line.clear();
        }
    }
    Ok(events.into())
}

/// Makes every later append fail, for tests: a folder takes the file's name.
#[cfg(test)]
pub(crate) fn fill_with_a_folder(folder: &Path) {
    fs::remove_file(folder.join(NEWEST)).expect("it's there");
    fs::create_dir(folder.join(NEWEST)).expect("it's gone");
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn event(name: &str) -> TimelineEvent {
        TimelineEvent { time: "2026".to_owned(), event: name.to_owned(), details: Map::new() }
    }

    fn names(folder: &Path) -> Vec<String> {
        let events = read(folder, usize::MAX, |_| true).expect("readable");
        events.into_iter().map(|event| event.event).collect()
    }

    #[test]
    fn a_torn_last_line_costs_that_line_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = TimelineFile::open(folder.path()).expect("opened");
        file.append([event("one"), event("two")].iter()).expect("written");
        let path = folder.path().join(NEWEST);
        let bytes = fs::read(&path).expect("readable");
        fs::write(&path, &bytes[..bytes.len() - 5]).expect("writable");
        let mut file = TimelineFile::open(folder.path()).expect("opened");
        file.append([event("three")].iter()).expect("written");
        assert_eq!(names(folder.path()), ["one", "three"]);
    }

    #[test]
    fn a_full_file_is_turned_over_and_both_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = TimelineFile::open(folder.path()).expect("opened");
        file.append([event("one")].iter()).expect("written");
        file.bytes = FILE_BYTES_MAX;
        file.append([event("two")].iter()).expect("written");
        assert!(folder.path().join(OLDER).is_file());
        assert_eq!(names(folder.path()), ["one", "two"]);
        file.bytes = FILE_BYTES_MAX;
        file.append([event("three")].iter()).expect("written");
        assert_eq!(names(folder.path()), ["two", "three"], "two files at most");
    }
}
