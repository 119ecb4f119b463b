//! The bytes of rows. Version 1: any change is a new version and a line in docs/STORAGE.md.
//!
//! ```text
//! key    0 u8 kind: 1 marker, 2 account, 3 setting, 4 entry
//!          account: 1 u128 id, big-endian, so that rows are sorted by id
//!          setting: 1 u16 length of the name, big-endian   3 name
//!          entry:   1 u8 table         2 u128 key, big-endian
//!        last u8 slot, 0 or 1
//!
//! value  0 u8 version      1 u64 generation      9 fields
//!        last [8] the first bytes of blake3(key ‖ value without these)
//!
//! account fields, little-endian
//!        0 u8 kind            1 u8 status          2 u64 asset          10 i64 posted
//!       18 i64 held          26 u32 incoming holds 30 u64 debited today 38 u32 debited date
//!       42 u8 limits set: 1 max balance, 2 per transfer, 4 daily debit (0 where not set)
//!       43 u64 max balance   51 u64 per transfer   59 u64 daily debit
//!       67 u64 opened at     75 u64 opened position 83 u16 opened index 85 u64 changed position
//!       93 u16 length of the label                 95 label, UTF-8
//!
//! setting fields: the value
//! entry fields: the value; empty for a removed entry (`removed`)
//! ```
//!
//! - `fields`: reads fields one after another.
//! - `marker`: the marker of a finished generation.
//! - `totals`: count, sums and digest of the live rows.

mod fields;
pub(crate) mod marker;
pub(crate) mod totals;

use self::fields::{Fields, LayoutError};
use super::{
    CheckpointError, ENTRY_VALUE_BYTES_MAX, LABEL_BYTES_MAX, SETTING_NAME_BYTES_MAX,
    SETTING_VALUE_BYTES_MAX,
};

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;
const ACCOUNT_BYTES_MIN: usize = 95;

pub(crate) const KIND_MARKER: u8 = 1;
pub(crate) const KIND_ACCOUNT: u8 = 2;
pub(crate) const KIND_SETTING: u8 = 3;
/// The last kind: a scan from here on finds entries only.
pub(crate) const KIND_ENTRY: u8 = 4;

/// One row of the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// An account with its counters.
    Account(AccountRow),
    /// Other replicated state, opaque here.
    Setting {
        /// Its name, unique among settings.
        name: String,
        /// Its value. Settings are never removed; an empty value is a value.
        value: Vec<u8>,
    },
    /// A row of one of the small tables beside the accounts, opaque here.
    Entry {
        /// Its table.
        table: u8,
        /// Its key, unique within the table.
        key: u128,
        /// Its value. An empty value removes the entry, and `load` doesn't return it.
        value: Vec<u8>,
    },
}

/// An account. Amounts are in the asset's smallest unit. The ledger defines kinds, statuses and
/// dates.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the ledger's; it says what they mean")]
pub struct AccountRow {
    pub id: u128,
    pub kind: u8,
    pub status: u8,
    pub asset: u64,
    pub posted: i64,
    pub held: i64,
    pub incoming_holds: u32,
    pub debited_today: u64,
    pub debited_date: u32,
    pub max_balance: Option<u64>,
    pub per_transfer: Option<u64>,
    pub daily_debit: Option<u64>,
    pub opened_at: u64,
    pub opened_position: u64,
    pub opened_index: u16,
    pub changed_position: u64,
    pub label: String,
}

/// The blake3 of key and value; its first 8 bytes are the row's checksum.
pub(crate) type RowHash = [u8; 32];

/// A value whose checksum was checked.
pub(crate) struct Unsealed<'a> {
    pub(crate) generation: u64,
    pub(crate) fields: &'a [u8],
    pub(crate) hash: RowHash,
}

