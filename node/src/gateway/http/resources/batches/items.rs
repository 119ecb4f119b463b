//! The items of a batch: parsed one by one by their type, as strictly as the single route parses
//! its body. They're never sent from here.

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

/// A batch whose items aren't parsed yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchBody<'a> {
    pub(crate) atomic: bool,
    #[serde(borrow)]
    pub(crate) commands: Items<'a>,
}

/// At most as many items as a batch may have: further ones aren't kept.
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

/// The type of an item; its other fields are those of the single route.
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
    /// The hold to capture.
    hold: CommandIdText,
    /// At most the held amount; absent: all of it.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    amount: Option<WrittenAmount>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VoidItem {
    id: CommandIdText,
    /// The hold to void.
    hold: CommandIdText,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundItem {
    id: CommandIdText,
    /// The payment to refund.
    payment: CommandIdText,
    /// Absent: all that is left.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    amount: Option<WrittenAmount>,
    /// For people.
    #[serde(default)]
    memo: Memo,
}

/// A well-formed item.
pub(crate) struct Item {
    pub(crate) command: Command,
    /// The item's amount doesn't fit 64 bits: `amount_invalid` without the ledger, as on the single
    /// route.
    pub(crate) misfit: Option<Problem>,
}

/// Parses an item's own fields: those of the single route's body, and its target.
fn read_fields<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Problem> {
    json::read_object(text.as_bytes(), Some("type"))
}

/// Parses an item, and returns its id, which no other item may have.
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
