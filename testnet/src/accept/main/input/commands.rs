//! Wrong input to the wallet: amounts, accounts, assets, ids, keys. The ledger's rejections are
//! outcomes, so repeating the same id repeats the rejection; input that isn't a command is refused
//! before anything is sent.

use std::{fs, path::Path};

use anyhow::{Context, ensure};
use evenkeel_wire::{
    client::{Client, ClientOptions},
    id::CommandId,
    reply::View,
    request::{Consistency, Query},
};
use uuid::Uuid;

use crate::{
    accept::{
        sheet::{ResultSheet, output_text},
        stage,
    },
    cluster::testnet::Testnet,
    load::{
        accounts::{self, LoadAccounts},
        history::History,
    },
};

const DONE: i32 = 0;
const FAILED: i32 = 1;
const USAGE: i32 = 2;
const REJECTED: i32 = 3;
const UNAVAILABLE: i32 = 4;
/// Indexes into [`MixedAccounts`] of the first bank, two of its wallets, and the first wallet of
/// points.
const BANK: u16 = 0;
const ANN: u16 = 5;
const BOB: u16 = 6;
const POINTS: u16 = 12;

/// One call of `evenkeel wallet`.
struct WalletCall {
    what: &'static str,
    verb: &'static str,
    from: String,
    to: String,
    amount: &'static str,
    more: Vec<String>,
    exit: i32,
    word: &'static str,
}

pub(crate) async fn refused_or_rejected(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let client = Client::connect(stage::client_config(testnet)?, ClientOptions::default());
    let accounts = LoadAccounts::draw(2);
    let mut history = History::new(accounts.clone().into());
    accounts::open(&client, &accounts, &mut history).await?;
    let before = read_balances(&client, &accounts).await?;
    for call in calls(&accounts) {
        judge(testnet, &call, sheet).await?;
    }
    let after = read_balances(&client, &accounts).await?;
    sheet.record_claim(format!("the accounts' balances are unchanged: {after:?}"), before == after);
    same_id(testnet, &accounts, sheet).await?;
    check_wrong_credentials(testnet, &accounts, sheet).await
}

fn calls(accounts: &LoadAccounts) -> Vec<WalletCall> {
    let id = |place: u16| accounts.get(place).id.to_string();
    let call = |what, verb, from, to, amount, exit, word| WalletCall {
        what,
        verb,
        from: id(from),
        to: id(to),
        amount,
        more: Vec::new(),
        exit,
        word,
    };
    let send = |what, amount, exit, word| call(what, "send", ANN, BOB, amount, exit, word);
    let with = |call: WalletCall, flag: &str, value: &str| WalletCall {
        more: vec![flag.to_owned(), value.to_owned()],
        ..call
    };
    let nobody = version_4();
    let now = Uuid::now_v7().as_u128() >> 80;
    let made_at = |milliseconds: u128| {
        let milliseconds = u64::try_from(milliseconds).expect("48 bits");
        CommandId::from_parts(milliseconds, Uuid::now_v7().as_u128()).to_string()
    };
    vec![
        send("an amount of 0", "0", REJECTED, "amount_invalid"),
        send("an amount of 2^53", "9007199254740992", REJECTED, "amount_invalid"),
        send("an amount of 2^64 - 1", "18446744073709551615", REJECTED, "amount_invalid"),
        send("an amount of 2^53 - 1", "9007199254740991", REJECTED, "insufficient_funds"),
        send("an amount of 2^64", "18446744073709551616", USAGE, "--amount"),
        send("an amount below 0", "-1", USAGE, "--amount"),
        send("half a unit", "0.5", USAGE, "--amount"),
        WalletCall {
            to: nobody.clone(),
            ..send("an unknown payee", "1", REJECTED, "account_not_found")
        },
        WalletCall { from: nobody, ..send("an unknown payer", "1", REJECTED, "account_not_found") },
        call("to itself", "send", ANN, ANN, "1", REJECTED, "same_account"),
        call("a top-up by a wallet", "top-up", ANN, BOB, "1", REJECTED, "kind_not_allowed"),
        with(send("another asset", "1", REJECTED, "asset_mismatch"), "--asset", "POINT"),
        call("a payee of another asset", "send", ANN, POINTS, "1", REJECTED, "asset_mismatch"),
        with(send("no asset's name", "1", USAGE, "--asset"), "--asset", "won"),
        with(send("an id of version 4", "1", USAGE, "not of version 7"), "--id", &version_4()),
        with(send("an id that is no UUID", "1", USAGE, "not a UUID"), "--id", "lunch"),
        with(
            send("an id from ten minutes ahead", "1", REJECTED, "id_in_future"),
            "--id",
            &made_at(now + 600_000),
        ),
        with(
            send("an unknown id from eight days ago", "1", REJECTED, "id_expired"),
            "--id",
            &made_at(now - 8 * 86_400_000),
        ),
        with(send("a memo of 141 bytes", "1", USAGE, "--memo"), "--memo", &"m".repeat(141)),
    ]
}

