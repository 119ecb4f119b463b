//! Five sites. The primary and one follower are isolated from the other three; these two hear each
//! other but are no majority: neither may report itself ready, or its data as recent.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread::sleep,
    time::Duration,
};

use super::{Cluster, Running};

/// The status of a route that needs no key; 0 when there is no response.
fn status(cluster: &Cluster, site: usize, route: &str) -> u16 {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", cluster.sites[site].1 + 2)).ok()?;
        let head = format!("GET {route} HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    };
    ask().unwrap_or(0)
}

/// Waits until the condition holds.
fn comes(what: &str, is_there: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_there() {
            return;
        }
        sleep(Duration::from_millis(100));
    }
    panic!("never: {what}");
}

#[test]
fn a_minority_is_not_ready_although_its_primary_speaks() {
    let cluster = Cluster::of(5);
    let all: Vec<Running> = (0..5).map(|site| cluster.run(site)).collect();
    comes("all are ready", || (0..5).all(|site| status(&cluster, site, "/readyz") == 200));
    let primary = (0..5).find(|site| status(&cluster, *site, "/primary") == 200);
    let primary = primary.expect("a ready site names the primary");
    let follower = (primary + 1) % 5;
    for (site, node) in all.iter().enumerate() {
        if site != primary && site != follower {
            node.stand_still();
        }
    }
    comes("neither is ready", || {
        [primary, follower].iter().all(|site| status(&cluster, *site, "/readyz") == 503)
    });
    // The primary probes for a majority every second, and its follower hears it then.
    for _ in 0..60 {
        for site in [primary, follower] {
            assert_eq!(status(&cluster, site, "/readyz"), 503, "site {site}");
            assert_eq!(status(&cluster, site, "/livez"), 200, "site {site}");
        }
        sleep(Duration::from_millis(50));
    }
}
