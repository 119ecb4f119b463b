//! The admin socket: its permissions, leftovers of a crash, and the answers of its routes. The node
//! behind it is simulated.

mod played;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    io::Write,
    os::unix::net::UnixStream,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    sync::atomic::Ordering,
};

use evenkeel_node::{gateway::admin::BindError, operator::status::CreatedKey};
use played::{MERCHANT, SECRET, Served, bind, closed_folder};
use serde_json::{Value, json};
use support::{evenkeel, finish};

#[test]
fn the_socket_is_closed_to_others_and_goes_with_the_node() {
    let mut served = Served::start();
    let mode = fs::metadata(served.path()).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(
        matches!(bind(&served.path()), Err(BindError::InUse(_))),
        "never replaces a live socket"
    );
    assert!(served.path().exists());
    served.stop.take().expect("running").send(()).expect("running");
    for _ in 0..100 {
        if !served.path().exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("the socket's file remains");
}

#[test]
fn a_killed_nodes_socket_is_cleared_and_nothing_else_is() {
    let folder = closed_folder();
    let path = folder.path().join("admin.sock");
    // A dropped listener leaves its file behind, as a killed node does.
    drop(UnixListener::bind(&path).expect("bound"));
    assert!(path.exists());
    drop(bind(&path).expect("cleared and bound"));
    fs::write(&path, "precious").expect("writable");
    assert!(matches!(bind(&path), Err(BindError::Occupied(_))));
    assert_eq!(fs::read_to_string(&path).expect("still there"), "precious");
}

#[test]
fn an_open_folder_and_a_long_path_are_refused_by_name() {
    let folder = closed_folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("mine");
    let error = bind(&folder.path().join("admin.sock")).expect_err("others could enter");
    assert!(error.to_string().contains("chmod 700"), "{error}");
    let inner = folder.path().join("inner");
    drop(bind(&inner.join("admin.sock")).expect("a new folder is created with closed permissions"));
    assert_eq!(fs::metadata(&inner).expect("there").permissions().mode() & 0o777, 0o700);
    let long = folder.path().join("x".repeat(100)).join("admin.sock");
    let error = bind(&long).expect_err("the kernel accepts at most 107 bytes");
    assert!(error.to_string().contains("107 at most"), "{error}");
}

#[test]
fn people_get_words_and_programs_get_json() {
    let served = Served::start();
    let (code, out, error) = served.admin(&["status"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("primary in term 7") && out.contains("sangam"), "{out}");
    let (code, out, _) = served.admin(&["status", "--json"]);
    let status: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &status["committed"], &status["flushed"]), (0, &json!(42), &Value::Null));
    assert_eq!(status["role"], "primary");
    let (code, out, _) = served.admin(&["peers", "--json"]);
    let peers: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &peers[0]["rtt_ms"]), (0, &json!(0.25)));
    let (code, out, _) = served.admin(&["journal", "--from", "5", "--limit", "2", "--json"]);
    let entries: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &entries[1]["position"]), (0, &json!(6)));
}

#[test]
fn damage_a_refusal_and_an_unavailable_site_have_their_own_exit_codes() {
    let served = Served::start();
    let (code, out, error) = served.admin(&["verify"]);
    assert_eq!(code, 5, "{out}");
    assert!(error.contains("journal/0001.seg at byte 4096, position 9"), "{error}");
    let (code, out, error) = served.admin(&["switchover", "--to", "busan"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("busan is primary in term 8"), "{out}");
    assert_eq!(served.admin(&["switchover", "--to", "sangam"]).0, 4);
    let (code, _, error) = served.admin(&["switchover", "--to", "nowhere"]);
    assert_eq!((code, error.contains("no site is called nowhere")), (2, true), "{error}");
    assert_eq!(served.admin(&["log-level", "inof"]).0, 2);
    assert_eq!(served.admin(&["log-level", "error"]).0, 0);
    assert_eq!(served.admin(&["nonsense"]).0, 2);
}

#[test]
fn an_act_is_on_disk_before_it_is_done_and_not_done_otherwise() {
    let served = Served::start();
    assert_eq!(served.admin(&["switchover", "--to", "busan"]).0, 0);
    let (_, out, _) = served.admin(&["timeline", "--since", "1h", "--json"]);
    let events: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(events[0]["event"], "admin_act");
    assert_eq!((&events[0]["what"], &events[0]["to"]), (&json!("switchover"), &json!("busan")));
    assert!(events[0]["uid"].is_u64() && events[0]["pid"].is_i64(), "{out}");
    assert!(served.timeline().lines().count() >= 1);

    let file = served.folder.path().join("timeline.jsonl");
    fs::remove_file(&file).expect("there");
    fs::create_dir(&file).expect("free");
    let (code, _, error) = served.admin(&["switchover", "--to", "busan"]);
    assert_eq!(code, 4, "{error}");
    assert!(error.contains("an act must be on disk before it's performed"), "{error}");
    assert_eq!(served.node.switchovers.load(Ordering::Relaxed), 1);
}

#[test]
fn a_key_is_made_listed_and_revoked() {
    let served = Served::start();
    let (code, out, error) = served.admin(&["keys", "create", "--role", "app"]);
    assert_eq!((code, out.trim_end()), (0, SECRET), "the text alone, for a script: {error}");
    assert!(error.contains("key 2, role app"), "{error}");
    let merchant = ["keys", "create", "--role", "merchant", "--account", MERCHANT, "--json"];
    let (code, out, error) = served.admin(&merchant);
    let made: Value = serde_json::from_str(&out).expect("JSON");
    let expected = json!({"id": 2, "key": SECRET, "role": "merchant", "account": MERCHANT});
    assert_eq!((code, made), (0, expected), "{error}");
    let (_, out, _) = served.admin(&["keys", "list"]);
    assert!(out.contains("operator") && out.contains(MERCHANT), "{out}");
    let (_, out, _) = served.admin(&["keys", "list", "--json"]);
    let keys: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(keys[0], json!({"id": 1, "role": "operator", "revoked": false}));
    let (code, out, error) = served.admin(&["keys", "revoke", "2", "--json"]);
    assert_eq!((code, out.as_str()), (0, ""), "{error}");

    assert_eq!(served.admin(&["keys", "revoke", "3"]).0, 3, "the ledger rejects it");
    assert_eq!(served.admin(&["keys", "create", "--role", "merchant"]).0, 3);
    assert_eq!(served.admin(&["keys", "create", "--role", "boss"]).0, 2);
    assert_eq!(served.admin(&["keys", "create", "--role", "app", "--account", "x"]).0, 2);
}

#[test]
fn a_keys_text_is_in_no_record() {
    let served = Served::start();
    served.admin(&["keys", "create", "--role", "teller"]);
    served.admin(&["keys", "revoke", "2"]);
    let (_, out, _) = served.admin(&["timeline", "--since", "1h", "--json"]);
    let events: Value = serde_json::from_str(&out).expect("JSON");
    let acts: Vec<_> = events.as_array().expect("a list").iter().map(|e| &e["what"]).collect();
    assert_eq!(acts, ["keys_create", "keys_create", "keys_revoke", "keys_revoke"]);
    assert_eq!((&events[0]["role"], &events[1]["result"]["id"]), (&json!("teller"), &json!(2)));
    assert!(!served.timeline().contains("ek_"), "{}", served.timeline());
    let made = CreatedKey { id: 2, key: SECRET.to_owned(), role: "app".to_owned(), account: None };
    assert!(!format!("{made:?}").contains("ek_"), "{made:?}");
}

#[test]
fn a_day_is_closed_and_the_act_is_on_disk_first() {
    let served = Served::start();
    let (code, out, error) = served.admin(&["day", "close"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("2026-11-26 is closed") && out.contains("2026-11-27"), "{out}");
    let (_, out, _) = served.admin(&["day", "close", "--json"]);
    let closed: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&closed["date"], &closed["position"]), (&json!("2026-11-26"), &json!(42)));
    assert!(served.timeline().contains("day_close"));

    let file = served.folder.path().join("timeline.jsonl");
    fs::remove_file(&file).expect("there");
    fs::create_dir(&file).expect("free");
    assert_eq!(served.admin(&["day", "close"]).0, 4);
    assert_eq!(served.admin(&["keys", "create", "--role", "app"]).0, 4);
    assert_eq!(served.node.closed_days.load(Ordering::Relaxed), 2);
}

