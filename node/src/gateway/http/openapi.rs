//! The OpenAPI 3.1 document, built from the routes' own descriptions, so that it never differs from
//! what is served.
//!
//! This file holds the parts that several routes share: parameters, headers, and the problems of
//! each kind of route.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, header},
    response::IntoResponse,
};
use evenkeel_wire::{
    limits::{DEADLINE_MS_MAX, DEADLINE_MS_MIN, HISTORY_PAGE_MAX},
    outcome::Rejection,
};
use utoipa::{
    IntoParams, IntoResponses, PartialSchema, ToSchema,
    openapi::{
        Components, Content, Header, Info, License, OpenApi, Ref, RefOr, Required,
        Response as ResponseDocs, ResponseBuilder, Schema,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem},
        schema::{AllOfBuilder, ObjectBuilder, SchemaType, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use super::{
    answer::{
        describe::StampShape,
        problem::{MEDIA_TYPE, ProblemSchema, REPLAYED},
    },
    request::{
        fields::{RejectionName, Time},
        query::CURSOR_PATTERN,
    },
    routes,
};

const ABOUT: &str = "\
A replicated wallet ledger. Every node serves every route; a follower forwards to the primary.

**Exactly once.** A command's `id` is a UUIDv7 made by the client and its idempotency key, forever: the same id with the same \
content gets the first answer again, with the header `Idempotent-Replayed: true`. The header `Idempotency-Key` may carry the \
id instead of the body; both and different are malformed.

**Problems** are `application/problem+json` (RFC 9457). `retryable` says whether the same request may succeed later; after \
503 nothing was done, after 504 the outcome isn't known yet. Both are safe to ask again with the same id.

**Requests** have an id, in the header `x-request-id` of every answer, and in the log where its filter is `debug`; a client's \
own is taken over when it's short and plain.

Amounts are integers in the asset's minor unit. Texts are bounded in bytes of UTF-8.";

/// The document without routes: description and security.
pub(crate) fn base_document() -> OpenApi {
    let mut info = Info::new("evenkeel", env!("CARGO_PKG_VERSION"));
    info.description = Some(ABOUT.to_owned());
    info.license = Some(License::new("MIT OR Apache-2.0"));
    let mut components = Components::new();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("key", SecurityScheme::Http(bearer));
    for (name, schema) in [
        ("Problem", ProblemSchema::schema()),
        ("Place", StampShape::schema()),
        (&*Time::name(), Time::schema()),
        (&*RejectionName::name(), RejectionName::schema()),
    ] {
        components.schemas.insert(name.to_owned(), schema);
    }
    let mut document = OpenApi::new(info, utoipa::openapi::Paths::new());
    document.components = Some(components);
    document.security = Some(vec![SecurityRequirement::new("key", Vec::<String>::new())]);
    document
}

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    let (_, mut document) = routes::documented_routes();
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            add_headers(operation);
        }
    }
    document.to_json().expect("texts and numbers only").into()
});

/// Adds the headers of every answer, and the one of a repeated command's answer.
fn add_headers(operation: &mut Operation) {
    let is_command = operation.responses.responses.contains_key("201");
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        add_header(response, "x-request-id", "The request's id, as in the log.");
        if is_command && status == "200" {
            add_header(response, REPLAYED.as_str(), "`true`: the first answer is repeated.");
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post].into_iter().flatten()
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "health", operation_id = "openapi", security(()),
    responses((status = 200, description = "OpenAPI 3.1.", body = Object)),
)]
pub(crate) async fn document() -> Response<Body> {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (kind, DOCUMENT.clone()).into_response()
}

/// The header `Deadline-Ms`.
pub(crate) struct DeadlineMs;

impl IntoParams for DeadlineMs {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = integer(DEADLINE_MS_MIN.into(), DEADLINE_MS_MAX.into());
        let about = "How long the client waits, milliseconds; 5,000 when it's absent.";
        vec![parameter("Deadline-Ms", ParameterIn::Header, about, schema)]
    }
}

/// The consistency of a read.
pub(crate) struct ReadQuery;

