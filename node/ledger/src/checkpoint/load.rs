//! A start from a checkpoint. Nothing in it is believed: every field is checked, and in the end the digest of what was
//! loaded must be the one that the checkpoint names.

use std::collections::BTreeMap;

use evenkeel_wire::{
    account::{AccountKind, AccountStatus, Limits},
    amount::Asset,
    codec,
    day::BusinessDate,
    id::AccountId,
    limits::AMOUNT_MAX,
    transfer::Text,
};

use super::{
    digest::{self, OutcomesDigest},
    rows::{CheckpointAccount, CheckpointMarker, CheckpointRow},
    write::{self, LEDGER_FORMAT, SETTING_GENESIS, SETTING_LEDGER},
};
use crate::{
    EntryHead, Ledger, MemoryAdvice,
    genesis::{GenesisRecord, IdWindow},
    tables::{
        accounts::{
            AccountOpening, BalanceRow,
            extra::{Extra, NO_LIMIT},
            may_go_below_zero,
            reserved::Reserved,
            row_index,
        },
        kept_rows::{self, LoadedRow},
    },
};

/// Takes a checkpoint's rows, in any order, and makes a ledger of them.
pub struct CheckpointLoader {
    ledger: Ledger,
    numbers: bool,
    /// The assets in the order in which the rows named them: until genesis is known, rows carry their place here.
    assets: Vec<Asset>,
    /// Each row's balance limit: until genesis is known, it isn't known whether it's one of its own.
    max_balances: Vec<u64>,
    /// The limits and holds of the rows that have others than a balance limit.
    extras: Vec<(u32, Extra)>,
    opening_limits: BTreeMap<AccountId, Limits>,
}

impl CheckpointLoader {
    /// Without rows.
    #[must_use]
    pub fn new(advice: MemoryAdvice) -> Self {
        Self {
            ledger: Ledger::new(advice),
            numbers: false,
            assets: Vec::new(),
            max_balances: Vec::new(),
            extras: Vec::new(),
            opening_limits: BTreeMap::new(),
        }
    }

    /// Takes a row.
    ///
    /// # Errors
    /// Names the row and what is wrong with it: the checkpoint is damaged or not made by this version.
    pub fn put(&mut self, row: CheckpointRow) -> Result<(), String> {
        match row {
            CheckpointRow::Account(account) => {
                let id = AccountId::new(account.id);
                self.load_account(account).map_err(|what| format!("account {id}: {what}"))
            }
            CheckpointRow::Setting { name, value } => {
                self.load_setting(&name, &value).map_err(|what| format!("setting {name}: {what}"))
            }
            CheckpointRow::Table { table, key, value } => self.load_table_row(table, key, &value),
        }
    }

    /// The ledger, once all rows are there.
    ///
    /// # Errors
    /// When they don't amount to what the marker says.
    pub fn finish(mut self, marker: &CheckpointMarker) -> Result<Ledger, String> {
        if marker.format != LEDGER_FORMAT {
            return Err(format!("format {}, this program reads {LEDGER_FORMAT}", marker.format));
        }
        if !self.numbers {
            return Err(format!("setting {SETTING_LEDGER} is missing"));
        }
        self.ledger.last = Some(EntryHead {
            position: marker.position,
            term: marker.term,
            time: marker.time,
            link: marker.link,
        });
        self.resolve_rows()?;
        self.compute_sums(marker.position)?;
        check_holds(&self.ledger)?;
        let ledger = &mut self.ledger;
        let accounts = u64::try_from(ledger.accounts.count()).expect("usize fits in 64 bits");
        if accounts != marker.accounts {
            return Err(format!("{accounts} accounts, the marker says {}", marker.accounts));
        }
        for (asset, sum) in write::sums(ledger).iter().chain(&marker.sums) {
            if *sum != 0 {
                return Err(format!("asset {asset:#x} sums to {sum} instead of 0"));
            }
        }
        if ledger.digest() != marker.digest {
            return Err("the digest isn't the marker's".into());
        }
        kept_rows::finish_loading(ledger)?;
        if let Some(founded) = &ledger.genesis {
            let window = IdWindow::at_time(ledger.time, &founded.genesis);
            ledger.recent.forget_before_checkpoint(window.newest_ms);
        }
        ledger.accounts.changes.mark_checkpointed();
        kept_rows::mark_checkpointed(ledger);
        Ok(self.ledger)
    }

    fn load_account(&mut self, account: CheckpointAccount) -> Result<(), String> {
        let id = AccountId::new(account.id);
        if self.ledger.accounts.find(id).is_some() {
            return Err("it's there twice".into());
        }
        let kind = AccountKind::from_byte(account.kind)
            .ok_or_else(|| format!("{} is no kind", account.kind))?;
        let asset = Asset::from_bytes(account.asset.to_le_bytes()).map_err(|e| e.to_string())?;
        let status = AccountStatus::from_byte(account.status)
            .ok_or_else(|| format!("{} is no status", account.status))?;
        let extra = extra_of(&account)?;
        check_balances(kind, status, &account)?;
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
        let slot = self.ledger.accounts.add_row(row, opened);
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
        u8::try_from(at).map_err(|_| "it's of one asset more than a ledger has".into())
    }

