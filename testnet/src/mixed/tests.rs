//! The oracle and the ledger over the same entries: they were written apart and must agree.

use std::collections::BTreeMap;

use evenkeel_ledger::{EntryHead, JournalLookup, Ledger, LedgerFault, RecordedCommand};
use evenkeel_node::state::memory::HUGE_PAGES;
use evenkeel_oracle::{
    acknowledged::{AcknowledgedCommand, Acknowledgements},
    journal::JournalModel,
    sums::check_totals,
};
use evenkeel_wire::{
    account::{AccountKind, Limits},
    codec,
    command::Command,
    day::{BusinessDate, CloseDay},
    entry::EntryBuilder,
    genesis::Genesis,
    hold::ExpireHold,
    id::{ClusterId, CommandId, NODES, OPERATOR_KEY},
    outcome::{Answer, Outcome, Stamp},
    transfer::{Text, TransferKind},
};

use super::{
    accounts::{MixedAccounts, fund, open_command},
    commands::{KnownTargets, random_command},
};
use crate::relay::rules::Chance;

const ENTRIES: u64 = 1_500;
const SECOND: u64 = 1_000_000;
/// Between one entry and the next.
const STEP: u64 = SECOND;
/// An entry ends the day this often.
const DAY: u64 = 400;

type Groups = Vec<(bool, Vec<Command>)>;

/// All entries so far: their stamps and commands.
#[derive(Default)]
struct Entries(Vec<(Stamp, Vec<Vec<u8>>)>);

impl JournalLookup for Entries {
    fn read_command(
        &mut self,
        position: u64,
        command: u16,
    ) -> Result<RecordedCommand, LedgerFault> {
        let (stamp, commands) = &self.0[usize::try_from(position).unwrap()];
        Ok(RecordedCommand { stamp: *stamp, bytes: commands[usize::from(command)].clone() })
    }

    /// The ledger forgets nothing here.
    fn find_sealed(&mut self, _id: CommandId) -> Result<Option<(u64, u16, Outcome)>, LedgerFault> {
        Ok(None)
    }
}

/// A ledger and the oracle, fed with the same entries.
struct Pair {
    ledger: Ledger,
    entries: Entries,
    journal: JournalModel,
    known: Acknowledgements,
    time: u64,
    kinds: BTreeMap<&'static str, u64>,
}

impl Pair {
    fn new(start: u64) -> Self {
        Self {
            ledger: Ledger::new(HUGE_PAGES),
            entries: Entries::default(),
            journal: JournalModel::default(),
            known: Acknowledgements::default(),
            time: start,
            kinds: BTreeMap::new(),
        }
    }

    /// Applies an entry on both sides, and compares every answer, every account and the sums.
    fn apply(&mut self, groups: &Groups) -> Vec<Answer> {
        self.time += STEP;
        let position = u64::try_from(self.entries.0.len()).unwrap();
        let stamp = Stamp { position, term: 1, recorded_at: self.time, link: [0; 32] };
        let body = encode(groups);
        let head = EntryHead { position, term: 1, time: self.time, link: stamp.link };
        let mut answers = Vec::new();
        self.ledger.apply(&head, &body, &mut self.entries, &mut answers).unwrap();
        let all = groups
            .iter()
            .flat_map(|(atomic, group)| group.iter().map(|command| (*atomic, command.clone())));
        let all: Vec<_> = all.collect();
        let commands = all.iter().map(|(_, command)| codec::encode(command)).collect();
        self.entries.0.push((stamp, commands));
        self.journal.apply_entry(position, self.time, &body).unwrap();
        let decided = self.journal.decided_at(position).iter().map(|decided| decided.decision);
        for (((_, command), answer), decision) in all.iter().zip(&answers).zip(decided) {
            let first = answer.first.map(|stamp| stamp.position);
            let answered = (answer.outcome, first);
            assert_eq!(answered, (decision.outcome, decision.first), "{position}: {command:?}");
            let verdict = answer.outcome.rejection.map_or("committed", |code| code.name());
            *self.kinds.entry(verdict).or_default() += 1;
        }
        for ((atomic, command), answer) in all.into_iter().zip(answers.clone()) {
            if !command.is_made_by_nodes() {
                let (node, command, floor) = (1, codec::encode(&command), None);
                let one = AcknowledgedCommand { node, command, answer, atomic, stamp, floor };
                self.known.add_answer(one);
            }
        }
        self.known.compare(&self.journal, position + 1).unwrap();
        let model = self.journal.model();
        for (id, _) in model.accounts() {
            model.check_account(id, self.ledger.account(id).as_ref()).unwrap();
        }
        check_totals(&self.ledger.totals()).unwrap();
        for row in self.ledger.totals().assets {
            assert_eq!(row, model.totals(row.asset));
        }
        assert_eq!(self.ledger.business_date(), model.date());
        answers
    }
}

