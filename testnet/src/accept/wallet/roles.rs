//! Row f: the whole table of roles over HTTP, and invalid keys: revoked, garbage, another
//! cluster's.

use std::time::Duration;

use anyhow::{Context, ensure};
use evenkeel_http::Method;
use evenkeel_node::{
    admission::roles::{Act, Allowed},
    operator::status::CreatedKey,
};
use evenkeel_wire::key::Role;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::accept::{sheet::ResultSheet, stage};
use crate::cluster::{admin, http::Door, testnet::Testnet, up};

/// Requests for each kind of invalid key when response times are compared.
const TIMED: usize = 1_000;

pub(crate) async fn check_role_table(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    let world = RoleFixture::open(testnet).await?;
    let mut keys = Vec::new();
    for role in Role::ALL {
        let account = (*role == Role::Merchant).then_some(world.own_merchant.as_str());
        // Each key is created at one site and used at the others.
        let site = &testnet.sites[keys.len() % testnet.sites.len()];
        let key = admin::create_key(&site.admin_socket(), role.name(), account).await?;
        keys.push((*role, key));
    }
    let mut asked = 0;
    for (role, key) in &keys {
        for (number, site) in testnet.sites.iter().enumerate() {
            let mut door = Door::new(site.http_address(), Some(&key.key));
            for act in Act::ALL {
                asked += check_act(&world, &mut door, *role, *act, number).await?;
            }
        }
    }
    sheet.record_claim(
        format!(
            "{asked} requests: each role is allowed exactly what the table says, at every site"
        ),
        true,
    );
    check_wrong_keys(testnet, sheet).await?;
    check_revoked_keys(testnet, &keys, sheet).await?;
    let texts: Vec<&str> = keys.iter().map(|(_, key)| key.key.as_str()).collect();
    check_keys_not_stored(testnet, &texts, sheet)
}

/// The accounts, keys and targets of the requests.
struct RoleFixture {
    bank: String,
    fee: String,
    issuer: String,
    wallet: String,
    points: String,
    own_merchant: String,
    other_merchant: String,
    /// Transfers and holds: of the merchant with a key, and of the other one.
    own: MerchantTargets,
    other: MerchantTargets,
    operator: String,
    http: std::net::SocketAddr,
}

struct MerchantTargets {
    payment: String,
    hold: String,
}

impl RoleFixture {
    async fn open(testnet: &Testnet) -> anyhow::Result<Self> {
        let operator = testnet.operator_key()?;
        let http = testnet.primary().await?.http_address();
        let mut door = Door::new(http, Some(&operator));
        let mut accounts = Vec::new();
        for (kind, asset) in [
            ("bank", "KRW"),
            ("fee", "KRW"),
            ("issuer", "POINT"),
            ("wallet", "KRW"),
            ("wallet", "POINT"),
            ("merchant", "KRW"),
            ("merchant", "KRW"),
        ] {
            let id = new_id();
            post_created(
                &mut door,
                "/v1/accounts",
                json!({"id": id, "kind": kind, "asset": asset}),
            )
            .await?;
            accounts.push(id);
        }
        let [bank, fee, issuer, wallet, points, own_merchant, other_merchant] =
            <[String; 7]>::try_from(accounts).ok().context("seven accounts")?;
        let top_up = transfer("top_up", &bank, &wallet, 1_500_000, "KRW");
        post_created(&mut door, "/v1/transfers", top_up).await?;
        let mut targets = Vec::new();
        for merchant in [&own_merchant, &other_merchant] {
            let body = transfer("payment", &wallet, merchant, 100_000, "KRW");
            let payment = post_created(&mut door, "/v1/transfers", body).await?;
            let hold = post_created(&mut door, "/v1/holds", hold(&wallet, merchant)).await?;
            targets.push(MerchantTargets { payment, hold });
        }
        let [own, other] =
            <[MerchantTargets; 2]>::try_from(targets).ok().context("two merchants")?;
        let closed = admin::close_day(&testnet.primary().await?.admin_socket()).await?;
        ensure!(!closed.date.is_empty(), "a day without a date");
        Ok(Self {
            bank,
            fee,
            issuer,
            wallet,
            points,
            own_merchant,
            other_merchant,
            own,
            other,
            operator,
            http,
        })
    }

