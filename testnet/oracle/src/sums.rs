//! Each asset's accounts sum to zero.

use evenkeel_wire::reply::Totals;

use crate::mismatch::Mismatch;

/// Checks a site's totals.
///
/// # Errors
/// When the sum of an asset isn't zero.
pub fn check_totals(totals: &Totals) -> Result<(), Mismatch> {
    for row in &totals.assets {
        let sum = row.wallet + row.merchant + row.bank + row.fee + row.issuer;
        if sum != 0 {
            return Err(Mismatch::new(format!(
                "{} adds up to {sum} at position {}",
                row.asset, totals.position
            )));
        }
    }
    Ok(())
}
