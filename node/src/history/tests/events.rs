//! Events against the slow model, from every cursor, with pages of every length.

use evenkeel_wire::{account::AccountStatus, command::Command, outcome::Outcome};

use super::{
    model::Model,
    play::Play,
    site::{Given, Site},
};
use crate::history::{Event, EventCursor, EventKind, EventPage, Subject};

/// All events of a site, from everything that was decided.
fn expected(site: &Site) -> Vec<Event> {
    let model = Model::new(site);
    site.given
        .iter()
        .filter(|given| given.is_new())
        .filter_map(|given| event(&model, given))
        .collect()
}

fn event(model: &Model<'_>, given: &Given) -> Option<Event> {
    let own = given.command.id().map(|id| id.number());
    let hold_after = |hold| Subject::Hold(Box::new(model.hold_after(hold, given)));
    let (kind, id, subject) = match &given.command {
        Command::Transfer(_) => (EventKind::Transfer, own, None),
        Command::Refund(_) => (EventKind::Refund, own, None),
        Command::Reversal(_) => (EventKind::Reversal, own, None),
        Command::Capture(_) => (EventKind::Capture, own, None),
        Command::Hold(hold) => {
            let then = given.is_committed().then(|| model.hold_then(hold.id));
            (EventKind::Hold, own, then.map(|view| Subject::Hold(Box::new(view))))
        }
        Command::Void(void) => {
            (EventKind::Void, own, given.is_committed().then(|| hold_after(void.hold)))
        }
        Command::ExpireHold(expire) => {
            let id = Some(expire.hold.number());
            (EventKind::HoldExpired, id, Some(hold_after(expire.hold)))
        }
        Command::SetStatus(change) => {
            let kind = match change.status {
                AccountStatus::Open => EventKind::Unfreeze,
                AccountStatus::Frozen => EventKind::Freeze,
                AccountStatus::Closed => EventKind::Close,
            };
            (kind, own, None)
        }
        Command::SetLimits(_) => (EventKind::Limits, own, None),
        Command::OpenAccount(open) => (EventKind::OpenAccount, Some(open.id.number()), None),
        Command::CloseDay(close) if given.is_committed() => {
            (EventKind::DayClosed, None, Some(Subject::Day(*close)))
        }
        _ => return None,
    };
    let subject = match subject {
        _ if !given.is_committed() => Subject::Nothing,
        Some(subject) => subject,
        None => match model.view_then(given) {
            Some(view) => Subject::Transfer(Box::new(view)),
            // Checked in a test of its own.
            None => Subject::Nothing,
        },
    };
    Some(Event { stamp: given.stamp(), kind, id, outcome: given.outcome, subject })
}

/// Events without the accounts' fields.
fn without_accounts(mut event: Event) -> Event {
    if let Subject::Account(_) = event.subject {
        event.subject = Subject::Nothing;
    }
    event
}

fn after(event: &Event) -> EventCursor {
    EventCursor::Outcome(event.stamp.position, event.outcome.index)
}

fn walk(site: &Site, mut from: EventCursor, max: usize, limit: usize) -> Vec<Event> {
    let mut walked = Vec::new();
    loop {
        let EventPage { events, next, more } = site.state.events_after(from, max).unwrap();
        assert!(events.len() <= max);
        assert!(next != from || !more, "it makes no progress from {from:?}");
        walked.extend(events.into_iter().map(without_accounts));
        from = next;
        if !more || walked.len() >= limit {
            return walked;
        }
    }
}

fn assert_events(site: &Site) {
    let all = expected(site);
    for max in [1, 2, 50, 10_000] {
        let limit = if max < 50 { 200 } else { usize::MAX };
        let walked = walk(site, EventCursor::Start, max, limit);
        assert_eq!(walked, all[..walked.len()], "{max} at a time");
        assert!(walked.len() == all.len() || walked.len() >= limit);
    }
    for (at, event) in all.iter().enumerate().step_by(7) {
        let walked = walk(site, after(event), 5, 5);
        assert_eq!(walked, all[at + 1..][..walked.len()], "after {:?}", after(event));
    }
    for position in (0..=site.newest()).step_by(3) {
        let behind = all.iter().position(|event| event.stamp.position > position);
        let behind = behind.map_or(&[][..], |at| &all[at..]);
        let walked = walk(site, EventCursor::Entry(position), 5, 5);
        assert_eq!(walked, behind[..walked.len()], "after entry {position}");
        assert_eq!(walked.is_empty(), behind.is_empty());
    }
    for nothing in [
        EventCursor::Entry(site.newest()),
        EventCursor::Entry(u64::MAX),
        EventCursor::Outcome(u64::MAX, 3),
    ] {
        let events = site.state.events_after(nothing, 5).unwrap();
        assert_eq!(events, EventPage { events: Vec::new(), next: nothing, more: false });
    }
}

#[test]
fn events_are_every_outcome_in_order_from_any_place() {
    for seed in 1..3 {
        let mut site = Site::new(32 << 10);
        let mut play = Play::new(seed);
        play.found(&mut site);
        play.entries(&mut site, 60);
        assert_events(&site);
        let before = expected(&site);

        play.entries(&mut site, 500);
        site.seal();
        assert_events(&site);
        assert_eq!(expected(&site)[..before.len()], before, "earlier events stay the same");
        let mut site = site.restart();
        play.entries(&mut site, 20);
        assert_events(&site);
    }
}

/// Within an entry the indexes of events begin at 0 without gaps, except for entries without
/// events.
#[test]
fn places_leave_no_index_out() {
    let mut site = Site::new(32 << 10);
    let mut play = Play::new(5);
    play.found(&mut site);
    play.entries(&mut site, 300);
    let mut before: Option<(u64, u16)> = None;
    for event in walk(&site, EventCursor::Start, 100, usize::MAX) {
        let place = (event.stamp.position, event.outcome.index);
        assert_ne!(place.1, Outcome::NO_INDEX);
        let expected = match before {
            Some((position, index)) if position == place.0 => index + 1,
            _ => 0,
        };
        assert_eq!(place.1, expected, "{place:?} follows {before:?}");
        before = Some(place);
    }
}
