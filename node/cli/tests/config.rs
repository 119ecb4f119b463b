//! node.toml: every error names the key and the file and line, variable or flag that set it.

mod support;

use evenkeel_node::config::{Config, LogFormat, Overrides, Profile};
use support::Files;

fn overrides(environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Overrides {
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    Overrides { environment: owned(environment), flags: owned(flags) }
}

#[test]
fn a_new_clusters_configuration_loads() {
    let files = Files::new();
    let config = Config::load(&files.node_toml(), &Overrides::default()).expect("it loads");
    assert_eq!((config.node, config.site.as_str()), (1, "pangyo"));
    assert_eq!(config.profile, Profile::Metro);
    assert_eq!(config.members.len(), 3);
    assert_eq!(config.own_member().client.to_string(), "127.0.0.1:7101");
    assert_eq!(config.listen.http.to_string(), "127.0.0.1:7102");
    assert_eq!(config.data, files.site("pangyo").join("data"));
    assert_eq!(config.genesis.cluster, config.cluster);
    assert_eq!(config.genesis.wallet_max_balance, 2_000_000);
    assert_eq!(config.genesis.id_horizon_ms, 7 * 24 * 3_600_000);
    assert_eq!(config.genesis.id_tolerance_ms, 5 * 60_000);
    let key = std::fs::read_to_string(files.out().join("operator.key")).expect("readable");
    let key = key.trim_end();
    assert!(key.starts_with("ek_") && key.len() == 67, "{key}");
    assert_eq!(config.genesis.operator_key, *blake3::hash(key.as_bytes()).as_bytes());
}

#[test]
fn the_environment_goes_over_the_file_and_flags_over_both() {
    let files = Files::new();
    let load = |environment, flags| {
        Config::load(&files.node_toml(), &overrides(environment, flags)).expect("it loads")
    };
    let config = load(&[("EVENKEEL_LOG_FORMAT", "json"), ("EVENKEEL_LOG", "debug")], &[]);
    assert_eq!((config.log.format, config.log.filter.as_str()), (LogFormat::Json, "debug"));
    let config = load(
        &[("EVENKEEL_LISTEN_PEER", "127.0.0.1:9"), ("EVENKEEL_GENESIS_ASSETS", "KRW, POINT")],
        &[("listen.peer", "127.0.0.1:10")],
    );
    assert_eq!(config.listen.peer.port(), 10);
    assert_eq!(config.genesis.assets.len(), 2);
    let plain = [("http.plain", "true"), ("listen.http", "0.0.0.0:7102")];
    assert_eq!(load(&[("EVENKEEL_HTTP_PLAIN", "false")], &plain).http_tls, None);
    let tls = [("http.cert", "tls/http.pem"), ("http.key", "/etc/http.key")];
    let tls = load(&[("EVENKEEL_LISTEN_HTTP", "[::]:7102")], &tls).http_tls.expect("set");
    assert_eq!(tls.cert, files.site("pangyo").join("tls/http.pem"));
    assert_eq!(tls.key.to_str(), Some("/etc/http.key"));
    let rates =
        load(&[("EVENKEEL_LIMITS_OPERATOR_EXEMPT", "true")], &[("limits.burst", "7")]).rates;
    assert_eq!((rates.requests_per_second, rates.burst, rates.operator_exempt), (5_000, 7, true));
    assert_eq!((rates.commands_per_second, rates.bytes_per_second), (200_000, 64 << 20));
    assert_eq!(load(&[], &[]).connections_per_address, None);
    let limits = [("limits.bytes_per_second", "0"), ("limits.connections_per_address", "0")];
    let config = load(&[("EVENKEEL_LIMITS_COMMANDS_PER_SECOND", "7")], &limits);
    assert_eq!((config.rates.commands_per_second, config.rates.bytes_per_second), (7, 0));
    assert_eq!(config.connections_per_address, Some(0));
}

#[test]
fn a_variable_that_names_no_key_is_ignored_and_named() {
    let files = Files::new();
    // As Kubernetes injects them for services called `evenkeel` and `evenkeel-http`; and a typo.
    let others = [
        ("EVENKEEL_SERVICE_HOST", "10.0.0.1"),
        ("EVENKEEL_PORT", "tcp://10.0.0.1:80"),
        ("EVENKEEL_HTTP_SERVICE_HOST", "10.0.0.1"),
        ("EVENKEEL_HTTP_SERVICE_PORT", "80"),
        ("EVENKEEL_HTTP_SERVICE_PORT_API", "80"),
        ("EVENKEEL_HTTP_PORT", "tcp://10.0.0.1:80"),
        ("EVENKEEL_HTTP_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("EVENKEEL_HTTP_PORT_80_TCP_PROTO", "tcp"),
        ("EVENKEEL_HTTP_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("EVENKEEL_NODE_SIET", "x"),
    ];
    let config = Config::load(&files.node_toml(), &overrides(&others, &[])).expect("it loads");
    let warning = config.ignored_variables_warning().expect("a warning");
    for (name, _) in others {
        assert!(warning.contains(name), "{name}: {warning}");
    }
    let known = [("EVENKEEL_LOG", "debug"), ("EVENKEEL_HTTP_PLAIN", "true")];
    let config = Config::load(&files.node_toml(), &overrides(&known, &[])).expect("it loads");
    assert_eq!(config.ignored_variables_warning(), None);
}

#[test]
fn an_error_names_the_key_and_the_line() {
    let cases = [
        ("[node]\n", "[node]\nsiet = 1\n", "node.toml:10: unknown key node.siet"),
        ("[log]\n", "[logs]\n", "node.toml:27: unknown key logs"),
        ("id = 1\n", "id = 0\n", "node.toml:10: node.id: nodes are numbered from 1"),
        ("id = 1\n", "id = \"x\"\n", "node.toml:10: node.id: \"x\" isn't a whole number"),
        ("id = 1\n", "id = 4\n", "node.toml:10: node.id: node 4 is not among the [[members]]"),
        (
            "site = \"pangyo\"",
            "site = \"busan\"",
            "node.toml:11: node.site: busan here, but node 1 is",
        ),
        ("profile = \"metro\"", "profile = \"mars\"", "node.toml:7: cluster.profile: \"mars\""),
        ("\"127.0.0.1:7100\"", "\"localhost\"", "node.toml:15: listen.peer: \"localhost\""),
        ("[\"KRW\"]", "[\"won\"]", "genesis.assets: \"won\": an asset is"),
        ("[\"KRW\"]", "[]", "genesis.assets: 0 assets"),
        ("2000000", "0", "genesis.wallet_max_balance: 0 is not within 1 and 9007199254740991"),
        ("\"Asia/Seoul\"", "\"Asia/Soul\"", "genesis.time_zone: \"Asia/Soul\" isn't a time zone"),
        ("filter = \"info\"", "filter = \"inof\"", "log.filter: \"inof\" isn't a filter"),
        ("[admin]\n", "[admin\n", "node.toml:24: "),
        ("\nnode = 2", "\nnode = 1", "members[1].node: node 1 is listed twice"),
        (
            "peer = \"127.0.0.1:7200\"",
            "peer = \"127.0.0.1:7100\"",
            "members[1].peer: 127.0.0.1:7100 is listed twice",
        ),
        ("client = \"127.0.0.1:7301\"", "clinet = 1", "unknown key members[2].clinet"),
        ("operator_key = \"", "operator_key = \"x", "genesis.operator_key: expected 64 hex digits"),
        (
            "http = \"127.0.0.1:7102\"",
            "http = \"0.0.0.0:7102\"",
            "listen.http: keys would cross the network in the clear; set http.cert and http.key",
        ),
        ("[http]\n", "[http]\ncert = \"tls/node.pem\"\n", "http.key: is missing beside http.cert"),
        ("[http]\n", "[http]\nkey = \"tls/node.key\"\n", "http.cert: is missing beside http.key"),
        ("[http]\n", "[http]\nplain = \"yes\"\n", "http.plain: expected true or false"),
        ("burst = 10000", "burst = 0", "limits.burst: 0 is not within 1 and 4294967295"),
        ("operator_exempt = false", "operator_exempt = 0", "limits.operator_exempt: expected true"),
        (
            "bytes_per_second = 67108864",
            "bytes_per_second = -1",
            "limits.bytes_per_second: \"-1\" isn't a whole number from 0 up",
        ),
        (
            "burst = 10000\n",
            "burst = 10000\nconnections_per_address = 4294967296\n",
            "limits.connections_per_address: 4294967296 is not within 0 and 4294967295",
        ),
        ("burst = 10000\n", "burst = 10000\ncommands = 1\n", "unknown key limits.commands"),
        ("[tls]\nca = \"tls/ca.pem\"\n", "[tls]\n", "tls.ca: is missing"),
    ];
    let files = Files::new();
    let good = std::fs::read(files.node_toml()).expect("readable");
    for (from, to, expected) in cases {
        std::fs::write(files.node_toml(), &good).expect("writable");
        files.edit(from, to);
        let error = Config::load(&files.node_toml(), &Overrides::default())
            .expect_err(expected)
            .to_string();
        assert!(error.contains(expected), "{to:?}: {error}");
    }
}

#[test]
fn an_error_names_the_variable_or_the_flag() {
    let files = Files::new();
    let check = |environment, flags, expected: &str| {
        let error = Config::load(&files.node_toml(), &overrides(environment, flags))
            .expect_err(expected)
            .to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(
        &[("EVENKEEL_NODE_ID", "x")],
        &[],
        "environment variable EVENKEEL_NODE_ID: node.id: \"x\"",
    );
    check(&[], &[("node.siet", "x")], "--set node.siet: unknown key node.siet");
    check(&[], &[("listen.http", "x")], "--set listen.http: listen.http: \"x\"");
}
