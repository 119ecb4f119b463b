//! A site that is played: it answers clients as a node would, from balances in memory, as well or as badly as a test wants.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use evenkeel_node::config::{Config, Overrides};
use evenkeel_wire::{
    account::AccountKind,
    codec,
    command::{Command, Commands},
    endpoint::{ClientEndpoint, ClientLink, ClientSettings, FrameReceiver, FrameSender},
    frame::{self, Frame},
    identity::Identity,
    outcome::{Answer, Outcome, Rejection, Stamp},
    reply::{
        AccountView, AsOf, AssetTotals, HistoryPage, OUTCOMES, Outcomes, REFUSED, Refusal,
        RefusalCode, Refused, Totals, TransferView, VIEW, View, ViewReply, WELCOME, Welcome,
    },
    request::{Consistency, HELLO, Hello, Query, READ, ReadRequest, SUBMIT, Submit},
    transfer::{Text, Transfer},
};
use tokio::runtime::Runtime;

use super::{Files, replace};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mood {
    Answers,
    /// Decides, and hides one unit of every balance that it shows.
    HidesMoney,
    /// As a node without a majority; local reads go on.
    NoPrimary,
    /// Takes requests and says nothing.
    Mute,
    /// Every third request is refused for now.
    Overloaded,
    /// Closes the connection at every hundredth request, after deciding it.
    Dies,
}

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

#[derive(Default)]
struct Ledger {
    position: u64,
    requests: u64,
    decided: HashMap<u128, (Stamp, Outcome)>,
    accounts: HashMap<u128, AccountView>,
    transfers: Vec<TransferView>,
}

impl PlayedSite {
    /// Plays the first site of these files; client.toml leads to it.
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
        sender.send(&frame::whole(REFUSED, &Refused { number: 0, refusal })).await.ok()?;
        return sender.finish().await.ok();
    }
    link.welcome();
    sender.send(&frame::whole(WELCOME, &state.welcome())).await.ok()?;
    while let Some(frame) = receiver.receive().await.ok()? {
        let (answer, dies) = state.answer(&frame);
        if dies {
            link.close("the test says so");
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
        let refuse = |number, code| {
            let refusal = Refusal::new(code, "by the test");
            Some(frame::whole(REFUSED, &Refused { number, refusal }))
        };
        match frame.kind {
            SUBMIT => {
                let submit = Submit::read(frame.body.clone()).expect("a submit");
                match mood {
                    Mood::Mute => return (None, false),
                    Mood::NoPrimary => {
                        return (refuse(submit.number, RefusalCode::NoPrimary), false);
                    }
                    Mood::Overloaded if turn.is_multiple_of(3) => {
                        return (refuse(submit.number, RefusalCode::Overloaded), false);
                    }
                    _ => {}
                }
                let outcomes = ledger.decide(&submit);
                (
                    Some(frame::whole(OUTCOMES, &outcomes)),
                    mood == Mood::Dies && turn.is_multiple_of(100),
                )
            }
            READ => {
                let read: ReadRequest = codec::decode(&frame.body).expect("a read");
                let local = read.consistency == Consistency::Local;
                if mood == Mood::NoPrimary && !local {
                    return (refuse(read.number, RefusalCode::NoPrimary), false);
                }
                let Some(mut view) = ledger.look(&read.query) else {
                    return (refuse(read.number, RefusalCode::NotFound), false);
                };
                if let (View::Account(account), Mood::HidesMoney) = (&mut view, mood) {
                    account.posted -= 1;
                }
                let as_of = local.then_some(AsOf { position: ledger.position, age_ms: 7 });
                (Some(frame::whole(VIEW, &ViewReply { number: read.number, as_of, view })), false)
            }
            other => panic!("a client sent a frame of type {other}"),
        }
    }
}

