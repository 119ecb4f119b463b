//! All routes, and the steps around each: the request's id, its problem and its log line. Nothing
//! is served that isn't documented.

use crate::telemetry::panic_if_planted;
use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{Request, Response},
};
use hyper::body::Incoming;
use tokio::time::Instant;
use tower_service::Service;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    HttpDoor,
    answer::problem::{Code, Problem},
    openapi,
    request::head::{Arrival, REQUEST_ID},
    resources::{accounts, batches, days, events, health, holds, status, totals, transfers},
};

/// Every route with its handler and its documentation: a route is served if and only if it's
/// documented.
pub(crate) fn documented_routes() -> (Router<Arc<HttpDoor>>, OpenApi) {
    OpenApiRouter::with_openapi(openapi::base_document())
        .routes(routes!(accounts::open_account))
        .routes(routes!(accounts::get_account))
        .routes(routes!(accounts::freeze))
        .routes(routes!(accounts::unfreeze))
        .routes(routes!(accounts::close))
        .routes(routes!(accounts::set_limits))
        .routes(routes!(transfers::history))
        .routes(routes!(transfers::transfer))
        .routes(routes!(transfers::get_transfer))
        .routes(routes!(transfers::refund))
        .routes(routes!(transfers::reversal))
        .routes(routes!(holds::hold))
        .routes(routes!(holds::get_hold))
        .routes(routes!(holds::capture))
        .routes(routes!(holds::void))
        .routes(routes!(batches::batch))
        .routes(routes!(totals::get_totals))
        .routes(routes!(days::get_day))
        .routes(routes!(days::get_settlement))
        .routes(routes!(events::events))
        .routes(routes!(status::get_status))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(health::primary))
        .routes(routes!(health::replica))
        .routes(routes!(health::metrics))
        .routes(routes!(openapi::document))
        .split_for_parts()
}

/// The prefix of the routes that clients wait for. Probes and scrapes are frequent and fast: their
/// times would distort the clients'.
const API: &str = "/v1/";

/// The router for this door's requests.
pub(crate) fn router(door: &Arc<HttpDoor>) -> Router {
    let (router, _) = documented_routes();
    router
        .fallback(async || Problem::new(Code::NotFound, "no such route"))
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "this route allows other methods: see Allow")
        })
        .with_state(door.clone())
}

/// The routes that a full port still answers.
const PROBES: [&str; 5] = ["/livez", "/readyz", "/primary", "/replica", "/metrics"];

/// Answers the one request of a connection for which there's no place.
pub(crate) async fn answer_full(
    door: Arc<HttpDoor>,
    router: Router,
    request: Request<Incoming>,
) -> Response<Body> {
    if PROBES.contains(&request.uri().path()) {
        return answer(door, router, request).await;
    }
    let id = door.request_ids.choose_id(request.headers());
    let problem = Problem::new(Code::Overloaded, "too many connections; nothing was done");
    let mut response = Response::new(Body::empty());
    problem.closing().write(&id, &mut response);
    door.metrics.count_refusal(Code::Overloaded.name());
    response.headers_mut().insert(REQUEST_ID, id.header());
    response
}

/// Answers any request.
pub(crate) async fn answer(
    door: Arc<HttpDoor>,
    mut router: Router,
    mut request: Request<Incoming>,
) -> Response<Body> {
    panic_if_planted("http");
    let since = Instant::now();
    request.extensions_mut().insert(Arrival(since));
    let id = door.request_ids.choose_id(request.headers());
    let asked = (request.method().clone(), request.uri().clone());
    let Ok(mut response): Result<_, Infallible> = router.call(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        problem.write(&id, &mut response);
        if !problem.is_outcome() {
            door.metrics.count_refusal(problem.code.name());
        }
        tracing::debug!(
            request = id.as_str(),
            code = problem.code.name(),
            detail = problem.detail,
            "not done"
        );
    }
    response.headers_mut().insert(REQUEST_ID, id.header());
    let (method, path) = (asked.0.as_str(), asked.1.path());
    if path.starts_with(API) {
        door.metrics.observe_answer(since.elapsed());
    }
    tracing::debug!(
        request = id.as_str(),
        method,
        path,
        status = response.status().as_u16(),
        "answered"
    );
    response
}
