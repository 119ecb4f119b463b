//! The environment that an orchestrator makes.

use anyhow::ensure;

use super::child::{ChildNode, await_site_line, await_socket};
use crate::{
    accept::{
        sheet::ResultSheet,
        stage::{self, PATIENCE},
    },
    cluster::{nodes, testnet::Testnet, up},
};

/// As Kubernetes injects them for services called `evenkeel` and `evenkeel-http`; and a typo.
const VARIABLES: [(&str, &str); 11] = [
    ("EVENKEEL_SERVICE_HOST", "10.0.0.1"),
    ("EVENKEEL_SERVICE_PORT", "80"),
    ("EVENKEEL_PORT", "tcp://10.0.0.1:80"),
    ("EVENKEEL_PORT_80_TCP_ADDR", "10.0.0.1"),
    ("EVENKEEL_HTTP_SERVICE_HOST", "10.0.0.1"),
    ("EVENKEEL_HTTP_SERVICE_PORT", "80"),
    ("EVENKEEL_HTTP_PORT", "tcp://10.0.0.1:80"),
    ("EVENKEEL_HTTP_PORT_80_TCP", "tcp://10.0.0.1:80"),
    ("EVENKEEL_HTTP_PORT_80_TCP_PROTO", "tcp"),
    ("EVENKEEL_HTTP_PORT_80_TCP_ADDR", "10.0.0.1"),
    ("EVENKEEL_LOG_FROMAT", "json"),
];

/// Row mend.24: a node starts beside them, and names each of them in one warning.
pub(crate) async fn check_foreign_variables(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    let site = stage::follower(testnet).await?;
    nodes::stop(testnet, site).await?;
    let from = site.log_length();
    let mut node = ChildNode::start(&testnet.evenkeel, &site.config(), &VARIABLES, &site.log())?;
    let answers = await_socket(&site.admin_socket(), PATIENCE).await;
    sheet.record_claim("it starts", answers && node.is_running());
    let mut words = vec!["WARN"];
    words.extend(VARIABLES.iter().map(|(name, _)| *name));
    let line = await_site_line(site, from, &words, PATIENCE).await;
    sheet.record_claim(line.as_deref().unwrap_or("no warning"), line.is_some());
    let code = node.stop(PATIENCE).await?;
    ensure!(code == Some(0), "exit {code:?}");
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    up::down(testnet).await
}
