//! From a directory to a node that listens.
//!
//! ```text
//! node.yaml -> kvs.lock -> data.mdb, kvs.id -> keys -> listen -> address in kvs.lock -> ready
//! ```
//!
//! A node that cannot serve fails here, before it reports that it is ready.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Sender, channel};

use super::address_book::AddressBook;
use super::commit::CommitPipeline;
use super::connection_limits::ConnectionLimits;
use super::core::{Core, Setup};
use super::event::ServerEvent;
use super::handshake::Credentials;
use super::listener::{self, Listener};
use super::liveness::Liveness;
use super::log_limiter::LogLimiter;
use super::maintenance::Maintenance;
use super::slots::{Seed, SlotPool};
use super::{Ready, ServeOptions, StopReason, meter, scrape};
use crate::channel::{Hello, Static};
use crate::config::{self, NodeConfig, PEERS_FILE};
use crate::error::{Error, Result};
use crate::gossip::{Gossip, GossipRow, NodeHealth};
use crate::node::Node;
use crate::node_dir::{self, RING_KEY};
use crate::os;
use crate::os::{now, random, wall_ms};
use crate::ring::MemberState;
use crate::store::lmdb::Lmdb;
use crate::store::lock::{Holder, Lock, Want};
use crate::store::sidecar::Trust;

