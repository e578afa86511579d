//! Figures for Prometheus: what is counted, under which names, and where they can be read.
//!
//! ```text
//! kvs_request_seconds{op="put",outcome="done"}   histogram, from the first byte to the answer
//! kvs_commit_seconds, kvs_commit_ops             each durable transaction
//! kvs_sent_bytes{kind="sync"}                    parcels by what they are for
//! kvs_records_synced, kvs_hints_delivered, kvs_notes{kind}
//! kvs_keys kvs_hints kvs_filling kvs_links kvs_clients kvs_tables_bytes   as they stand
//! ```
//!
//! Without an endpoint the calls cost next to nothing. Caveat: the endpoint speaks plain HTTP and is
//! on loopback unless told otherwise; names and labels are a contract with dashboards.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::error::{Error, Result};
use crate::node::Status;
use crate::protocol::Body;

/// Bounds of the histograms of seconds.
const SECONDS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
/// Bounds of the sizes of batches.
const OPS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0];

/// Starts the endpoint; gives where it is. Within a runtime only.
pub(super) fn start(at: &str) -> Result<SocketAddr> {
    let refused = |e: String| {
        Error::Busy(format!("The figures cannot be offered at {at}: {e}. Nothing is served."))
            .hint("choose another address with --metrics HOST:PORT, or --metrics off")
    };
    let mut found = at.to_socket_addrs().map_err(|e| refused(e.to_string()))?;
    let address = found.next().ok_or_else(|| refused("it names no address".into()))?;
    // The exporter does not tell which port it was given, so a free one is looked up first.
    let probe = TcpListener::bind(address).map_err(|e| refused(e.to_string()))?;
    let address = probe.local_addr().map_err(|e| refused(e.to_string()))?;
    drop(probe);
    let builder = PrometheusBuilder::new()
        .with_http_listener(address)
        .set_buckets(&SECONDS)
        .and_then(|b| {
            let ops = metrics_exporter_prometheus::Matcher::Full("kvs_commit_ops".into());
            b.set_buckets_for_metric(ops, &OPS)
        })
        .map_err(|e| refused(e.to_string()))?;
    let (recorder, exporter) = builder.build().map_err(|e| refused(e.to_string()))?;
    // A second node in one process (tests only) shares the first one's figures.
    drop(metrics::set_global_recorder(recorder));
    tokio::spawn(async move {
        if let Err(error) = exporter.await {
            tracing::error!("the endpoint of the figures has ended: {error:?}");
        }
    });
    Ok(address)
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

/// How things stand now.
pub(super) fn stand(status: &Status, bytes: u64, links: usize, clients: usize) {
    gauge!("kvs_keys").set(status.keys as f64);
    gauge!("kvs_hints").set(status.hints as f64);
    gauge!("kvs_filling").set(status.filling as f64);
    gauge!("kvs_bad").set(status.bad as f64);
    gauge!("kvs_ring_version").set(status.version as f64);
    gauge!("kvs_disk_full").set(f64::from(u8::from(status.full)));
    gauge!("kvs_tables_bytes").set(bytes as f64);
    gauge!("kvs_links").set(links as f64);
    gauge!("kvs_clients").set(clients as f64);
}

/// What a message is for.
fn kind(body: &Body) -> &'static str {
    match body {
        Body::Gossip { .. } | Body::Hello { .. } | Body::Seen { .. } => "gossip",
        Body::Fullness(_)
        | Body::Filling(_)
        | Body::Sums { .. }
        | Body::Differ(_)
        | Body::List(_)
        | Body::Listing(_)
        | Body::Fill => "sync",
        Body::Write { hint_for: Some(_), .. } | Body::Deliver => "hints",
        Body::Write { .. } | Body::Stored { .. } | Body::NotStored(_) => "write",
        Body::Put(_) | Body::PutDone(_) | Body::NotMine(_) => "forward",
        Body::Read(_) | Body::Answers(_) | Body::Page { .. } | Body::Paged { .. } => "read",
        _ => "ring",
    }
}
