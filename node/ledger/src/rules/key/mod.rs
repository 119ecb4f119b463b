//! Creating and revoking keys.

pub(crate) mod create;
pub(crate) mod revoke;

#[cfg(test)]
mod tests;