/// Where a node listens that has no address of its own.
const ANYWHERE: &str = "127.0.0.1:0";
/// What has come and was not yet taken.
const INBOX_MAX: usize = 4_096;
/// How long to wait for a lock "for ever": until a person ends the process.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// Serves a node until it is told to stop. `ready` is called once it listens.
///
/// # Errors
/// [`Error::Busy`] when the directory or the port is in use, as [`crate::node_dir::open_node`] for its
/// files; [`Error::Corrupt`] when its file failed while it served.
pub fn serve(serving: ServeOptions, ready: &mut dyn FnMut(&Ready)) -> Result<StopReason> {
    let config = node_dir::configured(&serving.dir)?;
    node_dir::refuse_unwritable(&serving.dir)?;
    let lock = lock(&serving)?;
    let (store, node) = node_dir::open_node(&serving.dir, &config)?;
    if let Trust::Suspect(reason) = store.trust() {
        tracing::warn!("records may have been lost; filling again: {reason}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|e| Error::Denied(format!("The event loop could not start: {e}.")))?;
    let ended = runtime.block_on(run(serving, &config, &lock, store, node, ready));
    // Handshakes and dials under way have no loop to report to any more.
    runtime.shutdown_background();
    drop(lock);
    ended
}

fn lock(serving: &ServeOptions) -> Result<Lock> {
    let holder = holder(None);
    match &serving.lock {
        Some(file) => {
            let file = file.try_clone().map_err(Error::io("take over", &serving.dir))?;
            Lock::adopt(&serving.dir, file, &holder)
        }
        None => {
            let timeout = serving.timeout.unwrap_or(FOR_EVER);
            if let Some(other) = Lock::holder(&serving.dir)? {
                tracing::info!(dir = %serving.dir.display(), "waiting for {other}");
            }
            Lock::wait(&serving.dir, &Want::Exclusive(holder), timeout)
        }
    }
}

fn holder(address: Option<String>) -> Holder {
    Holder { kind: "node".into(), pid: std::process::id(), address }
}

async fn run(
    serving: ServeOptions,
    config: &NodeConfig,
    lock: &Lock,
    store: Lmdb,
    node: Node,
    ready: &mut dyn FnMut(&Ready),
) -> Result<StopReason> {
    let doc = node.doc().clone();
    if doc.member(node.id()).is_some_and(|m| m.state == MemberState::Removed) {
        let name = &config.name;
        return Err(Error::Denied(format!("{name} was removed from the ring; it is not served."))
            .hint("make a new node: kvs join DIR"));
    }
    let keys = node_dir::keys(&serving.dir, &config.name, doc.member(node.id()))?;
    let (own, key_file) = (Static::of(keys.own), serving.dir.join(RING_KEY));
    let hello = Hello { run: random()? as u64, ..Hello::new(Some(doc.id), Some(node.id())) };
    let credentials = Credentials { key_file, own, hello };
    let (socket, address) = listen(&serving, config).await?;
    let limits = ConnectionLimits::raised();
    let metrics = match &serving.metrics {
        Some(at) => Some(scrape::open(at, meter::start()?, slot_pool(limits.scrapers)?).await?),
        None => None,
    };
    lock.rename_holder(&serving.dir, &holder(Some(address.clone())))?;
    let (sender, inbox) = channel(INBOX_MAX);
    watch_signals(sender.clone())?;
    let accepting = listener::open(socket, listener(&credentials, limits, &sender)?);
    let written = written(&serving.dir);
    let liveness = Liveness::new(gossip(&node, &address, &written, &serving.dir)?);
    let maintenance = Maintenance::new(serving.sync_every);
    let maintenance = if serving.hints { maintenance } else { maintenance.without_hints() };
    let address_book = AddressBook::new(&serving.dir, written);
    let pipeline = CommitPipeline::start(store, sender.clone())?;
    let (began, published) = (now(), metrics.clone());
    let setup = Setup { credentials, limits, metrics: published, sender, accepting, began };
    let core = Core::new(setup, node, pipeline, liveness, maintenance, address_book);
    let name = config.name.clone();
    tracing::info!(name, address, dir = %serving.dir.display(), "serving");
    ready(&Ready { name, address, metrics });
    drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
    core.run(inbox).await
}

fn listener(
    credentials: &Credentials,
    limits: ConnectionLimits,
    sender: &Sender<ServerEvent>,
) -> Result<Listener> {
    let (strangers, keyed) = (slot_pool(limits.strangers)?, slot_pool(limits.keyed)?);
    let (credentials, sender) = (credentials.clone(), sender.clone());
    Ok(Listener { credentials, strangers, keyed, log_limiter: LogLimiter::new(), sender })
}

fn slot_pool(room: usize) -> Result<SlotPool> {
    Ok(SlotPool::new(room, Seed(random()? as u64)))
}

/// Listens; gives the address that others are told.
async fn listen(serving: &ServeOptions, config: &NodeConfig) -> Result<(TcpListener, String)> {
    let wanted = serving.listen.as_deref().or(config.listen.as_deref()).unwrap_or(ANYWHERE);
    let listener = listener::listen(wanted).await?;
    let bound = listener.local_addr().map_err(|e| Error::Denied(e.to_string()))?;
    if let Some(advertise) = &config.advertise {
        return Ok((listener, advertise.clone()));
    }
    if bound.ip() == IpAddr::from([0, 0, 0, 0]) || bound.ip().is_unspecified() {
        return Err(Error::Usage(format!(
            "{wanted} is every address of this machine; others need one that they can reach."
        ))
        .hint("put `advertise: HOST:PORT` in node.yaml"));
    }
    let named = wanted.rsplit_once(':').is_some_and(|(_, port)| port != "0");
    let address = if named { wanted.to_owned() } else { bound.to_string() };
    Ok((listener, address))
}

/// The address book. Without one that can be read the others find this node.
fn written(dir: &Path) -> config::Peers {
    let path = dir.join(PEERS_FILE);
    if !path.exists() {
        return config::Peers::default();
    }
    config::read(&path).unwrap_or_else(|error| {
        tracing::warn!("the addresses cannot be read, others have to find this node: {error}");
        config::Peers::default()
    })
}

/// What is known of the others at the start: as written down, but for those that are being served beside
/// this one: a whole ring may have come back at other addresses.
fn gossip(node: &Node, address: &str, written: &config::Peers, dir: &Path) -> Result<Gossip> {
    let own = GossipRow {
        id: node.id(),
        generation: wall_ms(),
        beat: 0,
        address: address.to_owned(),
        actor: node.actor(),
        version: node.doc().version,
        health: NodeHealth::Starting,
    };
    let mut gossip = Gossip::new(own, random()? as u64, 0);
    let doc = node.doc();
    let beside = node_dir::neighbours(dir).into_iter().filter(|(id, _)| doc.member(*id).is_some());
    for (id, address) in node_dir::addresses(written.clone()).chain(beside) {
        gossip.hint(id, address);
    }
    Ok(gossip)
}

/// Signals that are kind requests to stop. One that was ignored when the process began stays so.
fn watch_signals(sender: Sender<ServerEvent>) -> Result<()> {
    for kind in os::stop_signals().into_iter().map(SignalKind::from_raw) {
        let mut signals =
            signal(kind).map_err(|e| Error::Denied(format!("Signals cannot be watched: {e}.")))?;
        let sender = sender.clone();
        drop(tokio::spawn(async move {
            while signals.recv().await.is_some() {
                drop(sender.send(ServerEvent::Stop).await);
            }
        }));
    }
    Ok(())
}
