//! A start from a checkpoint. Nothing in it is trusted: every field is checked, and the digest of
//! the loaded state must be the marker's.

use std::collections::BTreeMap;

use evenkeel_wire::{
    account::{AccountKind, AccountStatus, Limits},
    amount::Asset,
    codec,
    id::AccountId,
    transfer::Text,
};

use super::{
    digest, load_checks,
    rows::{CheckpointAccount, CheckpointMarker, CheckpointRow},
    small_tables::{self, LoadedRow},
    write::{self, LEDGER_FORMAT, SETTING_GENESIS, SETTING_LEDGER},
};
use crate::{
    containers::{ids::HashSeed, memory::MemoryAdvice},
    journal::EntryHead,
    tables::{
        Tables,
        accounts::{
            AccountOpening, BalanceRow, digest as row_digest,
            extra::{Extra, NO_LIMIT},
            row_index,
        },
        genesis::{GenesisRecord, IdWindow},
        outcomes::OutcomesDigest,
    },
};

/// Takes the rows of a checkpoint, in any order, and builds a ledger from them.
pub struct CheckpointLoader {
    tables: Tables,
    /// The setting with the ledger's time and outcomes was put.
    has_ledger_setting: bool,
    /// The assets in the order in which the rows named them: until genesis is known, rows carry
    /// the index here.
    assets: Vec<Asset>,
    /// The balance limit of each row: until genesis is known, it may be the default or its own.
    max_balances: Vec<u64>,
    /// Limits and holds of the rows that have more than a balance limit.
    extras: Vec<(u32, Extra)>,
    opening_limits: BTreeMap<AccountId, Limits>,
}

impl CheckpointLoader {
    /// Without rows.
    #[must_use]
    pub fn new(advice: MemoryAdvice) -> Self {
        Self {
            tables: Tables::new(HashSeed::random(), advice),
            has_ledger_setting: false,
            assets: Vec::new(),
            max_balances: Vec::new(),
            extras: Vec::new(),
            opening_limits: BTreeMap::new(),
        }
    }

    /// Takes a row.
    ///
    /// # Errors
    /// Names the row and its error: the checkpoint is damaged or not made by this version.
    pub fn put(&mut self, row: CheckpointRow) -> Result<(), String> {
        match row {
            CheckpointRow::Account(account) => {
                let id = AccountId::new(account.id);
                self.load_account(&account).map_err(|error| format!("account {id}: {error}"))
            }
            CheckpointRow::Setting { name, value } => {
                self.load_setting(&name, &value).map_err(|error| format!("setting {name}: {error}"))
            }
            CheckpointRow::Table { table, key, value } => self.load_table_row(table, key, &value),
        }
    }

    /// The tables, after all rows were put.
    ///
    /// # Errors
    /// When the rows don't match the marker.
    pub(crate) fn finish_tables(mut self, marker: &CheckpointMarker) -> Result<Tables, String> {
        if marker.format != LEDGER_FORMAT {
            return Err(format!("format {}, this program reads {LEDGER_FORMAT}", marker.format));
        }
        if !self.has_ledger_setting {
            return Err(format!("setting {SETTING_LEDGER} is missing"));
        }
        let CheckpointMarker { position, term, time, link, .. } = *marker;
        self.tables.last = Some(EntryHead { position, term, time, link });
        self.resolve_rows()?;
        self.compute_sums(position)?;
        let mut tables = self.tables;
        load_checks::check_holds(&tables)?;
        check_marker(&tables, marker)?;
        small_tables::finish_loading(&mut tables)?;
        if let Some(record) = &tables.genesis {
            let window = IdWindow::at_time(tables.time, &record.genesis);
            tables.recent.forget_before_checkpoint(window.newest_ms);
        }
        tables.accounts.mark_checkpointed();
        small_tables::mark_checkpointed(&mut tables);
        Ok(tables)
    }

    fn load_account(&mut self, account: &CheckpointAccount) -> Result<(), String> {
        let id = AccountId::new(account.id);
        if self.tables.accounts.find(id).is_some() {
            return Err("it's there twice".into());
        }
        let kind = AccountKind::from_byte(account.kind)
            .ok_or_else(|| format!("{} is no kind", account.kind))?;
        let asset = Asset::from_bytes(account.asset.to_le_bytes()).map_err(|e| e.to_string())?;
        let status = AccountStatus::from_byte(account.status)
            .ok_or_else(|| format!("{} is no status", account.status))?;
        let extra = load_checks::check_extra(account)?;
        load_checks::check_balances(kind, status, account)?;
        let label = Text::new(&account.label).map_err(|error| format!("its label is {error}"))?;
        let opened = AccountOpening {
            at: account.opened_at,
            position: account.opened_position,
            index: account.opened_index,
            limits: 0,
            label,
        };
        let row = BalanceRow {
            id,
            posted: account.posted,
            changed_position: account.changed_position,
            debited_today: account.debited_today,
            fixed: 0,
            epoch: 0,
            extra: 0,
            debited_date: account.debited_date,
            asset_index: self.asset_index(asset)?,
            kind,
            status,
        };
        let slot = self.tables.accounts.add_row(row, opened);
        self.max_balances.push(extra.max_balance);
        if (Extra { max_balance: NO_LIMIT, ..extra }) != Extra::NONE {
            self.extras.push((slot, extra));
        }
        Ok(())
    }

