//! Reads fields one after another, little-endian. Every read is checked against the end.

/// Why bytes aren't a valid row or marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LayoutError {
    #[error("the row is cut short")]
    Short,
    #[error("bytes follow the last field")]
    Trailing,
    #[error("unknown version {0}")]
    Version(u8),
    #[error("the checksum doesn't match")]
    Checksum,
    #[error("the key is malformed")]
    Key,
    #[error("the field {0} holds an invalid value")]
    Field(&'static str),
}

pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn read_array<const N: usize>(&mut self) -> Result<[u8; N], LayoutError> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(LayoutError::Short)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], LayoutError> {
        let (field, rest) = self.0.split_at_checked(length).ok_or(LayoutError::Short)?;
        self.0 = rest;
        Ok(field)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, LayoutError> {
        self.read_array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, LayoutError> {
        self.read_array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, LayoutError> {
        self.read_array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, LayoutError> {
        self.read_array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, LayoutError> {
        self.read_array().map(i64::from_le_bytes)
    }

    pub(crate) fn i128(&mut self) -> Result<i128, LayoutError> {
        self.read_array().map(i128::from_le_bytes)
    }

    /// Rejects bytes after the last field: each row has one encoding.
    pub(crate) fn end(self) -> Result<(), LayoutError> {
        if self.0.is_empty() { Ok(()) } else { Err(LayoutError::Trailing) }
    }
}
