//! Alarms: every error that evenkeel logs also goes into the timeline, regardless of the log's
//! filter. Errors of libraries never do: the engine logs one at every stop.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

use super::{
    fields::{EventFields, SiteNames},
    timeline::{self, Timeline},
};

/// Alarms that wait until the timeline is opened; a start has few.
const WAITING_MAX: usize = 64;
/// The kind of an error that names none.
const OTHER: &str = "other";
/// Kinds that are counted apart; a further one counts as the last.
const KINDS_MAX: usize = 64;

/// Collects errors; clones share one timeline.
#[derive(Clone, Default)]
pub(crate) struct Alarms(Arc<Mutex<AlarmSink>>);

#[derive(Default)]
struct AlarmSink {
    timeline: Option<Timeline>,
    waiting: Vec<Map<String, Value>>,
    counts: BTreeMap<String, u64>,
}

impl Alarms {
    /// Records alarms in this timeline from now on, beginning with those that waited.
    pub(crate) fn record_in(&self, timeline: Timeline) {
        let mut sink = self.sink();
        let waiting = std::mem::take(&mut sink.waiting);
        sink.timeline = Some(timeline.clone());
        drop(sink);
        for alarm in waiting {
            timeline.record("alarm", Value::Object(alarm));
        }
    }

    /// Records and counts one alarm. Called while the log itself is at work, so it never holds its
    /// lock while it calls anything that may log.
    pub(crate) fn record(&self, alarm: Map<String, Value>) {
        let mut sink = self.sink();
        let kind = alarm.get("kind").and_then(Value::as_str).unwrap_or(OTHER);
        let known = sink.counts.contains_key(kind) || sink.counts.len() < KINDS_MAX;
        *sink.counts.entry(if known { kind } else { OTHER }.to_owned()).or_default() += 1;
        let Some(timeline) = sink.timeline.clone() else {
            if sink.waiting.len() < WAITING_MAX {
                sink.waiting.push(alarm);
            }
            return;
        };
        drop(sink);
        timeline.record("alarm", Value::Object(alarm));
    }

    /// The timeline, once it's open.
    pub(super) fn timeline(&self) -> Option<Timeline> {
        self.sink().timeline.clone()
    }

    /// How many alarms of each kind there were since the start.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.sink().counts.clone()
    }

    fn sink(&self) -> MutexGuard<'_, AlarmSink> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Alarms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarms")
    }
}

/// Passes every error of evenkeel's own to the alarms.
pub(super) struct AlarmLayer {
    pub(super) alarms: Alarms,
    pub(super) names: SiteNames,
}

impl<S: Subscriber> Layer<S> for AlarmLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let target = event.metadata().target();
        if !target.starts_with("evenkeel") || target.starts_with(timeline::LOG_TARGET) {
            return;
        }
        let fields = EventFields::of(event, &self.names);
        let others = fields.others.into_iter().map(|(name, value)| (name.to_owned(), value));
        let what = ("what".to_owned(), Value::from(fields.message));
        self.alarms.record(std::iter::once(what).chain(others).collect());
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt};

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn what_is_logged_as_an_error_is_in_the_timeline_and_nothing_else_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let alarms = Alarms::default();
        let counts = alarms.clone();
        let layer = AlarmLayer { alarms: alarms.clone(), names: SiteNames::default() };
        let log = tracing_subscriber::registry().with(layer.with_filter(LevelFilter::ERROR));
        let timeline = Timeline::open(folder.path(), Arc::new(SystemClock)).expect("a file");
        tracing::subscriber::with_default(log, || {
            tracing::error!(position = 7_u64, "before it is open");
            alarms.record_in(timeline.clone());
            tracing::warn!("no alarm");
            tracing::error!(target: timeline::LOG_TARGET, "can't be recorded");
            tracing::error!(target: "quinn::endpoint", "stopped");
            tracing::error!(kind = "disk", error = %"no room", "the disk is full");
        });
        assert_eq!(counts.counts(), BTreeMap::from([("disk".into(), 1), ("other".into(), 1)]));
        timeline.record_durably("stopped", Value::Null).await.expect("written");
        let events = timeline.read(None, None).expect("readable");
        let told: Vec<_> =
            events.iter().map(|event| serde_json::to_value(event).expect("JSON")).collect();
        let alarms: Vec<_> = told.iter().filter(|event| event["event"] == "alarm").collect();
        assert_eq!(alarms.len(), 2, "{told:?}");
        assert_eq!(
            (&alarms[0]["what"], &alarms[0]["position"]),
            (&"before it is open".into(), &7.into())
        );
        assert_eq!(
            (&alarms[1]["what"], &alarms[1]["error"]),
            (&"the disk is full".into(), &"no room".into())
        );
    }
}
