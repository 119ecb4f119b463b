//! Row b: a hundred thousand commands of every kind while the primary is killed five times. One
//! effect for each id.

use std::time::Duration;

use anyhow::ensure;
use evenkeel_wire::client::{Client, ClientOptions};

use crate::accept::{
    sheet::ResultSheet,
    stage::{self, PATIENCE},
};
use crate::{
    audit,
    cluster::{admin, nodes, testnet::Testnet, up},
    mixed::{self, MixedLoad, caller},
};

const COMMANDS: u64 = 100_000;
const CALLERS: u64 = 64;
const KILLS: u64 = 5;

pub(crate) async fn five_kills(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    up::up(testnet, true, false).await?;
    let config = stage::client_config(testnet)?;
    let date = admin::business_date(testnet).await?;
    let mut load = MixedLoad::start(&config, CALLERS, COMMANDS).await?;
    for kill in 1..=KILLS {
        load.await_answered(kill * COMMANDS / (KILLS + 1)).await?;
        let primary = up::await_caught_up(testnet, PATIENCE).await?;
        nodes::kill(testnet, primary).await?;
        load.await_answered(kill * COMMANDS / (KILLS + 1) + 500).await?;
        nodes::start(testnet, primary).await?;
    }
    let records = load.finish().await?;
    ensure!(
        admin::business_date(testnet).await? == date,
        "midnight passed during the row, which the model doesn't cover: run the row again"
    );
    up::await_caught_up(testnet, PATIENCE).await?;
    sheet.at_least("commands with an answer", records.len(), usize::try_from(COMMANDS)?, "");
    sheet.record_claim("each was sent at least twice, and answered the same", true);

    let (model, verdicts) = mixed::judge(&records)?;
    let told: Vec<String> =
        verdicts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    sheet.record_claim(format!("every outcome matches the model: {}", told.join(", ")), true);
    let client = Client::connect(config, ClientOptions::default());
    let accounts = mixed::compare_accounts(&client, &model).await?;
    sheet.record_claim(
        format!("{accounts} accounts: posted, held, limits and the day's debits match the model"),
        true,
    );
    sheet.record_claim("all sums are 0", audit::sums_are_zero(&client).await?);
    ask_all_again(&client, &records, sheet).await?;
    let (_, equal) = audit::compare_sites(testnet).await?;
    sheet.record_claim("chain heads and digests of all sites are equal", equal);
    Ok(())
}

/// Sends all commands again after five changes of primary: every answer must be the first one.
async fn ask_all_again(
    client: &Client,
    records: &[mixed::AnsweredCommand],
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let mut others = 0;
    for some in records.chunks(512) {
        let commands: Vec<_> = some.iter().map(|record| record.command.clone()).collect();
        let answers = loop {
            match client.submit(&commands).await {
                Ok(answers) => break answers,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        let pairs = some.iter().zip(&answers);
        others += pairs
            .filter(|(record, again)| !caller::is_same_answer(&record.answered, again))
            .count();
    }
    sheet.at_most("ids with a different answer at the end", others, 0, "");
    Ok(())
}
