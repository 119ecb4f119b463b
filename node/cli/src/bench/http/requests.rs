//! Requests as bytes, written into reused buffers.

use std::{fmt::Write as _, io::Write as _};

use evenkeel_http::Dialler;
use evenkeel_wire::client::ClientConfig;

use super::DEADLINE_MS;
use crate::bench::{
    BenchPlan,
    batch::{Move, TransferBatch},
};

/// The texts that all callers of a thread share.
pub(crate) struct RequestTexts {
    /// The wallets' ids, in the order of the plan.
    wallets: Vec<String>,
    /// The rest of a transfer after its amount.
    tail: String,
}

impl RequestTexts {
    pub(crate) fn new(plan: &BenchPlan) -> Self {
        let wallets = plan.accounts.wallets.iter().map(ToString::to_string).collect();
        Self { wallets, tail: format!(",\"asset\":\"{}\"}}", plan.accounts.asset) }
    }

    fn write(&self, made: &Move, body: &mut String) {
        let (debit, credit) = (&self.wallets[made.debit], &self.wallets[made.credit]);
        write!(
            body,
            "\"id\":\"{}\",\"kind\":\"transfer\",\
             \"debit\":\"{debit}\",\"credit\":\"{credit}\",\"amount\":{}",
            made.id, made.amount
        )
        .expect("writing to memory can't fail");
        body.push_str(&self.tail);
    }
}

/// Writes one caller's requests to one site.
pub(crate) struct RequestWriter {
    /// The head up to the value of content-length.
    head: Vec<u8>,
    body: String,
    whole: Vec<u8>,
    /// Each transfer is sent alone, on its own route.
    single: bool,
}

impl RequestWriter {
    pub(crate) fn new(config: &ClientConfig, dialler: &Dialler, batch: u32) -> Self {
        let single = batch == 1;
        let route = if single { "/v1/transfers" } else { "/v1/batches" };
        let head = format!(
            "POST {route} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ndeadline-ms: {DEADLINE_MS}\r\ncontent-length: ",
            dialler.authority(),
            config.key
        );
        Self { head: head.into_bytes(), body: String::new(), whole: Vec::new(), single }
    }

    /// The request for a batch.
    pub(crate) fn write(&mut self, texts: &RequestTexts, batch: &TransferBatch) -> &[u8] {
        self.body.clear();
        if self.single {
            self.body.push('{');
            batch.moves.iter().for_each(|made| texts.write(made, &mut self.body));
        } else {
            self.body.push_str("{\"atomic\":false,\"commands\":[");
            for (number, made) in batch.moves.iter().enumerate() {
                self.body.push_str(if number == 0 { "{" } else { ",{" });
                self.body.push_str("\"type\":\"transfer\",");
                texts.write(made, &mut self.body);
            }
            self.body.push_str("]}");
        }
        self.whole.clear();
        self.whole.extend_from_slice(&self.head);
        write!(self.whole, "{}\r\n\r\n", self.body.len()).expect("writing to memory can't fail");
        self.whole.extend_from_slice(self.body.as_bytes());
        &self.whole
    }
}

/// The request that asks a site whether it's the primary.
pub(crate) fn primary_probe(dialler: &Dialler) -> Vec<u8> {
    format!("GET /primary HTTP/1.1\r\nhost: {}\r\n\r\n", dialler.authority()).into_bytes()
}
