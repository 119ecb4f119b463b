//! The fields of a log event, for lines, JSON and alarms. A node's number becomes its site's name
//! here, so that no line needs a table to be read.

use std::{collections::BTreeMap, fmt};

use evenkeel_wire::id::NodeId;
use serde_json::Value;
use tracing::field::{Field, Visit};

use crate::config::Member;

/// Fields that hold a node's number where they are whole numbers.
const NODE_FIELDS: [&str; 4] = ["peer", "primary", "to", "from"];

/// The names of all sites, and which one is this node's.
#[derive(Clone, Debug, Default)]
pub struct SiteNames {
    own: String,
    names: BTreeMap<NodeId, String>,
}

impl SiteNames {
    /// The members' names; `own` is this node's site.
    #[must_use]
    pub fn new(own: &str, members: &[Member]) -> Self {
        let names = members.iter().map(|member| (member.node, member.site.clone())).collect();
        Self { own: own.to_owned(), names }
    }

    /// This node's site.
    pub(crate) fn own(&self) -> &str {
        &self.own
    }

    /// The site of a node.
    pub(crate) fn name_of(&self, node: NodeId) -> String {
        self.names.get(&node).cloned().unwrap_or_else(|| format!("node {node}"))
    }
}

/// An event's fields in the order in which they were written; the message apart.
pub(super) struct EventFields<'a> {
    names: &'a SiteNames,
    pub(super) message: String,
    pub(super) others: Vec<(&'static str, Value)>,
}

impl<'a> EventFields<'a> {
    pub(super) fn of(event: &tracing::Event<'_>, names: &'a SiteNames) -> Self {
        let mut fields = Self { names, message: String::new(), others: Vec::new() };
        event.record(&mut fields);
        fields
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.push((field.name(), value.into()));
    }
}

impl Visit for EventFields<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if NODE_FIELDS.contains(&field.name()) {
            let name = self.names.name_of(value);
            return self.put(field, name);
        }
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.put(field, text);
        }
    }
}