    fn load_table_row(&mut self, table: u8, key: u128, value: &[u8]) -> Result<(), String> {
        // Removed rows are no rows.
        if value.is_empty() {
            return Ok(());
        }
        let loaded = kept_rows::load(&mut self.ledger, table, key, value);
        match loaded.map_err(|what| format!("table {table}, row {key:032x}: {what}"))? {
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
                self.ledger.time = time;
                self.ledger.outcomes = OutcomesDigest { count, sum };
                self.numbers = true;
                Ok(())
            }
            SETTING_GENESIS => {
                self.ledger.genesis = Some(GenesisRecord::decode(value)?);
                Ok(())
            }
            _ => Err("unknown".into()),
        }
    }
}

impl CheckpointLoader {
    /// Gives each row what only genesis and other rows say of it.
    fn resolve_rows(&mut self) -> Result<(), String> {
        let accounts = &mut self.ledger.accounts;
        let genesis = self.ledger.genesis.as_ref().map(|founded| &founded.genesis);
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
            row.fixed = digest::fixed(row, asset, opened, &limits);
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
            Some((account, _)) => Err(format!("limits of account {account}, which isn't there")),
            None => Ok(()),
        }
    }

    /// Sums and digest from the rows.
    fn compute_sums(&mut self, position: u64) -> Result<(), String> {
        let date = self.ledger.date_number();
        let accounts = &mut self.ledger.accounts;
        for slot in 0..accounts.count() {
            let (row, opened) = (&accounts.rows[slot], &accounts.opened[slot]);
            if row.changed_position > position || opened.position > row.changed_position {
                return Err(format!("account {}: opened or changed after the marker", row.id));
            }
            if row.debited_date > date {
                return Err(format!("account {}: debited after the business date", row.id));
            }
            let extra = accounts.extra(row);
            let of_extra = digest::extra(row, &extra, &accounts.default_extra(row.kind));
            let of_row = digest::row(row).wrapping_add(of_extra);
            accounts.totals.change(row.asset_index, row.kind, row.posted);
            accounts.reserved = accounts.reserved.plus(Reserved::of_account(row.id, &extra));
            accounts.digest = accounts.digest.wrapping_add(of_row);
        }
        Ok(())
    }
}

fn extra_of(account: &CheckpointAccount) -> Result<Extra, String> {
    let limit = |limit: Option<u64>| match limit {
        Some(limit) if limit > AMOUNT_MAX => Err(format!("{limit} is no limit")),
        limit => Ok(limit.unwrap_or(NO_LIMIT)),
    };
    Ok(Extra {
        max_balance: limit(account.max_balance)?,
        per_transfer: limit(account.per_transfer)?,
        daily_debit: limit(account.daily_debit)?,
        held: account.held,
        incoming_holds: account.incoming_holds,
    })
}

/// What no account of this kind and status can be.
fn check_balances(
    kind: AccountKind,
    status: AccountStatus,
    account: &CheckpointAccount,
) -> Result<(), String> {
    let CheckpointAccount { posted, held, debited_today, debited_date, .. } = *account;
    let owes = posted < held && !may_go_below_zero(kind);
    if owes || held < 0 || posted.unsigned_abs() > AMOUNT_MAX {
        return Err(format!("a {kind} can't hold {posted}, {held} of it held"));
    }
    let is_empty = posted == 0 && held == 0 && account.incoming_holds == 0;
    if status == AccountStatus::Closed && !is_empty {
        return Err("it's closed and not empty".into());
    }
    let was_debited = BusinessDate::from_number(debited_date).is_ok() && debited_today > 0;
    let never_was = debited_date == 0 && debited_today == 0;
    if !(was_debited || never_was) || debited_today > AMOUNT_MAX {
        return Err(format!("debits of {debited_today} on {debited_date} can't be"));
    }
    Ok(())
}

/// Each account's holds must be those that are open, and between accounts that can have them.
fn check_holds(ledger: &Ledger) -> Result<(), String> {
    let mut expected: BTreeMap<AccountId, (i64, u32)> = BTreeMap::new();
    let too_much = |account| format!("account {account}: its holds are more than can be");
    for (id, hold) in ledger.holds.iter() {
        for (account, kind) in
            [(hold.debit, AccountKind::Wallet), (hold.credit, AccountKind::Merchant)]
        {
            let slot = ledger.accounts.find(account);
            if slot.is_none_or(|slot| ledger.accounts.row(slot).kind != kind) {
                return Err(format!("hold {id:032x}: {account} is no {kind}"));
            }
        }
        let held = &mut expected.entry(hold.debit).or_default().0;
        let more = i64::try_from(hold.amount).ok().and_then(|amount| held.checked_add(amount));
        *held = more.ok_or_else(|| too_much(hold.debit))?;
        let incoming = &mut expected.entry(hold.credit).or_default().1;
        *incoming = incoming.checked_add(1).ok_or_else(|| too_much(hold.credit))?;
    }
    for slot in 0..ledger.accounts.count() {
        let row = &ledger.accounts.rows[slot];
        let extra = ledger.accounts.extra(row);
        let (held, incoming) = expected.get(&row.id).copied().unwrap_or_default();
        if (extra.held, extra.incoming_holds) != (held, incoming) {
            return Err(format!(
                "account {}: {} is held and {} are for it, its open holds say {held} and {incoming}",
                row.id, extra.held, extra.incoming_holds
            ));
        }
    }
    Ok(())
}
