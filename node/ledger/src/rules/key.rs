//! Making keys and ending them. A key's hash is its idempotency key: the same again replays.

use evenkeel_wire::{
    id::KeyId,
    key::{CreateKey, RevokeKey},
    outcome::{Answer, Outcome},
    reply::KeyView,
};

use crate::{
    Ledger, LedgerFault,
    entry::{apply::EntryContext, execute::Verdict, undo::UndoStep},
    known_ids::{JournalLookup, stamp},
    tables::keys::{Key, KeyCreation},
};

impl Ledger {
    /// The key whose text has this blake3, also when it's revoked.
    #[must_use]
    pub fn key(&self, hash: &[u8; 32]) -> Option<KeyView> {
        self.keys.find(hash)
    }

    /// All keys, by number.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyView> {
        self.keys.views()
    }

    /// A number that is another one whenever the keys have changed.
    #[must_use]
    pub fn keys_digest(&self) -> u64 {
        self.keys.rows.digest()
    }

    /// Makes a key. Its number is told as the outcome's amount.
    pub(crate) fn create_key(
        &mut self,
        create: &CreateKey,
        entry: &EntryContext<'_>,
        firsts: &mut dyn JournalLookup,
    ) -> Result<Verdict, LedgerFault> {
        let (position, index) = (entry.head.position, entry.next_index);
        let accounts = &self.accounts;
        let kind_of = |account| accounts.find(account).map(|slot| accounts.row(slot).kind);
        match self.keys.create(create, position, index, kind_of) {
            KeyCreation::New(key) => {
                self.undo.push(|| UndoStep::KeyMade(key));
                Ok(Verdict::Committed { amount: key.0.into(), debit_after: 0, credit_after: 0 })
            }
            KeyCreation::Existing(key, first) => first_answer(key, &first, entry, firsts),
            KeyCreation::Rejected(rejection) => Ok(Verdict::Rejected(rejection)),
        }
    }

    /// Ends a key; one that had ended stays so.
    pub(crate) fn revoke_key(&mut self, revoke: RevokeKey) -> Verdict {
        match self.keys.revoke(revoke.key) {
            Ok(before) => {
                self.undo.push(|| UndoStep::KeyRevoked(revoke.key, before));
                Verdict::DONE
            }
            Err(rejection) => Verdict::Rejected(rejection),
        }
    }
}

/// What was said when the key was made.
fn first_answer(
    key: KeyId,
    made: &Key,
    entry: &EntryContext<'_>,
    firsts: &mut dyn JournalLookup,
) -> Result<Verdict, LedgerFault> {
    let first = if made.position == entry.head.position {
        stamp(&entry.head)
    } else {
        // The stamp is the whole entry's: any of its commands has it.
        firsts.read_command(made.position, 0)?.stamp
    };
    let outcome = Outcome {
        index: made.index,
        rejection: None,
        amount: key.0.into(),
        debit_after: 0,
        credit_after: 0,
    };
    Ok(Verdict::Replayed(Answer { outcome, first: Some(first) }))
}
