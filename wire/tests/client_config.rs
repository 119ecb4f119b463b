//! Reading client.toml, and the messages for its mistakes.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod support;

use std::fs;

use evenkeel_wire::client::ClientConfig;
use support::{Authority, cluster};

const GOOD: &str = r#"cluster = "07070707-0707-0707-0707-070707070707"
ca = "ca.pem"
key_file = "operator.key"
[[sites]]
name = "pangyo"
node = 1
client = "127.0.0.1:7101"
http = "127.0.0.1:7102"
[[sites]]
name = "sangam"
node = 2
client = "localhost:7201"
http = "localhost:7202"
"#;

fn load(text: &str, key: &str) -> Result<ClientConfig, String> {
    let authority = Authority::new();
    let path = authority.folder().join("client.toml");
    fs::write(&path, text).unwrap();
    fs::write(authority.folder().join("operator.key"), key).unwrap();
    ClientConfig::load(&path).map_err(|error| error.to_string())
}

#[test]
fn a_good_file_is_read_and_the_key_stays_out_of_logs() {
    let config = load(GOOD, "ek_0123\n").unwrap();
    assert_eq!((config.cluster, config.key.as_str()), (cluster(7), "ek_0123"));
    assert_eq!(config.sites[0].client.to_string(), "127.0.0.1:7101");
    assert_eq!((config.sites[1].client.port(), config.sites[1].node), (7201, 2));
    assert_eq!(config.sites[1].http, "localhost:7202");
    assert!(config.ca.ends_with("ca.pem") && config.ca.is_absolute());
    assert!(!format!("{config:?}").contains("ek_0123"));
}

/// A site is lost together with its name server: its name no longer resolves.
#[test]
fn a_site_whose_name_is_gone_is_left_out() {
    // A label of 64 letters is invalid, so no resolver is queried.
    let (sangam, pangyo) = ("s".repeat(64), "p".repeat(64));
    let gone = GOOD.replace("localhost:7201", &format!("{sangam}:7201"));
    let config = load(&gone, "ek_1").unwrap();
    assert_eq!(config.sites.iter().map(|site| site.node).collect::<Vec<_>>(), [1]);
    let [why] = &config.left_out[..] else { panic!("{:?}", config.left_out) };
    assert!(why.starts_with(&format!("site sangam: client = \"{sangam}:7201\": ")), "{why}");
    let none = gone.replace("127.0.0.1:7101", &format!("{pangyo}:7101"));
    let error = load(&none, "ek_1").unwrap_err();
    assert!(error.contains("site pangyo: ") && error.contains("; site sangam: "), "{error}");
}

#[test]
fn mistakes_are_named() {
    for (text, key, said) in [
        (GOOD.replace("ca =", "cca ="), "ek_1", "unknown field `cca`"),
        (GOOD.replace("node = 2", "node = 2\nnod = 3"), "ek_1", "line 12"),
        (GOOD.replace("-0707-", "-"), "ek_1", "is not a UUID"),
        (GOOD.replace("ca.pem", "cb.pem"), "ek_1", "cb.pem: No such file"),
        (GOOD.replace("127.0.0.1:7101", "127.0.0.1"), "ek_1", "site pangyo: client ="),
        (GOOD.replace("127.0.0.1:7101", "127.0.0.1:x"), "ek_1", "site pangyo: client ="),
        (GOOD.split("[[sites]]").next().unwrap().into(), "ek_1", "it names no site"),
        (GOOD.into(), "", "operator.key: not one line with a key"),
        (GOOD.into(), "ek_1\nek_2\n", "operator.key: not one line with a key"),
        (GOOD.into(), &"k".repeat(129), "operator.key: not one line with a key"),
        (GOOD.replace("operator.key", "none.key"), "ek_1", "none.key: No such file"),
    ] {
        let error = load(&text, key).unwrap_err();
        assert!(error.contains(said), "{error} should say {said}");
    }
}