#[test]
fn bad_requests_get_problems_and_the_socket_goes_on() {
    let served = Served::start();
    let get = |route: &str| format!("GET {route} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let put = |length: usize, body: &str| {
        format!(
            "POST /switchover HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let keys = |method: &str, route: &str, body: &str| {
        let length = body.len();
        format!(
            "{method} {route} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let big = "x".repeat(70_000);
    let cases = [
        (get("/nowhere"), 404),
        (get("/switchover"), 405),
        (get("/journal?limit=0"), 400),
        (get("/journal?limit=1&limit=2"), 400),
        (get("/journal?form=1"), 400),
        (get("/timeline?since=yesterday"), 400),
        (keys("POST", "/keys", "{\"role\":\"app\"}"), 201),
        (keys("POST", "/keys", "{\"role\":\"boss\"}"), 400),
        (keys("POST", "/keys", "{\"role\":\"app\",\"account\":\"7\"}"), 400),
        (keys("POST", "/keys", "{\"role\":\"app\",\"key\":\"mine\"}"), 400),
        (keys("POST", "/keys", "{\"role\":\"merchant\"}"), 422),
        (keys("PUT", "/keys", ""), 405),
        (keys("DELETE", "/keys/2", ""), 204),
        (keys("DELETE", "/keys/3", ""), 404),
        (keys("DELETE", "/keys/two", ""), 400),
        (get("/keys/2"), 405),
        (get("/keys/2/3"), 404),
        (get("/day/close"), 405),
        (keys("POST", "/day/close", ""), 200),
        (put(2, "{}"), 400),
        (put(26, "{\"to\":\"busan\",\"force\":true}"), 400),
        (put(big.len(), &big), 413),
        (get("/timeline?since=2026-10-15T15:19:00%2B09:00"), 200),
        (get("/timeline?since=2026-10-15T15:19:00+09:00"), 200),
    ];
    for (request, expected) in cases {
        let (status, body) = served.http(&request);
        assert_eq!(status, expected, "{}: {body}", request.lines().next().unwrap_or_default());
        if expected >= 300 {
            let problem: Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!(problem["status"], expected);
            assert!(problem["code"].is_string() && problem["detail"].is_string(), "{body}");
        }
    }
    let mut garbage = UnixStream::connect(served.path()).expect("the socket accepts");
    garbage.write_all(&[0xff; 40_000]).expect("sent");
    assert_eq!(served.http(&get("/status")).0, 200);
}

#[test]
fn a_node_that_is_down_is_unavailable() {
    let folder = closed_folder();
    let path = folder.path().join("admin.sock");
    let ask = || {
        let mut command = evenkeel();
        command.arg("admin").arg("--socket").arg(&path).arg("status");
        finish(command.output().expect("the program starts"))
    };
    assert_eq!(ask().0, 4, "no socket");
    drop(UnixListener::bind(&path).expect("bound"));
    let (code, _, error) = ask();
    assert_eq!((code, error.contains("the node is down")), (4, true), "{error}");
    assert_eq!(finish(evenkeel().args(["admin", "status"]).output().expect("starts")).0, 2);
}
