//! Records panics on this thread: a panicking task ends silently, but the run must fail.

use std::{cell::RefCell, panic, sync::Once};

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Installs the panic hook.
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

/// Takes the first panic since the last call.
pub fn take_panic() -> Option<String> {
    PANIC.with(|slot| slot.borrow_mut().take())
}
