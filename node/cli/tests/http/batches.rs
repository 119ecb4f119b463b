//! Batches: in order, non-atomic and atomic.

use serde_json::{Value, json};

use crate::{
    client::{Answer, Request, account, id},
    commands::{BANK, MERCHANT, OTHER_WALLET, WALLET, open_all, post, transfer},
    site::Site,
};

fn item(kind: &str, body: Value) -> Value {
    let mut body = body;
    body["type"] = json!(kind);
    body
}

fn batch(site: &Site, atomic: bool, commands: &[Value]) -> Answer {
    let body = json!({"atomic": atomic, "commands": commands}).to_string();
    // A busy machine may need long for thousands of commands.
    Request::post("/v1/batches", body.into_bytes()).header("Deadline-Ms", "60000").to(site)
}

/// Status and code of each result.
fn results(answer: &Answer) -> Vec<(u64, String)> {
    let told = answer.json();
    let results = told["results"].as_array().unwrap_or_else(|| panic!("{told}"));
    let code = |result: &Value| result["code"].as_str().unwrap_or_default().to_owned();
    results
        .iter()
        .map(|result| (result["status"].as_u64().expect("a status"), code(result)))
        .collect()
}

fn posted(site: &Site, number: u128) -> Value {
    Request::get(format!("/v1/accounts/{}", account(number))).to(site).json()["posted"].clone()
}

/// One command of each type, each depending on the previous one.
fn one_of_each() -> Vec<Value> {
    vec![
        item("open_account", json!({"id": account(9), "kind": "wallet", "asset": "KRW"})),
        item("transfer", transfer(1, "top_up", BANK, 9, 1_000)),
        item("transfer", transfer(2, "payment", 9, MERCHANT, 400)),
        item("refund", json!({"id": id(3), "payment": id(2), "amount": 150, "memo": "cold"})),
        item(
            "hold",
            json!({
                "id": id(4), "debit": account(9), "credit": account(MERCHANT), "amount": 300,
                "asset": "KRW", "expires_in_ms": 60_000,
            }),
        ),
        item("capture", json!({"id": id(5), "hold": id(4), "amount": 200})),
        item("void", json!({"id": id(6), "hold": id(4)})),
    ]
}

#[test]
fn each_item_is_answered_as_its_single_route_would() {
    let site = Site::start();
    open_all(&site);
    let answer = batch(&site, false, &one_of_each());
    assert_eq!(answer.status, 200, "{}", answer.text);
    let rejected = (422, "hold_not_open".to_owned());
    let done = (201, String::new());
    let mut expected = vec![done.clone(); 6];
    expected.push(rejected);
    assert_eq!(results(&answer), expected, "{}", answer.text);
    let told = answer.json()["results"].clone();
    assert_eq!(told[0]["account"]["id"], account(9));
    assert_eq!(
        (&told[3]["transfer"]["kind"], &told[3]["transfer"]["amount"]),
        (&json!("refund"), &json!(150))
    );
    assert_eq!(
        (&told[3]["transfer"]["debit"], &told[3]["transfer"]["memo"]),
        (&json!(account(MERCHANT)), &json!("cold"))
    );
    assert_eq!((&told[4]["hold"]["id"], &told[4]["hold"]["amount"]), (&json!(id(4)), &json!(300)));
    assert_eq!(
        (&told[5]["transfer"]["kind"], &told[5]["transfer"]["id"]),
        (&json!("payment"), &json!(id(5)))
    );
    assert_eq!((&told[5]["debit_after"], &told[5]["credit_after"]), (&json!(550), &json!(450)));
    for (index, result) in told.as_array().expect("results").iter().enumerate() {
        assert_eq!(result["index"], index, "all are outcomes of one entry");
        assert_eq!(result["position"], told[0]["position"]);
    }
    let again = batch(&site, false, &one_of_each());
    let mut replayed = expected;
    replayed[..6].fill((200, String::new()));
    assert_eq!(results(&again), replayed, "{}", again.text);
    for (first, again) in told
        .as_array()
        .into_iter()
        .flatten()
        .zip(again.json()["results"].as_array().into_iter().flatten())
    {
        for field in
            ["outcome", "code", "position", "index", "term", "recorded_at", "link", "transfer"]
        {
            assert_eq!(first.get(field), again.get(field), "{field}");
        }
    }
    // The single routes give the same answers to the same ids.
    let single =
        post(&site, &format!("/v1/holds/{}/capture", id(4)), &json!({"id": id(5), "amount": 200}));
    assert_eq!((single.status, &single.json()["transfer"]), (200, &told[5]["transfer"]));
}

