//! The content of one file in memory, and what a simulated crash leaves of it.

use std::collections::BTreeMap;
use std::io;

use super::no_space;
use crate::disk::bytes_u64;

const PAGE_BYTES: usize = 4096;
const SECTOR_BYTES: usize = 512;

type Page = Box<[u8; PAGE_BYTES]>;

#[derive(Default)]
pub(crate) struct FileContent {
    pages: BTreeMap<u64, Page>,
    bytes: u64,
    bytes_durable: u64,
    bytes_reserved: u64,
    /// Pages written since the last sync, with their content before that; `None` stands for zeros.
    unsynced: BTreeMap<u64, Option<Page>>,
    /// Pages whose sync failed: the kernel considers them clean, but they aren't on the disk.
    forsaken: BTreeMap<u64, Option<Page>>,
}

impl FileContent {
    pub(crate) fn length(&self) -> u64 {
        self.bytes
    }

    /// All bytes, as they're read now.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; in_memory(self.bytes)];
        for (page, content) in &self.pages {
            let from = in_memory(page_start(*page));
            let until = bytes.len().min(from + PAGE_BYTES);
            if from < until {
                bytes[from..until].copy_from_slice(&content[..until - from]);
            }
        }
        bytes
    }

    /// Makes this the durable content.
    pub(crate) fn restore(&mut self, bytes: &[u8]) {
        *self = Self::default();
        self.write(bytes, 0, false).expect("a write to memory fails only on a full disk");
        self.bytes_durable = self.bytes;
        self.bytes_reserved = self.bytes;
        self.unsynced.clear();
    }

    pub(crate) fn reserved_bytes(&self) -> u64 {
        self.bytes_reserved
    }

    pub(crate) fn allocate(&mut self, bytes: u64) {
        self.bytes = self.bytes.max(bytes);
        self.bytes_reserved = self.bytes_reserved.max(bytes);
    }

    pub(crate) fn write(&mut self, bytes: &[u8], offset: u64, full: bool) -> io::Result<()> {
        let end = offset + bytes_u64(bytes.len());
        let grows = end > self.bytes_reserved.max(self.bytes);
        let hole =
            |page| page_start(page) >= self.bytes_reserved && !self.pages.contains_key(&page);
        if full && (grows || pages_of(offset, end).any(hole)) {
            return Err(no_space());
        }
        for page in pages_of(offset, end) {
            let from = page_start(page).max(offset);
            let until = page_start(page + 1).min(end);
            let target = self.page_for_writing(page);
            let within = in_memory(from - page_start(page))..in_memory(until - page_start(page));
            target[within]
                .copy_from_slice(&bytes[in_memory(from - offset)..in_memory(until - offset)]);
        }
        self.bytes = self.bytes.max(end);
        Ok(())
    }

    fn page_for_writing(&mut self, page: u64) -> &mut Page {
        if let Some(before) = self.forsaken.remove(&page) {
            self.unsynced.insert(page, before);
        }
        if !self.unsynced.contains_key(&page) {
            self.unsynced.insert(page, self.pages.get(&page).cloned());
        }
        self.pages.entry(page).or_insert_with(zero_page)
    }

    pub(crate) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let end = self.bytes.min(offset + bytes_u64(buffer.len()));
        if end <= offset {
            return 0;
        }
        for page in pages_of(offset, end) {
            let from = page_start(page).max(offset);
            let until = page_start(page + 1).min(end);
            let target = &mut buffer[in_memory(from - offset)..in_memory(until - offset)];
            let within = in_memory(from - page_start(page))..in_memory(until - page_start(page));
            match self.pages.get(&page) {
                Some(page) => target.copy_from_slice(&page[within]),
                None => target.fill(0),
            }
        }
        in_memory(end - offset)
    }

    pub(crate) fn set_len(&mut self, bytes: u64) {
        if bytes < self.bytes {
            let gone: Vec<u64> = self.pages.range(bytes / 4096..).map(|(page, _)| *page).collect();
            for page in gone {
                let keep = in_memory(bytes.saturating_sub(page_start(page))).min(PAGE_BYTES);
                self.page_for_writing(page)[keep..].fill(0);
            }
            self.bytes_reserved = self.bytes_reserved.min(bytes);
        }
        self.bytes = bytes;
    }

    pub(crate) fn sync(&mut self) {
        self.unsynced.clear();
        self.bytes_durable = self.bytes;
    }

    pub(crate) fn fail_sync(&mut self) {
        for (page, before) in std::mem::take(&mut self.unsynced) {
            self.forsaken.entry(page).or_insert(before);
        }
    }

    pub(crate) fn crash(&mut self, random: &mut Random) {
        let mut doubtful = std::mem::take(&mut self.forsaken);
        doubtful.append(&mut self.unsynced);
        // Per file: 0 loses all unsynced pages, 1 keeps all, 2 decides per sector, 3 also scrambles
        // some of the lost sectors.
        let mood = random.below(4);
        for (page, before) in doubtful {
            let before = before.unwrap_or_else(zero_page);
            let now = self.pages.entry(page).or_insert_with(zero_page);
            for sector in (0..PAGE_BYTES).step_by(SECTOR_BYTES) {
                let sector = sector..sector + SECTOR_BYTES;
                let keep = mood == 1 || (mood >= 2 && random.below(2) == 0);
                if keep || now[sector.clone()] == before[sector.clone()] {
                    continue;
                }
                let was_blank = before[sector.clone()].iter().all(|byte| *byte == 0);
                now[sector.clone()].copy_from_slice(&before[sector.clone()]);
                if was_blank && mood == 3 && random.below(8) == 0 {
                    now[sector].fill_with(|| random.byte());
                }
            }
        }
        if random.below(2) == 0 {
            self.bytes = self.bytes_durable;
        }
        self.bytes_durable = self.bytes;
        self.bytes_reserved = self.bytes_reserved.min(self.bytes);
        self.forget_beyond_the_end();
    }

    fn forget_beyond_the_end(&mut self) {
        let bytes = self.bytes;
        self.pages.retain(|page, _| page_start(*page) < bytes);
        if let Some(page) = self.pages.get_mut(&(bytes / 4096)) {
            page[in_memory(bytes % 4096)..].fill(0);
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same sequence on every machine.
pub(crate) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        in_memory(self.next() % bytes_u64(bound))
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

fn pages_of(from: u64, until: u64) -> std::ops::Range<u64> {
    from / 4096..until.div_ceil(4096)
}

fn page_start(page: u64) -> u64 {
    page * 4096
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a file in memory fits in memory")
}

fn zero_page() -> Page {
    Box::new([0; PAGE_BYTES])
}
