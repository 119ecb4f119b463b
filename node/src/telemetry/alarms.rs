//! Alarms: every error that evenkeel logs also goes into the timeline, regardless of the log's
//! filter. Errors of libraries never do: the engine logs one at every stop.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::timeline::{self, Timeline};

/// Alarms that wait until the timeline is opened; a start has few.
const WAITING_MAX: usize = 64;

/// Collects errors; clones share one timeline.
#[derive(Clone, Default)]
pub(crate) struct Alarms(Arc<Mutex<AlarmSink>>);

#[derive(Default)]
struct AlarmSink {
    timeline: Option<Timeline>,
    waiting: Vec<Map<String, Value>>,
}

impl Alarms {
    /// Records alarms in this timeline from now on, beginning with those that waited.
    pub(crate) fn record_in(&self, timeline: Timeline) {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for alarm in ends.waiting.drain(..) {
            timeline.record("alarm", Value::Object(alarm));
        }
        ends.timeline = Some(timeline);
    }
}

impl fmt::Debug for Alarms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarms")
    }
}

impl<S: Subscriber> Layer<S> for Alarms {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let target = event.metadata().target();
        if !target.starts_with("evenkeel") || target.starts_with(timeline::LOG_TARGET) {
            return;
        }
        let mut alarm = EventFields::default();
        event.record(&mut alarm);
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &ends.timeline {
            Some(timeline) => timeline.record("alarm", Value::Object(alarm.0)),
            None if ends.waiting.len() < WAITING_MAX => ends.waiting.push(alarm.0),
            None => {}
        }
    }
}

/// The fields of an event, as JSON.
#[derive(Default)]
struct EventFields(Map<String, Value>);

impl EventFields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        let name = if field.name() == "message" { "what" } else { field.name() };
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for EventFields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
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
        let log =
            tracing_subscriber::registry().with(alarms.clone().with_filter(LevelFilter::ERROR));
        let timeline = Timeline::open(folder.path(), Arc::new(SystemClock)).expect("a file");
        tracing::subscriber::with_default(log, || {
            tracing::error!(position = 7_u64, "before it is open");
            alarms.record_in(timeline.clone());
            tracing::warn!("no alarm");
            tracing::error!(target: timeline::LOG_TARGET, "can't be recorded");
            tracing::error!(target: "quinn::endpoint", "stopped");
            tracing::error!(error = %"no room", "the disk is full");
        });
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
