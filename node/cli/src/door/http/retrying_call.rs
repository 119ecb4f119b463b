//! One call, from its start to its answer or its deadline: the sites in turn, and what each of their answers means.
//!
//! Sending again is safe: commands carry their ids, and the ledger decides each once. Once a try may have reached a journal,
//! a later "nothing was done" can't undo that: the end is an answer, or unknown.

use std::{sync::atomic::Ordering, time::Duration};

use evenkeel_wire::{
    client::ClientError,
    limits::{DEADLINE_MS_MAX, DEADLINE_MS_MIN},
    reply::{Refusal, RefusalCode},
};
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};

use super::{HttpClient, SiteRequest, SiteResponse, connection::ExchangeError};

/// Between two rounds at the least and at the most; doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// What a site's answer may take longer than the deadline that it was told.
const GRACE: Duration = Duration::from_millis(200);

/// How one try ended without the ledger's answer.
enum AttemptError {
    /// Certainly nothing was done by this try.
    NothingDone(SafeFailure),
    /// It may have been done.
    MayHaveHappened(String),
    /// The same again would be refused again, anywhere.
    Refused(Refusal),
}

/// What is known of a try that did nothing.
struct SafeFailure {
    why: String,
    /// The site said that there's no primary.
    no_primary: bool,
    /// The site asked to be left alone for so long.
    wait: Option<Duration>,
}

/// What is read of a problem; another server's answer may be none.
#[derive(Deserialize)]
struct ProblemBody {
    code: String,
    #[serde(default)]
    detail: String,
}

/// What is known so far of a call that has no answer.
struct RetryingCall {
    deadline: Instant,
    uncertain: bool,
    why: String,
}

impl RetryingCall {
    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn into_error(self) -> ClientError {
        if self.uncertain {
            ClientError::Unknown(self.why)
        } else {
            ClientError::Unavailable(self.why)
        }
    }
}

