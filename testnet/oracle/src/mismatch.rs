//! What contradicts the model.

use std::fmt;

/// Something contradicts the model; the text says what, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch(String);

impl Mismatch {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mismatch {}

impl From<Mismatch> for String {
    fn from(mismatch: Mismatch) -> Self {
        mismatch.0
    }
}
