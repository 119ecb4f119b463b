//! A site that answers clients like a node, with behaviour that a test chooses. It has no rules:
//! each command is committed when it first arrives at any of the sites that share a book.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_wire::{
    client::SiteAddress,
    codec,
    command::{Command, Commands},
    endpoint::{ClientEndpoint, ClientLink, ClientSettings, FrameReceiver, FrameSender},
    frame::{self, Frame},
    id::{ClusterId, NodeId},
    outcome::{Answer, Outcome, Stamp},
    reply::{
        OUTCOMES, Outcomes, REFUSED, Refusal, RefusalCode, Refused, Totals, VIEW, View, ViewReply,
        WELCOME, Welcome,
    },
    request::{HELLO, Hello, READ, ReadRequest, SUBMIT, Submit},
    transfer::Text,
};

use super::{Authority, loopback};

pub(crate) const KEY: &str = "ek_test";

/// How a site behaves towards requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mood {
    Answers,
    /// Answers this many frames at a time, the newest first.
    Backwards(usize),
    /// Reads and doesn't answer.
    Mute,
    Refuses(RefusalCode),
    /// Decides, then answers that the outcome is unknown.
    DecidesButForgets,
    /// Reads a request and closes the connection.
    Dies,
    /// Sends bytes that aren't a frame.
    Babbles,
    /// Refuses every client.
    Unwelcoming(RefusalCode),
}

/// The commands that the sites have decided and received.
#[derive(Default)]
pub(crate) struct Book {
    decided: HashMap<u128, Stamp>,
    /// Every request: the site and the ids in it.
    pub(crate) seen: Vec<(NodeId, Vec<u128>)>,
    /// Whether each of them was an atomic batch.
    pub(crate) atomic: Vec<bool>,
}

pub(crate) struct FakeNode {
    pub(crate) site: SiteAddress,
    state: Arc<State>,
}

struct State {
    node: NodeId,
    cluster: ClusterId,
    mood: Mutex<Mood>,
    primary: Mutex<Option<NodeId>>,
    book: Arc<Mutex<Book>>,
    endpoint: ClientEndpoint,
}

impl FakeNode {
    pub(crate) fn start(
        authority: &Authority,
        cluster: ClusterId,
        node: NodeId,
        book: &Arc<Mutex<Book>>,
    ) -> Self {
        let identity = authority.identity(cluster, node);
        let endpoint =
            ClientEndpoint::bind(loopback(), identity, ClientSettings::default()).unwrap();
        let client = endpoint.local_address().unwrap();
        let state = Arc::new(State {
            node,
            cluster,
            mood: Mutex::new(Mood::Answers),
            primary: Mutex::new(None),
            book: book.clone(),
            endpoint,
        });
        tokio::spawn(accept(state.clone()));
        Self { site: site(node, client), state }
    }

    pub(crate) fn mood(&self, mood: Mood) {
        *self.state.mood.lock().unwrap() = mood;
    }

    pub(crate) fn knows_primary(&self, primary: NodeId) {
        *self.state.primary.lock().unwrap() = Some(primary);
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.endpoint.connection_count()
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.state.endpoint.close();
    }
}

pub(crate) fn site(node: NodeId, client: SocketAddr) -> SiteAddress {
    SiteAddress { name: format!("site{node}"), node, client, http: "127.0.0.1:0".into() }
}

async fn accept(state: Arc<State>) {
    while let Some(link) = state.endpoint.accept().await {
        let state = state.clone();
        tokio::spawn(async move {
            while let Ok((sender, receiver)) = link.accept_lane().await {
                tokio::spawn(serve(state.clone(), link.clone(), sender, receiver));
            }
        });
    }
}

