//! The answers of the model.

use super::*;

pub(crate) fn committed(index: u16, amount: i128, (debit, credit): (i128, i128)) -> Answer {
    let outcome = Outcome {
        index,
        rejection: None,
        amount: u64::try_from(amount).unwrap(),
        debit_after: i64::try_from(debit).unwrap(),
        credit_after: i64::try_from(credit).unwrap(),
    };
    Answer { outcome, first: None }
}

pub(crate) fn rejected(index: u16, rejection: Rejection) -> Answer {
    let rejection = Some(rejection);
    let outcome = Outcome { index, rejection, amount: 0, debit_after: 0, credit_after: 0 };
    Answer { outcome, first: None }
}

pub(crate) fn no_outcome(rejection: Option<Rejection>) -> Answer {
    let index = Outcome::NO_INDEX;
    let outcome = Outcome { index, rejection, amount: 0, debit_after: 0, credit_after: 0 };
    Answer { outcome, first: None }
}

pub(crate) fn again(answer: Answer, stamp: Stamp) -> Answer {
    Answer { first: Some(stamp), ..answer }
}
