//! Refunded totals: the sum of a payment's refunds, kept forever.
//!
//! Payments without refunds have no row. Their accounts and amounts are found in the journal.

use evenkeel_wire::{id::CommandId, limits::AMOUNT_MAX};

use crate::{
    containers::{
        mix::{ROOTS, fold},
        sorted::{SortedTable, TableValue},
    },
    fault::LedgerFault,
};

/// The refunded totals of payments, by id.
pub(crate) type Refunds = SortedTable<RefundedTotal>;

/// The sum of a payment's refunds, minor units: at least 1, never more than the payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefundedTotal(u64);

impl Refunds {
    /// The total of a payment.
    pub(crate) fn total(&self, payment: CommandId) -> u64 {
        self.get(payment.number()).map_or(0, |total| total.0)
    }

    /// Adds a refund. Gives the total before it, for [`Self::restore_total`].
    ///
    /// # Errors
    /// When the refunds would exceed the payment: the rule that allowed it is wrong.
    pub(crate) fn add(
        &mut self,
        payment: CommandId,
        amount: u64,
        of_payment: u64,
    ) -> Result<u64, LedgerFault> {
        let before = self.total(payment);
        let after = before.checked_add(amount).filter(|after| *after <= of_payment);
        let Some(after) = after.filter(|_| amount > 0 && of_payment <= AMOUNT_MAX) else {
            return Err(LedgerFault::new(format!(
                "payment {payment} of {of_payment}: {before} were refunded, {amount} more exceed it"
            )));
        };
        self.set(payment.number(), Some(RefundedTotal(after)));
        Ok(before)
    }

    /// Undoes an [`Self::add`] that gave this total.
    pub(crate) fn restore_total(&mut self, payment: CommandId, before: u64) {
        self.set(payment.number(), (before > 0).then_some(RefundedTotal(before)));
    }
}

impl TableValue for RefundedTotal {
    fn digest(&self) -> u64 {
        fold(self.0 ^ ROOTS[4], ROOTS[5])
    }

    fn encode(&self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }

    fn decode(key: u128, bytes: &[u8]) -> Result<Self, String> {
        CommandId::new(key).map_err(|error| format!("its id is {error}"))?;
        let total = <[u8; 8]>::try_from(bytes).map_err(|_| "a total is eight bytes")?;
        match u64::from_le_bytes(total) {
            total @ 1..=AMOUNT_MAX => Ok(Self(total)),
            total => Err(format!("{total} is no refunded total")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(number: u128) -> CommandId {
        CommandId::from_parts(1_700_000_000_000, number)
    }

    #[test]
    fn refunds_add_up_to_the_payment_and_never_exceed_it() {
        let mut refunds = Refunds::default();
        for (amount, result) in [
            (60, Ok(0)),
            (41, Err(60)),
            (40, Ok(60)),
            (1, Err(100)),
            (0, Err(100)),
            (u64::MAX, Err(100)),
        ] {
            let found = refunds.add(payment(1), amount, 100);
            match result {
                Ok(before) => assert_eq!(found, Ok(before)),
                Err(total) => {
                    let what = found.unwrap_err().to_string();
                    assert!(what.contains(&format!("{total} were refunded")), "{what}");
                    assert_eq!(refunds.total(payment(1)), total);
                }
            }
        }
        assert!(
            refunds.add(payment(2), 1, AMOUNT_MAX + 1).is_err(),
            "it exceeds the largest payment"
        );
        assert_eq!(refunds.total(payment(2)), 0);
    }

    #[test]
    fn an_undone_refund_leaves_no_trace() {
        let mut refunds = Refunds::default();
        let empty = refunds.digest();
        let first = refunds.add(payment(1), 60, 100).unwrap();
        let one = refunds.digest();
        let second = refunds.add(payment(1), 40, 100).unwrap();
        assert_ne!(refunds.digest(), one);
        refunds.restore_total(payment(1), second);
        assert_eq!((refunds.digest(), refunds.total(payment(1))), (one, 60));
        refunds.restore_total(payment(1), first);
        assert_eq!((refunds.digest(), refunds.len()), (empty, 0));
    }

    #[test]
    fn only_valid_totals_are_loaded() {
        let mut refunds = Refunds::default();
        let total = RefundedTotal(AMOUNT_MAX);
        refunds.load(payment(1).number(), &total.encode()).unwrap();
        assert_eq!(refunds.total(payment(1)), AMOUNT_MAX);
        for (key, value, wrong) in [
            (payment(1).number(), total.encode(), "twice"),
            (7, total.encode(), "version 7"),
            (payment(2).number(), vec![], "eight bytes"),
            (payment(2).number(), vec![1; 9], "eight bytes"),
            (payment(2).number(), vec![0; 8], "0 is no"),
            (payment(2).number(), (AMOUNT_MAX + 1).to_le_bytes().to_vec(), "is no refunded total"),
        ] {
            let what = refunds.load(key, &value).unwrap_err();
            assert!(what.contains(wrong), "{what}");
        }
        assert_eq!(refunds.len(), 1);
    }
}
