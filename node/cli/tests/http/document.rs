//! The OpenAPI document: it lists every route of docs/API.md and, for each, every status it can
//! return.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{client::Request, site::Site};

const COMMAND: &str = "200 201 400 401 403 406 413 415 422 429 503 504";
const READ: &str = "200 400 401 403 404 406 429 503";
const SUMS: &str = "200 400 401 403 406 429 503";

/// Every route of docs/API.md.
const ROUTES: &[(&str, &str, &str)] = &[
    ("post", "/v1/accounts", COMMAND),
    ("get", "/v1/accounts/{id}", READ),
    ("post", "/v1/accounts/{id}/freeze", COMMAND),
    ("post", "/v1/accounts/{id}/unfreeze", COMMAND),
    ("post", "/v1/accounts/{id}/close", COMMAND),
    ("put", "/v1/accounts/{id}/limits", COMMAND),
    ("get", "/v1/accounts/{id}/transfers", READ),
    ("post", "/v1/transfers", COMMAND),
    ("get", "/v1/transfers/{id}", READ),
    ("post", "/v1/transfers/{id}/refund", COMMAND),
    ("post", "/v1/transfers/{id}/reversal", COMMAND),
    ("post", "/v1/holds", COMMAND),
    ("get", "/v1/holds/{id}", READ),
    ("post", "/v1/holds/{id}/capture", COMMAND),
    ("post", "/v1/holds/{id}/void", COMMAND),
    ("post", "/v1/batches", "200 400 401 403 406 413 415 422 429 503 504"),
    ("get", "/v1/totals", SUMS),
    ("get", "/v1/days/{date}", READ),
    ("get", "/v1/days/{date}/settlement", READ),
    ("get", "/v1/events", SUMS),
    ("get", "/v1/status", "200 400 406"),
    ("get", "/livez", "200 503"),
    ("get", "/readyz", "200 503"),
    ("get", "/primary", "200 503"),
    ("get", "/replica", "200 503"),
    ("get", "/metrics", "200"),
    ("get", "/openapi.json", "200"),
];

pub(crate) fn document(site: &Site) -> Value {
    let answer = Request::get("/openapi.json").without("Authorization").to(site);
    assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("application/json")));
    answer.json()
}

#[test]
fn it_lists_every_route_and_every_status() {
    let document = document(&Site::start());
    assert_eq!(document["openapi"], "3.1.0");
    let mut found = BTreeMap::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let statuses: Vec<&str> = operation["responses"]
                .as_object()
                .expect("responses")
                .keys()
                .map(String::as_str)
                .collect();
            found.insert((method.clone(), path.clone()), statuses.join(" "));
        }
    }
    for (method, path, statuses) in ROUTES {
        let listed = found.remove(&((*method).to_owned(), (*path).to_owned()));
        assert_eq!(listed.as_deref(), Some(*statuses), "{method} {path}");
    }
    assert!(found.is_empty(), "undocumented routes: {found:?}");
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document(&Site::start());
    let text = document.to_string();
    let mut references = 0;
    for part in text.split("\"$ref\":\"#/").skip(1) {
        let pointer = format!("/{}", part.split('"').next().expect("a text"));
        assert!(document.pointer(&pointer).is_some(), "{pointer} leads nowhere");
        references += 1;
    }
    assert!(references > 100, "only {references} references were checked");
}