impl IntoParams for ReadQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .enum_values(Some(["linearizable", "local"]));
        let about = "`linearizable` (default): includes everything acknowledged before. `local`: this site's own state, \
                     labelled with its age.";
        vec![parameter("consistency", ParameterIn::Query, about, schema)]
    }
}

/// The page of a history.
pub(crate) struct PageQuery;

impl IntoParams for PageQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let limit = integer(1, HISTORY_PAGE_MAX.into());
        vec![
            parameter("limit", ParameterIn::Query, "The most items; 100 when it's absent.", limit),
            parameter(
                "cursor",
                ParameterIn::Query,
                "`next_cursor` of the previous page.",
                text(CURSOR_PATTERN),
            ),
        ]
    }
}

/// The start of a stream of events.
pub(crate) struct AfterQuery;

impl IntoParams for AfterQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let about =
            "The last one received: an entry `P`, or an outcome `P.I`. Absent: from the start.";
        let again = "Sent by readers of server-sent events when they reconnect; takes precedence over `after`.";
        let place = || text("^[0-9]{1,18}(\\.[0-9]{1,4})?$");
        vec![
            parameter("after", ParameterIn::Query, about, place()),
            parameter("Last-Event-ID", ParameterIn::Header, again, place()),
        ]
    }
}

fn parameter(name: &str, place: ParameterIn, about: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(schema))
        .build()
}

fn integer(least: u64, most: u64) -> ObjectBuilder {
    let number = |number| usize::try_from(number).unwrap_or(usize::MAX);
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::Integer))
        .minimum(Some(number(least)))
        .maximum(Some(number(most)))
}

fn text(pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).pattern(Some(pattern))
}

/// A status other than success, with its codes.
#[derive(Clone, Copy)]
enum ProblemResponse {
    Malformed,
    MalformedParameters,
    Unauthorized,
    Forbidden,
    NotFound,
    NotAcceptable,
    TooLarge,
    UnsupportedMediaType,
    Rejected,
    BatchFailed,
    RateLimited,
    Unavailable,
    Unknown,
}

impl ProblemResponse {
    fn status(self) -> &'static str {
        match self {
            Self::Malformed | Self::MalformedParameters => "400",
            Self::Unauthorized => "401",
            Self::Forbidden => "403",
            Self::NotFound => "404",
            Self::NotAcceptable => "406",
            Self::TooLarge => "413",
            Self::UnsupportedMediaType => "415",
            Self::Rejected | Self::BatchFailed => "422",
            Self::RateLimited => "429",
            Self::Unavailable => "503",
            Self::Unknown => "504",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Malformed => "The request is malformed; the detail names the field.",
            Self::MalformedParameters => "A parameter or header is malformed.",
            Self::Unauthorized => "The key is missing, unknown or revoked.",
            Self::Forbidden => "The key may not do this.",
            Self::NotFound => "It doesn't exist.",
            Self::NotAcceptable => "The client accepts none of the route's media types.",
            Self::TooLarge => "The body or the request is over a size limit.",
            Self::UnsupportedMediaType => "The body isn't `application/json`.",
            Self::Rejected => "The ledger's answer: nothing changed. Replayed like a success.",
            Self::BatchFailed => "One command of an atomic batch was rejected: nothing changed.",
            Self::RateLimited => "Too many requests with this key.",
            Self::Unavailable => "Temporarily unavailable; nothing was done.",
            Self::Unknown => "It may yet commit: retry with the same id.",
        }
    }

    fn codes(self) -> Vec<&'static str> {
        match self {
            Self::Malformed => vec!["malformed", "id_not_uuid_v7"],
            Self::MalformedParameters => vec!["malformed", "id_not_uuid_v7"],
            Self::Unauthorized => vec!["unauthorized"],
            Self::Forbidden => vec!["forbidden"],
            Self::NotFound => vec!["not_found"],
            Self::NotAcceptable => vec!["not_acceptable"],
            Self::TooLarge => vec!["too_large"],
            Self::UnsupportedMediaType => vec!["unsupported_media_type"],
            Self::Rejected => public_rejections().collect(),
            Self::BatchFailed => vec!["batch_failed"],
            Self::RateLimited => vec!["rate_limited"],
            Self::Unavailable => vec!["no_primary", "overloaded", "stopping", "recovering"],
            Self::Unknown => vec!["outcome_unknown"],
        }
    }

    fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Unauthorized => &[("WWW-Authenticate", "`Bearer`")],
            Self::RateLimited | Self::Unavailable => {
                &[("Retry-After", "Seconds to wait before a retry.")]
            }
            Self::Rejected => &[("idempotent-replayed", "`true`: the first answer is repeated.")],
            _ => &[],
        }
    }

    fn schema(self) -> Schema {
        let own = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Object))
            .property("code", names(self.codes()))
            .required("code");
        let own = match self {
            Self::Rejected => with_stamp(own),
            Self::BatchFailed => with_stamp(own)
                .property("failed_index", integer(0, 8_191))
                .property("results", Vec::<super::resources::batches::ResultSchema>::schema())
                .required("failed_index")
                .required("results"),
            _ => own,
        };
        Schema::AllOf(AllOfBuilder::new().item(Ref::from_schema_name("Problem")).item(own).build())
    }

    fn docs(self) -> ResponseDocs {
        let mut docs = ResponseBuilder::new()
            .description(self.about())
            .content(MEDIA_TYPE, Content::new(Some(RefOr::T(self.schema()))))
            .build();
        for (name, about) in self.headers() {
            add_header(&mut docs, name, about);
        }
        docs
    }
}

