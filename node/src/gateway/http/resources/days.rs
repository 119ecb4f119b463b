//! `/v1/days`: closed business days, and their settlement for each merchant and bank. A day that
//! isn't closed is never shown.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, PoisonError},
};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use evenkeel_wire::{
    day::BusinessDate,
    id::KeyId,
    reply::{AsOf, AssetTotals, DayView, Refusal, View},
    request::{Consistency, Query},
};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use super::totals::outstanding;
use crate::gateway::http::{
    HttpDoor,
    answer::{
        describe::{self, Seen},
        problem::{Code, Problem},
    },
    openapi::{DeadlineMs, ReadProblems, ReadQuery},
    reads::mismatched_answer,
    request::{
        accept,
        fields::{AccountIdText, AssetName, DateText, Link},
        head::Head,
        query,
    },
};
use crate::{
    admission::{self, Act},
    history::{BankRow, MerchantRow, Settlement},
    limits::{HTTP_ITEM_BYTES, SETTLEMENT_PATIENCE},
};

/// A closed business day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Day)]
pub(crate) struct DayShape {
    date: DateText,
    /// By the asset's name.
    assets: BTreeMap<String, DayAssetShape>,
    /// The first entry of the day.
    first_position: u64,
    /// The entry of its marker.
    last_position: u64,
    link: Link,
}

/// One asset's day: for each kind of account, opening and movements add up to closing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DayAsset)]
struct DayAssetShape {
    opening: SumsShape,
    closing: SumsShape,
    /// Movements by kind of transfer.
    movements: BTreeMap<&'static str, MovementsShape>,
    /// The company's liabilities at the end: wallets and merchants.
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
pub(crate) async fn get_day(
    State(door): State<Arc<HttpDoor>>,
    head: Head,
) -> Result<Response<Body>, Problem> {
    head.check_accepts_json()?;
    let date = date(&head)?;
    let consistency = query::parameters(&head.uri, ["consistency"])?.consistency()?;
    match door.read_view(&head, Query::Day(date), consistency).await? {
        (View::Day(day), as_of) => {
            Ok(describe::json(StatusCode::OK, &Seen::new(DayShape::from(*day), as_of)))
        }
        _ => Err(mismatched_answer()),
    }
}

/// The date in the path. A date that no ledger can have closed is `not_found` rather than
/// malformed.
fn date(head: &Head) -> Result<BusinessDate, Problem> {
    let text = head.path_target();
    BusinessDate::parse(text).map_err(|error| {
        let shaped = text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok();
        if shaped {
            Problem::new(Code::NotFound, format!("no closed day {text}"))
        } else {
            Problem::malformed(format!("the path: {error}"))
        }
    })
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Settlement)]
pub(crate) struct SettlementShape {
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
    payments: i64,
    refunds: i64,
    /// Fees paid, minus reversed ones.
    fees: i64,
    /// Payments minus refunds and fees.
    net: i64,
}

/// A bank's day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BankDay)]
struct BankShape {
    account: AccountIdText,
    asset: AssetName,
    top_ups: i64,
    cash_outs: i64,
    /// Amounts that reversals returned to the bank, minus those they took from it.
    reversals: i64,
}

impl From<&Settlement> for SettlementShape {
    fn from(settlement: &Settlement) -> Self {
        let merchants = settlement.merchants.iter().map(|row| MerchantShape {
            account: AccountIdText(row.account),
            asset: AssetName(row.asset),
            payments: saturate_sum(row.payments),
            refunds: saturate_sum(row.refunds),
            fees: saturate_sum(row.fees),
            net: saturate_sum(row.net),
        });
        let banks = settlement.banks.iter().map(|row| BankShape {
            account: AccountIdText(row.account),
            asset: AssetName(row.asset),
            top_ups: saturate_sum(row.top_ups),
            cash_outs: saturate_sum(row.cash_outs),
            reversals: saturate_sum(row.reversals),
        });
        Self {
            date: DateText(settlement.date),
            merchants: merchants.collect(),
            banks: banks.collect(),
        }
    }
}

/// A sum beyond an i64 (a thousand times the largest amount) is shown as the nearest i64.
fn saturate_sum(sum: i128) -> i64 {
    i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
}

const JSON: &str = "application/json";
const CSV: &str = "text/csv";
/// Carries a local read's `as_of` when the answer is CSV.
const AS_OF: HeaderName = HeaderName::from_static("x-as-of");