    /// The request for an act, on a target of the merchant with a key or of the other one.
    async fn request(&self, act: Act, own: bool) -> anyhow::Result<(Method, String, Value)> {
        let (merchant, targets) =
            if own { (&self.own_merchant, &self.own) } else { (&self.other_merchant, &self.other) };
        let post = |path: String, body: Value| (Method::POST, path, body);
        let get = |path: String| (Method::GET, path, Value::Null);
        let pay = |kind: &str, debit: &str, credit: &str, asset: &str| {
            post("/v1/transfers".to_owned(), transfer(kind, debit, credit, 1, asset))
        };
        let open = |kind: &str| {
            let body = json!({"id": new_id(), "kind": kind, "asset": "KRW"});
            post("/v1/accounts".to_owned(), body)
        };
        Ok(match act {
            Act::OpenWallet => open("wallet"),
            Act::OpenOther => open("bank"),
            Act::SetStatus => {
                post(format!("/v1/accounts/{}/unfreeze", self.wallet), json!({"id": new_id()}))
            }
            Act::SetLimits => {
                let body = json!({"id": new_id(), "per_transfer": null});
                (Method::PUT, format!("/v1/accounts/{}/limits", self.wallet), body)
            }
            Act::TopUp => pay("top_up", &self.bank, &self.wallet, "KRW"),
            Act::Transfer => pay("transfer", &self.wallet, &self.points, "KRW"),
            Act::Payment => pay("payment", &self.wallet, merchant, "KRW"),
            Act::CashOut => pay("cash_out", &self.wallet, &self.bank, "KRW"),
            Act::Fee => pay("fee", merchant, &self.fee, "KRW"),
            Act::Grant => pay("grant", &self.issuer, &self.points, "POINT"),
            Act::NotByTransfer => pay("refund", merchant, &self.wallet, "KRW"),
            Act::Hold => post("/v1/holds".to_owned(), hold(&self.wallet, merchant)),
            Act::Capture | Act::Void => {
                // Each request gets its own hold, so that the ledger has no reason to reject it.
                let mut door = Door::new(self.http, Some(&self.operator));
                let hold =
                    post_created(&mut door, "/v1/holds", hold(&self.wallet, merchant)).await?;
                let verb = if act == Act::Capture { "capture" } else { "void" };
                post(format!("/v1/holds/{hold}/{verb}"), json!({"id": new_id()}))
            }
            Act::Refund => {
                let body = json!({"id": new_id(), "amount": 1});
                post(format!("/v1/transfers/{}/refund", targets.payment), body)
            }
            Act::Reversal => {
                let body = json!({"id": new_id(), "reason": "a test"});
                post(format!("/v1/transfers/{}/reversal", targets.payment), body)
            }
            Act::ReadAccount => get(format!("/v1/accounts/{merchant}")),
            Act::ReadHistory => get(format!("/v1/accounts/{merchant}/transfers")),
            Act::ReadTransfer => get(format!("/v1/transfers/{}", targets.payment)),
            Act::ReadHold => get(format!("/v1/holds/{}", targets.hold)),
            Act::ReadTotals => get("/v1/totals".to_owned()),
            Act::ReadDay => get("/v1/days/2000-01-01".to_owned()),
            Act::ReadSettlement => get("/v1/days/2000-01-01/settlement".to_owned()),
            // An invalid position is checked after the key: a valid stream would never end.
            Act::ReadEvents => get("/v1/events?after=nowhere".to_owned()),
        })
    }
}

/// Tries one act on the merchant's own targets and on the other's; returns the number of requests.
async fn check_act(
    world: &RoleFixture,
    door: &mut Door,
    role: Role,
    act: Act,
    site: usize,
) -> anyhow::Result<usize> {
    for own in [true, false] {
        let (method, path, body) = world.request(act, own).await?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = door.fetch_answer(method.clone(), &path, &[], body.into()).await?;
        let allowed = match act.allowed(role) {
            Allowed::Yes => true,
            Allowed::Own => own,
            Allowed::No => false,
        };
        let (status, code) = (answer.status, answer.code());
        let fits = if allowed {
            // Rejections of the request itself don't matter here.
            matches!(status, 200 | 201 | 400 | 404 | 422)
        } else {
            status == 403 && code == "forbidden"
        };
        ensure!(
            fits,
            "{role} at site {site}, own: {own}: {method} {path} ({act:?}) got {status} {code}, allowed: {allowed}"
        );
    }
    Ok(2)
}