impl HttpClient {
    /// Asks until there's an answer; `only` this site, where one is named.
    pub(crate) async fn call_with_retries(
        &self,
        request: &SiteRequest,
        only: Option<&str>,
    ) -> Result<SiteResponse, ClientError> {
        let turn = self.site_order(only)?;
        let deadline = Instant::now() + self.deadline;
        let mut call = RetryingCall { deadline, uncertain: false, why: "no site answered".into() };
        // A site that hangs must leave time for the others.
        let share = u32::try_from(turn.len() + 1).expect("a few sites");
        let budget = self.deadline / share;
        let mut pause = PAUSE_MIN;
        loop {
            let (mut no_primary, mut wait, mut reasons) = (false, pause, Vec::new());
            for site in turn.iter().copied() {
                let left = call.time_left();
                if left.is_zero() {
                    return Err(call.into_error());
                }
                match self.attempt(site, request, budget.min(left)).await {
                    Ok(response) => {
                        self.preferred.store(site, Ordering::Relaxed);
                        return Ok(response);
                    }
                    Err(AttemptError::Refused(refusal)) if call.uncertain => {
                        call.why = format!("an earlier try may have been done; now {refusal}");
                        return Err(call.into_error());
                    }
                    Err(AttemptError::Refused(refusal)) => {
                        return Err(ClientError::Refused(refusal));
                    }
                    Err(AttemptError::NothingDone(nothing)) => {
                        no_primary |= nothing.no_primary;
                        wait = wait.max(nothing.wait.unwrap_or_default());
                        reasons.push(format!("{}: {}", self.sites[site].name, nothing.why));
                    }
                    Err(AttemptError::MayHaveHappened(why)) => {
                        call.uncertain |= request.may_change_ledger();
                        reasons.push(format!("{}: {why}", self.sites[site].name));
                    }
                }
                call.why = reasons.join("; ");
            }
            if no_primary && self.no_primary_is_final {
                return Err(call.into_error());
            }
            sleep(wait.min(call.time_left())).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The sites in the order in which they are asked: who answered last comes first.
    fn site_order(&self, only: Option<&str>) -> Result<Vec<usize>, ClientError> {
        if let Some(name) = only {
            let found = self.sites.iter().position(|site| site.name == name);
            let missing = || ClientError::Unavailable(format!("no site is called {name}"));
            return found.map(|site| vec![site]).ok_or_else(missing);
        }
        let first = self.preferred.load(Ordering::Relaxed);
        Ok((0..self.sites.len()).map(|step| (first + step) % self.sites.len()).collect())
    }

    async fn attempt(
        &self,
        site: usize,
        request: &SiteRequest,
        budget: Duration,
    ) -> Result<SiteResponse, AttemptError> {
        let milliseconds = u32::try_from(budget.as_millis()).unwrap_or(u32::MAX);
        let deadline_ms = milliseconds.clamp(DEADLINE_MS_MIN, DEADLINE_MS_MAX);
        let exchange = self.sites[site].connections.exchange(request, &self.key, deadline_ms);
        match timeout(budget + GRACE, exchange).await {
            Ok(Ok(response)) => classify_response(response),
            Ok(Err(ExchangeError::NotSent(why))) => {
                Err(AttemptError::NothingDone(SafeFailure { why, no_primary: false, wait: None }))
            }
            Ok(Err(ExchangeError::MayHaveArrived(why))) => Err(AttemptError::MayHaveHappened(why)),
            Err(_) => Err(AttemptError::MayHaveHappened(format!(
                "no answer within {} ms",
                (budget + GRACE).as_millis()
            ))),
        }
    }
}

/// What an answer means. A status is believed as far as its promise goes only with the problem that belongs to it: what
/// stands between here and the site may answer too.
fn classify_response(response: SiteResponse) -> Result<SiteResponse, AttemptError> {
    let status = response.status;
    if matches!(status, 200 | 201 | 422) {
        return Ok(response);
    }
    let problem = serde_json::from_slice::<ProblemBody>(&response.body).ok();
    let code = problem.as_ref().and_then(|problem| RefusalCode::from_name(&problem.code));
    let detail = match &problem {
        Some(problem) if problem.detail.is_empty() => problem.code.clone(),
        Some(problem) => problem.detail.clone(),
        None => format!("the site answered {status}"),
    };
    match (status, code) {
        (429 | 503, Some(code))
            if code == RefusalCode::RateLimited || code.says_nothing_was_done() =>
        {
            // A 503 means this site; how soon another one can help, it can't say.
            let wait = response.retry_after.filter(|_| status == 429).map(Duration::from_secs);
            let no_primary = code == RefusalCode::NoPrimary;
            Err(AttemptError::NothingDone(SafeFailure {
                why: format!("{code}: {detail}"),
                no_primary,
                wait,
            }))
        }
        (300..400, _) => Err(AttemptError::Refused(Refusal::new(
            RefusalCode::Malformed,
            &format!("it answered {status}, and redirects aren't followed: is client.toml right?"),
        ))),
        (400..429 | 430..500, code) => {
            let code = code.unwrap_or(RefusalCode::Malformed);
            Err(AttemptError::Refused(Refusal::new(code, &detail)))
        }
        _ => Err(AttemptError::MayHaveHappened(detail)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn judged(status: u16, body: &'static str) -> &'static str {
        let body = Bytes::from_static(body.as_bytes());
        match classify_response(SiteResponse {
            status,
            replayed: false,
            retry_after: Some(1),
            body,
        }) {
            Ok(_) => "answered",
            Err(AttemptError::NothingDone(nothing)) => match (nothing.no_primary, nothing.wait) {
                (true, None) => "nothing done, no primary",
                (false, None) => "nothing done",
                (_, Some(_)) => "nothing done, wait",
            },
            Err(AttemptError::MayHaveHappened(_)) => "unknown",
            Err(AttemptError::Refused(refusal)) => refusal.code.name(),
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
