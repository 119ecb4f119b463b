//! Flows: kinds of movements between kinds of accounts. A business day counts movements by flow.
//!
//! The kind of a movement doesn't determine the sums that it changes: merchants and wallets cash
//! out, and a reversal moves money back along any of several flows.

use evenkeel_wire::{
    account::AccountKind::{self, Bank, Fee, Issuer, Merchant, Wallet},
    transfer::TransferKind,
};

/// A kind of movement between two kinds of accounts. Checkpoints contain its number, which is never
/// given to another flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flow(u8);

/// All flows, by number.
const FLOWS: [(TransferKind, AccountKind, AccountKind); 15] = [
    (TransferKind::TopUp, Bank, Wallet),
    (TransferKind::Transfer, Wallet, Wallet),
    (TransferKind::Payment, Wallet, Merchant),
    (TransferKind::CashOut, Wallet, Bank),
    (TransferKind::CashOut, Merchant, Bank),
    (TransferKind::Fee, Wallet, Fee),
    (TransferKind::Fee, Merchant, Fee),
    (TransferKind::Grant, Issuer, Wallet),
    (TransferKind::Refund, Merchant, Wallet),
    (TransferKind::Reversal, Wallet, Bank),
    (TransferKind::Reversal, Bank, Wallet),
    (TransferKind::Reversal, Bank, Merchant),
    (TransferKind::Reversal, Fee, Wallet),
    (TransferKind::Reversal, Fee, Merchant),
    (TransferKind::Reversal, Wallet, Issuer),
];

impl Flow {
    pub(crate) const COUNT: usize = FLOWS.len();

    /// The flow of a movement; `None`: there is none between such accounts.
    #[inline]
    pub(crate) fn of_movement(
        kind: TransferKind,
        payer: AccountKind,
        payee: AccountKind,
    ) -> Option<Self> {
        let number = match (kind, payer, payee) {
            (TransferKind::TopUp, Bank, Wallet) => 0,
            (TransferKind::Transfer, Wallet, Wallet) => 1,
            (TransferKind::Payment, Wallet, Merchant) => 2,
            (TransferKind::CashOut, Wallet, Bank) => 3,
            (TransferKind::CashOut, Merchant, Bank) => 4,
            (TransferKind::Fee, Wallet, Fee) => 5,
            (TransferKind::Fee, Merchant, Fee) => 6,
            (TransferKind::Grant, Issuer, Wallet) => 7,
            (TransferKind::Refund, Merchant, Wallet) => 8,
            (TransferKind::Reversal, Wallet, Bank) => 9,
            (TransferKind::Reversal, Bank, Wallet) => 10,
            (TransferKind::Reversal, Bank, Merchant) => 11,
            (TransferKind::Reversal, Fee, Wallet) => 12,
            (TransferKind::Reversal, Fee, Merchant) => 13,
            (TransferKind::Reversal, Wallet, Issuer) => 14,
            _ => return None,
        };
        Some(Self(number))
    }

    /// The flow with this number.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        (usize::from(number) < Self::COUNT).then_some(Self(number))
    }

    pub(crate) fn number(self) -> u8 {
        self.0
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// All flows, by number.
    pub(crate) fn iter_all() -> impl Iterator<Item = Self> {
        (0..u8::MAX).map_while(Self::from_number)
    }

    pub(crate) fn kind(self) -> TransferKind {
        FLOWS[self.index()].0
    }

    pub(crate) fn payer(self) -> AccountKind {
        FLOWS[self.index()].1
    }

    pub(crate) fn payee(self) -> AccountKind {
        FLOWS[self.index()].2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flow_has_a_number() {
        let mut found = Vec::new();
        for kind in TransferKind::ALL {
            for payer in AccountKind::ALL {
                for payee in AccountKind::ALL {
                    let Some(flow) = Flow::of_movement(*kind, *payer, *payee) else { continue };
                    assert_eq!((flow.kind(), flow.payer(), flow.payee()), (*kind, *payer, *payee));
                    found.push(flow);
                }
            }
        }
        found.sort_unstable();
        assert_eq!(found, Flow::iter_all().collect::<Vec<_>>());
        assert_eq!(found.len(), Flow::COUNT);
        assert_eq!(Flow::from_number(15), None);
    }

    /// Every flow that can be reversed has a reverse flow, and no other has one.
    #[test]
    fn a_reversal_moves_money_back() {
        use TransferKind::{CashOut, Fee, Grant, Reversal, TopUp};
        for flow in Flow::iter_all() {
            if [TopUp, CashOut, Fee, Grant].contains(&flow.kind()) {
                assert!(
                    Flow::of_movement(Reversal, flow.payee(), flow.payer()).is_some(),
                    "{flow:?}"
                );
            }
            if flow.kind() == Reversal {
                let undone = [TopUp, CashOut, Fee, Grant]
                    .into_iter()
                    .filter(|kind| Flow::of_movement(*kind, flow.payee(), flow.payer()).is_some());
                assert_eq!(undone.count(), 1, "{flow:?}");
            }
        }
    }
}
