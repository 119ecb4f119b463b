//! Single fields in JSON: each is parsed straight into the vocabulary's own type, and each has its
//! schema for the OpenAPI document.
//!
//! A field never has two spellings: a number in quotes is a text, `1.0` isn't an integer, and
//! `null` isn't absent.

pub(crate) mod amounts;
mod hex;

use std::{borrow::Cow, fmt};

use evenkeel_wire::{
    account::{AccountKind, AccountStatus},
    amount::Asset,
    day::BusinessDate,
    hold::HoldStatus,
    id::{AccountId, CommandId},
    limits::{HOLD_MS_MAX, LABEL_BYTES_MAX, MEMO_BYTES_MAX, REFERENCE_BYTES_MAX},
    outcome::Rejection,
    transfer::{Text, TransferKind},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::value::RawValue;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{Object, ObjectBuilder, SchemaType, Type},
    },
};
use uuid::Uuid;

use crate::clock;

/// The error of an id that isn't a UUIDv7; [`super::json`] maps it to its code.
pub(crate) const NOT_UUID_V7: &str = "not a UUID of version 7";

/// A UUIDv7 in text form.
pub(crate) const UUID_V7_PATTERN: &str =
    "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$";

/// Defines types for JSON texts that stand for a value of the vocabulary.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident($inner:ty) as $schema_name:literal {
        expects: $expects:expr, parse: $parse:expr, text: $text:expr, schema: $schema:expr $(,)?
    })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct TextVisitor;
                impl serde::de::Visitor<'_> for TextVisitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expects)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        let parse: fn(&str) -> Option<$inner> = $parse;
                        parse(text).map($name).ok_or_else(|| E::custom($expects))
                    }
                }
                deserializer.deserialize_str(TextVisitor)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let text: fn(&$inner, S) -> Result<S::Ok, S::Error> = $text;
                text(&self.0, serializer)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($schema_name)
            }
        }
    )+};
}

texts! {
    /// The id of a command: its idempotency key.
    CommandIdText(CommandId) as "CommandId" {
        expects: NOT_UUID_V7,
        parse: |text| CommandId::parse(text).ok(),
        text: |id, serializer| uuid_text(id.number(), serializer),
        schema: text_schema("A UUIDv7 made by the client: the idempotency key, forever.")
            .pattern(Some(UUID_V7_PATTERN))
            .build(),
    }
    /// The id of an account.
    AccountIdText(AccountId) as "AccountId" {
        expects: "not a UUID",
        parse: |text| AccountId::parse(text).ok(),
        text: |id, serializer| uuid_text(id.number(), serializer),
        schema: text_schema("Any UUID, chosen by the client, permanent.")
            .format(Some(utoipa::openapi::SchemaFormat::Custom("uuid".to_owned())))
            .build(),
    }
    /// The name of an asset.
    AssetName(Asset) as "Asset" {
        expects: "an asset is 1 to 8 capital letters and digits",
        parse: |text| Asset::parse(text).ok(),
        text: |asset, serializer| serializer.serialize_str(asset.name()),
        schema: text_schema("An asset of this ledger.").pattern(Some("^[A-Z0-9]{1,8}$")).build(),
    }
    /// The kind of an account.
    AccountKindName(AccountKind) as "AccountKind" {
        expects: "one of wallet, merchant, bank, fee, issuer",
        parse: AccountKind::from_name,
        text: |kind, serializer| serializer.serialize_str(kind.name()),
        schema: names_schema(AccountKind::ALL.iter().map(|kind| kind.name())),
    }
    /// The status of an account.
    AccountStatusName(AccountStatus) as "AccountStatus" {
        expects: "one of open, frozen, closed",
        parse: AccountStatus::from_name,
        text: |status, serializer| serializer.serialize_str(status.name()),
        schema: names_schema(AccountStatus::ALL.iter().map(|status| status.name())),
    }
    /// The kind of a movement.
    TransferKindName(TransferKind) as "TransferKind" {
        expects: "one of top_up, transfer, payment, cash_out, fee, grant, refund, reversal",
        parse: TransferKind::from_name,
        text: |kind, serializer| serializer.serialize_str(kind.name()),
        schema: names_schema(TransferKind::ALL.iter().map(|kind| kind.name())),
    }
    /// The status of a hold.
    HoldStatusName(HoldStatus) as "HoldStatus" {
        expects: "one of open, captured, voided, expired",
        parse: HoldStatus::from_name,
        text: |status, serializer| serializer.serialize_str(status.name()),
        schema: names_schema(HoldStatus::ALL.iter().map(|status| status.name())),
    }
    /// The code of a rejection.
    RejectionName(Rejection) as "Rejection" {
        expects: "a rejection's code",
        parse: Rejection::from_name,
        text: |rejection, serializer| serializer.serialize_str(rejection.name()),
        schema: names_schema(Rejection::ALL.iter().map(|rejection| rejection.name())),
    }
    /// A business date.
    DateText(BusinessDate) as "Date" {
        expects: "a date is written YYYY-MM-DD",
        parse: |text| BusinessDate::parse(text).ok(),
        text: |date, serializer| serializer.collect_str(date),
        schema: text_schema("A date of the business calendar.")
            .format(Some(utoipa::openapi::SchemaFormat::Custom("date".to_owned())))
            .build(),
    }
}