#[test]
fn an_atomic_batch_is_done_as_a_whole_or_not_at_all() {
    let site = Site::start();
    open_all(&site);
    let mut commands = one_of_each();
    let failed = batch(&site, true, &commands);
    assert_eq!((failed.status, failed.code().as_str()), (422, "batch_failed"), "{}", failed.text);
    let told = failed.json();
    assert_eq!((&told["failed_index"], told.get("index")), (&json!(6), None));
    assert!(told["position"].is_u64() && told["request_id"].is_string(), "{told}");
    assert_eq!(failed.header("Content-Type"), Some("application/problem+json"));
    let mut expected = vec![(422, "batch_failed".to_owned()); 6];
    expected.push((422, "hold_not_open".to_owned()));
    assert_eq!(results(&failed), expected);
    for result in told["results"].as_array().expect("results") {
        assert_eq!(result.get("index"), None, "no outcome: {result}");
    }
    let missing = Request::get(format!("/v1/accounts/{}", account(9))).to(&site);
    assert_eq!((missing.status, posted(&site, BANK)), (404, json!(0)), "nothing was done");

    commands.pop();
    let done = batch(&site, true, &commands);
    assert_eq!(
        (done.status, results(&done)),
        (200, vec![(201, String::new()); 6]),
        "{}",
        done.text
    );
    let again = batch(&site, true, &commands);
    assert_eq!(results(&again), vec![(200, String::new()); 6], "a replay counts as done");
    assert_eq!((posted(&site, 9), posted(&site, MERCHANT)), (json!(550), json!(450)));
}

#[test]
fn an_amount_that_no_ledger_can_judge_is_that_items_result() {
    let site = Site::start();
    open_all(&site);
    let out_of_range = |number| {
        let body = transfer(number, "top_up", BANK, WALLET, 77).to_string();
        item("transfer", serde_json::from_str(&body.replace("77", "-1")).expect("JSON"))
    };
    let commands = [
        item("transfer", transfer(1, "top_up", BANK, WALLET, 10)),
        out_of_range(2),
        item("transfer", transfer(3, "transfer", WALLET, OTHER_WALLET, 4)),
    ];
    let failed = batch(&site, true, &commands);
    assert_eq!(
        (failed.status, &failed.json()["failed_index"]),
        (422, &json!(1)),
        "{}",
        failed.text
    );
    assert_eq!(failed.json().get("position"), None, "it never reached the ledger");
    let codes: Vec<String> = results(&failed).into_iter().map(|(_, code)| code).collect();
    assert_eq!(codes, ["batch_failed", "amount_invalid", "batch_failed"]);
    let done = batch(&site, false, &commands);
    let statuses: Vec<u64> = results(&done).into_iter().map(|(status, _)| status).collect();
    assert_eq!(statuses, [201, 422, 201], "{}", done.text);
    assert_eq!(done.json()["results"][1].get("position"), None);
    let nothing = batch(&site, false, &[out_of_range(5)]);
    assert_eq!(
        (nothing.status, results(&nothing)),
        (200, vec![(422, "amount_invalid".to_owned())])
    );
}

#[test]
fn a_full_batch_of_the_largest_commands_fits() {
    let site = Site::start();
    open_all(&site);
    let long = json!("x".repeat(140));
    let commands: Vec<Value> = (1..=8_192)
        .map(|number| {
            let mut body = transfer(number, "top_up", BANK, WALLET, 1);
            (body["memo"], body["reference"]) = (long.clone(), json!("y".repeat(64)));
            item("transfer", body)
        })
        .collect();
    let answer = batch(&site, false, &commands);
    assert_eq!(answer.status, 200, "{}", &answer.text[..answer.text.len().min(500)]);
    assert_eq!(results(&answer), vec![(201, String::new()); 8_192]);
    let payments: Vec<Value> = (1..=8_192)
        .map(|number| item("transfer", transfer(10_000 + number, "payment", WALLET, MERCHANT, 1)))
        .collect();
    assert_eq!(batch(&site, true, &payments).status, 200);
    let refunds: Vec<Value> = (1..=8_192)
        .map(|number| {
            item("refund", json!({"id": id(20_000 + number), "payment": id(10_000 + number)}))
        })
        .collect();
    let answer = batch(&site, true, &refunds);
    assert_eq!((answer.status, posted(&site, MERCHANT)), (200, json!(0)));
}
