//! The meaning of a site's answer for a call.

use std::time::Duration;

use evenkeel_http::{HttpResponse, header};
use evenkeel_wire::{
    client::Attempt,
    reply::{Refusal, RefusalCode},
};
use serde::Deserialize;

/// The parsed part of a problem; another server's answer may not be one.
#[derive(Deserialize)]
struct ProblemBody {
    code: String,
    #[serde(default)]
    detail: String,
}

/// Classifies an answer. A status promises that nothing was done only together with the problem
/// that belongs to it: a proxy between here and the site may answer, too.
pub(super) fn classify_response(response: HttpResponse) -> Attempt<HttpResponse> {
    let status = response.status;
    if matches!(status, 200 | 201 | 422) {
        return Attempt::Answered(response);
    }
    let problem = serde_json::from_slice::<ProblemBody>(&response.body).ok();
    let code = problem.as_ref().and_then(|problem| RefusalCode::from_name(&problem.code));
    let detail = match &problem {
        Some(problem) if problem.detail.is_empty() => problem.code.clone(),
        Some(problem) => problem.detail.clone(),
        None => format!("the site answered {status}"),
    };
    match (status, code) {
        (429, Some(code)) if is_harmless(code) => {
            Attempt::Overloaded { why: format!("{code}: {detail}"), wait: retry_after(&response) }
        }
        (503, Some(code @ RefusalCode::NoPrimary)) => {
            Attempt::NoPrimary(format!("{code}: {detail}"))
        }
        // A 503 is about this site; its retry-after says nothing about another one.
        (503, Some(code)) if is_harmless(code) => Attempt::NothingDone(format!("{code}: {detail}")),
        (300..400, _) => Attempt::Refused(Refusal::new(
            RefusalCode::Malformed,
            &format!("it answered {status}, and redirects aren't followed: is client.toml right?"),
        )),
        (400..429 | 430..500, code) => {
            let code = code.unwrap_or(RefusalCode::Malformed);
            Attempt::Refused(Refusal::new(code, &detail))
        }
        _ => Attempt::MayHaveHappened(detail),
    }
}

fn is_harmless(code: RefusalCode) -> bool {
    code == RefusalCode::RateLimited || code.says_nothing_was_done()
}

fn retry_after(response: &HttpResponse) -> Duration {
    let seconds = response.header(header::RETRY_AFTER.as_str()).and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use evenkeel_http::{HeaderMap, HeaderValue};

    use super::*;

    fn judged(status: u16, body: &'static str) -> &'static str {
        let body = Bytes::from_static(body.as_bytes());
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        match classify_response(HttpResponse { status, headers, body }) {
            Attempt::Answered(_) => "answered",
            Attempt::NoPrimary(_) => "nothing done, no primary",
            Attempt::NothingDone(_) => "nothing done",
            Attempt::Overloaded { wait, .. } => {
                assert_eq!(wait, Duration::from_secs(1));
                "nothing done, wait"
            }
            Attempt::MayHaveHappened(_) => "unknown",
            Attempt::Refused(refusal) => refusal.code.name(),
        }
    }

    #[test]
    fn every_answer_means_what_it_promises_and_no_more() {
        for (status, body, meaning) in [
            (200, "{}", "answered"),
            (201, "{}", "answered"),
            (422, "{}", "answered"),
            (503, r#"{"code": "no_primary"}"#, "nothing done, no primary"),
            (503, r#"{"code": "overloaded"}"#, "nothing done"),
            (503, r#"{"code": "stopping"}"#, "nothing done"),
            (503, r#"{"code": "recovering"}"#, "nothing done"),
            (503, r#"{"code": "made_up"}"#, "unknown"),
            (503, r#"{"code": "not_found"}"#, "unknown"),
            (503, "<html>a proxy says so</html>", "unknown"),
            (429, r#"{"code": "rate_limited"}"#, "nothing done, wait"),
            (429, "", "unknown"),
            (504, r#"{"code": "outcome_unknown"}"#, "unknown"),
            (502, "", "unknown"),
            (500, "", "unknown"),
            (400, r#"{"code": "malformed"}"#, "malformed"),
            (400, r#"{"code": "id_not_uuid_v7"}"#, "id_not_uuid_v7"),
            (401, r#"{"code": "unauthorized"}"#, "unauthorized"),
            (403, r#"{"code": "forbidden"}"#, "forbidden"),
            (404, r#"{"code": "not_found"}"#, "not_found"),
            (405, r#"{"code": "method_not_allowed"}"#, "malformed"),
            (413, r#"{"code": "too_large"}"#, "too_large"),
            (301, "", "malformed"),
            (307, "", "malformed"),
        ] {
            assert_eq!(judged(status, body), meaning, "{status} {body}");
        }
    }
}
