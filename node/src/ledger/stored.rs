//! Stand-in for the rows of `evenkeel_storage::balances` until that branch is merged.
#![allow(missing_docs, reason = "replaced by the real rows")]

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    Account(AccountRow),
    Setting { name: String, value: Vec<u8> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
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
