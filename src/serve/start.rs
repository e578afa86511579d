//! From a directory to a node that listens.
//!
//! ```text
//! node.yaml -> kvs.lock -> data.mdb, kvs.id -> keys -> listen -> address in kvs.lock -> ready
//! ```
//!
//! Whatever can go wrong goes wrong here, before anybody is told that the node is ready.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Sender, channel};

use super::bounds::Bounds;
use super::commit::Committer;
use super::core::Core;
use super::crowd::Crowd;
use super::door::{self, Papers, Porter};
use super::due::Chores;
use super::event::{In, Stopping};
use super::peers::Peers;
use super::quiet::Quiet;
use super::tickets::Desk;
use super::{Ended, Ready, Serving, meter, scrape};
use crate::channel::{Hello, Static};
use crate::config::{self, NodeConfig, PEERS_FILE};
use crate::embed::{self, RING_KEY, random, wall_ms};
use crate::error::{Error, Result};
use crate::gossip::{Gossip, Mood, Row};
use crate::node::Node;
use crate::os;
use crate::ring::State;
use crate::store::lmdb::Lmdb;
use crate::store::lock::{Holder, Lock, Want};
use crate::store::sidecar::Trust;

/// Where a node listens that has no address of its own.
const ANYWHERE: &str = "127.0.0.1:0";
/// What has come and was not yet taken.
const INBOX_MAX: usize = 4_096;
/// How long to wait for a lock "for ever": until somebody loses patience.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// Serves a node until it is told to stop. `ready` is called once it listens.
///
/// # Errors
/// [`Error::Busy`] when the directory or the port is in use, as [`crate::embed::Embed::open`] for its
/// files; [`Error::Corrupt`] when its file failed while it served.
pub fn serve(serving: Serving, ready: &mut dyn FnMut(&Ready)) -> Result<Ended> {
    let config = embed::configured(&serving.dir)?;
    embed::refuse_unwritable(&serving.dir)?;
    let lock = lock(&serving)?;
    let (store, node) = embed::open_node(&serving.dir, &config)?;
    if let Trust::Suspect(reason) = store.trust() {
        tracing::warn!("records may have been lost; filling again: {reason}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|e| Error::Denied(format!("The event loop could not start: {e}.")))?;
    let ended = runtime.block_on(run(serving, &config, &lock, store, node, ready));
    // Handshakes and dials under way are nobody's any more.
    runtime.shutdown_background();
    drop(lock);
    ended
}

fn lock(serving: &Serving) -> Result<Lock> {
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
    serving: Serving,
    config: &NodeConfig,
    lock: &Lock,
    store: Lmdb,
    node: Node,
    ready: &mut dyn FnMut(&Ready),
) -> Result<Ended> {
    let doc = node.doc().clone();
    if doc.member(node.id()).is_some_and(|m| m.state == State::Removed) {
        let name = &config.name;
        return Err(Error::Denied(format!("{name} was removed from the ring; it is not served."))
            .hint("make a new node: kvs join DIR"));
    }
    let keys = embed::keys(&serving.dir, &config.name, doc.member(node.id()))?;
    let (own, key_file) = (Static::of(keys.own), serving.dir.join(RING_KEY));
    let hello = Hello { run: random()? as u64, ..Hello::new(Some(doc.id), Some(node.id())) };
    let papers = Papers { key_file, own, hello };
    let (listener, address) = listen(&serving, config).await?;
    let bounds = Bounds::raised();
    let metrics = match &serving.metrics {
        Some(at) => Some(scrape::open(at, meter::start()?, crowd(bounds.scrapers)?).await?),
        None => None,
    };
    lock.rename_holder(&serving.dir, &holder(Some(address.clone())))?;
    let (tell, inbox) = channel(INBOX_MAX);
    watch_signals(tell.clone())?;
    let door = door::open(listener, porter(&papers, bounds, &tell)?);
    let written = written(&serving.dir);
    let gossip = gossip(&node, &address, &written, &serving.dir)?;
    let twin = store.twin()?;
    let metrics_at = metrics.clone();
    let chores =
        Chores::new(serving.dir.clone(), metrics_at, serving.sync_every, serving.hints, written);
    let core = Core {
        peers: Peers::new(node.id()),
        bounds,
        checked: doc.version,
        quiet: Quiet::new(),
        committer: Committer::start(store, tell.clone())?,
        store: twin,
        node,
        gossip,
        desk: Desk::default(),
        chores,
        papers,
        tell,
        door,
        began: now(),
        stopping: Stopping::No,
        events: Vec::new(),
        alive: BTreeSet::new(),
        failed: None,
        twin_ms: None,
    };
    let name = config.name.clone();
    tracing::info!(name, address, dir = %serving.dir.display(), "serving");
    ready(&Ready { name, address, metrics });
    drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
    core.run(inbox).await
}

fn porter(papers: &Papers, bounds: Bounds, tell: &Sender<In>) -> Result<Porter> {
    let (strangers, keyed) = (crowd(bounds.strangers)?, crowd(bounds.keyed)?);
    let (papers, tell) = (papers.clone(), tell.clone());
    Ok(Porter { papers, strangers, keyed, quiet: Quiet::new(), tell })
}

fn crowd(room: usize) -> Result<Crowd> {
    Ok(Crowd::new(room, random()? as u64))
}

/// Listens; gives the address that others are told.
async fn listen(serving: &Serving, config: &NodeConfig) -> Result<(TcpListener, String)> {
    let wanted = serving.listen.as_deref().or(config.listen.as_deref()).unwrap_or(ANYWHERE);
    let listener = door::listen(wanted).await?;
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
    let own = Row {
        id: node.id(),
        generation: wall_ms(),
        beat: 0,
        address: address.to_owned(),
        actor: node.actor(),
        version: node.doc().version,
        mood: Mood::Starting,
    };
    let mut gossip = Gossip::new(own, random()? as u64, 0);
    let doc = node.doc();
    let beside = embed::neighbours(dir).into_iter().filter(|(id, _)| doc.member(*id).is_some());
    for (id, address) in embed::addresses(written.clone()).chain(beside) {
        gossip.hint(id, address);
    }
    Ok(gossip)
}

/// Signals that are kind requests to stop. One that was ignored when the process began stays so.
fn watch_signals(tell: Sender<In>) -> Result<()> {
    for kind in os::stop_signals().into_iter().map(SignalKind::from_raw) {
        let mut signals =
            signal(kind).map_err(|e| Error::Denied(format!("Signals cannot be watched: {e}.")))?;
        let tell = tell.clone();
        drop(tokio::spawn(async move {
            while signals.recv().await.is_some() {
                drop(tell.send(In::Stop).await);
            }
        }));
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a driver gives the core its time")]
fn now() -> Instant {
    Instant::now()
}
