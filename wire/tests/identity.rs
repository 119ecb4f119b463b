//! A node's certificate and key files: each invalid one is rejected with the file and the reason.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod support;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use evenkeel_wire::identity::{Identity, IdentityError, Subject, Trust};
use support::{Authority, Paper, cluster};

fn refusal(result: Result<Identity, IdentityError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn papers_in_order_say_who_it_is() {
    let authority = Authority::new();
    let identity = authority.identity(cluster(7), 3);
    assert_eq!((identity.cluster(), identity.node()), (cluster(7), 3));
    assert_eq!(identity.expires_at(), 3_786_912_000);
    assert!(identity.check_subject(cluster(7), 3).is_ok());
    for (other_cluster, other_node) in [(7, 4), (8, 3)] {
        let error = identity.check_subject(cluster(other_cluster), other_node).unwrap_err();
        assert!(error.to_string().contains("node3.pem: it's for evenkeel://"), "{error}");
    }
    let debug = format!("{identity:?} {:?}", authority.trust(cluster(7)));
    assert!(!debug.to_lowercase().contains("key"), "{debug}");
}

#[test]
fn certificates_that_are_not_in_order_are_refused_by_file_and_reason() {
    let (authority, other) = (Authority::new(), Authority::new());
    let uri = |text: &str| Paper { uris: vec![text.into()], years: (2020, 2090) };
    let id = cluster(7);
    let two = vec![format!("evenkeel://{id}/node/1"), format!("evenkeel://{id}/node/2")];
    for (name, paper, reason) in [
        ("expired", Paper { years: (2020, 2021), ..Paper::of(id, 1) }, "it has expired"),
        ("early", Paper { years: (2080, 2090), ..Paper::of(id, 1) }, "it isn't valid yet"),
        ("nobody", Paper { uris: vec![], ..Paper::of(id, 1) }, "it names 0 nodes"),
        ("web", uri("https://example.org/node/1"), "it names 0 nodes"),
        ("two", Paper { uris: two, ..Paper::of(id, 1) }, "it names 2 nodes"),
        ("zero", uri(&format!("evenkeel://{id}/node/0")), "isn't of the form"),
        ("plus", uri(&format!("evenkeel://{id}/node/+1")), "isn't of the form"),
        ("leading", uri(&format!("evenkeel://{id}/node/01")), "isn't of the form"),
        ("more", uri(&format!("evenkeel://{id}/node/1/2")), "isn't of the form"),
        ("words", uri("evenkeel:hello"), "isn't of the form"),
    ] {
        let error = refusal(authority.try_identity(name, &paper));
        assert!(error.contains(&format!("{name}.pem: ")), "{error}");
        assert!(error.contains(reason), "{name}: {error}");
    }
    let (certificate, key) = other.issue("foreign", &Paper::of(id, 1));
    let error = refusal(Identity::load_node(&authority.ca(), &certificate, &key));
    assert!(error.contains("another authority signed it"), "{error}");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("good", &Paper::of(cluster(7), 1));
    let (_, other_key) = authority.issue("other", &Paper::of(cluster(7), 2));
    let write = |name: &str, text: &[u8]| {
        let path = authority.folder().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let missing = authority.folder().join("missing");
    let empty = write("empty", b"");
    let torn = write("torn", b"-----BEGIN CERTIFICATE-----\nMIIB\n");
    let noise = write("noise", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let load = |ca: &Path, certificate: &Path, key: &Path| {
        refusal(Identity::load_node(ca, certificate, key))
    };
    let ca = authority.ca();
    for (error, said) in [
        (load(&missing, &certificate, &key), "missing: No such file"),
        (load(&ca, &missing, &key), "missing: No such file"),
        (load(&ca, &certificate, &missing), "missing: No such file"),
        (load(&ca, &empty, &key), "empty: no certificate in it"),
        (load(&ca, &certificate, &empty), "empty: no private key in it"),
        (load(&ca, &torn, &key), "torn: not PEM"),
        (load(&ca, &noise, &key), "noise: not a certificate"),
        (load(&noise, &certificate, &key), "noise: no authority"),
        (load(&ca, &certificate, &other_key), "other.key: not the key of"),
    ] {
        assert!(error.contains(said), "{error} should say {said}");
    }
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let error = load(&ca, &certificate, &key);
        assert!(error.contains(&format!("mode {mode:03o}")), "{error}");
    }
    assert!(Trust::load(&missing, cluster(7)).is_err());
}

#[test]
fn a_subject_reads_back_as_it_is_written() {
    let subject = Subject { cluster: cluster(7), node: u64::MAX };
    let text = subject.to_string();
    assert_eq!(text, "evenkeel://07070707-0707-0707-0707-070707070707/node/18446744073709551615");
}
