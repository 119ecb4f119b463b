//! `/v1/days`: closed business days, and what each merchant and bank is owed for one.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use evenkeel_wire::{
    amount::Asset,
    day::BusinessDate,
    id::AccountId,
    reply::{AssetTotals, DayView, Refusal, View},
    request::Query,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    HttpDoor, accept,
    describe::{self, Seen},
    fields::{AccountIdText, AssetName, DateText, Link},
    head::Head,
    look::mismatched,
    openapi::{DeadlineMs, ReadProblems, ReadQuery},
    problem::{Code, Problem},
    query,
    totals::outstanding,
};
use crate::{
    admission::{self, Act},
    limits::SETTLEMENT_PATIENCE,
};

/// A closed business day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Day)]
pub(super) struct DayShape {
    date: DateText,
    /// By name of the asset.
    assets: BTreeMap<String, DayAssetShape>,
    /// The first entry that counts for it.
    first_position: u64,
    /// Its marker's entry.
    last_position: u64,
    link: Link,
}

/// One asset's day: for each kind of account, opening and movements make closing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DayAsset)]
struct DayAssetShape {
    opening: SumsShape,
    closing: SumsShape,
    /// What moved, by kind of transfer.
    movements: BTreeMap<&'static str, MovementsShape>,
    /// What the company owed at the end: wallets and merchants.
    outstanding: i64,
}

/// Sums by kind of account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sums)]
struct SumsShape {
    wallet: i64,
    merchant: i64,
    bank: i64,
    fee: i64,
    issuer: i64,
}

/// The movements of one kind.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Movements)]
struct MovementsShape {
    count: u64,
    sum: u64,
}

impl From<AssetTotals> for SumsShape {
    fn from(totals: AssetTotals) -> Self {
        let AssetTotals { wallet, merchant, bank, fee, issuer, .. } = totals;
        Self { wallet, merchant, bank, fee, issuer }
    }
}

impl From<DayView> for DayShape {
    fn from(day: DayView) -> Self {
        let assets = day.assets.into_iter().map(|asset| {
            let movements = asset.movements.iter();
            let shape = DayAssetShape {
                outstanding: outstanding(&asset.closing),
                opening: asset.opening.into(),
                closing: asset.closing.into(),
                movements: movements
                    .map(|row| (row.kind.name(), MovementsShape { count: row.count, sum: row.sum }))
                    .collect(),
            };
            (asset.opening.asset.to_string(), shape)
        });
        Self {
            date: DateText(day.date),
            assets: assets.collect(),
            first_position: day.first_position,
            last_position: day.last_position,
            link: Link(day.link),
        }
    }
}

/// The report of a closed business day.
#[utoipa::path(
    get, path = "/v1/days/{date}", tag = "reports", operation_id = "get_day",
    params(("date" = DateText, Path, description = "A business date."), ReadQuery, DeadlineMs),
    responses((status = 200, description = "The same on every node.", body = Seen<DayShape>), ReadProblems),
)]
pub(super) async fn get_day(
    State(door): State<Arc<HttpDoor>>,
    head: Head,
) -> Result<Response<Body>, Problem> {
    head.takes_json()?;
    let date = date(&head)?;
    let consistency = query::parameters(&head.uri, ["consistency"])?.consistency()?;
    match door.look(&head, Query::Day(date), consistency).await? {
        (View::Day(day), as_of) => {
            Ok(describe::json(StatusCode::OK, &Seen::new(DayShape::from(*day), as_of)))
        }
        _ => Err(mismatched()),
    }
}

/// The date that the path names. One that no ledger can have closed isn't malformed: it just isn't there.
fn date(head: &Head) -> Result<BusinessDate, Problem> {
    let text = head.target();
    BusinessDate::parse(text).map_err(|error| {
        let shaped = text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok();
        if shaped {
            Problem::new(Code::NotFound, format!("no closed day {text}"))
        } else {
            Problem::malformed(format!("the path: {error}"))
        }
    })
}

/// What one closed day means for each merchant and bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub date: BusinessDate,
    pub merchants: Vec<MerchantDay>,
    pub banks: Vec<BankDay>,
}

/// A merchant's day, minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MerchantDay {
    pub account: AccountId,
    pub asset: Asset,
    pub payments: u64,
    pub refunds: u64,
    pub fees: u64,
    pub net: i64,
}

/// A bank's day, minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BankDay {
    pub account: AccountId,
    pub asset: Asset,
    pub top_ups: u64,
    pub cash_outs: u64,
    pub reversals: i64,
}

/// Who works out settlements: from the journal, so that they are the same bytes on every node.
pub trait SettlementSource: Send + Sync + 'static {
    /// May read the whole day's journal: never called where something waits.
    ///
    /// # Errors
    /// When the day isn't closed as far as this node knows, or the journal can't be read.
    fn settlement(&self, date: BusinessDate) -> Result<Settlement, Refusal>;
}

impl SettlementSource for crate::state::State {
    fn settlement(&self, _date: BusinessDate) -> Result<Settlement, Refusal> {
        Err(Refusal::new(evenkeel_wire::reply::RefusalCode::Recovering, "not yet"))
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Settlement)]
pub(super) struct SettlementShape {
    date: DateText,
    merchants: Vec<MerchantShape>,
    banks: Vec<BankShape>,
}

