//! What a batch looks like, for the OpenAPI document: items and results are written one by one, so their schemas are too.

use utoipa::{
    ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ObjectBuilder, OneOfBuilder, SchemaType, Type},
    },
};

use super::{
    super::{
        accounts::NewAccount,
        describe::{CommittedAccount, CommittedHold, CommittedTransfer},
        fields::{Link, RejectionName, Time},
        holds::NewHold,
        transfers::NewTransfer,
    },
    WithStatus,
    items::{CaptureItem, RefundItem, VoidItem},
};

/// Many commands.
#[derive(ToSchema)]
#[schema(as = Batch)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a schema; items are read one by one")]
pub(super) struct BatchSchema {
    /// All are committed, or none.
    atomic: bool,
    #[schema(inline, min_items = 1, max_items = 8192)]
    commands: Vec<ItemSchema>,
}

/// One of the single routes' bodies, with its type, and the target that a single route has in its path.
pub(super) struct ItemSchema;

impl utoipa::PartialSchema for ItemSchema {
    fn schema() -> RefOr<Schema> {
        let items = [
            ("transfer", schema::<NewTransfer>()),
            ("open_account", schema::<NewAccount>()),
            ("hold", schema::<NewHold>()),
            ("capture", schema::<CaptureItem>()),
            ("void", schema::<VoidItem>()),
            ("refund", schema::<RefundItem>()),
        ];
        let items = items.into_iter().map(|(name, body)| match body {
            RefOr::T(Schema::Object(mut body)) => {
                let names = ObjectBuilder::new()
                    .schema_type(SchemaType::new(Type::String))
                    .enum_values(Some([name]));
                body.properties.insert("type".to_owned(), names.into());
                body.required.push("type".to_owned());
                body
            }
            _ => unreachable!("bodies are objects"),
        });
        items.fold(OneOfBuilder::new(), OneOfBuilder::item).into()
    }
}

impl ToSchema for ItemSchema {}

fn schema<T: ToSchema>() -> RefOr<Schema> {
    T::schema()
}

/// What became of a batch's commands, in order.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema; results are written one by one")]
pub(super) struct Results {
    results: Vec<ResultSchema>,
}

/// What the single route would have answered with, and its status.
#[derive(ToSchema)]
#[schema(as = Result)]
#[serde(untagged)]
#[expect(dead_code, reason = "a schema; results are written one by one")]
pub(in super::super) enum ResultSchema {
    Transfer(WithStatus<CommittedTransfer>),
    Account(WithStatus<CommittedAccount>),
    Hold(WithStatus<CommittedHold>),
    Rejected(RejectedItem),
}

/// A command of a batch that was rejected: the single route's problem, without a request of its own.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema; the problem is written by its own file")]
pub(in super::super) struct RejectedItem {
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
