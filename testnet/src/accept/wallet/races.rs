//! Row c: two refunds, two captures, capture and void, capture and expiry, each race run a thousand
//! times from two sites at the same moment. Exactly one wins, and the other gets its own rejection
//! code.

use std::{sync::Arc, time::Duration};

use anyhow::{bail, ensure};
use evenkeel_wire::{
    account::{AccountKind, Limits, OpenAccount},
    amount::{Amount, Asset},
    client::{Client, ClientOptions, CommandAnswer},
    command::Command,
    hold::{Capture, Hold, HoldStatus, Void},
    id::{AccountId, CommandId},
    outcome::Rejection,
    refund::Refund,
    reply::View,
    request::{Consistency, Query},
    transfer::{Text, Transfer, TransferKind},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::sleep;
use uuid::Uuid;

use crate::accept::{sheet::ResultSheet, stage};
use crate::{
    cluster::{testnet::Testnet, up},
    mixed::{accounts::new_id, caller::submit_until_answered},
    relay::rules::Chance,
};

const RACES: u64 = 1_000;
/// Concurrent races.
const AT_ONCE: usize = 32;
const AMOUNT: u64 = 1_000;
const LONG_MS: u64 = 3_600_000;
/// The lifetime of a hold that expires during its capture: the capture is sent at about the same
/// time.
const SHORT_MS: u64 = 40;
/// The time within which an expired hold must be released.
const RELEASED_WITHIN: Duration = Duration::from_secs(2);

pub(crate) async fn run_thousand_each(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, false).await?;
    let ring = Arc::new(RaceFixture::open(testnet).await?);
    for (what, race) in [
        ("two refunds of a whole payment", Race::Refunds),
        ("two captures of a hold", Race::Captures),
        ("capture and void", Race::CaptureVoid),
        ("capture and expiry", Race::CaptureExpiry),
    ] {
        let races = (0..RACES).map(|number| Arc::clone(&ring).run(race, number));
        let firsts: Vec<bool> = stream::iter(races).buffer_unordered(AT_ONCE).try_collect().await?;
        let first = firsts.iter().filter(|first| **first).count();
        sheet.record_claim(
            format!("{what}: {RACES} races, exactly one won each ({first} times the first)"),
            true,
        );
    }
    // Without further commands, expired holds must still be released.
    sleep(RELEASED_WITHIN).await;
    let open = ring.account(ring.wallet).await?;
    sheet.at_most("still held 2 s afterwards", open.held, 0, "");
    let merchant = ring.account(ring.merchant).await?;
    sheet.record_claim(
        format!("wallet {} + merchant {} equal the top-up", open.posted, merchant.posted),
        open.posted + merchant.posted == RaceFixture::FUNDS,
    );
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Race {
    Refunds,
    Captures,
    CaptureVoid,
    CaptureExpiry,
}

/// Two clients at two sites, and their shared accounts.
struct RaceFixture {
    one: Client,
    other: Client,
    bank: AccountId,
    wallet: AccountId,
    merchant: AccountId,
}

impl RaceFixture {
    const FUNDS: i64 = 50_000_000;

    async fn open(testnet: &Testnet) -> anyhow::Result<Self> {
        let primary = testnet.primary().await?;
        let follower = stage::follower(testnet).await?;
        let client = |site| -> anyhow::Result<Client> {
            Ok(Client::connect(stage::config_of_site(testnet, site)?, ClientOptions::default()))
        };
        let new = || AccountId::new(Uuid::now_v7().as_u128());
        let ring = Self {
            one: client(primary)?,
            other: client(follower)?,
            bank: new(),
            wallet: new(),
            merchant: new(),
        };
        let free =
            Limits { max_balance: evenkeel_wire::account::LimitChange::Clear, ..Limits::default() };
        let open = |id, kind| {
            let limits = if kind == AccountKind::Wallet { free } else { Limits::default() };
            Command::OpenAccount(OpenAccount {
                id,
                kind,
                asset: krw_asset(),
                label: Text::default(),
                limits,
            })
        };
        for command in [
            open(ring.bank, AccountKind::Bank),
            open(ring.wallet, AccountKind::Wallet),
            open(ring.merchant, AccountKind::Merchant),
            ring.transfer(TransferKind::TopUp, ring.bank, ring.wallet, 50_000_000),
        ] {
            submit_committed(&ring.one, &command).await?;
        }
        Ok(ring)
    }

    fn transfer(
        &self,
        kind: TransferKind,
        debit: AccountId,
        credit: AccountId,
        amount: u64,
    ) -> Command {
        Command::Transfer(Transfer {
            id: new_id(),
            debit,
            credit,
            amount: Amount(amount),
            asset: krw_asset(),
            kind,
            reference: Text::default(),
            memo: Text::default(),
        })
    }

    /// Runs one race; returns whether the first of the two won.
    async fn run(self: Arc<Self>, race: Race, number: u64) -> anyhow::Result<bool> {
        match race {
            Race::Refunds => {
                let payment =
                    self.transfer(TransferKind::Payment, self.wallet, self.merchant, AMOUNT);
                let id = payment.id().expect("a transfer has an id");
                submit_committed(&self.one, &payment).await?;
                let refund = || {
                    let amount = Some(Amount(AMOUNT));
                    Command::Refund(Refund {
                        id: new_id(),
                        payment: id,
                        amount,
                        memo: Text::default(),
                    })
                };
                self.race_commands(refund(), refund(), Rejection::RefundExceedsPayment).await
            }
            Race::Captures => {
                let hold = self.hold(LONG_MS).await?;
                self.race_commands(capture(hold), capture(hold), Rejection::HoldNotOpen).await
            }
            Race::CaptureVoid => {
                let hold = self.hold(LONG_MS).await?;
                let void = Command::Void(Void { id: new_id(), hold });
                let (first, second) = if number.is_multiple_of(2) {
                    (capture(hold), void)
                } else {
                    (void, capture(hold))
                };
                self.race_commands(first, second, Rejection::HoldNotOpen).await
            }
            Race::CaptureExpiry => self.race_expiry(number).await,
        }
    }

    async fn hold(&self, expires_in_ms: u64) -> anyhow::Result<CommandId> {
        let id = new_id();
        let hold = Command::Hold(Hold {
            id,
            debit: self.wallet,
            credit: self.merchant,
            amount: Amount(AMOUNT),
            asset: krw_asset(),
            expires_in_ms,
            memo: Text::default(),
        });
        submit_committed(&self.one, &hold).await?;
        Ok(id)
    }

    async fn race_commands(
        &self,
        first: Command,
        second: Command,
        code: Rejection,
    ) -> anyhow::Result<bool> {
        let (one, other) = tokio::join!(
            submit_until_answered(&self.one, &first),
            submit_until_answered(&self.other, &second)
        );
        match (one?.outcome.rejection, other?.outcome.rejection) {
            (None, Some(lost)) if lost == code => Ok(true),
            (Some(lost), None) if lost == code => Ok(false),
            both => bail!("{first:?} and {second:?} ended with {both:?}"),
        }
    }

    /// Captures a hold at about its expiry: either the payment is made, or the money is released.
    async fn race_expiry(&self, number: u64) -> anyhow::Result<bool> {
        let hold = self.hold(SHORT_MS).await?;
        let mut chance = Chance::new(number + 1);
        sleep(Duration::from_millis(SHORT_MS - 20 + chance.below(40))).await;
        let captured = submit_until_answered(&self.other, &capture(hold)).await?.outcome.rejection;
        let expected = match captured {
            None => HoldStatus::Captured,
            Some(Rejection::HoldNotOpen) => HoldStatus::Expired,
            Some(other) => bail!("the capture of an expiring hold ended with {other}"),
        };
        let reply = self.one.read(Query::Hold(hold), Consistency::Linearizable).await?;
        let View::Hold(view) = reply.view else { bail!("not a hold: {:?}", reply.view) };
        ensure!(view.status == expected, "captured: {captured:?}, but the hold is {view:?}");
        Ok(captured.is_none())
    }

    async fn account(&self, id: AccountId) -> anyhow::Result<evenkeel_wire::reply::AccountView> {
        let reply = self.one.read(Query::Account(id), Consistency::Linearizable).await?;
        let View::Account(view) = reply.view else { bail!("not an account: {:?}", reply.view) };
        Ok(view)
    }
}

fn krw_asset() -> Asset {
    Asset::parse("KRW").expect("a name of capital letters")
}

fn capture(hold: CommandId) -> Command {
    Command::Capture(Capture { id: new_id(), hold, amount: None })
}

async fn submit_committed(client: &Client, command: &Command) -> anyhow::Result<CommandAnswer> {
    let answered = submit_until_answered(client, command).await?;
    ensure!(answered.outcome.rejection.is_none(), "{command:?}: {:?}", answered.outcome.rejection);
    Ok(answered)
}