/// Garbage, and the operator's key of another cluster: 401, in a time that reveals nothing.
async fn check_wrong_keys(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let operator = testnet.operator_key()?;
    let foreign = foreign_key(testnet).await?;
    let mut near = operator.clone();
    near.pop();
    near.push(if operator.ends_with('a') { 'b' } else { 'a' });
    let mut medians = Vec::new();
    for (what, key) in
        [("garbage", "garbage"), ("all but the last letter", &near), ("foreign", &foreign)]
    {
        let mut times = Vec::new();
        let mut door = Door::new(testnet.sites[0].http_address(), Some(key));
        for _ in 0..TIMED {
            let start = Instant::now();
            let answer = door.get("/v1/totals").await?;
            times.push(start.elapsed());
            ensure!(
                answer.status == 401 && answer.code() == "unauthorized",
                "{what}: {} {}",
                answer.status,
                answer.code()
            );
        }
        times.sort_unstable();
        medians.push(times[TIMED / 2]);
    }
    let told: Vec<String> = medians.iter().map(|median| format!("{median:?}")).collect();
    let spread = medians.iter().max().zip(medians.iter().min());
    let spread = spread.map_or(Duration::ZERO, |(most, least)| most.saturating_sub(*least));
    let least = medians.iter().min().copied().unwrap_or_default();
    sheet.record_claim(
        format!("garbage, nearly right, another cluster's: 401; medians {}", told.join(" ")),
        spread <= least / 2,
    );
    Ok(())
}

async fn foreign_key(testnet: &Testnet) -> anyhow::Result<String> {
    let folder = testnet.run_folder().join("foreign");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let out = stage::path_text(&folder)?;
    let arguments = [
        "cluster",
        "new",
        "--out",
        out,
        "--site",
        "a=127.0.0.1:7400",
        "--site",
        "b=127.0.0.1:7500",
        "--site",
        "c=127.0.0.1:7600",
    ];
    let made = stage::run_evenkeel(testnet, &arguments).await?;
    ensure!(made.status.success(), "cluster new: {}", crate::accept::sheet::output_text(&made));
    let key = std::fs::read_to_string(folder.join("operator.key"))?;
    std::fs::remove_dir_all(&folder)?;
    Ok(key.trim().to_owned())
}

/// A key revoked at one site is refused at every site immediately.
async fn check_revoked_keys(
    testnet: &Testnet,
    keys: &[(Role, CreatedKey)],
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    for (number, (role, key)) in keys.iter().enumerate() {
        let mut doors: Vec<Door> = testnet
            .sites
            .iter()
            .map(|site| Door::new(site.http_address(), Some(&key.key)))
            .collect();
        let at = &testnet.sites[(number + 1) % testnet.sites.len()];
        admin::revoke_key(&at.admin_socket(), key.id).await?;
        for (site, door) in testnet.sites.iter().zip(&mut doors) {
            for (method, path, body) in [
                (Method::GET, "/v1/transfers/01900000-0000-7000-8000-000000000000", Value::Null),
                (
                    Method::POST,
                    "/v1/accounts",
                    json!({"id": new_id(), "kind": "wallet", "asset": "KRW"}),
                ),
            ] {
                let body = if body.is_null() { String::new() } else { body.to_string() };
                let answer = door.fetch_answer(method, path, &[], body.into()).await?;
                let (status, name) = (answer.status, &site.name);
                ensure!(
                    status == 401,
                    "the {role}'s key was revoked; {name} answers {status} to {path}"
                );
            }
        }
    }
    sheet.record_claim(
        format!("{} keys revoked, each refused at every site immediately", keys.len()),
        true,
    );
    Ok(())
}

fn check_keys_not_stored(
    testnet: &Testnet,
    texts: &[&str],
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let operator = testnet.operator_key()?;
    let mut found = 0;
    for site in &testnet.sites {
        for file in crate::accept::main::damage::files_below(site.folder())? {
            let bytes = std::fs::read(&file).unwrap_or_default();
            let holds = |text: &&str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
            found += texts.iter().chain([&operator.as_str()]).filter(|text| holds(text)).count();
        }
    }
    sheet.at_most("keys in any log, journal or other file of a node", found, 0, "");
    Ok(())
}

fn new_id() -> String {
    Uuid::now_v7().to_string()
}

fn transfer(kind: &str, debit: &str, credit: &str, amount: u64, asset: &str) -> Value {
    json!({
        "id": new_id(), "kind": kind, "debit": debit, "credit": credit, "amount": amount, "asset": asset,
    })
}

fn hold(debit: &str, credit: &str) -> Value {
    json!({
        "id": new_id(), "debit": debit, "credit": credit, "amount": 100, "asset": "KRW",
        "expires_in_ms": 600_000,
    })
}

/// Submits a command that must be committed; returns its id.
async fn post_created(door: &mut Door, path: &str, body: Value) -> anyhow::Result<String> {
    let answer = door.post(path, &body).await?;
    ensure!(answer.status == 201, "{path} {body}: {} {}", answer.status, answer.code());
    Ok(body["id"].as_str().unwrap_or_default().to_owned())
}