async fn serve(
    state: Arc<State>,
    link: ClientLink,
    mut sender: FrameSender,
    mut receiver: FrameReceiver,
) -> Option<()> {
    let hello = receiver.receive().await.ok()??;
    assert_eq!(hello.kind, HELLO);
    assert_eq!(codec::decode::<Hello>(&hello.body).unwrap().key.as_str(), KEY);
    if let Mood::Unwelcoming(code) = state.mood() {
        let refusal = Refusal::new(code, "by the test");
        sender.send(&frame::encode_whole(REFUSED, &Refused { number: 0, refusal })).await.ok()?;
        return sender.finish().await.ok();
    }
    link.widen_window();
    sender.send(&frame::encode_whole(WELCOME, &state.welcome())).await.ok()?;
    let mut kept = Vec::new();
    while let Some(frame) = receiver.receive().await.ok()? {
        let mood = state.mood();
        match mood {
            Mood::Dies => {
                state.answer(&frame, mood);
                link.close("the test says so");
                return None;
            }
            Mood::Babbles => sender.send(&[0xff; 64]).await.ok()?,
            Mood::Backwards(many) => {
                kept.push(frame);
                if kept.len() == many {
                    for frame in kept.drain(..).rev() {
                        sender.send(&state.answer(&frame, mood).unwrap()).await.ok()?;
                    }
                }
            }
            _ => {
                if let Some(answer) = state.answer(&frame, mood) {
                    sender.send(&answer).await.ok()?;
                }
            }
        }
    }
    // Time for the client to read the answer.
    tokio::time::sleep(Duration::from_millis(100)).await;
    Some(())
}

impl State {
    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }

    fn welcome(&self) -> Welcome {
        Welcome {
            cluster: self.cluster,
            node: self.node,
            site: Text::new(&format!("site{}", self.node)).unwrap(),
            primary: *self.primary.lock().unwrap(),
            volatile: false,
        }
    }

    fn answer(&self, frame: &Frame, mood: Mood) -> Option<Vec<u8>> {
        match frame.kind {
            SUBMIT => self.decide(&Submit::read(frame.body.clone()).unwrap(), mood),
            READ => {
                let number = codec::decode::<ReadRequest>(&frame.body).unwrap().number;
                if mood == Mood::Mute {
                    return None;
                }
                if let Mood::Refuses(code) = mood {
                    return Some(refused(number, code));
                }
                let view = View::Totals(Totals { position: self.node, assets: Vec::new() });
                Some(frame::encode_whole(VIEW, &ViewReply { number, as_of: None, view }))
            }
            other => panic!("a client sent a frame of type {other}"),
        }
    }

    fn decide(&self, submit: &Submit, mood: Mood) -> Option<Vec<u8>> {
        let number = submit.number;
        let ids: Vec<u128> = Commands::new(&submit.commands)
            .map(|command| match command.unwrap().0 {
                Command::OpenAccount(open) => open.id.number(),
                command => command.id().expect("a client's command has an id").number(),
            })
            .collect();
        assert_eq!(usize::try_from(submit.count).unwrap(), ids.len());
        let mut book = self.book.lock().unwrap();
        book.seen.push((self.node, ids.clone()));
        book.atomic.push(submit.atomic);
        match mood {
            Mood::Mute => return None,
            Mood::Refuses(code) => return Some(refused(number, code)),
            _ => {}
        }
        let position = u64::try_from(book.seen.len()).unwrap();
        let stamp = Stamp { position, term: self.node, recorded_at: 0, link: [0; 32] };
        let answers = ids.iter().map(|id| {
            let first = book.decided.get(id).copied();
            book.decided.entry(*id).or_insert(stamp);
            // The balance identifies the answered command.
            let debit_after = i64::try_from(id & 0xffff_ffff).unwrap();
            let outcome =
                Outcome { index: 0, rejection: None, amount: 0, debit_after, credit_after: 0 };
            Answer { outcome, first }
        });
        let outcomes = Outcomes { number, stamp, answers: answers.collect() };
        if mood == Mood::DecidesButForgets {
            return Some(refused(number, RefusalCode::OutcomeUnknown));
        }
        Some(frame::encode_whole(OUTCOMES, &outcomes))
    }
}

fn refused(number: u64, code: RefusalCode) -> Vec<u8> {
    frame::encode_whole(REFUSED, &Refused { number, refusal: Refusal::new(code, "by the test") })
}
