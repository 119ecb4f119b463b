//! The check after the load: each wallet's balance must match the acknowledged transfers, the
//! bank's balance must be the negative of the wallets' sum, and every asset must sum to zero.

use evenkeel_wire::id::AccountId;
use futures_util::{StreamExt, TryStreamExt, stream};

use tokio::time::{Duration, Instant, sleep};

use super::{
    PATIENCE,
    accounts::{BenchAccounts, OPENING_BALANCE},
    figures::Tally,
};
use crate::{
    Exit, Failure,
    door::{Door, ReadSource, no_answer},
};

/// Concurrent reads.
const READS_MAX: usize = 256;
/// Pause before a lagging follower is read again.
const TOO_OLD_PAUSE: Duration = Duration::from_millis(20);
/// Wrong accounts listed by name; the rest are only counted.
const NAMED_MAX: usize = 5;

pub(crate) async fn balances(
    door: &Door,
    accounts: &BenchAccounts,
    tally: &Tally,
) -> Result<(), Failure> {
    let (site, floor) = sums(door).await?;
    let opening = i64::try_from(OPENING_BALANCE).expect("a small amount");
    let wallets = accounts.wallets.iter().zip(&tally.changes);
    let count = i64::try_from(accounts.wallets.len()).expect("a length fits");
    let expected = wallets
        .map(|(wallet, change)| (*wallet, opening + change))
        .chain([(accounts.bank, -(opening * count))]);
    let site = site.as_deref();
    let wrong: Vec<String> = stream::iter(expected)
        .map(|(account, expected)| async move {
            let posted = posted(door, site, floor, account).await?;
            let differs = posted != expected;
            Ok::<_, Failure>(differs.then(|| format!("{account} has {posted}, not {expected}")))
        })
        .buffer_unordered(READS_MAX)
        .try_filter_map(|wrong| async { Ok(wrong) })
        .try_collect()
        .await?;
    if tally.unknown > 0 {
        return Err(Failure::new(
            Exit::Unavailable,
            format!(
                "the outcome of {} transfers is unknown, so the balances can't be compared",
                tally.unknown
            ),
        ));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let named: Vec<&str> = wrong.iter().take(NAMED_MAX).map(String::as_str).collect();
    Err(Failure::failed(format!(
        "{} accounts differ from the acknowledged transfers: {}",
        wrong.len(),
        named.join("; ")
    )))
}

/// Checks that every asset sums to zero; returns the answering site and a position at which the
/// whole load is applied.
async fn sums(door: &Door) -> Result<(Option<String>, u64), Failure> {
    let totals = door.totals().await.map_err(|error| no_answer(&error))?;
    if let Some((asset, sum)) = totals.sums.iter().find(|(_, sum)| *sum != 0) {
        return Err(Failure::failed(format!("{asset} sums to {sum}, not to 0")));
    }
    Ok((door.last_site(), totals.position))
}

/// An account's balance once the whole load is applied. Local reads don't load the primary, but may
/// be too old.
async fn posted(
    door: &Door,
    site: Option<&str>,
    floor: u64,
    account: AccountId,
) -> Result<i64, Failure> {
    let give_up = Instant::now() + PATIENCE;
    let look = if site.is_some() { ReadSource::Local(site) } else { ReadSource::Current(None) };
    loop {
        let seen = door.account(account, look).await.map_err(|error| no_answer(&error))?;
        if seen.position >= floor {
            return Ok(seen.posted);
        }
        if Instant::now() >= give_up {
            return Err(Failure::failed(format!(
                "{} remains at position {}, behind {floor}",
                site.unwrap_or("the site"),
                seen.position
            )));
        }
        sleep(TOO_OLD_PAUSE).await;
    }
}
