//! The rows and the marker of a checkpoint. The ledger's owner encodes and stores them.

/// One row of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointRow {
    /// An account.
    Account(CheckpointAccount),
    /// A part of the state that exists once. Settings are never removed.
    Setting {
        /// Its name, unique among settings.
        name: String,
        /// Its value.
        value: Vec<u8>,
    },
    /// A row of one of the tables besides the accounts.
    Table {
        /// The table's number.
        table: u8,
        /// The row's key, unique within the table.
        key: u128,
        /// The row's value. Empty: the row was removed.
        value: Vec<u8>,
    },
}

/// An account as numbers and text. Amounts are in the asset's minor unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointAccount {
    /// The account's id.
    pub id: u128,
    /// The kind's number.
    pub kind: u8,
    /// The status's number.
    pub status: u8,
    /// The asset's number.
    pub asset: u64,
    /// The settled balance.
    pub posted: i64,
    /// What the account's own open holds set aside.
    pub held: i64,
    /// How many open holds are for the account.
    pub incoming_holds: u32,
    /// What the debits that count took on `debited_date`.
    pub debited_today: u64,
    /// The newest business date on which a debit counted, as a number; 0: there was none.
    pub debited_date: u32,
    /// The most that may be posted.
    pub max_balance: Option<u64>,
    /// The most that one debit may take.
    pub per_transfer: Option<u64>,
    /// The most that a day's debits may take.
    pub daily_debit: Option<u64>,
    /// When it was opened, microseconds since the Unix epoch.
    pub opened_at: u64,
    /// The entry that opened it.
    pub opened_position: u64,
    /// The number of the opening among the new outcomes of that entry.
    pub opened_index: u16,
    /// The newest entry that changed it.
    pub changed_position: u64,
    /// The label that it was opened with.
    pub label: String,
}

/// The marker of a checkpoint. It's stored last; without one, the checkpoint doesn't count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointMarker {
    /// [`LEDGER_FORMAT`](crate::LEDGER_FORMAT).
    pub format: u16,
    /// The newest entry in it.
    pub position: u64,
    /// That entry's term.
    pub term: u64,
    /// That entry's time.
    pub time: u64,
    /// That entry's link.
    pub link: [u8; 32],
    /// How many accounts there are.
    pub accounts: u64,
    /// Each asset's number and the sum of its accounts.
    pub sums: Vec<(u64, i128)>,
    /// The digest of the ledger at that position.
    pub digest: [u8; 32],
}
