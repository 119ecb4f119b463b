//! Who may ask for what: one table, role by act. docs/API.md shows it, and a test walks all of it.
//!
//! It never looks at a balance, and never at more than the request, the key, and whose the target is.

use evenkeel_wire::{
    account::{AccountKind, OpenAccount},
    command::Command,
    key::Role,
    request::Query,
    transfer::TransferKind,
};

/// What a role may do with an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// With everybody's.
    Yes,
    /// With what belongs to the key's own account.
    Own,
    /// Not at all.
    No,
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct ActRow {
    /// The act, for people.
    pub what: &'static str,
    /// How it's asked over HTTP.
    pub route: &'static str,
    /// What each role may do, in the order of [`Role::ALL`].
    pub allowed: [Allowed; 5],
}

/// Writes down the table once: the acts, and for each what people call it, its route, and the roles.
macro_rules! acts {
    ($($act:ident $what:literal $route:literal
       $operator:ident $teller:ident $app:ident $merchant:ident $auditor:ident;)+) => {
        /// What can be asked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Act { $($act),+ }

        impl Act {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$act),+];

            /// Its line of the table.
            pub const fn row(self) -> ActRow {
                match self {
                    $(Self::$act => ActRow {
                        what: $what,
                        route: $route,
                        allowed: [
                            Allowed::$operator,
                            Allowed::$teller,
                            Allowed::$app,
                            Allowed::$merchant,
                            Allowed::$auditor,
                        ],
                    }),+
                }
            }
        }
    };
}

// Accounts are the teller's, of every kind, with everything that can be done to one; closing takes an empty one, so nothing
// is lost by it. Holds are the app's from the beginning to the end: it may pay any wallet's money to any merchant anyway.
// The company's own money and corrections (fee, grant, reversal) are the operator's alone. A teller reads what a customer at
// the counter asks about, not what the company as a whole did.
acts! {
//  act            for people                              route                                        operator teller app merchant auditor
    OpenWallet     "open a wallet or a merchant"           "POST /v1/accounts"                               Yes Yes No  No  No;
    OpenOther      "open a bank, fee or issuer account"    "POST /v1/accounts"                               Yes Yes No  No  No;
    SetStatus      "freeze, unfreeze or close an account"  "POST /v1/accounts/{id}/freeze /unfreeze /close"  Yes Yes No  No  No;
    SetLimits      "change an account's limits"            "PUT /v1/accounts/{id}/limits"                    Yes Yes No  No  No;
    TopUp          "top_up"                                "POST /v1/transfers"                              Yes Yes No  No  No;
    Transfer       "transfer"                              "POST /v1/transfers"                              Yes No  Yes No  No;
    Payment        "payment"                               "POST /v1/transfers"                              Yes No  Yes No  No;
    CashOut        "cash_out"                              "POST /v1/transfers"                              Yes Yes No  No  No;
    Fee            "fee"                                   "POST /v1/transfers"                              Yes No  No  No  No;
    Grant          "grant"                                 "POST /v1/transfers"                              Yes No  No  No  No;
    NotByTransfer  "refund or reversal as a kind (422)"    "POST /v1/transfers"                              Yes Yes Yes No  No;
    Hold           "hold"                                  "POST /v1/holds"                                  Yes No  Yes No  No;
    Capture        "capture a hold"                        "POST /v1/holds/{id}/capture"                     Yes No  Yes Own No;
    Void           "void a hold"                           "POST /v1/holds/{id}/void"                        Yes No  Yes Own No;
    Refund         "refund a payment"                      "POST /v1/transfers/{id}/refund"                  Yes No  No  Own No;
    Reversal       "reverse a movement"                    "POST /v1/transfers/{id}/reversal"                Yes No  No  No  No;
    ReadAccount    "an account"                            "GET /v1/accounts/{id}"                           Yes Yes Yes Own Yes;
    ReadHistory    "an account's history"                  "GET /v1/accounts/{id}/transfers"                 Yes Yes Yes Own Yes;
    ReadTransfer   "a transfer"                            "GET /v1/transfers/{id}"                          Yes Yes Yes Own Yes;
    ReadHold       "a hold"                                "GET /v1/holds/{id}"                              Yes Yes Yes Own Yes;
    ReadTotals     "the totals"                            "GET /v1/totals"                                  Yes No  Yes No  Yes;
    ReadDay        "a closed day"                          "GET /v1/days/{date}"                             Yes No  Yes No  Yes;
    ReadSettlement "a closed day's settlement"             "GET /v1/days/{date}/settlement"                  Yes No  Yes No  Yes;
    ReadEvents     "the events"                            "GET /v1/events"                                  Yes No  Yes No  Yes;
}

impl Act {
    /// What a command is; `None`: only nodes make it.
    pub fn of_command(command: &Command) -> Option<Self> {
        Some(match command {
            Command::Transfer(transfer) => match transfer.kind {
                TransferKind::TopUp => Self::TopUp,
                TransferKind::Transfer => Self::Transfer,
                TransferKind::Payment => Self::Payment,
                TransferKind::CashOut => Self::CashOut,
                TransferKind::Fee => Self::Fee,
                TransferKind::Grant => Self::Grant,
                // Whoever may move money at all gets the ledger's own answer.
                TransferKind::Refund | TransferKind::Reversal => Self::NotByTransfer,
            },
            Command::OpenAccount(OpenAccount { kind, .. }) => match kind {
                AccountKind::Wallet | AccountKind::Merchant => Self::OpenWallet,
                AccountKind::Bank | AccountKind::Fee | AccountKind::Issuer => Self::OpenOther,
            },
            Command::Refund(_) => Self::Refund,
            Command::Reversal(_) => Self::Reversal,
            Command::Hold(_) => Self::Hold,
            Command::Capture(_) => Self::Capture,
            Command::Void(_) => Self::Void,
            Command::SetStatus(_) => Self::SetStatus,
            Command::SetLimits(_) => Self::SetLimits,
            Command::Genesis(_)
            | Command::ExpireHold(_)
            | Command::CloseDay(_)
            | Command::CreateKey(_)
            | Command::RevokeKey(_) => return None,
        })
    }

    /// What a question is; `None`: it isn't in the table.
    pub fn of_query(query: &Query) -> Option<Self> {
        Some(match query {
            Query::Account(_) => Self::ReadAccount,
            Query::History { .. } => Self::ReadHistory,
            Query::Transfer(_) => Self::ReadTransfer,
            Query::Hold(_) => Self::ReadHold,
            Query::Totals => Self::ReadTotals,
            Query::Day(_) => Self::ReadDay,
            Query::Keys | Query::Key(_) | Query::Position => return None,
        })
    }

    /// What a role may do with it.
    pub const fn allowed(self, role: Role) -> Allowed {
        let [operator, teller, app, merchant, auditor] = self.row().allowed;
        match role {
            Role::Operator => operator,
            Role::Teller => teller,
            Role::App => app,
            Role::Merchant => merchant,
            Role::Auditor => auditor,
        }
    }
}

/// The table as docs/API.md shows it.
pub fn markdown() -> String {
    let roles: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
    let mut lines = vec![
        format!("| act | route | {} |", roles.join(" | ")),
        format!("|---|---|{}", "---|".repeat(roles.len())),
    ];
    for act in Act::ALL {
        let ActRow { what, route, allowed } = act.row();
        let cells = allowed.map(|allowed| match allowed {
            Allowed::Yes => "yes",
            Allowed::Own => "own",
            Allowed::No => "",
        });
        lines.push(format!("| {what} | `{route}` | {} |", cells.join(" | ")));
    }
    lines.join("\n")
}