/// A merchant's day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MerchantDay)]
struct MerchantShape {
    account: AccountIdText,
    asset: AssetName,
    payments: u64,
    refunds: u64,
    fees: u64,
    /// Payments less refunds and fees.
    net: i64,
}

/// A bank's day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BankDay)]
struct BankShape {
    account: AccountIdText,
    asset: AssetName,
    top_ups: u64,
    cash_outs: u64,
    /// What reversals brought back to the bank, less what they took from it.
    reversals: i64,
}

impl From<&Settlement> for SettlementShape {
    fn from(settlement: &Settlement) -> Self {
        let merchants = settlement.merchants.iter().map(|row| MerchantShape {
            account: AccountIdText(row.account),
            asset: AssetName(row.asset),
            payments: row.payments,
            refunds: row.refunds,
            fees: row.fees,
            net: row.net,
        });
        let banks = settlement.banks.iter().map(|row| BankShape {
            account: AccountIdText(row.account),
            asset: AssetName(row.asset),
            top_ups: row.top_ups,
            cash_outs: row.cash_outs,
            reversals: row.reversals,
        });
        Self {
            date: DateText(settlement.date),
            merchants: merchants.collect(),
            banks: banks.collect(),
        }
    }
}

const JSON: &str = "application/json";
const CSV: &str = "text/csv";

/// What a closed day means for each merchant and bank, as JSON or CSV.
#[utoipa::path(
    get, path = "/v1/days/{date}/settlement", tag = "reports", operation_id = "get_settlement",
    params(("date" = DateText, Path, description = "A business date."), DeadlineMs),
    responses(
        (status = 200, description = "The same bytes on every node.", content(
            (SettlementShape = "application/json"),
            (String = "text/csv"),
        )),
        ReadProblems,
    ),
)]
pub(super) async fn get_settlement(
    State(door): State<Arc<HttpDoor>>,
    head: Head,
) -> Result<Response<Body>, Problem> {
    let kind = accept::choose(&head.headers, &[JSON, CSV])?;
    let date = date(&head)?;
    query::none(head.uri.query())?;
    admission::check_act(&head.caller, Act::ReadSettlement)?;
    let overloaded = || Problem::new(Code::Overloaded, "a settlement is being worked out already");
    // One at a time: each reads a day's journal.
    let turn = door.settling.clone();
    let place = tokio::time::timeout(SETTLEMENT_PATIENCE, turn.acquire_owned())
        .await
        .map_err(|_| overloaded())?
        .map_err(|_| overloaded())?;
    let source = door.settlements.clone();
    let working = tokio::task::spawn_blocking(move || {
        let settlement = source.settlement(date);
        drop(place);
        settlement
    });
    let settlement = tokio::time::timeout_at(head.deadline, working)
        .await
        .map_err(|_| {
            Problem::new(Code::Overloaded, "the settlement took longer than the deadline")
        })?
        .map_err(|_| Problem::new(Code::Overloaded, "the settlement can't be worked out now"))??;
    if kind == CSV {
        let kind = HeaderValue::from_static("text/csv; charset=utf-8");
        return Ok(([(header::CONTENT_TYPE, kind)], csv(&settlement)).into_response());
    }
    Ok(describe::json(StatusCode::OK, &SettlementShape::from(&settlement)))
}

/// One table with a column for every figure (RFC 4180); what a row doesn't have is empty.
fn csv(settlement: &Settlement) -> String {
    let mut text = String::from(
        "date,type,account,asset,payments,refunds,fees,net,top_ups,cash_outs,reversals\r\n",
    );
    let date = settlement.date;
    for row in &settlement.merchants {
        let MerchantDay { account, asset, payments, refunds, fees, net } = row;
        write!(text, "{date},merchant,{account},{asset},{payments},{refunds},{fees},{net},,,\r\n")
            .expect("writing to memory can't fail");
    }
    for row in &settlement.banks {
        let BankDay { account, asset, top_ups, cash_outs, reversals } = row;
        write!(text, "{date},bank,{account},{asset},,,,,{top_ups},{cash_outs},{reversals}\r\n")
            .expect("writing to memory can't fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settlement_is_one_table() {
        let settlement = Settlement {
            date: BusinessDate::parse("2026-11-26").unwrap(),
            merchants: vec![MerchantDay {
                account: AccountId::new(1),
                asset: Asset::parse("KRW").unwrap(),
                payments: 900,
                refunds: 100,
                fees: 20,
                net: 780,
            }],
            banks: vec![BankDay {
                account: AccountId::new(2),
                asset: Asset::parse("KRW").unwrap(),
                top_ups: 5_000,
                cash_outs: 70,
                reversals: -8,
            }],
        };
        assert_eq!(
            csv(&settlement),
            "date,type,account,asset,payments,refunds,fees,net,top_ups,cash_outs,reversals\r\n\
             2026-11-26,merchant,00000000-0000-0000-0000-000000000001,KRW,900,100,20,780,,,\r\n\
             2026-11-26,bank,00000000-0000-0000-0000-000000000002,KRW,,,,,5000,70,-8\r\n"
        );
    }
}
