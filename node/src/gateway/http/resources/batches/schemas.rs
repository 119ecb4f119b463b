//! The schemas of a batch for the OpenAPI document, written by hand, because items and results are
//! handled one by one. Nothing is parsed by them.

use utoipa::{
    ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{Object, ObjectBuilder, OneOfBuilder, SchemaType, Type},
    },
};

use super::{
    items::{CaptureItem, RefundItem, VoidItem},
    results::WithStatus,
};
use crate::gateway::http::{
    answer::describe::{CommittedAccount, CommittedHold, CommittedTransfer},
    request::fields::{Link, RejectionName, Time},
    resources::{
        accounts::{NewAccount, NewLimits},
        holds::NewHold,
        transfers::NewTransfer,
    },
};

/// Many commands.
#[derive(ToSchema)]
#[schema(as = Batch)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a schema; items are read one by one")]
pub(crate) struct BatchSchema {
    /// All are committed, or none is.
    atomic: bool,
    #[schema(inline, min_items = 1, max_items = 8192)]
    commands: Vec<ItemSchema>,
}

/// A single route's body with its type, and the target that a single route has in its path.
pub(crate) struct ItemSchema;

impl utoipa::PartialSchema for ItemSchema {
    fn schema() -> RefOr<Schema> {
        let items = [
            item::<NewTransfer>("transfer"),
            item::<NewAccount>("open_account"),
            item::<NewHold>("hold"),
            item::<CaptureItem>("capture"),
            item::<VoidItem>("void"),
            item::<RefundItem>("refund"),
        ];
        items.into_iter().fold(OneOfBuilder::new(), OneOfBuilder::item).into()
    }
}

impl ToSchema for ItemSchema {}

fn item<T: ToSchema>(name: &str) -> Object {
    let mut body = object::<T>();
    let names =
        ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).enum_values(Some([name]));
    body.properties.insert("type".to_owned(), names.into());
    body.required.push("type".to_owned());
    // An amount out of range is that item's result and doesn't refuse the batch.
    if body.properties.contains_key("amount") {
        body.properties.insert("amount".to_owned(), any_integer(&[Type::Integer]));
    }
    if body.properties.contains_key("limits") {
        let mut limits = object::<NewLimits>();
        for limit in limits.properties.values_mut() {
            *limit = any_integer(&[Type::Integer, Type::Null]);
        }
        body.properties.insert("limits".to_owned(), limits.into());
    }
    body
}

fn object<T: ToSchema>() -> Object {
    match T::schema() {
        RefOr::T(Schema::Object(object)) => object,
        _ => unreachable!("bodies are objects"),
    }
}

fn any_integer(types: &[Type]) -> RefOr<Schema> {
    let about = "In the asset's minor unit. Out of range is `amount_invalid` in the results.";
    let types = SchemaType::from_iter(types.iter().cloned());
    ObjectBuilder::new().schema_type(types).description(Some(about)).into()
}

/// The results of a batch's commands, in order.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema; results are written one by one")]
#[schema(as = Results)]
pub(crate) struct ResultsSchema {
    results: Vec<ResultSchema>,
}

/// The single route's answer and its status.
#[derive(ToSchema)]
#[schema(as = Result)]
#[serde(untagged)]
#[expect(dead_code, reason = "a schema; results are written one by one")]
pub(crate) enum ResultSchema {
    Transfer(WithStatus<CommittedTransfer>),
    Account(WithStatus<CommittedAccount>),
    Hold(WithStatus<CommittedHold>),
    Rejected(RejectedItem),
}

/// A rejected command of a batch: the single route's problem without a request id.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema; the problem is written by its own file")]
pub(crate) struct RejectedItem {
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    code: RejectionName,
    retryable: bool,
    #[schema(nullable = false)]
    outcome: Option<String>,
    #[schema(nullable = false)]
    position: Option<u64>,
    #[schema(nullable = false)]
    index: Option<u16>,
    #[schema(nullable = false)]
    term: Option<u64>,
    #[schema(nullable = false)]
    recorded_at: Option<Time>,
    #[schema(nullable = false)]
    link: Option<Link>,
}