/// Adds version, generation and checksum to the fields.
pub(crate) fn seal(key: &[u8], generation: u64, fields: &[u8]) -> (Vec<u8>, RowHash) {
    let mut value = Vec::with_capacity(1 + 8 + fields.len() + CHECKSUM_BYTES);
    value.push(VERSION);
    value.extend_from_slice(&generation.to_le_bytes());
    value.extend_from_slice(fields);
    let hash = hash(key, &value);
    value.extend_from_slice(&hash[..CHECKSUM_BYTES]);
    (value, hash)
}

/// Checks checksum and version and returns the fields.
pub(crate) fn unseal<'a>(key: &[u8], value: &'a [u8]) -> Result<Unsealed<'a>, LayoutError> {
    let (body, checksum) = value.split_last_chunk::<CHECKSUM_BYTES>().ok_or(LayoutError::Short)?;
    let hash = hash(key, body);
    if hash[..CHECKSUM_BYTES] != *checksum {
        return Err(LayoutError::Checksum);
    }
    let mut fields = Fields(body);
    let version = fields.u8()?;
    if version != VERSION {
        return Err(LayoutError::Version(version));
    }
    let generation = fields.u64()?;
    Ok(Unsealed { generation, fields: fields.0, hash })
}

fn hash(key: &[u8], body: &[u8]) -> RowHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key);
    hasher.update(body);
    *hasher.finalize().as_bytes()
}

impl Row {
    /// The key of slot 0. The other slot's key differs in the last byte.
    pub(crate) fn key(&self) -> Vec<u8> {
        match self {
            Self::Account(account) => {
                let mut key = Vec::with_capacity(18);
                key.push(KIND_ACCOUNT);
                key.extend_from_slice(&account.id.to_be_bytes());
                key.push(0);
                key
            }
            Self::Setting { name, .. } => {
                let length = u16::try_from(name.len()).expect("check_size came first");
                let mut key = Vec::with_capacity(4 + name.len());
                key.push(KIND_SETTING);
                key.extend_from_slice(&length.to_be_bytes());
                key.extend_from_slice(name.as_bytes());
                key.push(0);
                key
            }
            Self::Entry { table, key: entry, .. } => {
                let mut key = Vec::with_capacity(19);
                key.extend_from_slice(&[KIND_ENTRY, *table]);
                key.extend_from_slice(&entry.to_be_bytes());
                key.push(0);
                key
            }
        }
    }

    /// Whether this row is the removal of an entry.
    pub(crate) fn is_removal(&self) -> bool {
        matches!(self, Self::Entry { value, .. } if value.is_empty())
    }

    /// Rejects rows that couldn't be read back.
    pub(crate) fn check_size(&self) -> Result<(), CheckpointError> {
        let limited = |what, bytes, max| {
            if bytes > max {
                return Err(CheckpointError::TooLarge { what, bytes, max });
            }
            Ok(())
        };
        match self {
            Self::Account(account) => {
                limited("an account's label", account.label.len(), LABEL_BYTES_MAX)
            }
            Self::Setting { name, value } => {
                limited("a setting's name", name.len(), SETTING_NAME_BYTES_MAX)?;
                limited("a setting's value", value.len(), SETTING_VALUE_BYTES_MAX)
            }
            Self::Entry { value, .. } => {
                limited("an entry's value", value.len(), ENTRY_VALUE_BYTES_MAX)
            }
        }
    }

    pub(crate) fn encode_fields(&self) -> Vec<u8> {
        match self {
            Self::Account(account) => account.encode_fields(),
            Self::Setting { value, .. } | Self::Entry { value, .. } => value.clone(),
        }
    }

