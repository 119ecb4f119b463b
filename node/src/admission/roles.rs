//! Permissions: one table, acts by roles. docs/API.md shows it, and a test covers all of it.
//!
//! It never reads a balance. It uses only the request, the key, and the target's owner.

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
    /// Any account.
    Yes,
    /// The key's own account only.
    Own,
    /// Nothing.
    No,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct ActRow {
    /// The act's name, for people.
    pub what: &'static str,
    /// The act's HTTP route.
    pub route: &'static str,
    /// The permission of each role, in the order of [`Role::ALL`].
    pub allowed: [Allowed; 5],
}

/// Defines the table once: each act with its name, its route and its permissions.
macro_rules! acts {
    ($($act:ident $what:literal $route:literal
       $operator:ident $teller:ident $app:ident $merchant:ident $auditor:ident;)+) => {
        /// An act that needs permission.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Act { $($act),+ }

        impl Act {
            /// All acts, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$act),+];

            /// The act's row.
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

// Tellers manage accounts of every kind; an account must be empty to be closed, so closing loses
// nothing. Apps manage holds from start to end: an app may pay any wallet's money to any merchant
// anyway. The company's own money and corrections (fee, grant, reversal) are reserved for
// operators. A teller reads what a customer at the counter asks about, not the company's totals.
acts! {
// Columns: act, name, route, then the permissions of operator, teller, app, merchant, auditor.
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
    /// The act of a command; `None`: only nodes send it.
    pub fn of_command(command: &Command) -> Option<Self> {
        Some(match command {
            Command::Transfer(transfer) => match transfer.kind {
                TransferKind::TopUp => Self::TopUp,
                TransferKind::Transfer => Self::Transfer,
                TransferKind::Payment => Self::Payment,
                TransferKind::CashOut => Self::CashOut,
                TransferKind::Fee => Self::Fee,
                TransferKind::Grant => Self::Grant,
                // Every role that may move money gets the ledger's own answer.
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

    /// The act of a query; `None`: it isn't in the table.
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

    /// A role's permission for this act.
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
