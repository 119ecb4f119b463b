//! Creating a key. The hash of its text is the idempotency key: the same key again replays.

use evenkeel_wire::{
    account::AccountKind,
    key::{CreateKey, Role},
    limits::KEYS_MAX,
    outcome::Rejection,
};

use crate::{
    rules::{
        context::CommandContext,
        verdict::{Committed, Stop},
    },
    tables::{Tables, keys::Key},
};

/// Judges a new key: its account must be a merchant's if its role is, else it has none.
pub(crate) fn judge(
    tables: &Tables,
    create: &CreateKey,
    context: &mut CommandContext<'_>,
) -> Result<Key, Stop> {
    let CreateKey { hash, role, account } = *create;
    if let Some((number, first)) = tables.keys.find_row(&hash) {
        if (first.role, first.account) != (role, account) {
            return Err(Rejection::IdReused.into());
        }
        let committed = Committed::amount(number.0.into());
        let answer = context.first_answer(first.position, first.index, committed)?;
        return Err(Stop::Replayed(answer));
    }
    let accounts = &tables.accounts;
    let kind_of = |account| accounts.find(account).map(|slot| accounts.row(slot).kind);
    let account_fits = match (role, account) {
        (Role::Merchant, Some(account)) => kind_of(account) == Some(AccountKind::Merchant),
        (Role::Merchant, None) => false,
        (_, account) => account.is_none(),
    };
    if !account_fits {
        return Err(Rejection::KeyAccountInvalid.into());
    }
    if tables.keys.rows.len() >= KEYS_MAX {
        return Err(Rejection::TooManyKeys.into());
    }
    let (position, index) = (context.position(), context.next_index);
    Ok(Key { hash, role, account, revoked: false, position, index })
}

/// Adds the key; reports its number as the outcome's amount.
pub(crate) fn apply(tables: &mut Tables, key: Key) -> Committed {
    let number = tables.add_key(key);
    Committed::amount(number.0.into())
}
