//! What Prometheus reads: families of samples in its text format, version 0.0.4, which its server and `promtool`
//! both take as it is.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::prometheus_text::{self, CONTENT_TYPE};
use prometheus_client::encoding::{
    CounterValueEncoder, DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue,
    GaugeValueEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::http::response::Response;
use crate::metrics::Observed;

/// Samples of one name, as they were a moment ago.
#[derive(Debug)]
pub(super) struct Family {
    /// The name, without the `_total` of a counter and the `_info` of an info.
    name: &'static str,
    /// What it tells.
    help: &'static str,
    samples: Samples,
}

#[derive(Debug)]
enum Samples {
    Counter(Vec<Sample>),
    Gauge(Vec<Sample>),
    Histogram(Observed),
    Info(Label),
}

#[derive(Debug)]
struct Sample {
    label: Option<Label>,
    value: Value,
}

/// The name of a label and its value.
type Label = (&'static str, &'static str);

/// A number as it is told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    /// A whole one.
    Whole(u64),
    /// Any other.
    Real(f64),
}

impl Family {
    /// A number that only grows while the process lives.
    pub(super) fn counter(name: &'static str, help: &'static str, value: impl Into<Value>) -> Self {
        Self::new(name, help, Samples::Counter(vec![Sample::bare(value)]))
    }

    /// The same, one for each value of a label.
    pub(super) fn counters(
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> Self {
        Self::new(
            name,
            help,
            Samples::Counter(Sample::labelled(label, values)),
        )
    }

    /// A number that goes up and down.
    pub(super) fn gauge(name: &'static str, help: &'static str, value: impl Into<Value>) -> Self {
        Self::new(name, help, Samples::Gauge(vec![Sample::bare(value)]))
    }

    /// The same, one for each value of a label.
    pub(super) fn gauges(
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> Self {
        Self::new(name, help, Samples::Gauge(Sample::labelled(label, values)))
    }

    /// How long something took, each time that it happened; in seconds.
    pub(super) fn histogram(name: &'static str, help: &'static str, observed: Observed) -> Self {
        Self::new(name, help, Samples::Histogram(observed))
    }

    /// What does not change while the process lives.
    pub(super) fn info(name: &'static str, help: &'static str, label: Label) -> Self {
        Self::new(name, help, Samples::Info(label))
    }

    fn new(name: &'static str, help: &'static str, samples: Samples) -> Self {
        Family {
            name,
            help,
            samples,
        }
    }
}

impl Sample {
    fn bare(value: impl Into<Value>) -> Self {
        Sample {
            label: None,
            value: value.into(),
        }
    }

    fn labelled(
        label: &'static str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> Vec<Self> {
        let sample = |(of, value)| Sample {
            label: Some((label, of)),
            value: Value::Whole(value),
        };
        values.into_iter().map(sample).collect()
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Value::Whole(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Real(value)
    }
}

/// The answer that tells them.
pub(super) fn answer(families: Vec<Family>) -> Response {
    Response::new(200).with_body(CONTENT_TYPE, text(families).into_bytes())
}

/// How they are told.
pub(super) fn text(families: Vec<Family>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families)));
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = prometheus_text::encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut families = self.0.iter();
        families.try_for_each(|family| family.encode(&mut encoder))
    }
}

impl Family {
    fn encode(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let kind = match &self.samples {
            Samples::Counter(_) => MetricType::Counter,
            Samples::Gauge(_) => MetricType::Gauge,
            Samples::Histogram(_) => MetricType::Histogram,
            Samples::Info(_) => MetricType::Info,
        };
        let mut metric = encoder.encode_descriptor(self.name, self.help, None, kind)?;
        match &self.samples {
            Samples::Counter(samples) => samples.iter().try_for_each(|sample| {
                sample.encode(&mut metric, |metric, value| {
                    metric.encode_counter::<NoLabelSet, _, f64>(value, None)
                })
            }),
            Samples::Gauge(samples) => samples.iter().try_for_each(|sample| {
                sample.encode(&mut metric, |metric, value| metric.encode_gauge(value))
            }),
            Samples::Histogram(observed) => encode_histogram(&mut metric, observed),
            Samples::Info(label) => metric.encode_info(&[*label]),
        }
    }
}

impl Sample {
    fn encode(
        &self,
        metric: &mut MetricEncoder,
        encode: impl Fn(&mut MetricEncoder, &Value) -> fmt::Result,
    ) -> fmt::Result {
        match self.label {
            Some(label) => encode(&mut metric.encode_family(&[label])?, &self.value),
            None => encode(metric, &self.value),
        }
    }
}

fn encode_histogram(metric: &mut MetricEncoder, observed: &Observed) -> fmt::Result {
    let buckets = observed.buckets.iter().map(|(bound, count)| {
        let bound = bound.map_or(f64::INFINITY, |bound| bound.as_secs_f64());
        (bound, *count)
    });
    let buckets: Vec<_> = buckets.collect();
    let count = buckets.iter().map(|(_, count)| count).sum();
    let sum = observed.sum.as_secs_f64();
    metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}

impl EncodeCounterValue for Value {
    fn encode(&self, encoder: &mut CounterValueEncoder) -> fmt::Result {
        match self {
            Value::Whole(value) => EncodeCounterValue::encode(value, encoder),
            Value::Real(value) => EncodeCounterValue::encode(value, encoder),
        }
    }
}

impl EncodeGaugeValue for Value {
    fn encode(&self, encoder: &mut GaugeValueEncoder) -> fmt::Result {
        match self {
            Value::Whole(value) => EncodeGaugeValue::encode(value, encoder),
            Value::Real(value) => EncodeGaugeValue::encode(value, encoder),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_family_is_told_with_its_help_its_kind_and_its_samples() {
        let observed = Observed {
            sum: Duration::from_millis(1500),
            buckets: vec![(Some(Duration::from_micros(64)), 1), (None, 2)],
        };
        let text = text(vec![
            Family::counter("a", "A counter", 7),
            Family::counters(
                "b",
                "Counters",
                "way",
                [("sse", 0), ("websocket", u64::MAX)],
            ),
            Family::gauge("c", "A gauge", 0.25),
            Family::gauges("d", "Gauges", "way", [("sse", 3)]),
            Family::histogram("e_seconds", "A histogram", observed),
            Family::info("f", "An info", ("version", "1.2.3")),
        ]);
        let told = "# HELP a_total A counter\n# TYPE a_total counter\na_total 7\n\
            # HELP b_total Counters\n# TYPE b_total counter\n\
            b_total{way=\"sse\"} 0\nb_total{way=\"websocket\"} 18446744073709551615\n\
            # HELP c A gauge\n# TYPE c gauge\nc 0.25\n\
            # HELP d Gauges\n# TYPE d gauge\nd{way=\"sse\"} 3\n\
            # HELP e_seconds A histogram\n# TYPE e_seconds histogram\n\
            e_seconds_bucket{le=\"6.4e-05\"} 1\ne_seconds_bucket{le=\"+Inf\"} 3\n\
            e_seconds_sum 1.5\ne_seconds_count 3\n\
            # HELP f_info An info\n# TYPE f_info gauge\nf_info{version=\"1.2.3\"} 1\n";
        assert_eq!(text, told);
    }
}
