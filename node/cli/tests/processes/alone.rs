//! A cluster of one site: it works, but has no failover.

use std::{thread::sleep, time::Duration};

use super::Cluster;

const BANK: &str = "00000000-0000-4000-8000-00000000000b";

/// Retries until the command succeeds: a node needs time to start.
fn does(cluster: &Cluster, arguments: &[&str]) {
    let mut told = cluster.wallet(arguments);
    for _ in 0..200 {
        if told.0 == 0 {
            return;
        }
        sleep(Duration::from_millis(100));
        told = cluster.wallet(arguments);
    }
    panic!("{arguments:?}: {}", told.2);
}

#[test]
fn a_site_that_is_alone_decides_for_as_long_as_it_lives_and_after_a_restart() {
    let cluster = Cluster::of(1);
    let running = cluster.run(0);
    does(&cluster, &["open", BANK, "--kind", "bank", "--asset", "KRW"]);
    // Longer than the silence limit for a majority.
    sleep(Duration::from_secs(2));
    let (code, _, error) = cluster.wallet(&["show", BANK]);
    assert_eq!(code, 0, "{error}");
    drop(running);

    let _running = cluster.run(0);
    does(&cluster, &["show", BANK]);
}
