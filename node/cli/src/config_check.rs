//! `evenkeel config check`: reads a configuration as `run` does and prints the effective values.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use crate::{Failure, output};
use evenkeel_node::config::{Config, Overrides};

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Check node.toml with its overrides from the environment and flags
    Check(ConfigCheckArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConfigCheckArgs {
    #[command(flatten)]
    pub(crate) source: ConfigSource,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The source of a node's configuration.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigSource {
    /// The node's node.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Override one key; takes precedence over the file and the environment
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", value_parser = parse_setting)]
    pub(crate) settings: Vec<(String, String)>,
}

impl ConfigSource {
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        let overrides = Overrides::from_environment(self.settings.clone());
        Config::load(&self.config, &overrides).map_err(Failure::usage)
    }
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "write SECTION.KEY=VALUE".to_owned())
}

pub(crate) fn run(verb: &ConfigVerb) -> Result<(), Failure> {
    let ConfigVerb::Check(args) = verb;
    let config = args.source.load()?;
    if let Some(warning) = config.ignored_variables_warning() {
        output::print_note(&format!("warning: {warning}"));
    }
    if args.json {
        let members: Vec<_> = config
            .members
            .iter()
            .map(|member| {
                json!({
                    "node": member.node,
                    "site": member.site,
                    "peer": member.peer.to_string(),
                    "client": member.client.to_string(),
                })
            })
            .collect();
        return output::print_json(&json!({
            "ok": true,
            "cluster": config.cluster.to_string(),
            "name": config.name,
            "profile": config.profile.name(),
            "node": config.node,
            "site": config.site,
            "data": config.data,
            "listen": {
                "peer": config.listen.peer,
                "client": config.listen.client,
                "http": config.listen.http,
            },
            "socket": config.socket,
            "members": members,
        }));
    }
    output::print(&format!(
        "{} is valid: node {} at {} of cluster {} ({}, {} nodes), data in {}",
        args.source.config.display(),
        config.node,
        config.site,
        config.cluster,
        config.profile.name(),
        config.members.len(),
        config.data.display(),
    ))
}
