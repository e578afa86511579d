//! Figures for Prometheus: what is counted, under which names.
//!
//! ```text
//! kvs_request_seconds{op="put",outcome="done"}   histogram, from the first byte to the answer
//! kvs_commit_seconds, kvs_commit_ops             each durable transaction
//! kvs_sent_bytes{kind="sync"}                    frames by what they are for
//! kvs_records_synced, kvs_hints_delivered, kvs_notes{kind}
//! kvs_keys kvs_hints kvs_filling kvs_links kvs_clients kvs_tables_bytes   as they stand
//! kvs_scrubbed_timestamp_seconds                 when everything was last read and proven
//! ```
//!
//! Without an endpoint (`scrape`) the calls cost next to nothing. Caveat: names and labels are a
//! contract with dashboards.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::error::{Error, Result};
use crate::node::Status;
use crate::protocol::Body;

/// Bounds of the histograms of seconds.
const SECONDS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
/// Bounds of the sizes of batches.
const OPS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0];

/// Begins to count; what is counted can be had as text.
pub(super) fn start() -> Result<PrometheusHandle> {
    let refused = |e| Error::Denied(format!("Metrics cannot be collected: {e}."));
    let builder = PrometheusBuilder::new().set_buckets(&SECONDS).and_then(|b| {
        let ops = metrics_exporter_prometheus::Matcher::Full("kvs_commit_ops".into());
        b.set_buckets_for_metric(ops, &OPS)
    });
    let recorder = builder.map_err(refused)?.build_recorder();
    let figures = recorder.handle();
    // A second node in one process (tests only) shares the first one's figures.
    drop(metrics::set_global_recorder(recorder));
    Ok(figures)
}

/// A client's request has ended.
pub(super) fn request(op: &'static str, outcome: &'static str, took: Duration) {
    histogram!("kvs_request_seconds", "op" => op, "outcome" => outcome).record(took.as_secs_f64());
}

/// A batch was made durable, or was not.
pub(super) fn commit(ops: usize, took: Duration) {
    histogram!("kvs_commit_seconds").record(took.as_secs_f64());
    histogram!("kvs_commit_ops").record(ops as f64);
}

/// A message goes to a peer.
pub(super) fn sent(body: &Body, bytes: usize) {
    counter!("kvs_sent_bytes", "kind" => kind(body)).increment(bytes as u64);
    counter!("kvs_sent_messages", "kind" => kind(body)).increment(1);
}

/// Something a person should know was noted.
pub(super) fn note(kind: &'static str) {
    counter!("kvs_notes", "kind" => kind).increment(1);
}

/// A round of anti-entropy has ended.
pub(super) fn round(records: u64) {
    counter!("kvs_sync_rounds").increment(1);
    counter!("kvs_records_synced").increment(records);
}

/// Hints were delivered.
pub(super) fn delivered(hints: u64) {
    counter!("kvs_hints_delivered").increment(hints);
}

/// When everything was last read and proven, in s since 1970; 0 when it never was.
pub(super) fn scrubbed(at_ms: Option<u64>) {
    gauge!("kvs_scrubbed_timestamp_seconds").set(at_ms.unwrap_or(0) as f64 / 1_000.0);
}

/// How many connections are open.
#[derive(Clone, Copy)]
pub(super) struct Open {
    /// To peers.
    pub(super) links: usize,
    /// Of clients.
    pub(super) clients: usize,
}

/// How things stand now; `bytes` are those of the tables.
pub(super) fn stand(status: &Status, bytes: u64, open: Open) {
    gauge!("kvs_keys").set(status.keys as f64);
    gauge!("kvs_hints").set(status.hints as f64);
    gauge!("kvs_filling").set(status.filling as f64);
    gauge!("kvs_bad").set(status.bad as f64);
    gauge!("kvs_ring_version").set(status.version as f64);
    gauge!("kvs_disk_full").set(f64::from(u8::from(status.full)));
    gauge!("kvs_tables_bytes").set(bytes as f64);
    gauge!("kvs_links").set(open.links as f64);
    gauge!("kvs_clients").set(open.clients as f64);
}

/// What a message is for.
fn kind(body: &Body) -> &'static str {
    match body {
        Body::Gossip { .. }
        | Body::Hello { .. }
        | Body::Seen { .. }
        | Body::Greet { .. }
        | Body::Met { .. } => "gossip",
        Body::Fullness(_)
        | Body::Filling(_)
        | Body::Sums { .. }
        | Body::Differ(_)
        | Body::List(_)
        | Body::Listing(_)
        | Body::Fill => "sync",
        Body::Write { hint_for: Some(_), .. }
        | Body::Replicate { hint_for: Some(_), .. }
        | Body::Deliver => "hints",
        Body::Write { .. } | Body::Replicate { .. } | Body::Stored { .. } | Body::NotStored(_) => {
            "write"
        }
        Body::Put(_) | Body::PutDone(_) | Body::NotMine(_) => "forward",
        Body::Read(_) | Body::Answers(_) | Body::Page { .. } | Body::Paged { .. } => "read",
        _ => "ring",
    }
}