fn uuid_text<S: Serializer>(number: u128, serializer: S) -> Result<S::Ok, S::Error> {
    let mut buffer = Uuid::encode_buffer();
    serializer.serialize_str(Uuid::from_u128(number).hyphenated().encode_lower(&mut buffer))
}

fn text_schema(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .description(Some(description.to_owned()))
}

fn names_schema(names: impl Iterator<Item = &'static str>) -> Object {
    let names: Vec<&str> = names.collect();
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).enum_values(Some(names)).build()
}

/// A short text: at most `MAX` bytes of UTF-8; empty means absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShortText<const MAX: usize>(pub(crate) Text<MAX>);

pub(crate) type Memo = ShortText<MEMO_BYTES_MAX>;
pub(crate) type Reference = ShortText<REFERENCE_BYTES_MAX>;
pub(crate) type Label = ShortText<LABEL_BYTES_MAX>;

impl<'de, const MAX: usize> Deserialize<'de> for ShortText<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShortTextVisitor<const MAX: usize>;
        impl<const MAX: usize> serde::de::Visitor<'_> for ShortTextVisitor<MAX> {
            type Value = ShortText<MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a text of at most {MAX} bytes")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ShortText<MAX>, E> {
                Text::new(text).map(ShortText).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(ShortTextVisitor)
    }
}

impl<const MAX: usize> PartialSchema for ShortText<MAX> {
    fn schema() -> RefOr<Schema> {
        text_schema(&format!("At most {MAX} bytes of UTF-8; empty means absent."))
            .max_length(Some(MAX))
            .build()
            .into()
    }
}

impl<const MAX: usize> ToSchema for ShortText<MAX> {
    fn name() -> Cow<'static, str> {
        Cow::Owned(format!("Text{MAX}"))
    }
}

/// A reason: a text that is never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason(pub(crate) Text<MEMO_BYTES_MAX>);

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ShortText(text) = Memo::deserialize(deserializer)?;
        if text.as_str().is_empty() {
            return Err(D::Error::custom("empty; a reversal takes a reason"));
        }
        Ok(Self(text))
    }
}

impl PartialSchema for Reason {
    fn schema() -> RefOr<Schema> {
        text_schema("1 to 140 bytes of UTF-8.")
            .min_length(Some(1))
            .max_length(Some(MEMO_BYTES_MAX))
            .build()
            .into()
    }
}

impl ToSchema for Reason {}

/// The time until a hold expires, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HoldMs(pub(crate) u64);

impl<'de> Deserialize<'de> for HoldMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || D::Error::custom(format!("not an integer within 1 and {HOLD_MS_MAX}"));
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let ms = raw.parse().map_err(|_| wrong())?;
        if (1..=HOLD_MS_MAX).contains(&ms) { Ok(Self(ms)) } else { Err(wrong()) }
    }
}

impl PartialSchema for HoldMs {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Integer))
            .description(Some(
                "The time until it expires, counted from its entry's time; 31 days at most.",
            ))
            .minimum(Some(1_usize))
            .maximum(Some(usize::try_from(HOLD_MS_MAX).unwrap_or(usize::MAX)))
            .build()
            .into()
    }
}

impl ToSchema for HoldMs {}

/// A time: RFC 3339 in UTC, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) u64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&clock::format_time(self.0))
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        text_schema("RFC 3339 in UTC, to the microsecond.")
            .format(Some(utoipa::openapi::SchemaFormat::Custom("date-time".to_owned())))
            .build()
            .into()
    }
}

impl ToSchema for Time {}

/// The link of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link(pub(crate) [u8; 32]);

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = [0; 64];
        serializer.serialize_str(hex::encode(&self.0, &mut buffer))
    }
}

impl PartialSchema for Link {
    fn schema() -> RefOr<Schema> {
        text_schema("The entry's link: blake3 over everything up to and including it.")
            .pattern(Some("^[0-9a-f]{64}$"))
            .build()
            .into()
    }
}

impl ToSchema for Link {}

/// Reads an optional field: absent is `None`, and `null` is a wrong type like any other.
pub(crate) fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}