    /// Decodes a row from its key and the fields of its value.
    pub(crate) fn read(key: &[u8], fields: &[u8]) -> Result<Self, LayoutError> {
        let (kind, rest) = key.split_first().ok_or(LayoutError::Key)?;
        let (slot, rest) = rest.split_last().ok_or(LayoutError::Key)?;
        if *slot > 1 {
            return Err(LayoutError::Key);
        }
        match *kind {
            KIND_ACCOUNT => {
                let id = rest.try_into().map_err(|_| LayoutError::Key)?;
                AccountRow::read(u128::from_be_bytes(id), Fields(fields)).map(Self::Account)
            }
            KIND_SETTING => {
                let (length, name) = rest.split_first_chunk::<2>().ok_or(LayoutError::Key)?;
                if usize::from(u16::from_be_bytes(*length)) != name.len() {
                    return Err(LayoutError::Key);
                }
                let name = std::str::from_utf8(name).map_err(|_| LayoutError::Key)?.to_owned();
                Ok(Self::Setting { name, value: fields.to_vec() })
            }
            KIND_ENTRY => {
                let (table, key) = rest.split_first().ok_or(LayoutError::Key)?;
                let key = key.try_into().map_err(|_| LayoutError::Key)?;
                let value = fields.to_vec();
                Ok(Self::Entry { table: *table, key: u128::from_be_bytes(key), value })
            }
            _ => Err(LayoutError::Key),
        }
    }
}

impl AccountRow {
    fn encode_fields(&self) -> Vec<u8> {
        let limits = [self.max_balance, self.per_transfer, self.daily_debit];
        let mut set = 0_u8;
        for (bit, limit) in limits.iter().enumerate() {
            set |= u8::from(limit.is_some()) << bit;
        }
        let label_bytes = u16::try_from(self.label.len()).expect("check_size came first");

        let mut fields = Vec::with_capacity(ACCOUNT_BYTES_MIN + self.label.len());
        fields.extend_from_slice(&[self.kind, self.status]);
        fields.extend_from_slice(&self.asset.to_le_bytes());
        fields.extend_from_slice(&self.posted.to_le_bytes());
        fields.extend_from_slice(&self.held.to_le_bytes());
        fields.extend_from_slice(&self.incoming_holds.to_le_bytes());
        fields.extend_from_slice(&self.debited_today.to_le_bytes());
        fields.extend_from_slice(&self.debited_date.to_le_bytes());
        fields.push(set);
        for limit in limits {
            fields.extend_from_slice(&limit.unwrap_or(0).to_le_bytes());
        }
        fields.extend_from_slice(&self.opened_at.to_le_bytes());
        fields.extend_from_slice(&self.opened_position.to_le_bytes());
        fields.extend_from_slice(&self.opened_index.to_le_bytes());
        fields.extend_from_slice(&self.changed_position.to_le_bytes());
        fields.extend_from_slice(&label_bytes.to_le_bytes());
        fields.extend_from_slice(self.label.as_bytes());
        fields
    }

    fn read(id: u128, mut fields: Fields<'_>) -> Result<Self, LayoutError> {
        let [kind, status] = fields.read_array()?;
        let asset = fields.u64()?;
        let posted = fields.i64()?;
        let held = fields.i64()?;
        let incoming_holds = fields.u32()?;
        let debited_today = fields.u64()?;
        let debited_date = fields.u32()?;
        let set = fields.u8()?;
        if set > 0b111 {
            return Err(LayoutError::Field("limits set"));
        }
        let mut limit = |bit: u8| match (set & bit != 0, fields.u64()?) {
            (true, limit) => Ok(Some(limit)),
            (false, 0) => Ok(None),
            (false, _) => Err(LayoutError::Field("limits")),
        };
        let (max_balance, per_transfer, daily_debit) = (limit(1)?, limit(2)?, limit(4)?);
        let opened_at = fields.u64()?;
        let opened_position = fields.u64()?;
        let opened_index = fields.u16()?;
        let changed_position = fields.u64()?;
        let label_bytes = fields.u16()?;
        let label = std::str::from_utf8(fields.bytes(usize::from(label_bytes))?)
            .map_err(|_| LayoutError::Field("label"))?
            .to_owned();
        fields.end()?;
        Ok(Self {
            id,
            kind,
            status,
            asset,
            posted,
            held,
            incoming_holds,
            debited_today,
            debited_date,
            max_balance,
            per_transfer,
            daily_debit,
            opened_at,
            opened_position,
            opened_index,
            changed_position,
            label,
        })
    }
}

#[cfg(test)]
mod tests;
