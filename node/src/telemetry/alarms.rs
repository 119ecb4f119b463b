//! Alarms: every error that evenkeel logs also goes into the timeline and is counted by its field
//! `kind`, regardless of the log's filter. Errors of libraries never do: the engine logs one at
//! every stop.

use std::{
    collections::BTreeMap,
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
use crate::metrics::Metrics;

/// Alarms that wait until the timeline is opened; a start has few.
const WAITING_MAX: usize = 64;

/// Collects errors; clones share one timeline.
#[derive(Clone, Default)]
pub(crate) struct Alarms(Arc<Mutex<AlarmSink>>);

#[derive(Default)]
struct AlarmSink {
    timeline: Option<Timeline>,
    waiting: Vec<Map<String, Value>>,
    metrics: Option<Arc<Metrics>>,
    /// Alarms by kind that wait until the metrics are there.
    uncounted: BTreeMap<String, u64>,
}

impl AlarmSink {
    fn count(&mut self, alarm: &Map<String, Value>) {
        let kind = alarm.get("kind").and_then(Value::as_str).unwrap_or(Metrics::OTHER_ALARM);
        match &self.metrics {
            Some(metrics) => metrics.count_alarms(kind, 1),
            None => *self.uncounted.entry(kind.to_owned()).or_default() += 1,
        }
    }
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

    /// Counts alarms in these metrics from now on, beginning with those that waited.
    pub(crate) fn count_in(&self, metrics: Arc<Metrics>) {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, count) in std::mem::take(&mut ends.uncounted) {
            metrics.count_alarms(&kind, count);
        }
        ends.metrics = Some(metrics);
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
        ends.count(&alarm.0);
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
        let metrics = Arc::new(Metrics::new());
        tracing::subscriber::with_default(log, || {
            tracing::error!(position = 7_u64, "before it is open");
            tracing::error!(kind = "clock_behind", "before the metrics are there");
            alarms.record_in(timeline.clone());
            alarms.count_in(metrics.clone());
            tracing::error!(kind = "clock_behind", "the clock is behind");
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
        assert_eq!(alarms.len(), 4, "{told:?}");
        let counts = metrics.scrape(&crate::metrics::Reading::default());
        for (kind, count) in [("clock_behind", 2), ("clock_ahead", 0), ("other", 2)] {
            let line = format!("evenkeel_alarms_total{{kind=\"{kind}\"}} {count}\n");
            assert!(counts.contains(&line), "{line}{counts}");
        }
        assert_eq!(
            (&alarms[0]["what"], &alarms[0]["position"]),
            (&"before it is open".into(), &7.into())
        );
        assert_eq!(
            (&alarms[3]["what"], &alarms[3]["error"]),
            (&"the disk is full".into(), &"no room".into())
        );
    }
}
