//! Panics on this thread, remembered: a task that panics ends quietly, and a run must not.

use std::{cell::RefCell, panic, sync::Once};

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on panics are remembered.
pub fn remember() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let first = PANIC.with(|slot| {
                let mut slot = slot.borrow_mut();
                let first = slot.is_none();
                slot.get_or_insert_with(|| info.to_string().replace('\n', " "));
                first
            });
            if first {
                usual(info);
            }
        }));
    });
}

/// The first panic since the last question.
pub fn take_panic() -> Option<String> {
    PANIC.with(|slot| slot.borrow_mut().take())
}
