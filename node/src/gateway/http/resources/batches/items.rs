//! The items of a batch: read one by one, each by its type, strictly as the single route reads its body.

use std::fmt;

use evenkeel_wire::{
    command::Command,
    hold::{Capture, Void},
    refund::Refund,
};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::gateway::http::{
    answer::problem::Problem,
    request::{
        fields::{AccountIdText, CommandIdText, Memo, amounts::WrittenAmount, present},
        json,
    },
    resources::{accounts::NewAccount, holds::NewHold, transfers::NewTransfer},
};
use crate::limits::COMMANDS_MAX;

/// A batch as it's written: the items as they are, to be read one by one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchBody<'a> {
    pub(crate) atomic: bool,
    #[serde(borrow)]
    pub(crate) commands: Items<'a>,
}

/// At most as many items as a batch may have: more aren't even kept.
pub(crate) struct Items<'a>(pub(crate) Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collects;
        impl<'de> Visitor<'de> for Collects {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an array of 1 to {COMMANDS_MAX} commands")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Items<'de>, A::Error> {
                let wrong = |length| serde::de::Error::invalid_length(length, &self);
                let mut found = Vec::new();
                while let Some(item) = items.next_element()? {
                    if found.len() == COMMANDS_MAX {
                        return Err(wrong(COMMANDS_MAX + 1));
                    }
                    found.push(item);
                }
                if found.is_empty() { Err(wrong(0)) } else { Ok(Items(found)) }
            }
        }
        deserializer.deserialize_seq(Collects)
    }
}

/// What an item is; its other fields are those of the single route.
#[derive(Deserialize)]
struct Tag {
    r#type: ItemType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ItemType {
    Transfer,
    OpenAccount,
    Hold,
    Capture,
    Void,
    Refund,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaptureItem {
    id: CommandIdText,
    /// Which hold.
    hold: CommandIdText,
    /// At most what is held; absent: all of it.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    amount: Option<WrittenAmount>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VoidItem {
    id: CommandIdText,
    /// Which hold.
    hold: CommandIdText,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundItem {
    id: CommandIdText,
    /// Which payment.
    payment: CommandIdText,
    /// Absent: what is left.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    amount: Option<WrittenAmount>,
    /// For people.
    #[serde(default)]
    memo: Memo,
}

/// An item that is well formed.
pub(crate) struct Item {
    pub(crate) command: Command,
    /// Its amount fits no 64 bits: `amount_invalid` as the single route says it, without the ledger.
    pub(crate) misfit: Option<Problem>,
}

/// An item's own fields: those that the single route's body has, and its target's.
fn read_fields<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Problem> {
    json::read_object(text.as_bytes(), Some("type"))
}

/// One item, and the id that no other may have.
pub(crate) fn read(text: &str) -> Result<(u128, Item), Problem> {
    let missing = || Problem::malformed("missing field `id`");
    let Tag { r#type } = json::read_object(text.as_bytes(), None)?;
    let mut misfit = None;
    let (id, command) = match r#type {
        ItemType::Transfer => {
            let body: NewTransfer = read_fields(text)?;
            let CommandIdText(id) = body.id.ok_or_else(missing)?;
            (id.number(), Command::Transfer(body.into_command(id, &mut misfit)))
        }
        ItemType::OpenAccount => {
            let body: NewAccount = read_fields(text)?;
            let AccountIdText(id) = body.id.ok_or_else(missing)?;
            (id.number(), Command::OpenAccount(body.into_command(id, &mut misfit)))
        }
        ItemType::Hold => {
            let body: NewHold = read_fields(text)?;
            let CommandIdText(id) = body.id.ok_or_else(missing)?;
            (id.number(), Command::Hold(body.into_command(id, &mut misfit)))
        }
        ItemType::Capture => {
            let CaptureItem { id, hold, amount } = read_fields(text)?;
            let amount = amount.map(|amount| amount.into_amount("amount", &mut misfit));
            (id.0.number(), Command::Capture(Capture { id: id.0, hold: hold.0, amount }))
        }
        ItemType::Void => {
            let VoidItem { id, hold } = read_fields(text)?;
            (id.0.number(), Command::Void(Void { id: id.0, hold: hold.0 }))
        }
        ItemType::Refund => {
            let RefundItem { id, payment, amount, memo } = read_fields(text)?;
            let amount = amount.map(|amount| amount.into_amount("amount", &mut misfit));
            let refund = Refund { id: id.0, payment: payment.0, amount, memo: memo.0 };
            (id.0.number(), Command::Refund(refund))
        }
    };
    Ok((id, Item { command, misfit }))
}