    fn asset_index(&mut self, asset: Asset) -> Result<u8, String> {
        let known = self.assets.iter().position(|known| *known == asset);
        let at = known.unwrap_or_else(|| {
            self.assets.push(asset);
            self.assets.len().saturating_sub(1)
        });
        u8::try_from(at).map_err(|_| "its asset is one more than a ledger has".into())
    }

    fn load_table_row(&mut self, table: u8, key: u128, value: &[u8]) -> Result<(), String> {
        // A removed row.
        if value.is_empty() {
            return Ok(());
        }
        let loaded = small_tables::load(&mut self.tables, table, key, value);
        match loaded.map_err(|error| format!("table {table}, row {key:032x}: {error}"))? {
            LoadedRow::Table => Ok(()),
            LoadedRow::OpeningLimits(account, limits) => {
                self.opening_limits.insert(account, limits);
                Ok(())
            }
        }
    }

    fn load_setting(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
        match name {
            SETTING_LEDGER => {
                let (time, count, sum) = codec::decode(value).map_err(|e| e.to_string())?;
                self.tables.time = time;
                self.tables.outcomes = OutcomesDigest { count, sum };
                self.has_ledger_setting = true;
                Ok(())
            }
            SETTING_GENESIS => {
                self.tables.genesis = Some(GenesisRecord::decode(value)?);
                Ok(())
            }
            _ => Err("unknown".into()),
        }
    }

    /// Sets the fields of account rows that depend on genesis and on other rows.
    fn resolve_rows(&mut self) -> Result<(), String> {
        let accounts = &mut self.tables.accounts;
        let genesis = self.tables.genesis.as_ref().map(|record| &record.genesis);
        let known: &[Asset] = genesis.map_or(&[], |genesis| &genesis.assets);
        accounts.bootstrap(known, genesis.map_or(NO_LIMIT, |genesis| genesis.wallet_max_balance));
        let mut extras = self.extras.iter().peekable();
        for (slot, max_balance) in (0_u32..).zip(&self.max_balances) {
            let row = &mut accounts.rows[row_index(slot)];
            let id = row.id;
            let asset = self.assets[usize::from(row.asset_index)];
            let at = known
                .iter()
                .position(|known| *known == asset)
                .ok_or_else(|| format!("account {id}: {asset} isn't an asset of this ledger"))?;
            row.asset_index = u8::try_from(at).expect("at most ASSETS_MAX");
            let limits = self.opening_limits.remove(&id).unwrap_or_default();
            let opened = &mut accounts.opened[row_index(slot)];
            opened.limits = accounts.opening_limits.intern_limits(&limits);
            row.fixed = row_digest::fixed(row, asset, opened, &limits);
            let kind = row.kind;
            let extra = match extras.next_if(|(of, _)| *of == slot) {
                Some((_, extra)) => *extra,
                None => Extra { max_balance: *max_balance, ..Extra::NONE },
            };
            if extra != accounts.default_extra(kind) {
                accounts.put_extra(slot, extra);
            }
        }
        match self.opening_limits.first_key_value() {
            Some((account, _)) => Err(format!("limits of account {account}, which is missing")),
            None => Ok(()),
        }
    }

    /// Computes the accounts' sums and digest from the rows.
    fn compute_sums(&mut self, position: u64) -> Result<(), String> {
        let date = self.tables.date_number();
        let accounts = &mut self.tables.accounts;
        for slot in 0..accounts.count() {
            let (row, opened) = (&accounts.rows[slot], &accounts.opened[slot]);
            if row.changed_position > position || opened.position > row.changed_position {
                return Err(format!("account {}: opened or changed after the marker", row.id));
            }
            if row.debited_date > date {
                return Err(format!("account {}: debited after the business date", row.id));
            }
            accounts.add_to_sums(slot);
        }
        Ok(())
    }
}

fn check_marker(tables: &Tables, marker: &CheckpointMarker) -> Result<(), String> {
    let accounts = u64::try_from(tables.accounts.count()).expect("usize fits in 64 bits");
    if accounts != marker.accounts {
        return Err(format!("{accounts} accounts, the marker says {}", marker.accounts));
    }
    for (asset, sum) in write::sums(tables).iter().chain(&marker.sums) {
        if *sum != 0 {
            return Err(format!("asset {asset:#x} sums to {sum} instead of 0"));
        }
    }
    if digest::ledger_digest(tables) != marker.digest {
        return Err("the digest isn't the marker's".into());
    }
    Ok(())
}
