//! `/v1/totals`: the sums of all accounts, by kind. Every asset adds up to zero. It never shows a
//! single account.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    http::{Response, StatusCode},
};
use evenkeel_wire::{
    reply::{AssetTotals, Totals, View},
    request::Query,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::gateway::http::{
    HttpDoor,
    answer::{
        describe::{self, Seen},
        problem::Problem,
    },
    openapi::{DeadlineMs, PlainReadProblems, ReadQuery},
    reads::mismatched_answer,
    request::{head::Head, query},
};

/// The sums of all accounts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Totals)]
pub(crate) struct TotalsShape {
    /// The newest entry that the sums contain.
    position: u64,
    /// By the asset's name.
    assets: BTreeMap<String, AssetShape>,
}

/// One asset's sums by kind of account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AssetTotals)]
struct AssetShape {
    wallet: i64,
    merchant: i64,
    bank: i64,
    fee: i64,
    issuer: i64,
    /// The company's liabilities: wallets and merchants.
    outstanding: i64,
    /// The sum of all kinds; always 0.
    sum: i64,
}

impl From<&AssetTotals> for AssetShape {
    fn from(totals: &AssetTotals) -> Self {
        let AssetTotals { wallet, merchant, bank, fee, issuer, .. } = *totals;
        let sum = [wallet, merchant, bank, fee, issuer].into_iter().fold(0, i64::saturating_add);
        Self { wallet, merchant, bank, fee, issuer, outstanding: outstanding(totals), sum }
    }
}

/// The company's liabilities.
pub(crate) fn outstanding(totals: &AssetTotals) -> i64 {
    totals.wallet.saturating_add(totals.merchant)
}

impl From<Totals> for TotalsShape {
    fn from(totals: Totals) -> Self {
        let assets = totals.assets.iter().map(|row| (row.asset.to_string(), row.into()));
        Self { position: totals.position, assets: assets.collect() }
    }
}

/// The sums by kind of account.
#[utoipa::path(
    get, path = "/v1/totals", tag = "reports", operation_id = "get_totals",
    params(ReadQuery, DeadlineMs),
    responses((status = 200, description = "The current sums.", body = Seen<TotalsShape>), PlainReadProblems),
)]
pub(crate) async fn get_totals(
    State(door): State<Arc<HttpDoor>>,
    head: Head,
) -> Result<Response<Body>, Problem> {
    head.check_accepts_json()?;
    let consistency = query::parameters(&head.uri, ["consistency"])?.consistency()?;
    match door.read_view(&head, Query::Totals, consistency).await? {
        (View::Totals(totals), as_of) => {
            Ok(describe::json(StatusCode::OK, &Seen::new(TotalsShape::from(totals), as_of)))
        }
        _ => Err(mismatched_answer()),
    }
}
