//! The client against sites whose behaviour each test chooses.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod support;

use std::{
    net::UdpSocket,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_wire::{
    amount::{Amount, Asset},
    client::{Client, ClientConfig, ClientError, ClientOptions, SiteAddress},
    command::Command,
    id::{AccountId, ClusterId, CommandId},
    limits::COMMANDS_MAX,
    reply::{RefusalCode, View},
    request::{Consistency, Query},
    transfer::{Text, Transfer, TransferKind},
};
use support::{
    Authority, cluster,
    node::{Book, FakeNode, KEY, Mood, site},
    samples, soon,
};
use tokio::time::Instant;

const CLUSTER: ClusterId = ClusterId([7; 16]);

struct World {
    authority: Authority,
    book: Arc<Mutex<Book>>,
    nodes: Vec<FakeNode>,
}

impl World {
    fn new(nodes: u64) -> Self {
        let (authority, book) = (Authority::new(), Arc::new(Mutex::default()));
        let nodes = (1..=nodes).map(|node| FakeNode::start(&authority, CLUSTER, node, &book));
        Self { nodes: nodes.collect(), authority, book }
    }

    fn client_of(&self, sites: Vec<SiteAddress>, deadline_ms: u64) -> Client {
        let config = ClientConfig {
            cluster: CLUSTER,
            ca: self.authority.ca(),
            key: KEY.into(),
            sites,
            left_out: Vec::new(),
        };
        let deadline = Duration::from_millis(deadline_ms);
        Client::connect(config, ClientOptions { deadline, ..ClientOptions::default() })
    }

    fn client(&self, deadline_ms: u64) -> Client {
        self.client_of(self.nodes.iter().map(|node| node.site.clone()).collect(), deadline_ms)
    }

    fn asked(&self) -> Vec<u64> {
        self.book.lock().unwrap().seen.iter().map(|(node, _)| *node).collect()
    }

    /// Asserts that every request had exactly these ids.
    fn assert_same_ids(&self, command: &Command) {
        let Command::Transfer(transfer) = command else { panic!("a transfer") };
        let book = self.book.lock().unwrap();
        assert!(book.seen.iter().all(|(_, ids)| *ids == [transfer.id.number()]), "{:?}", book.seen);
    }
}

/// A port without a listener.
fn nowhere() -> SiteAddress {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    site(9, socket.local_addr().unwrap())
}

fn transfer(number: u32) -> Command {
    Command::Transfer(Transfer {
        id: CommandId::from_parts(1_700_000_000_000, number.into()),
        debit: AccountId::new(1),
        credit: AccountId::new(2),
        amount: Amount(5),
        asset: Asset::parse("KRW").unwrap(),
        kind: TransferKind::Transfer,
        reference: Text::default(),
        memo: Text::default(),
    })
}

async fn totals(client: &Client, site: &str) -> Result<u64, ClientError> {
    let reply = client.read_at(site, Query::Totals, Consistency::Local).await?;
    match reply.view {
        View::Totals(totals) => Ok(totals.position),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn it_follows_the_primary() {
    let world = World::new(3);
    for node in &world.nodes {
        node.knows_primary(2);
    }
    let client = world.client(5_000);
    assert_eq!(client.current_site(), None);
    client.submit(&[transfer(1)]).await.unwrap();
    client.submit(&[transfer(2)]).await.unwrap();
    assert_eq!(world.asked().last(), Some(&2));
    assert_eq!(client.current_site().as_deref(), Some("site2"));

    // The primary changes without a broken connection: the client detects it within seconds.
    for node in &world.nodes {
        node.knows_primary(3);
    }
    let mut number = 2;
    let moved = async {
        while world.asked().last() != Some(&3) {
            number += 1;
            client.submit(&[transfer(number)]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("the new primary", moved).await;
}

#[tokio::test]
async fn what_can_be_repeated_is_repeated_with_the_same_id() {
    for code in [
        RefusalCode::NoPrimary,
        RefusalCode::Overloaded,
        RefusalCode::Stopping,
        RefusalCode::Recovering,
        RefusalCode::RateLimited,
        RefusalCode::OutcomeUnknown,
    ] {
        let world = World::new(1);
        world.nodes[0].mood(Mood::Refuses(code));
        let (client, command) = (world.client(5_000), transfer(1));
        let (answered, ()) = tokio::join!(client.submit(std::slice::from_ref(&command)), async {
            while world.asked().len() < 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            world.nodes[0].mood(Mood::Answers);
        });
        assert!(!answered.unwrap()[0].replayed, "{code}");
        world.assert_same_ids(&command);
    }
}

#[tokio::test]
async fn the_first_answer_comes_again_after_an_unknown_outcome() {
    let world = World::new(1);
    world.nodes[0].mood(Mood::DecidesButForgets);
    let (client, command) = (world.client(5_000), transfer(1));
    let (answered, ()) = tokio::join!(client.submit(std::slice::from_ref(&command)), async {
        while world.asked().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.nodes[0].mood(Mood::Answers);
    });
    let answered = answered.unwrap()[0];
    assert!(answered.replayed);
    assert_eq!(answered.stamp.position, 1, "the position of the first decision");
    world.assert_same_ids(&command);
}

#[tokio::test]
async fn unavailable_and_unknown_are_told_apart() {
    // (the site's behaviour, whether anything may have been done)
    for (mood, unknown) in [
        (Mood::Refuses(RefusalCode::NoPrimary), false),
        (Mood::Refuses(RefusalCode::Overloaded), false),
        (Mood::Unwelcoming(RefusalCode::Recovering), false),
        (Mood::Refuses(RefusalCode::OutcomeUnknown), true),
        (Mood::Mute, true),
        (Mood::Dies, true),
        (Mood::Babbles, true),
    ] {
        let world = World::new(1);
        world.nodes[0].mood(mood);
        let client = world.client(400);
        let began = Instant::now();
        let error = client.submit(&[transfer(1)]).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(3), "{mood:?}");
        match error {
            ClientError::Unknown(_) if unknown => {}
            ClientError::Unavailable(_) if !unknown => {}
            other => panic!("{mood:?}: {other:?}"),
        }
        // A read has no effect, so its outcome is never unknown.
        let read = totals(&client, "site1").await;
        assert!(matches!(read, Err(ClientError::Unavailable(_)) | Ok(_)), "{mood:?}: {read:?}");
    }
    let world = World::new(0);
    for sites in [vec![], vec![nowhere()]] {
        let error = world.client_of(sites, 400).submit(&[transfer(1)]).await.unwrap_err();
        assert!(matches!(error, ClientError::Unavailable(_)), "{error:?}");
    }
}

#[tokio::test]
async fn once_unknown_it_stays_unknown_whatever_is_refused_later() {
    let world = World::new(1);
    world.nodes[0].mood(Mood::Refuses(RefusalCode::OutcomeUnknown));
    for later in [RefusalCode::NoPrimary, RefusalCode::Forbidden] {
        world.nodes[0].mood(Mood::Refuses(RefusalCode::OutcomeUnknown));
        let client = world.client(400);
        let (begun, command) = (world.asked().len(), [transfer(1)]);
        let (result, ()) = tokio::join!(client.submit(&command), async {
            while world.asked().len() == begun {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            world.nodes[0].mood(Mood::Refuses(later));
        });
        assert!(matches!(result, Err(ClientError::Unknown(_))), "{later}: {result:?}");
    }
}

#[tokio::test]
async fn a_bad_request_or_key_ends_at_once() {
    for mood in
        [Mood::Refuses(RefusalCode::Malformed), Mood::Unwelcoming(RefusalCode::Unauthorized)]
    {
        let world = World::new(1);
        world.nodes[0].mood(mood);
        let error = soon("the end", world.client(60_000).submit(&[transfer(1)])).await.unwrap_err();
        let (Mood::Refuses(code) | Mood::Unwelcoming(code)) = mood else { unreachable!() };
        assert!(
            matches!(&error, ClientError::Refused(refusal) if refusal.code == code),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn another_site_is_asked_when_the_first_fails() {
    for mood in [
        Mood::Refuses(RefusalCode::NoPrimary),
        Mood::Unwelcoming(RefusalCode::Stopping),
        Mood::Dies,
        Mood::Babbles,
        Mood::Mute,
    ] {
        let world = World::new(2);
        world.nodes[0].mood(mood);
        let (client, command) = (world.client(5_000), transfer(1));
        let began = Instant::now();
        client.submit(std::slice::from_ref(&command)).await.unwrap();
        let patience = if mood == Mood::Mute { 4_500 } else { 1_000 };
        assert!(began.elapsed() < Duration::from_millis(patience), "{mood:?}");
        assert_eq!(world.asked().last(), Some(&2), "{mood:?}");
        world.assert_same_ids(&command);
    }
}

#[tokio::test]
async fn a_silent_site_is_left_after_a_third_of_a_second() {
    let world = World::new(1);
    let dark = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sites = vec![site(9, dark.local_addr().unwrap()), world.nodes[0].site.clone()];
    let client = world.client_of(sites, 5_000);
    let began = Instant::now();
    client.submit(&[transfer(1)]).await.unwrap();
    let first = began.elapsed();
    assert!((300..2_500).contains(&first.as_millis()), "{first:?}");
    let again = Instant::now();
    client.submit(&[transfer(2)]).await.unwrap();
    assert!(again.elapsed() < Duration::from_millis(300), "later calls go to the other site");
}

#[tokio::test]
async fn many_calls_share_few_connections_and_each_gets_its_own_answer() {
    let world = World::new(1);
    world.nodes[0].mood(Mood::Backwards(500));
    let client = world.client(10_000);
    let calls = (0..2_000).map(|number| {
        let client = client.clone();
        tokio::spawn(async move { (number, client.submit(&[transfer(number)]).await.unwrap()) })
    });
    for call in calls.collect::<Vec<_>>() {
        let (number, answered) = soon("answer", call).await.unwrap();
        assert_eq!(answered[0].outcome.debit_after, i64::from(number));
    }
    assert_eq!(world.nodes[0].connections(), 1);
    assert_eq!(world.asked().len(), 2_000);
}

#[tokio::test]
async fn more_commands_than_fit_go_in_several_requests_in_order() {
    let world = World::new(1);
    let count = COMMANDS_MAX + 3;
    let commands: Vec<Command> = (0..u32::try_from(count).unwrap()).map(transfer).collect();
    let answered = world.client(10_000).submit(&commands).await.unwrap();
    assert_eq!(answered.len(), count);
    assert!(answered.iter().zip(0..).all(|(answer, number)| answer.outcome.debit_after == number));
    let sizes: Vec<usize> =
        world.book.lock().unwrap().seen.iter().map(|(_, ids)| ids.len()).collect();
    assert_eq!(sizes, [COMMANDS_MAX, 3]);
}

#[tokio::test]
async fn an_atomic_batch_stays_one_however_often_it_is_asked_for() {
    let world = World::new(1);
    world.nodes[0].mood(Mood::Refuses(RefusalCode::Overloaded));
    let (client, commands) = (world.client(5_000), samples::encoded(&[transfer(1), transfer(2)]));
    let (outcomes, ()) = tokio::join!(client.submit_encoded(2, true, commands.clone()), async {
        while world.asked().len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.nodes[0].mood(Mood::Answers);
    });
    assert_eq!(outcomes.unwrap().answers.len(), 2);
    assert!(world.book.lock().unwrap().atomic.iter().all(|atomic| *atomic));
    client.submit_encoded(2, false, commands).await.unwrap();
    assert_eq!(world.book.lock().unwrap().atomic.last(), Some(&false));
}

#[tokio::test]
async fn a_read_at_one_site_asks_that_site_only() {
    let world = World::new(3);
    let client = world.client(1_000);
    for (name, node) in [("site3", 3), ("site1", 1), ("site2", 2)] {
        assert_eq!(totals(&client, name).await, Ok(node));
    }
    let error = totals(&client, "atlantis").await.unwrap_err();
    assert_eq!(error, ClientError::Unavailable("no site is called atlantis".into()));
}

#[tokio::test]
async fn a_site_of_another_cluster_or_another_node_gets_no_request() {
    let world = World::new(1);
    let mut foreign = world.nodes[0].site.clone();
    foreign.node = 2;
    let error = world.client_of(vec![foreign], 300).submit(&[transfer(1)]).await.unwrap_err();
    assert!(error.to_string().contains("is node 1, not node 2"), "{error}");

    let config = ClientConfig {
        cluster: cluster(8),
        ca: world.authority.ca(),
        key: KEY.into(),
        sites: vec![world.nodes[0].site.clone()],
        left_out: Vec::new(),
    };
    let deadline = Duration::from_millis(300);
    let client = Client::connect(config, ClientOptions { deadline, ..ClientOptions::default() });
    let error = client.submit(&[transfer(1)]).await.unwrap_err();
    assert!(error.to_string().contains("another cluster"), "{error}");
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn a_dropped_client_closes_its_connections() {
    let world = World::new(1);
    let client = world.client(1_000);
    client.submit(&[transfer(1)]).await.unwrap();
    assert_eq!(world.nodes[0].connections(), 1);
    drop(client);
    let gone = async {
        while world.nodes[0].connections() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("the connection's end", gone).await;
}