/// The rejections that a client can receive.
fn public_rejections() -> impl Iterator<Item = &'static str> {
    let last = Rejection::BatchFailed;
    Rejection::ALL.iter().filter(move |rejection| **rejection < last).map(|code| code.name())
}

fn names(names: Vec<&'static str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).enum_values(Some(names))
}

/// Adds the fields that an outcome has in addition to its code; absent if no ledger has seen the
/// command.
fn with_stamp(object: ObjectBuilder) -> ObjectBuilder {
    let any = || integer(0, u64::MAX >> 11);
    object
        .property("outcome", names(vec!["rejected"]))
        .property("position", any())
        .property("index", integer(0, 8_191))
        .property("term", any())
        .property("recorded_at", Time::schema())
        .property("link", super::request::fields::Link::schema())
}

fn add_header(response: &mut ResponseDocs, name: &str, about: &str) {
    let mut header = Header::default();
    header.description = Some(about.to_owned());
    response.headers.insert(name.to_owned(), RefOr::T(header));
}

/// Declares the problems that a kind of route can answer with.
macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident: $($answer:ident)+;)+) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<ResponseDocs>> {
                [$(ProblemResponse::$answer),+]
                    .into_iter()
                    .map(|answer| (answer.status().to_owned(), RefOr::T(answer.docs())))
                    .collect()
            }
        }
    )+};
}

problems! {
    /// The problems of a command.
    CommandProblems: Malformed Unauthorized Forbidden NotAcceptable TooLarge UnsupportedMediaType Rejected RateLimited
        Unavailable Unknown;
    /// The problems of a batch.
    BatchProblems: Malformed Unauthorized Forbidden NotAcceptable TooLarge UnsupportedMediaType BatchFailed RateLimited
        Unavailable Unknown;
    /// The problems of a read.
    ReadProblems: MalformedParameters Unauthorized Forbidden NotFound NotAcceptable RateLimited Unavailable;
    /// The problems of a read whose subject always exists.
    PlainReadProblems: MalformedParameters Unauthorized Forbidden NotAcceptable RateLimited Unavailable;
    /// The problems of a stream.
    EventProblems: MalformedParameters Unauthorized Forbidden NotAcceptable RateLimited Unavailable;
    /// The problems of a route that needs no key.
    OpenProblems: MalformedParameters NotAcceptable;
}

/// The answers of a health route.
pub(crate) fn probe_responses() -> BTreeMap<String, RefOr<ResponseDocs>> {
    [("200", "Yes."), ("503", "No.")]
        .into_iter()
        .map(|(status, about)| {
            let content = Content::new(Some(String::schema()));
            let docs = ResponseBuilder::new().description(about).content("text/plain", content);
            (status.to_owned(), RefOr::T(docs.build()))
        })
        .collect()
}
