//! Sums by asset and kind of account. They change only together with a row, so their total shows
//! whether money leaked.

use evenkeel_wire::{account::AccountKind, amount::Asset, limits::ASSETS_MAX, reply::AssetTotals};

/// The number of kinds of accounts.
pub(crate) const KINDS: usize = AccountKind::ALL.len();

const _: () = assert!(ASSETS_MAX <= 64, "the touched assets are bits of a u64");

/// One row for each asset, in the order of genesis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KindTotals {
    rows: Vec<[i128; KINDS]>,
    touched: u64,
}

impl KindTotals {
    pub(crate) fn new(assets: usize) -> Self {
        Self { rows: vec![[0; KINDS]; assets], touched: 0 }
    }

    /// Adds a change of one balance.
    #[inline]
    pub(crate) fn change(&mut self, asset_index: u8, kind: AccountKind, change: i64) {
        let sum = &mut self.rows[usize::from(asset_index)][column(kind)];
        *sum = sum.checked_add(i128::from(change)).expect("2^64 balances fit in an i128");
        self.touched |= 1_u64.wrapping_shl(u32::from(asset_index));
    }

    /// The first asset that changed since the last call and whose sum isn't 0, with its sum.
    pub(crate) fn find_leak(&mut self) -> Option<(usize, i128)> {
        let mut touched = std::mem::take(&mut self.touched);
        while touched != 0 {
            let asset = usize::try_from(touched.trailing_zeros()).expect("below 64");
            touched &= touched.wrapping_sub(1);
            let sum = self.sum(asset);
            if sum != 0 {
                return Some((asset, sum));
            }
        }
        None
    }

    /// An asset's sum over all kinds.
    pub(crate) fn sum(&self, asset: usize) -> i128 {
        self.rows[asset].iter().sum()
    }

    /// Each row, in the order of genesis.
    pub(crate) fn rows(&self) -> &[[i128; KINDS]] {
        &self.rows
    }

    /// As replies have them.
    pub(crate) fn views(&self, assets: &[Asset]) -> Vec<AssetTotals> {
        assets.iter().zip(&self.rows).map(|(asset, row)| view(*asset, row)).collect()
    }
}

/// An asset's sums in a reply. A sum that doesn't fit in an i64 (it takes a thousand accounts at
/// their bound) is replaced by the nearest number that does.
pub(crate) fn view(asset: Asset, row: &[i128; KINDS]) -> AssetTotals {
    let shown = |kind| {
        let sum = row[column(kind)];
        i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
    };
    AssetTotals {
        asset,
        wallet: shown(AccountKind::Wallet),
        merchant: shown(AccountKind::Merchant),
        bank: shown(AccountKind::Bank),
        fee: shown(AccountKind::Fee),
        issuer: shown(AccountKind::Issuer),
    }
}

/// The index of a kind's sum in a row.
#[inline]
pub(crate) fn column(kind: AccountKind) -> usize {
    usize::from(kind.byte().wrapping_sub(1))
}
