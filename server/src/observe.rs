//! What the server counts and measures, in one place: the rest of the crate calls these functions and knows no more. All of it
//! is of the process: several servers in one process count together.

use std::{sync::LazyLock, time::Duration};

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram, with_local_recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};

use crate::engine::Counts;

const REQUESTS: &str = "ecgpu_http_requests_total";
const REQUEST_TIME: &str = "ecgpu_http_request_duration_seconds";
const REFUSALS: &str = "ecgpu_refusals_total";
const RECORDS: &str = "ecgpu_records_total";
const BATCH_RECORDS: &str = "ecgpu_batch_records";
const BATCH_TIME: &str = "ecgpu_batch_duration_seconds";
const ABANDONED: &str = "ecgpu_records_abandoned_total";
const QUEUE: &str = "ecgpu_queue_records";
const READY: &str = "ecgpu_ready";
const REPLACEMENTS: &str = "ecgpu_device_replacements_total";
const BUILD: &str = "ecgpu_build_info";

/// The bounds in seconds of the histograms of times: a batch on a GPU takes less than a millisecond, an explanation seconds.
const TIMES: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The bounds of the histogram of batch sizes, which are powers of two.
const SIZES: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Why requests are refused. Each has a series from the start, so that a rate of it can be computed.
const REASONS: [&str; 6] = ["full", "unauthorised", "connections", "memory", "too_large", "timeout"];

/// The recorder of this crate. It is not the global one, which belongs to the program.
static RECORDER: LazyLock<PrometheusRecorder> = LazyLock::new(|| {
    let mut builder = PrometheusBuilder::new();
    for (name, bounds) in [(REQUEST_TIME, &TIMES[..]), (BATCH_TIME, &TIMES), (BATCH_RECORDS, &SIZES)] {
        // Only an empty list of bounds is refused.
        builder = builder.set_buckets_for_metric(Matcher::Full(name.into()), bounds).expect("the bounds are not empty");
    }
    let recorder = builder.build_recorder();
    with_local_recorder(&recorder, describe);
    recorder
});

/// Describes every metric, and begins those whose labels are known with zero.
fn describe() {
    describe_counter!(REQUESTS, "Requests that were answered, by route and status; 499 where the client left before.");
    describe_histogram!(REQUEST_TIME, "Time from the head of a request to the head of its response, by route.");
    describe_counter!(REFUSALS, "Requests and connections that were refused, by reason.");
    describe_counter!(RECORDS, "Records that the device computed.");
    describe_histogram!(BATCH_RECORDS, "Records of a batch.");
    describe_histogram!(BATCH_TIME, "Time of the device for a batch; the sum is how long it was busy.");
    describe_counter!(ABANDONED, "Records that were dropped before they were computed, since their client had left.");
    describe_gauge!(QUEUE, "Records that wait; one that is longer than usual counts for several.");
    describe_gauge!(READY, "1 where the server takes requests, 0 while it starts, recovers, drains or has no device.");
    describe_counter!(REPLACEMENTS, "How often the device was replaced after a fault.");
    describe_gauge!(BUILD, "Always 1; the label is the version.");
    REASONS.iter().for_each(|reason| counter!(REFUSALS, "reason" => *reason).absolute(0));
    [RECORDS, ABANDONED, REPLACEMENTS].into_iter().for_each(|name| counter!(name).absolute(0));
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1);
}

fn record(metrics: impl FnOnce()) {
    with_local_recorder(&*RECORDER, metrics);
}

/// A batch of `records` was computed in `time`.
pub fn batch(records: usize, time: Duration) {
    record(|| {
        counter!(RECORDS).increment(records as u64);
        histogram!(BATCH_RECORDS).record(records as f64);
        histogram!(BATCH_TIME).record(time);
    });
}

/// A request to a route was answered.
pub fn request(route: &str, status: u16, time: Duration) {
    record(|| {
        counter!(REQUESTS, "route" => route.to_string(), "status" => status.to_string()).increment(1);
        histogram!(REQUEST_TIME, "route" => route.to_string()).record(time);
    });
    match status {
        413 => refused("too_large"),
        408 => refused("timeout"),
        _ => {}
    }
}

/// A request was refused: `full`, `unauthorised`, `connections` or `memory`; those that were too large or too slow are counted
/// by their status.
pub fn refused(why: &'static str) {
    record(|| counter!(REFUSALS, "reason" => why).increment(1));
}

/// Returns everything in Prometheus' text format, version 0.0.4.
pub fn text(is_ready: bool, counts: Option<Counts>) -> String {
    record(|| {
        gauge!(READY).set(if is_ready { 1.0 } else { 0.0 });
        gauge!(QUEUE).set(counts.map_or(0.0, |counts| counts.waiting as f64));
        if let Some(counts) = counts {
            counter!(ABANDONED).absolute(counts.abandoned);
            counter!(REPLACEMENTS).absolute(counts.replacements);
        }
    });
    RECORDER.handle().render()
}

/// Sorts what was measured into its histograms, which would otherwise take memory until somebody asks for them.
pub fn upkeep() {
    RECORDER.handle().run_upkeep();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_its_help_and_its_type() {
        batch(4, Duration::from_millis(3));
        request("/api/predict", 413, Duration::from_millis(5));
        let counts = Counts { computed: 4, batches: 1, waiting: 7, abandoned: 2, replacements: 1 };
        let text = text(true, Some(counts));
        for name in [
            REQUESTS,
            REQUEST_TIME,
            REFUSALS,
            RECORDS,
            BATCH_RECORDS,
            BATCH_TIME,
            ABANDONED,
            QUEUE,
            READY,
            REPLACEMENTS,
            BUILD,
        ] {
            assert!(
                text.contains(&format!("# HELP {name} ")) && text.contains(&format!("# TYPE {name} ")),
                "{name}: {text}"
            );
        }
        for line in [
            "ecgpu_queue_records 7",
            "ecgpu_ready 1",
            "ecgpu_device_replacements_total 1",
            "ecgpu_refusals_total{reason=\"full\"} 0",
            "ecgpu_http_request_duration_seconds_bucket{route=\"/api/predict\",le=\"0.005\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