fn encode(groups: &Groups) -> Vec<u8> {
    let mut builder = EntryBuilder::new();
    for (atomic, commands) in groups {
        let bytes: Vec<u8> = commands.iter().flat_map(codec::encode).collect();
        let by_nodes = commands.iter().any(Command::is_made_by_nodes);
        let key = if by_nodes { NODES } else { OPERATOR_KEY };
        builder.push(key, *atomic, u32::try_from(commands.len()).unwrap(), &bytes);
    }
    builder.finish()
}

fn genesis(accounts: &MixedAccounts) -> Command {
    Command::Genesis(Box::new(Genesis {
        cluster: ClusterId([1; 16]),
        assets: vec![accounts.won.asset, accounts.points.asset],
        wallet_max_balance: 2_000_000,
        id_horizon_ms: 7 * 24 * 3_600_000,
        id_tolerance_ms: 300_000,
        time_zone: Text::new("Asia/Seoul").unwrap(),
        operator_key: [2; 32],
        first_date: BusinessDate::FIRST,
    }))
}

/// Mostly the mixed load's, with holds that end within the test, and known ids once more.
fn next_command(
    accounts: &MixedAccounts,
    targets: &KnownTargets,
    sent: &[Command],
    chance: &mut Chance,
) -> Command {
    let pick = |chance: &mut Chance| super::accounts::pick_one(sent, chance).clone();
    match (chance.below(30), sent.is_empty()) {
        (0, false) => pick(chance),
        (1, false) => match pick(chance) {
            Command::Transfer(mut transfer) => {
                transfer.kind = TransferKind::Fee;
                Command::Transfer(transfer)
            }
            other => other,
        },
        _ => match random_command(accounts, targets, chance) {
            Command::Hold(mut hold) => {
                hold.expires_in_ms = 1 + chance.below(120_000);
                Command::Hold(hold)
            }
            other => other,
        },
    }
}

#[test]
fn the_oracle_and_the_ledger_agree_on_every_kind_of_command() {
    let accounts = MixedAccounts::draw();
    let mut chance = Chance::new(11);
    let now = super::accounts::new_id().timestamp_ms() * 1_000;
    let mut pair = Pair::new(now);
    pair.apply(&vec![(false, vec![genesis(&accounts)])]);
    for (row, source) in
        [(&accounts.won, AccountKind::Bank), (&accounts.points, AccountKind::Issuer)]
    {
        let open = |id, kind| open_command(row, id, kind, Limits::default());
        let mut opening = vec![open(row.source, source), open(row.fee, AccountKind::Fee)];
        opening.extend(row.merchants.iter().map(|id| open(*id, AccountKind::Merchant)));
        opening.extend(row.wallets.iter().map(|id| open(*id, AccountKind::Wallet)));
        opening.extend(row.wallets.iter().map(|id| fund(row, *id)));
        pair.apply(&vec![(false, opening)]);
    }
    let (mut targets, mut sent) = (KnownTargets::default(), Vec::new());
    for number in 1..=ENTRIES {
        if number % DAY == 0 {
            let closed = pair.ledger.business_date().unwrap();
            let next = closed.next();
            pair.apply(&vec![(false, vec![Command::CloseDay(CloseDay { closed, next })])]);
        }
        let due = pair.ledger.due_holds(pair.time + STEP, 100);
        if number % 7 == 0 && !due.is_empty() {
            let release = |hold| Command::ExpireHold(ExpireHold { hold });
            pair.apply(&vec![(false, due.into_iter().map(release).collect())]);
        }
        let group = |chance: &mut Chance| {
            let count = 1 + chance.below(5);
            let commands =
                (0..count).map(|_| next_command(&accounts, &targets, &sent, chance)).collect();
            (chance.below(3) == 0, commands)
        };
        let groups: Groups = (0..1 + chance.below(3)).map(|_| group(&mut chance)).collect();
        let answers = pair.apply(&groups);
        for (command, answer) in groups.into_iter().flat_map(|(_, group)| group).zip(answers) {
            if answer.outcome.rejection.is_none() {
                targets.add_committed(&command, &mut chance);
            }
            sent.push(command);
        }
    }
    pair.known.check_at_end(&pair.journal).unwrap();
    let met = |name: &str| pair.kinds.get(name).copied().unwrap_or_default();
    for name in [
        "committed",
        "id_reused",
        "amount_invalid",
        "same_account",
        "hold_not_found",
        "payment_not_found",
        "transfer_not_found",
        "kind_not_allowed",
        "account_frozen",
        "hold_not_open",
        "already_reversed",
        "account_not_empty",
        "capture_exceeds_hold",
        "refund_exceeds_payment",
        "per_transfer_limit_exceeded",
        "daily_limit_exceeded",
        "insufficient_funds",
        "max_balance_exceeded",
        "batch_failed",
    ] {
        assert!(met(name) > 0, "no {name}: {:?}", pair.kinds);
    }
    let expired = pair.journal.model().counts().expired;
    assert!(expired > 0, "{}", pair.journal.describe_counts());
}