/// A UUID of version 4, the version that most libraries make.
fn version_4() -> String {
    uuid::Builder::from_random_bytes(Uuid::now_v7().into_bytes()).into_uuid().to_string()
}

/// Runs a call; if the ledger rejects it, runs it again with the same id and expects the same
/// rejection. The three rejections about the id itself are never recorded under it, so calls with
/// their own id aren't repeated.
async fn judge(
    testnet: &Testnet,
    call: &WalletCall,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let mut more: Vec<&str> = call.more.iter().map(String::as_str).collect();
    let id = CommandId::new(Uuid::now_v7().as_u128()).context("not of version 7")?.to_string();
    let names_id = more.contains(&"--id");
    if !names_id {
        more.extend(["--id", &id]);
    }
    let moved = [call.verb, "--from", &call.from, "--to", &call.to];
    let amount = format!("--amount={}", call.amount);
    let arguments = [&moved[..], &[&amount], &more].concat();
    let (code, said) = run_wallet(testnet, &testnet.client_config(), &arguments).await?;
    let mut holds = code == Some(call.exit) && said.contains(call.word);
    let mut text = format!("{}: exit {}: {said}", call.what, exit_text(code));
    if code == Some(REJECTED) && !names_id {
        let (again, said) = run_wallet(testnet, &testnet.client_config(), &arguments).await?;
        let same = said.contains(call.word) && said.contains("same result as the first time");
        holds &= again == code && same;
        text = format!("{text}; the same when repeated");
    }
    sheet.record_claim(text, holds);
    Ok(())
}

/// One id with two contents: the first one counts, permanently.
async fn same_id(
    testnet: &Testnet,
    accounts: &LoadAccounts,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let id = Uuid::now_v7().to_string();
    let (from, to) = (accounts.get(BANK).id.to_string(), accounts.get(BOB).id.to_string());
    let top_up = ["top-up", "--from", &from, "--to", &to, "--id", &id, "--amount"];
    for (amount, exit, word) in [
        ("7", DONE, "committed"),
        ("8", REJECTED, "id_reused"),
        ("7", DONE, "same result as the first time"),
    ] {
        let arguments = [&top_up[..], &[amount]].concat();
        let (code, said) = run_wallet(testnet, &testnet.client_config(), &arguments).await?;
        sheet.record_claim(
            format!("one id, amount {amount}: exit {}: {said}", exit_text(code)),
            code == Some(exit) && said.contains(word),
        );
    }
    Ok(())
}

/// Clients with wrong credentials.
async fn check_wrong_credentials(
    testnet: &Testnet,
    accounts: &LoadAccounts,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let folder = testnet.run_folder();
    let good = fs::read_to_string(testnet.client_config())?;
    let bob = accounts.get(BOB).id.to_string();
    fs::write(folder.join("nobody.key"), "ek_0000\n")?;
    let other = folder.join("another");
    let (run, at) = (["cluster", "new", "--out", stage::path_text(&other)?], "a=127.0.0.1:1");
    let made = stage::run_evenkeel(testnet, &[&run[..], &["--site", at]].concat()).await?;
    ensure!(made.status.success(), "cluster new: {}", output_text(&made));
    for (what, from, to, exit, word) in [
        ("an unknown key in client.toml", "key_file", "kye_file", USAGE, "kye_file"),
        ("no key file", "operator.key", "nowhere.key", USAGE, "nowhere.key: No such file"),
        ("a key that was never created", "operator.key", "nobody.key", FAILED, "unauthorized"),
        ("another cluster's authority", "ca/ca.pem", "another/ca/ca.pem", UNAVAILABLE, "authority"),
    ] {
        let file = folder.join("wrong.toml");
        fs::write(&file, good.replace(from, to))?;
        let (code, said) = run_wallet(testnet, &file, &["show", &bob]).await?;
        sheet.record_claim(
            format!("{what}: exit {}: {said}", exit_text(code)),
            code == Some(exit) && said.contains(word),
        );
        fs::remove_file(&file)?;
    }
    fs::remove_file(folder.join("nobody.key"))?;
    fs::remove_dir_all(&other).with_context(|| other.display().to_string())
}

async fn run_wallet(
    testnet: &Testnet,
    client: &Path,
    arguments: &[&str],
) -> anyhow::Result<(Option<i32>, String)> {
    let base = ["wallet", "--client", stage::path_text(client)?];
    let output = stage::run_evenkeel(testnet, &[&base[..], arguments].concat()).await?;
    Ok((output.status.code(), output_text(&output)))
}

fn exit_text(code: Option<i32>) -> String {
    code.map_or_else(|| "by a signal".to_owned(), |code| code.to_string())
}

async fn read_balances(client: &Client, accounts: &LoadAccounts) -> anyhow::Result<Vec<i64>> {
    let mut held = Vec::new();
    for account in &accounts.all {
        let query = Query::Account(account.id);
        let reply = client.read(query, Consistency::Linearizable).await?;
        let View::Account(view) = reply.view else { anyhow::bail!("not an account") };
        held.push(view.posted);
    }
    Ok(held)
}
