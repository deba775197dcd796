//! What a response means for each item of a request. One table serves a whole response and an item of a partial one (D4).

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Longest wait that the service can ask for: a choice, so that a broken header does not end delivery for ever.
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(24 * 3600);
/// Shortest wait if a quota is used up. Quotas are per day, so trying sooner is pointless.
const QUOTA_WAIT: Duration = Duration::from_secs(3600);

/// The parts of a response that count. The headers are as received.
#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    pub retry_after: Option<String>,
    pub location: Option<String>,
    /// Of bounded size.
    pub body: Vec<u8>,
    /// The URL that sent it.
    pub from: String,
}

/// What becomes of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    Accepted,
    /// It is sent again later.
    Retry,
    /// It is refused for good, and deleted.
    Refused,
    /// The request is too large.
    TooLarge,
}

/// The outcome of a status, the least wait before the next request, and what the status means.
type Rule = (Outcome, Option<Duration>, &'static str);

fn rule(status: u16) -> Rule {
    match status {
        200..=299 => (Outcome::Accepted, None, "accepted"),
        300..=399 => (Outcome::Retry, None, "the service sent a redirect that is not followed"),
        // Retried, as a captive portal or a proxy answers so as well.
        401 | 403 => (Outcome::Retry, None, "the service, or something on the way to it, refused access"),
        402 | 439 => (Outcome::Retry, Some(QUOTA_WAIT), "the quota of the service is used up"),
        408 | 500 | 502 | 503 | 504 => (Outcome::Retry, None, "the service is temporarily unavailable"),
        413 => (Outcome::TooLarge, None, "the request is too large for the service"),
        429 => (Outcome::Retry, None, "the service is throttling requests"),
        // 400, 404 and others: the same request would be refused again.
        _ => (Outcome::Refused, None, "the service refused events for good"),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchOutcome {
    /// Of each item, in order.
    pub outcomes: Vec<Outcome>,
    pub error: Option<String>,
    /// Shortest wait before the next request, if the service asks for one.
    pub retry_after: Option<Duration>,
}

impl BatchOutcome {
    /// The outcome of a batch without a response.
    pub fn failed(count: usize, error: String) -> Self {
        Self { outcomes: vec![Outcome::Retry; count], error: Some(error), retry_after: None }
    }

    pub fn has(&self, outcome: Outcome) -> bool {
        self.outcomes.contains(&outcome)
    }
}

/// Finds the outcome of a batch of `count` items.
pub fn judge(response: &Response, count: usize, now: DateTime<Utc>) -> BatchOutcome {
    let mut judged = match response.status {
        206 => partial(response, count),
        status => {
            let (outcome, wait, meaning) = rule(status);
            let error = (outcome != Outcome::Accepted).then(|| format!("{meaning} (HTTP {status})"));
            BatchOutcome { outcomes: vec![outcome; count], error, retry_after: wait }
        }
    };
    if judged.has(Outcome::Retry) {
        judged.retry_after = judged.retry_after.max(retry_after(response, now));
    }
    judged
}

/// The body of a partial response.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Report {
    errors: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ItemError {
    index: usize,
    status_code: u16,
}

fn partial(response: &Response, count: usize) -> BatchOutcome {
    let report: Report = serde_json::from_slice(&response.body).unwrap_or_default();
    let mut judged = BatchOutcome { outcomes: vec![Outcome::Accepted; count], error: None, retry_after: None };
    // An entry that cannot be read is ignored; the others count.
    for ItemError { index, status_code } in report.errors.into_iter().filter_map(|one| serde_json::from_value(one).ok())
    {
        let (outcome, wait, meaning) = rule(status_code);
        if let Some(old) = judged.outcomes.get_mut(index)
            && outcome != Outcome::Accepted
        {
            // If an item is named twice, a retry wins: a duplicate does less harm than a lost event.
            *old = if *old == Outcome::Retry { Outcome::Retry } else { outcome };
            judged.retry_after = judged.retry_after.max(wait);
            judged.error = Some(format!("{meaning} (HTTP 206, item {status_code})"));
        }
    }
    judged
}

/// Reads `Retry-After`, which comes as seconds or as a date.
fn retry_after(response: &Response, now: DateTime<Utc>) -> Option<Duration> {
    let text = response.retry_after.as_deref()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => (DateTime::parse_from_rfc2822(text).ok()?.to_utc() - now).to_std().ok()?,
    };
    Some(wait.min(RETRY_AFTER_LIMIT))
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Accepted, Refused, Retry, TooLarge};
    use super::*;

    fn response(status: u16, body: &str, retry_after: Option<&str>) -> Response {
        Response {
            status,
            body: body.as_bytes().to_vec(),
            retry_after: retry_after.map(str::to_owned),
            ..Response::default()
        }
    }

    const TABLE: [(u16, Outcome); 22] = [
        (200, Accepted),
        (202, Accepted),
        (302, Retry),
        (307, Retry),
        (308, Retry),
        (400, Refused),
        (401, Retry),
        (402, Retry),
        (403, Retry),
        (404, Refused),
        (405, Refused),
        (408, Retry),
        (413, TooLarge),
        (415, Refused),
        (429, Retry),
        (439, Retry),
        (500, Retry),
        (501, Refused),
        (502, Retry),
        (503, Retry),
        (504, Retry),
        (999, Refused),
    ];

    #[test]
    fn d4_a_status_means_the_same_for_a_whole_response_and_for_an_item() {
        for (status, outcome) in TABLE {
            let whole = judge(&response(status, "", None), 2, Utc::now());
            assert_eq!(whole.outcomes, [outcome; 2], "{status}");
            assert_eq!(whole.error.is_none(), outcome == Accepted, "{status}");
            let body = format!(r#"{{"errors":[{{"index":1,"statusCode":{status}}}]}}"#);
            let item = judge(&response(206, &body, None), 3, Utc::now());
            assert_eq!(item.outcomes, [Accepted, outcome, Accepted], "{status}");
            assert_eq!((item.error.is_none(), item.retry_after), (outcome == Accepted, whole.retry_after), "{status}");
            let quota = matches!(status, 402 | 439).then_some(QUOTA_WAIT);
            assert_eq!(whole.retry_after, quota, "{status}");
        }
    }

    #[test]
    fn d4_a_partial_response_is_not_believed_what_makes_no_sense() {
        let table = [
            (r#"{"errors":[{"index":0,"statusCode":400},{"index":2,"statusCode":429}]}"#, [Refused, Accepted, Retry]),
            (
                r#"{"errors":[{"index":3,"statusCode":500},{"index":18446744073709551615,"statusCode":500}]}"#,
                [Accepted; 3],
            ),
            (
                r#"{"errors":[{"index":-1,"statusCode":400},{},null,{"index":1,"statusCode":500},{"index":2,"statusCode":99999}]}"#,
                [Accepted, Retry, Accepted],
            ),
            (
                r#"{"errors":[{"index":1,"statusCode":500},{"index":1,"statusCode":400},{"index":1,"statusCode":200}]}"#,
                [Accepted, Retry, Accepted],
            ),
            (r#"{"itemsReceived":3,"itemsAccepted":3}"#, [Accepted; 3]),
            (r#"{"errors":7}"#, [Accepted; 3]),
            ("nonsense", [Accepted; 3]),
            ("", [Accepted; 3]),
        ];
        for (body, outcomes) in table {
            assert_eq!(judge(&response(206, body, None), 3, Utc::now()).outcomes, outcomes, "{body}");
        }
    }

    #[test]
    fn d4_retry_after_comes_as_seconds_or_as_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap().to_utc();
        let table = [
            (Some("120"), Some(120)),
            (Some(" 0 "), Some(0)),
            (Some("Thu, 01 Jan 2026 00:02:00 GMT"), Some(120)),
            (Some("Wed, 31 Dec 2025 00:00:00 GMT"), None),
            (Some("999999999"), Some(24 * 3600)),
            (Some("99999999999999999999999"), None),
            (Some("-5"), None),
            (Some("soon"), None),
            (None, None),
        ];
        for (header, seconds) in table {
            let wait = judge(&response(429, "", header), 1, now).retry_after;
            assert_eq!(wait, seconds.map(Duration::from_secs), "{header:?}");
        }
        for status in [402, 439] {
            assert_eq!(judge(&response(status, "", Some("5")), 1, now).retry_after, Some(QUOTA_WAIT));
            assert_eq!(judge(&response(status, "", Some("7200")), 1, now).retry_after, Some(2 * QUOTA_WAIT));
        }
        assert_eq!(judge(&response(200, "", Some("120")), 1, now).retry_after, None);
    }
}
