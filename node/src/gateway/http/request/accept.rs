//! The Accept header: the media types that a client accepts (RFC 9110 §12.5.1). It never guesses
//! one that the client doesn't name.

use axum::http::{HeaderMap, header};

use crate::gateway::http::answer::problem::{Code, Problem};

/// The offer with the highest weight; among equals, the first.
///
/// # Errors
/// When the client accepts none of them.
pub(crate) fn choose<'a>(headers: &HeaderMap, offers: &[&'a str]) -> Result<&'a str, Problem> {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return Ok(offers[0]);
    }
    let ranges: Vec<(&str, u32)> = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(range)
        .collect();
    let mut best = None;
    for offer in offers {
        let liking = offer_weight(offer, &ranges);
        if liking > best.map_or(0, |(_, liking)| liking) {
            best = Some((*offer, liking));
        }
    }
    best.map(|(offer, _)| offer).ok_or_else(|| {
        let detail = format!("Accept: this route answers with {}", offers.join(", "));
        Problem::new(Code::NotAcceptable, detail)
    })
}

/// A media range and its weight in thousandths.
fn range(text: &str) -> Option<(&str, u32)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| range.contains('/'))?;
    let weight = parts
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
        .map_or(Some(1_000), |(_, weight)| thousandths(weight.trim()))?;
    Some((range, weight))
}

/// `0.25` as 250.
fn thousandths(weight: &str) -> Option<u32> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() > 1 || fraction.len() > 3 {
        return None;
    }
    let whole: u32 = whole.parse().ok()?;
    let fraction: u32 = format!("{fraction:0<3}").parse().ok()?;
    Some((whole * 1_000 + fraction).min(1_000))
}

/// The weight of the most specific range that matches the offer; 0: not accepted.
fn offer_weight(offer: &str, ranges: &[(&str, u32)]) -> u32 {
    let kind = offer.split('/').next().unwrap_or_default();
    let closeness = |range: &str| {
        if range.eq_ignore_ascii_case(offer) {
            3
        } else if range == "*/*" {
            1
        } else if range.strip_suffix("/*").is_some_and(|range| range.eq_ignore_ascii_case(kind)) {
            2
        } else {
            0
        }
    };
    ranges
        .iter()
        .map(|(range, weight)| (closeness(range), *weight))
        .filter(|(closeness, _)| *closeness > 0)
        .max()
        .map_or(0, |(_, weight)| weight)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_best_offer_is_chosen_or_none() {
        const JSON: &str = "application/json";
        const CSV: &str = "text/csv";
        for (accept, chosen) in [
            ("*/*", Some(JSON)),
            ("application/json", Some(JSON)),
            ("APPLICATION/JSON;charset=utf-8", Some(JSON)),
            ("application/*", Some(JSON)),
            ("text/csv", Some(CSV)),
            ("text/*;q=0.5, application/json;q=0.4", Some(CSV)),
            ("text/csv;q=0.5, */*;q=0.9", Some(JSON)),
            ("application/json;q=0, */*", Some(CSV)),
            ("text/csv;q=0", None),
            ("text/html", None),
            ("", None),
            ("nonsense", None),
            ("application/json;q=2.0000", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(choose(&headers, &[JSON, CSV]).ok(), chosen, "{accept:?}");
        }
        assert_eq!(choose(&HeaderMap::new(), &[JSON, CSV]).ok(), Some(JSON));
    }
}
