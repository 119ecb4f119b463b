//! A start from a checkpoint. Nothing in it is believed: every field is checked, and in the end the digest of what was
//! loaded must be the one that the checkpoint names.

use evenkeel_storage::balances::{self as stored, Marker};
use evenkeel_wire::{
    account::AccountKind, amount::Asset, codec, id::AccountId, limits::AMOUNT_MAX, transfer::Text,
};

use super::{
    EntryHead, Ledger,
    accounts::{NO_LIMIT, Opened, Row, may_go_below_zero},
    checkpoint::{self, LEDGER_FORMAT, SETTING_GENESIS, SETTING_LEDGER},
    digest::{self, OutcomesDigest},
    genesis::{Founded, IdWindow},
    recent::Recent,
};

/// The status of every account under the rules of version 1.
pub(super) const STATUS_OPEN: u8 = 1;

/// Takes a checkpoint's rows, in any order, and makes a ledger of them.
pub struct Loader {
    ledger: Ledger,
    numbers: bool,
}

impl Default for Loader {
    fn default() -> Self {
        Self::new()
    }
}

impl Loader {
    /// Without rows.
    #[must_use]
    pub fn new() -> Self {
        Self { ledger: Ledger::new(), numbers: false }
    }

    /// Takes a row.
    ///
    /// # Errors
    /// Names the row and what is wrong with it: the checkpoint is damaged or not made by this version.
    pub fn put(&mut self, row: stored::Row) -> Result<(), String> {
        match row {
            stored::Row::Account(account) => {
                let id = AccountId::new(account.id);
                self.account(account).map_err(|what| format!("account {id}: {what}"))
            }
            stored::Row::Setting { name, value } => {
                self.setting(&name, &value).map_err(|what| format!("setting {name}: {what}"))
            }
            stored::Row::Entry { table, key, .. } => {
                Err(format!("entry {key:032x}: table {table} is unknown"))
            }
        }
    }

    /// The ledger, once all rows are there.
    ///
    /// # Errors
    /// When they don't amount to what the marker says.
    pub fn finish(mut self, marker: &Marker) -> Result<Ledger, String> {
        if marker.format != LEDGER_FORMAT {
            return Err(format!("format {}, this program reads {LEDGER_FORMAT}", marker.format));
        }
        if !self.numbers {
            return Err(format!("setting {SETTING_LEDGER} is missing"));
        }
        let ledger = &mut self.ledger;
        ledger.last = Some(EntryHead {
            position: marker.position,
            term: marker.term,
            time: marker.time,
            link: marker.link.0,
        });
        add_up(ledger, marker.position)?;
        let accounts = u64::try_from(ledger.accounts.count()).expect("usize fits in 64 bits");
        if accounts != marker.accounts {
            return Err(format!("{accounts} accounts, the marker says {}", marker.accounts));
        }
        for (asset, sum) in checkpoint::sums(ledger).iter().chain(&marker.sums) {
            if *sum != 0 {
                return Err(format!("asset {asset:#x} sums to {sum} instead of 0"));
            }
        }
        if ledger.digest() != marker.digest {
            return Err("the digest isn't the marker's".into());
        }
        if let Some(founded) = &ledger.founded {
            let window = IdWindow::at(ledger.time, &founded.genesis);
            ledger.recent = Recent::after_checkpoint(window.newest_ms);
        }
        ledger.accounts.changes.none_since_checkpoint();
        Ok(self.ledger)
    }

    fn account(&mut self, account: stored::AccountRow) -> Result<(), String> {
        let id = AccountId::new(account.id);
        if self.ledger.accounts.find(id).is_some() {
            return Err("it's there twice".into());
        }
        let kind = AccountKind::from_byte(account.kind)
            .ok_or_else(|| format!("{} is no kind", account.kind))?;
        let asset = Asset::from_bytes(account.asset.to_le_bytes()).map_err(|e| e.to_string())?;
        let posted = account.posted;
        let owes = posted < 0 && !may_go_below_zero(kind);
        if owes || posted.unsigned_abs() > AMOUNT_MAX {
            return Err(format!("a {kind} can't hold {posted}"));
        }
        let later_rules = account.status != STATUS_OPEN
            || account.held != 0
            || account.incoming_holds != 0
            || account.debited_today != 0
            || account.debited_date != 0
            || account.per_transfer.is_some()
            || account.daily_debit.is_some()
            || account.opening_hash != 0;
        if later_rules {
            return Err("it has what only later rules know".into());
        }
        let label = Text::new(&account.label).map_err(|error| format!("its label is {error}"))?;
        let opened = Opened {
            at: account.opened_at,
            position: account.opened_position,
            index: account.opened_index,
            label,
        };
        let mut row = Row {
            id,
            posted,
            changed_position: account.changed_position,
            max_balance: account.max_balance.unwrap_or(NO_LIMIT),
            asset,
            fixed: 0,
            epoch: 0,
            asset_index: 0,
            kind,
        };
        row.fixed = digest::fixed(&row, &opened);
        self.ledger.accounts.add(row, opened);
        Ok(())
    }

    fn setting(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
        match name {
            SETTING_LEDGER => {
                let (time, count, sum) = codec::decode(value).map_err(|e| e.to_string())?;
                self.ledger.time = time;
                self.ledger.outcomes = OutcomesDigest { count, sum };
                self.numbers = true;
                Ok(())
            }
            SETTING_GENESIS => {
                self.ledger.founded = Some(Founded::decode(value)?);
                Ok(())
            }
            _ => Err("unknown".into()),
        }
    }
}

/// Sums and digest from the rows, now that the assets are known.
fn add_up(ledger: &mut Ledger, position: u64) -> Result<(), String> {
    let assets: &[Asset] = ledger.founded.as_ref().map_or(&[], |founded| &founded.genesis.assets);
    let accounts = &mut ledger.accounts;
    accounts.found(assets.len());
    for (row, opened) in accounts.rows.iter_mut().zip(&accounts.opened) {
        let asset = assets.iter().position(|asset| *asset == row.asset).ok_or_else(|| {
            format!("account {}: {} isn't an asset of this ledger", row.id, row.asset)
        })?;
        if row.changed_position > position || opened.position > row.changed_position {
            return Err(format!("account {}: opened or changed after the marker", row.id));
        }
        row.asset_index = u8::try_from(asset).expect("at most ASSETS_MAX");
        accounts.totals.change(row.asset_index, row.kind, row.posted);
        accounts.digest = accounts.digest.wrapping_add(digest::row(row));
    }
    Ok(())
}