impl Ledger {
    fn decide(&mut self, submit: &Submit) -> Outcomes {
        self.position += 1;
        let stamp = Stamp { position: self.position, term: 1, recorded_at: 1, link: [7; 32] };
        let answers = Commands::new(&submit.commands)
            .map(|command| {
                let (command, _) = command.expect("a command");
                let id = match &command {
                    Command::OpenAccount(open) => open.id.number(),
                    Command::Transfer(transfer) => transfer.id.number(),
                    Command::Genesis(_) => panic!("a client sent a genesis"),
                };
                if let Some((first, outcome)) = self.decided.get(&id) {
                    return Answer { outcome: *outcome, first: Some(*first) };
                }
                let outcome = self.judge(command, stamp);
                self.decided.insert(id, (stamp, outcome));
                Answer { outcome, first: None }
            })
            .collect();
        Outcomes { number: submit.number, stamp, answers }
    }

    fn judge(&mut self, command: Command, stamp: Stamp) -> Outcome {
        let outcome = |rejection, debit_after, credit_after| Outcome {
            index: 0,
            rejection,
            debit_after,
            credit_after,
        };
        match command {
            Command::OpenAccount(open) => {
                let view = AccountView {
                    id: open.id,
                    kind: open.kind,
                    asset: open.asset,
                    label: open.label,
                    posted: 0,
                    max_balance: None,
                    opened_at: stamp.recorded_at,
                    position: stamp.position,
                };
                self.accounts.insert(open.id.number(), view);
                outcome(None, 0, 0)
            }
            Command::Transfer(transfer) => match self.moved(&transfer) {
                Ok((debit, credit)) => {
                    self.transfers.push(TransferView { transfer, stamp, index: 0 });
                    outcome(None, debit, credit)
                }
                Err(rejection) => outcome(Some(rejection), 0, 0),
            },
            Command::Genesis(_) => panic!("a client sent a genesis"),
        }
    }

    fn moved(&mut self, transfer: &Transfer) -> Result<(i64, i64), Rejection> {
        let amount = transfer.amount.valid().ok_or(Rejection::AmountInvalid)?;
        let (debit, credit) = (transfer.debit.number(), transfer.credit.number());
        let from = self.accounts.get(&debit).ok_or(Rejection::AccountNotFound)?;
        if from.kind != AccountKind::Bank && from.posted < amount {
            return Err(Rejection::InsufficientFunds);
        }
        if !self.accounts.contains_key(&credit) {
            return Err(Rejection::AccountNotFound);
        }
        let mut change = |id, by| {
            let account = self.accounts.get_mut(&id).expect("looked at above");
            account.posted += by;
            account.posted
        };
        Ok((change(debit, -amount), change(credit, amount)))
    }

    fn look(&self, query: &Query) -> Option<View> {
        let account = |id: u128| {
            let mut view = self.accounts.get(&id)?.clone();
            view.position = self.position;
            Some(view)
        };
        match query {
            Query::Account(id) => account(id.number()).map(View::Account),
            Query::Transfer(_) => None,
            Query::History { account: id, limit, .. } => {
                account(id.number())?;
                let mine =
                    |item: &&TransferView| [item.transfer.debit, item.transfer.credit].contains(id);
                let limit = usize::try_from(*limit).expect("a small number");
                let items = self.transfers.iter().rev().filter(mine).take(limit).cloned();
                Some(View::History(HistoryPage { items: items.collect(), next: None }))
            }
            Query::Totals => {
                let asset = self.accounts.values().next()?.asset;
                let sum = |kind| {
                    let accounts = self.accounts.values().filter(|account| account.kind == kind);
                    accounts.map(|account| account.posted).sum()
                };
                let totals = AssetTotals {
                    asset,
                    wallet: sum(AccountKind::Wallet),
                    merchant: sum(AccountKind::Merchant),
                    bank: sum(AccountKind::Bank),
                    fee: sum(AccountKind::Fee),
                    issuer: sum(AccountKind::Issuer),
                };
                Some(View::Totals(Totals { position: self.position, assets: vec![totals] }))
            }
        }
    }
}
