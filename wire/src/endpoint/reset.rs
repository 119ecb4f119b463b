//! Stateless resets (RFC 9000 §10.3): a restarted node reports at once that it has lost its
//! connections, so that the others don't wait for the idle timeout. For this the reset key must
//! outlive the process: it is derived from the node's private key. And the node must answer unknown
//! connection ids, so ids are plain random numbers.

use std::{sync::Arc, time::Duration};

use quinn::{
    ConnectionId, ConnectionIdGenerator, EndpointConfig,
    crypto::{CryptoError, HmacKey},
};

use crate::identity::Identity;

/// The least time between two resets, so that two such nodes can't keep each other busy.
const RESET_INTERVAL: Duration = Duration::from_millis(5);

/// The settings of an endpoint; `port` makes the keys of a node's two ports different.
pub(crate) fn endpoint_config(identity: &Identity, port: &str) -> EndpointConfig {
    let key = identity.derived_secret(&format!("stateless reset, {port} port"));
    let mut config = EndpointConfig::new(Arc::new(ResetKey(key)));
    config.cid_generator(|| Box::new(RandomIds)).min_reset_interval(RESET_INTERVAL);
    config
}

struct RandomIds;

const ID_BYTES: usize = 8;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; ID_BYTES];
        getrandom::fill(&mut id).expect("the system gives random bytes");
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

struct ResetKey([u8; blake3::KEY_LEN]);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(blake3::keyed_hash(&self.0, data).as_bytes());
    }

    fn signature_len(&self) -> usize {
        blake3::OUT_LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        // blake3's comparison is constant-time.
        let expected = blake3::keyed_hash(&self.0, data);
        if expected == *signature { Ok(()) } else { Err(CryptoError) }
    }
}