/// The settlement of a closed day for each merchant and bank, as JSON or CSV.
#[utoipa::path(
    get, path = "/v1/days/{date}/settlement", tag = "reports", operation_id = "get_settlement",
    params(("date" = DateText, Path, description = "A business date."), ReadQuery, DeadlineMs),
    responses(
        (status = 200, description = "The same bytes on every node. A local read's `as_of` is in the header `x-as-of` if the answer is CSV.", content(
            (Seen<SettlementShape> = "application/json"),
            (String = "text/csv"),
        )),
        ReadProblems,
    ),
)]
pub(crate) async fn get_settlement(
    State(door): State<Arc<HttpDoor>>,
    head: Head,
) -> Result<Response<Body>, Problem> {
    let kind = accept::choose(&head.headers, &[JSON, CSV])?;
    admission::check_act(&head.caller, Act::ReadSettlement)?;
    let date = date(&head)?;
    let consistency = query::parameters(&head.uri, ["consistency"])?.consistency()?;
    let as_of = if consistency == Consistency::Local {
        door.keyring.confirm(&head.caller).await?;
        Some(door.as_of())
    } else {
        door.await_day(date, &head).await?;
        None
    };
    let settlement = door.read_settlement(date, head.caller.key, head.deadline).await?;
    let rows = settlement.merchants.len() + settlement.banks.len();
    let room = door.bodies.reserve_answer(head.caller.key, rows * HTTP_ITEM_BYTES)?;
    if kind == CSV {
        let kind = HeaderValue::from_static("text/csv; charset=utf-8");
        let mut response = ([(header::CONTENT_TYPE, kind)], csv(&settlement)).into_response();
        if let Some(AsOf { position, age_ms }) = as_of {
            let text = format!("position={position};age_ms={age_ms}");
            let value = HeaderValue::try_from(text).expect("letters and digits");
            response.headers_mut().insert(AS_OF, value);
        }
        return Ok(room.attach(response));
    }
    let shape = SettlementShape::from(&*settlement);
    Ok(room.attach(describe::json(StatusCode::OK, &Seen::new(shape, as_of))))
}

impl HttpDoor {
    /// The settlement of a closed day. Only one is computed at a time, since each reads a day's
    /// journal; keys take turns. The last one is kept, so that a client whose deadline passed gets
    /// it when it retries.
    async fn read_settlement(
        &self,
        date: BusinessDate,
        key: KeyId,
        deadline: Instant,
    ) -> Result<Arc<Settlement>, Problem> {
        if let Some(known) = self.cached_settlement().filter(|known| known.date == date) {
            return Ok(known);
        }
        let overloaded = |what: &str| Problem::new(Code::Overloaded, what);
        let busy = |_| overloaded("another settlement is being computed");
        let turn = self.settling.acquire(key);
        let patience = deadline.min(Instant::now() + SETTLEMENT_PATIENCE);
        let place = timeout_at(patience, turn).await.map_err(busy)?;
        if let Some(known) = self.cached_settlement().filter(|known| known.date == date) {
            return Ok(known);
        }
        let (state, settled) = (self.state.clone(), self.settled.clone());
        let working = tokio::task::spawn_blocking(move || {
            let settlement = Arc::new(state.compute_settlement(date)?);
            *settled.lock().unwrap_or_else(PoisonError::into_inner) = Some(settlement.clone());
            drop(place);
            Ok::<_, Refusal>(settlement)
        });
        let late = |_| overloaded("the settlement takes longer than the deadline; retry");
        let worked = timeout_at(deadline, working).await.map_err(late)?;
        Ok(worked.map_err(|_| overloaded("the settlement can't be computed now"))??)
    }

    fn cached_settlement(&self) -> Option<Arc<Settlement>> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until this site has applied all of a day that is closed at the primary.
    async fn await_day(&self, date: BusinessDate, head: &Head) -> Result<(), Problem> {
        let (view, _) = self.read_view(head, Query::Day(date), Consistency::Linearizable).await?;
        let View::Day(day) = view else { return Err(mismatched_answer()) };
        let behind = |_| Problem::new(Code::Recovering, "this site hasn't applied that day yet");
        self.wait_applied(day.last_position, head.deadline).await.map_err(behind)
    }
}

/// One table with a column for every figure (RFC 4180); a row's missing figures are empty.
fn csv(settlement: &Settlement) -> String {
    let mut text = String::from(
        "date,type,account,asset,payments,refunds,fees,net,top_ups,cash_outs,reversals\r\n",
    );
    let date = settlement.date;
    for row in &settlement.merchants {
        let MerchantRow { account, asset, payments, refunds, fees, net } = row;
        write!(text, "{date},merchant,{account},{asset},{payments},{refunds},{fees},{net},,,\r\n")
            .expect("writing to memory can't fail");
    }
    for row in &settlement.banks {
        let BankRow { account, asset, top_ups, cash_outs, reversals } = row;
        write!(text, "{date},bank,{account},{asset},,,,,{top_ups},{cash_outs},{reversals}\r\n")
            .expect("writing to memory can't fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use evenkeel_wire::{amount::Asset, id::AccountId};

    use super::*;

    #[test]
    fn a_settlement_is_one_table() {
        let settlement = Settlement {
            date: BusinessDate::parse("2026-11-26").unwrap(),
            merchants: vec![MerchantRow {
                account: AccountId::new(1),
                asset: Asset::parse("KRW").unwrap(),
                payments: 900,
                refunds: 100,
                fees: 20,
                net: 780,
            }],
            banks: vec![BankRow {
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
