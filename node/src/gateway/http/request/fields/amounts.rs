//! Amounts and limits in JSON: integers that are never judged here, only by the ledger.

use std::borrow::Cow;

use evenkeel_wire::{account::LimitChange, amount::Amount, limits::AMOUNT_MAX};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{Object, ObjectBuilder, SchemaType, Type},
    },
};

use crate::gateway::http::answer::problem::Problem;

/// An amount as written. The ledger judges every value that fits 64 bits unsigned, so that its
/// judgement is journaled and replayed. A value that doesn't fit is `amount_invalid` without the
/// ledger, reported only to callers that may send the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrittenAmount {
    Fits(Amount),
    OutOfRange,
}

impl<'de> Deserialize<'de> for WrittenAmount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Self::read(raw.get()).ok_or_else(|| D::Error::custom("not an integer"))
    }
}

impl WrittenAmount {
    /// The amount of a command. A value that doesn't fit becomes the command's misfit, if it's the
    /// first: `field` is `amount_invalid`, and the command must not be sent.
    pub(crate) fn into_amount(self, field: &str, misfit: &mut Option<Problem>) -> Amount {
        match self {
            Self::Fits(amount) => amount,
            Self::OutOfRange => {
                misfit.get_or_insert_with(|| Problem::amount_invalid(field));
                Amount(u64::MAX)
            }
        }
    }

    /// Parses a JSON value as written; `None` if it isn't an integer.
    fn read(raw: &str) -> Option<Self> {
        let digits = raw.strip_prefix('-').unwrap_or(raw);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(raw.parse().map_or(Self::OutOfRange, |amount| Self::Fits(Amount(amount))))
    }
}

impl PartialSchema for WrittenAmount {
    fn schema() -> RefOr<Schema> {
        amount_schema("In the asset's minor unit.", 1).into()
    }
}

impl ToSchema for WrittenAmount {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Amount")
    }
}

fn amount_schema(description: &str, least: u64) -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::Integer))
        .description(Some(description.to_owned()))
        .minimum(Some(usize::try_from(least).unwrap_or(0)))
        .maximum(Some(usize::try_from(AMOUNT_MAX).unwrap_or(usize::MAX)))
        .build()
}

/// A change of a limit: absent keeps it, `null` clears it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum WrittenLimit {
    #[default]
    Keep,
    Clear,
    Set(WrittenAmount),
}

impl<'de> Deserialize<'de> for WrittenLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        match raw.get() {
            "null" => Ok(Self::Clear),
            raw => WrittenAmount::read(raw)
                .map(Self::Set)
                .ok_or_else(|| D::Error::custom("neither an integer nor null")),
        }
    }
}

impl WrittenLimit {
    /// The change of a command; see [`WrittenAmount::into_amount`].
    pub(crate) fn into_change(self, field: &str, misfit: &mut Option<Problem>) -> LimitChange {
        match self {
            Self::Keep => LimitChange::Keep,
            Self::Clear => LimitChange::Clear,
            Self::Set(amount) => LimitChange::Set(amount.into_amount(field, misfit)),
        }
    }
}

impl PartialSchema for WrittenLimit {
    fn schema() -> RefOr<Schema> {
        let mut schema = amount_schema("Absent: unchanged. `null`: removed.", 0);
        schema.schema_type = SchemaType::from_iter([Type::Integer, Type::Null]);
        schema.into()
    }
}

impl ToSchema for WrittenLimit {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("LimitChange")
    }
}
