//! Whether a site keeps its data in memory: such a site acknowledges commands that a power cut
//! would lose, so its figures are worthless.

use std::time::Duration;

use evenkeel_wire::client::{ClientConfig, ClientOptions, raw::Connector};
use futures_util::future::join_all;

use crate::{
    Exit, Failure,
    door::http::{HttpDoor, VolatileStatus},
};

const PATIENCE: Duration = Duration::from_secs(2);

/// One site's name and whether its data is in memory.
type SiteReport = Result<(String, bool), String>;

/// Fails when any site is volatile, or when no site answers.
pub(crate) async fn refuse(config: &ClientConfig, http: bool) -> Result<(), Failure> {
    let said = if http { over_http(config).await? } else { over_quic(config).await? };
    let mut reached = false;
    let mut trouble = String::from("client.toml names no site");
    for said in said {
        match said {
            Ok((site, true)) => {
                return Err(Failure::failed(format!(
                    "{site} keeps its data in memory (tmpfs), so its figures are worthless: put node.data on a disk"
                )));
            }
            Ok(_) => reached = true,
            Err(error) => trouble = error,
        }
    }
    if reached {
        return Ok(());
    }
    Err(Failure::new(Exit::Unavailable, format!("no site answers: {trouble}")))
}

async fn over_quic(config: &ClientConfig) -> Result<Vec<SiteReport>, Failure> {
    let connector = Connector::new(config).map_err(Failure::failed)?;
    let greetings = config.sites.iter().map(|site| async {
        let connection = connector.connect(site).await.map_err(|error| error.to_string())?;
        let welcome = connection.welcome();
        Ok((welcome.site.as_str().to_owned(), welcome.volatile))
    });
    Ok(join_all(greetings).await)
}

async fn over_http(config: &ClientConfig) -> Result<Vec<SiteReport>, Failure> {
    let options = ClientOptions { deadline: PATIENCE, ..ClientOptions::default() };
    let client = HttpDoor::new(config, &options).map_err(Failure::usage)?;
    let statuses = config.sites.iter().map(|site| async {
        let VolatileStatus { volatile } =
            client.status(&site.name).await.map_err(|error| error.to_string())?;
        Ok((site.name.clone(), volatile))
    });
    Ok(join_all(statuses).await)
}
