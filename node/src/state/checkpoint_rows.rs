//! The ledger's checkpoint rows as the storage keeps them, and back. Every field is moved: texts
//! and values aren't copied.

use evenkeel_ledger::{CheckpointAccount, CheckpointMarker, CheckpointRow};
use evenkeel_storage::{
    Link,
    balances::{AccountRow, Marker, Row},
};

/// A row of the ledger for the storage.
pub fn to_stored_row(row: CheckpointRow) -> Row {
    match row {
        CheckpointRow::Account(account) => Row::Account(to_stored_account(account)),
        CheckpointRow::Setting { name, value } => Row::Setting { name, value },
        CheckpointRow::Table { table, key, value } => Row::Entry { table, key, value },
    }
}

/// A row of the storage for the ledger.
pub fn from_stored_row(row: Row) -> CheckpointRow {
    match row {
        Row::Account(account) => CheckpointRow::Account(from_stored_account(account)),
        Row::Setting { name, value } => CheckpointRow::Setting { name, value },
        Row::Entry { table, key, value } => CheckpointRow::Table { table, key, value },
    }
}

/// A marker of the ledger for the storage, under the generation that the storage gave.
pub fn to_stored_marker(marker: CheckpointMarker, generation: u64) -> Marker {
    let CheckpointMarker { format, position, term, time, link, accounts, sums, digest } = marker;
    Marker { generation, position, term, time, link: Link(link), accounts, digest, sums, format }
}

/// A marker of the storage for the ledger.
pub fn from_stored_marker(marker: Marker) -> CheckpointMarker {
    let Marker { position, term, time, link, accounts, digest, sums, format, .. } = marker;
    CheckpointMarker { format, position, term, time, link: link.0, accounts, sums, digest }
}

fn to_stored_account(account: CheckpointAccount) -> AccountRow {
    AccountRow {
        id: account.id,
        kind: account.kind,
        status: account.status,
        asset: account.asset,
        posted: account.posted,
        held: account.held,
        incoming_holds: account.incoming_holds,
        debited_today: account.debited_today,
        debited_date: account.debited_date,
        max_balance: account.max_balance,
        per_transfer: account.per_transfer,
        daily_debit: account.daily_debit,
        opened_at: account.opened_at,
        opened_position: account.opened_position,
        opened_index: account.opened_index,
        changed_position: account.changed_position,
        label: account.label,
    }
}

