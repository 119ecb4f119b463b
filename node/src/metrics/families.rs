//! Creates families of metrics: a name, a help line, and every series from the start, so that a
//! graph has no gap before the first event and an alarm needs none. The library checks the names
//! when they're registered. It never sets a value.

use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, core::Collector,
};

/// The prefix of every name.
const PREFIX: &str = "evenkeel";

/// The families of one node.
pub(crate) struct Families {
    registry: Registry,
}

impl Families {
    pub(crate) fn new() -> Self {
        Self { registry: Registry::new() }
    }

    /// The registry of all families.
    pub(crate) fn into_registry(self) -> Registry {
        self.registry
    }

    pub(crate) fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::with_opts(metric_options(name, help)))
    }

    /// A counter with fractions, for seconds.
    pub(crate) fn seconds_counter(&self, name: &str, help: &str) -> Counter {
        self.register(Counter::with_opts(metric_options(name, help)))
    }

    pub(crate) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(metric_options(name, help), labels))
    }

    pub(crate) fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::with_opts(metric_options(name, help)))
    }

    pub(crate) fn gauges(&self, name: &str, help: &str, label: &str) -> IntGaugeVec {
        self.register(IntGaugeVec::new(metric_options(name, help), &[label]))
    }

    /// A gauge with fractions, for seconds.
    pub(crate) fn seconds_gauge(&self, name: &str, help: &str) -> Gauge {
        self.register(Gauge::with_opts(metric_options(name, help)))
    }

    /// Gauges with fractions, for seconds.
    pub(crate) fn seconds_gauges(&self, name: &str, help: &str, label: &str) -> GaugeVec {
        self.register(GaugeVec::new(metric_options(name, help), &[label]))
    }

    pub(crate) fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.register(Histogram::with_opts(histogram_options(name, help, buckets)))
    }

    pub(crate) fn histograms(
        &self,
        name: &str,
        help: &str,
        label: &str,
        buckets: &[f64],
    ) -> HistogramVec {
        self.register(HistogramVec::new(histogram_options(name, help, buckets), &[label]))
    }

    fn register<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let family = made.expect("names and labels are constants of a form that is tested");
        self.registry.register(Box::new(family.clone())).expect("every family has its own name");
        family
    }
}

fn metric_options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(PREFIX)
}

fn histogram_options(name: &str, help: &str, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::new(name, help).namespace(PREFIX).buckets(buckets.to_vec())
}
