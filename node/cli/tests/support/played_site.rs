//! A simulated site: it answers clients like a node, over balances in memory, with the failures
//! that a test selects.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use evenkeel_node::config::{Config, Overrides};
use evenkeel_wire::{
    codec,
    command::Commands,
    endpoint::{ClientEndpoint, ClientLink, ClientSettings, FrameReceiver, FrameSender},
    frame::{self, Frame},
    identity::Identity,
    reply::{
        AsOf, OUTCOMES, Outcomes, REFUSED, Refusal, RefusalCode, Refused, VIEW, View, ViewReply,
        WELCOME, Welcome,
    },
    request::{Consistency, HELLO, Hello, READ, ReadRequest, SUBMIT, Submit},
    transfer::Text,
};
use tokio::runtime::Runtime;

use super::{
    Files,
    played_ledger::{Ledger, Mood},
    replace,
};

pub(crate) struct PlayedSite {
    _runtime: Runtime,
    state: Arc<State>,
}

struct State {
    config: Config,
    key: String,
    volatile: bool,
    endpoint: ClientEndpoint,
    ledger: Mutex<Ledger>,
    mood: Mutex<Mood>,
}

impl PlayedSite {
    /// Simulates the first site of these files; client.toml points to it.
    pub(crate) fn start(files: &Files, volatile: bool) -> Self {
        let config = Config::load(&files.node_toml(), &Overrides::default()).expect("it loads");
        let tls = &config.tls;
        let identity = Identity::load_node(&tls.ca, &tls.cert, &tls.key).expect("it loads");
        let key = std::fs::read_to_string(files.out().join("operator.key")).expect("readable");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let endpoint = runtime
            .block_on(async { ClientEndpoint::bind(any, identity, ClientSettings::default()) })
            .expect("bound");
        let address = endpoint.local_address().expect("bound").to_string();
        replace(&files.client_toml(), "127.0.0.1:7101", &address);
        files.nobody_else_speaks_quic();
        let state = Arc::new(State {
            config,
            key: key.trim_end().to_owned(),
            volatile,
            endpoint,
            ledger: Mutex::default(),
            mood: Mutex::new(Mood::Answers),
        });
        runtime.spawn(accept(state.clone()));
        Self { _runtime: runtime, state }
    }

    pub(crate) fn mood(&self, mood: Mood) {
        *self.state.mood.lock().expect("no panic") = mood;
        self.state.ledger.lock().expect("no panic").rejects_some = mood == Mood::RejectsSome;
    }
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
    let hello: Hello = codec::decode(&hello.body).expect("a hello");
    if hello.key.as_str() != state.key {
        let refusal = Refusal::new(RefusalCode::Unauthorized, "unknown key");
        sender.send(&frame::encode_whole(REFUSED, &Refused { number: 0, refusal })).await.ok()?;
        return sender.finish().await.ok();
    }
    link.widen_window();
    sender.send(&frame::encode_whole(WELCOME, &state.welcome())).await.ok()?;
    while let Some(frame) = receiver.receive().await.ok()? {
        let (answer, dies) = state.answer(&frame);
        if dies {
            link.close("closed by the test");
            return None;
        }
        if let Some(answer) = answer {
            sender.send(&answer).await.ok()?;
        }
    }
    Some(())
}

impl State {
    fn welcome(&self) -> Welcome {
        Welcome {
            cluster: self.config.cluster,
            node: self.config.node,
            site: Text::new(&self.config.site).expect("short"),
            primary: Some(self.config.node),
            volatile: self.volatile,
        }
    }

    fn answer(&self, frame: &Frame) -> (Option<Vec<u8>>, bool) {
        let mood = *self.mood.lock().expect("no panic");
        let mut ledger = self.ledger.lock().expect("no panic");
        ledger.requests += 1;
        let turn = ledger.requests;
        match frame.kind {
            SUBMIT => {
                let submit = Submit::read(frame.body.clone()).expect("a submit");
                let dies = mood == Mood::Dies && turn.is_multiple_of(100);
                (decide(&mut ledger, mood, turn, &submit), dies)
            }
            READ => {
                let read: ReadRequest = codec::decode(&frame.body).expect("a read");
                (Some(look(&ledger, mood, &read)), false)
            }
            other => panic!("a client sent a frame of type {other}"),
        }
    }
}

fn decide(ledger: &mut Ledger, mood: Mood, turn: u64, submit: &Submit) -> Option<Vec<u8>> {
    let number = submit.number;
    match mood {
        Mood::Mute => return None,
        Mood::NoPrimary => return Some(refuse(number, RefusalCode::NoPrimary)),
        Mood::Overloaded if turn.is_multiple_of(3) => {
            return Some(refuse(number, RefusalCode::Overloaded));
        }
        _ => {}
    }
    let commands = Commands::new(&submit.commands).map(|command| command.expect("a command").0);
    let (stamp, answers) = ledger.decide(commands.collect());
    if mood == Mood::Forgets {
        return Some(refuse(number, RefusalCode::OutcomeUnknown));
    }
    Some(frame::encode_whole(OUTCOMES, &Outcomes { number, stamp, answers }))
}

fn look(ledger: &Ledger, mood: Mood, read: &ReadRequest) -> Vec<u8> {
    let local = read.consistency == Consistency::Local;
    if mood == Mood::NoPrimary && !local {
        return refuse(read.number, RefusalCode::NoPrimary);
    }
    let Some(mut view) = ledger.look(&read.query) else {
        return refuse(read.number, RefusalCode::NotFound);
    };
    if let (View::Account(account), Mood::HidesMoney) = (&mut view, mood) {
        account.posted -= 1;
    }
    let as_of = local.then_some(AsOf { position: ledger.position, age_ms: 7 });
    frame::encode_whole(VIEW, &ViewReply { number: read.number, as_of, view })
}

fn refuse(number: u64, code: RefusalCode) -> Vec<u8> {
    frame::encode_whole(REFUSED, &Refused { number, refusal: Refusal::new(code, "by the test") })
}