fn from_stored_account(account: AccountRow) -> CheckpointAccount {
    CheckpointAccount {
        id: account.id,
        kind: account.kind,
        status: account.status,
        asset: account.asset,
        posted: account.posted,
        held: account.held,
        incoming_holds: account.incoming_holds,
        debited_today: account.debited_today,
        debited_date: account.debited_date,
        max_balance: account.max_balance,
        per_transfer: account.per_transfer,
        daily_debit: account.daily_debit,
        opened_at: account.opened_at,
        opened_position: account.opened_position,
        opened_index: account.opened_index,
        changed_position: account.changed_position,
        label: account.label,
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_ledger::{
        CheckpointLoader, EntryHead, JournalLookup, Ledger, LedgerFault, MemoryAdvice,
        RecordedCommand,
    };
    use evenkeel_storage::balances::{Checkpoints, MemoryCheckpoints};
    use evenkeel_wire::{
        account::{AccountKind, Limits, OpenAccount},
        amount::{Amount, Asset},
        codec,
        command::Command,
        day::BusinessDate,
        entry::EntryBuilder,
        genesis::Genesis,
        id::{AccountId, ClusterId, CommandId, OPERATOR_KEY},
        outcome::Outcome,
        transfer::{Text, Transfer, TransferKind},
    };

    use super::*;

    const TIME: u64 = 1_700_000_000_000_001;
    const BANK: AccountId = AccountId::new(1);
    const WALLET: AccountId = AccountId::new(2);

    /// Nothing is looked up: every id is new.
    struct NoJournal;

    impl JournalLookup for NoJournal {
        fn read_command(&mut self, _: u64, _: u16) -> Result<RecordedCommand, LedgerFault> {
            Err(LedgerFault::new("nothing is looked up"))
        }

        fn find_sealed(
            &mut self,
            _: CommandId,
        ) -> Result<Option<(u64, u16, Outcome)>, LedgerFault> {
            Err(LedgerFault::new("nothing is looked up"))
        }
    }

    fn apply(ledger: &mut Ledger, command: &Command) {
        let position = ledger.position().map_or(0, |position| position + 1);
        let mut entry = EntryBuilder::new();
        entry.push(OPERATOR_KEY, false, 1, &codec::encode(command));
        let head = EntryHead { position, term: 1, time: TIME, link: [7; 32] };
        let mut answers = Vec::new();
        ledger.apply(&head, &entry.finish(), &mut NoJournal, &mut answers).unwrap();
        assert_eq!(answers[0].outcome.rejection, None, "{command:?}");
    }

    fn krw() -> Asset {
        Asset::parse("KRW").unwrap()
    }

    fn bootstrapped() -> Ledger {
        let mut ledger = Ledger::new(MemoryAdvice::NONE);
        let genesis = Genesis {
            cluster: ClusterId([7; 16]),
            assets: vec![krw()],
            wallet_max_balance: 1_000_000,
            id_horizon_ms: 1_000,
            id_tolerance_ms: 1_000,
            time_zone: Text::new("Asia/Seoul").unwrap(),
            operator_key: [9; 32],
            first_date: BusinessDate::FIRST,
        };
        apply(&mut ledger, &Command::Genesis(Box::new(genesis)));
        for (id, kind) in [(BANK, AccountKind::Bank), (WALLET, AccountKind::Wallet)] {
            let limits = Limits::default();
            let label = Text::new("Mina").unwrap();
            let open = OpenAccount { id, kind, asset: krw(), label, limits };
            apply(&mut ledger, &Command::OpenAccount(open));
        }
        ledger
    }

    fn top_up(number: u128) -> Command {
        Command::Transfer(Transfer {
            id: CommandId::from_parts(TIME / 1_000, number),
            debit: BANK,
            credit: WALLET,
            amount: Amount(7),
            asset: krw(),
            kind: TransferKind::TopUp,
            reference: Text::default(),
            memo: Text::default(),
        })
    }

    #[test]
    fn a_checkpoint_goes_through_the_storage_and_back() {
        let mut ledger = bootstrapped();
        let mut storage = MemoryCheckpoints::new(1);
        for number in 1..4 {
            apply(&mut ledger, &top_up(number));
            let generation = storage.begin(false).unwrap();
            let head = ledger.checkpoint_begin(false).unwrap();
            let mut more = true;
            while more {
                let mut rows = Vec::new();
                more = ledger.checkpoint_next(1, &mut rows);
                let rows: Vec<_> = rows.into_iter().map(to_stored_row).collect();
                storage.put(&rows).unwrap();
            }
            storage.finish(to_stored_marker(head.marker, generation)).unwrap();
            ledger.checkpoint_end(true);
        }
        let mut loader = CheckpointLoader::new(MemoryAdvice::NONE);
        let marker = storage.load(&mut |row| loader.put(from_stored_row(row))).unwrap().unwrap();
        let mut loaded = loader.finish(&from_stored_marker(marker)).unwrap();
        assert_eq!(loaded.digest(), ledger.digest());
        assert_eq!(loaded.account(WALLET), ledger.account(WALLET));
        assert_eq!(loaded.last_entry(), ledger.last_entry());
        assert!(!loaded.checkpoint_begin(false).unwrap().all, "the storage has all of it");
    }

    #[test]
    fn every_field_goes_where_it_belongs() {
        let account = AccountRow {
            id: 1,
            kind: 2,
            status: 3,
            asset: 4,
            posted: 5,
            held: 6,
            incoming_holds: 7,
            debited_today: 8,
            debited_date: 9,
            max_balance: Some(10),
            per_transfer: Some(11),
            daily_debit: Some(12),
            opened_at: 13,
            opened_position: 14,
            opened_index: 15,
            changed_position: 16,
            label: "17".into(),
        };
        let rows = [
            Row::Account(account),
            Row::Setting { name: "1".into(), value: vec![2] },
            Row::Entry { table: 1, key: 2, value: vec![3] },
        ];
        for row in rows {
            assert_eq!(to_stored_row(from_stored_row(row.clone())), row);
        }
        let marker = Marker {
            generation: 1,
            position: 2,
            term: 3,
            time: 4,
            link: Link([5; 32]),
            accounts: 6,
            digest: [7; 32],
            sums: vec![(8, 9)],
            format: 10,
        };
        assert_eq!(to_stored_marker(from_stored_marker(marker.clone()), 1), marker);
    }
}
