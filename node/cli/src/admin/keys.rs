//! `evenkeel admin keys`: creates, lists and revokes keys. The text of a new key is printed to
//! stdout once and stored nowhere.

use clap::Subcommand;
use evenkeel_http::Method;
use evenkeel_wire::{id::AccountId, key::Role};
use serde_json::json;

use super::{AdminRequest, call};
use crate::{
    Failure,
    output::{self, cell, table},
};
use evenkeel_node::operator::status::{CreatedKey, KnownKey};

#[derive(Debug, Subcommand)]
pub(crate) enum KeysVerb {
    /// Create a key; its text is shown only once
    Create {
        /// Role: operator, teller, app, merchant or auditor
        #[arg(long, value_name = "R", value_parser = parse_role)]
        role: Role,
        /// The merchant's account, required for role merchant
        #[arg(long, value_name = "ID", value_parser = parse_account)]
        account: Option<AccountId>,
    },
    /// List all keys, including revoked ones, without their texts
    List,
    /// Revoke a key permanently
    Revoke {
        /// The key's number, as shown by `list`
        id: u32,
    },
}

fn parse_role(name: &str) -> Result<Role, String> {
    let names: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
    Role::from_name(name).ok_or_else(|| format!("the roles are {}", names.join(", ")))
}

fn parse_account(text: &str) -> Result<AccountId, String> {
    AccountId::parse(text).map_err(|error| error.to_string())
}

impl KeysVerb {
    pub(crate) fn to_request(&self) -> AdminRequest {
        let ask = |method, route: String, body| AdminRequest { method, route, body };
        match self {
            Self::Create { role, account } => {
                let account = account.map(|account| account.to_string());
                let body = json!({"role": role.name(), "account": account});
                ask(Method::POST, "/keys".to_owned(), Some(body))
            }
            Self::List => ask(Method::GET, "/keys".to_owned(), None),
            Self::Revoke { id } => ask(Method::DELETE, format!("/keys/{id}"), None),
        }
    }

    pub(crate) fn show_answer(&self, answer: &str) -> Result<(), Failure> {
        match self {
            Self::Create { .. } => {
                let made = call::read::<CreatedKey>(answer)?;
                let CreatedKey { id, role, account, .. } = &made;
                let whose = account.as_ref().map(|account| format!(" for {account}"));
                output::print_note(&format!(
                    "key {id}, role {role}{}; its text isn't stored and is shown only once",
                    whose.unwrap_or_default()
                ));
                output::print(&made.key)
            }
            Self::List => {
                let keys = call::read::<Vec<KnownKey>>(answer)?;
                let rows: Vec<Vec<String>> = keys.iter().map(row).collect();
                output::print(&table(&["key", "role", "account", "revoked"], &rows))
            }
            Self::Revoke { id } => output::print(&format!("key {id} is revoked")),
        }
    }
}

fn row(key: &KnownKey) -> Vec<String> {
    let revoked = if key.revoked { "yes" } else { "no" };
    vec![key.id.to_string(), key.role.clone(), cell(key.account.as_ref()), revoked.to_owned()]
}
