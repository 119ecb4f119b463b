//! The result of a verification, in the shape of the admin socket's JSON. It never verifies
//! anything itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `POST /verify`, and the output of `evenkeel verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    pub first: Option<u64>,
    pub last: Option<u64>,
    pub entries: u64,
    pub head: Option<String>,
    pub ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<DamageReport>,
    /// The digest of the state that the journal rebuilds; only if the balances were rebuilt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// What is damaged, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamageReport {
    pub file: String,
    /// Bytes from the start of the file.
    pub offset: Option<u64>,
    pub position: Option<u64>,
    pub what: String,
}

impl fmt::Display for DamageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        if let Some(position) = self.position {
            write!(f, ", position {position}")?;
        }
        write!(f, ": {}", self.what)
    }
}
