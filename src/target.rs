//! What a TARGET names, as one thing to ask: node directories, or a ring directory that holds them.
//!
//! ```text
//! r            a ring directory: every directory in it with a node.yaml
//! r/n1         one node
//! r/n1,r/n2    some nodes; members found in none of them are down
//! ```
//!
//! Commands and jobs ask a [`Target`] and never see a driver. What it does not do: it does not print
//! and decides nothing about exit codes. Caveat: this build reaches nodes as directories; a running
//! node's address is refused with a clear sentence.

mod change;
mod data;
mod explain;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use self::change::{Moves, is_applied};
pub use self::data::OnRecord;
pub use self::explain::{Actors, Inspection, KeptHint, Replica, Standing, State, Superseded};
use crate::config::{self, NODE_FILE, NodeConfig, PEERS_FILE, Peers};
use crate::embed::{self, Embed};
use crate::error::{Error, Result};
use crate::node::{Reply, Request, Status};
use crate::ring::{Member, NodeId, RingDoc};
pub use crate::store::lmdb::Access;
use crate::store::{HintStats, Store};

/// What to open, and how.
#[derive(Clone, Debug)]
pub struct Opening {
    /// TARGETs, each possibly several separated by commas.
    pub specs: Vec<String>,
    /// To read or to write.
    pub access: Access,
    /// How long to wait for locks.
    pub timeout: Duration,
    /// Members taken as down.
    pub down: Vec<String>,
    /// The zone the request comes from.
    pub zone: Option<String>,
    /// The command, for whoever meets its locks.
    pub purpose: String,
}

/// A ring that can be asked.
pub struct Target {
    embed: Embed,
    zone: Option<String>,
    timeout: Duration,
}

/// One member as this target finds it.
#[derive(Clone, Debug)]
pub struct View {
    /// The member.
    pub member: Member,
    /// Its directory, when it was found.
    pub dir: Option<PathBuf>,
    /// Where it listens when it runs, if anybody knows.
    pub address: Option<String>,
    /// How it is; `None` when it is down.
    pub status: Option<Status>,
    /// Bytes of its file.
    pub bytes: u64,
    /// Its hints.
    pub hints: HintStats,
}

impl Target {
    /// Opens what the specs name.
    ///
    /// # Errors
    /// [`Error::Usage`] for a spec that names no node, an unknown `down` or zone, and as
    /// [`Embed::open`]. Nothing is changed.
    pub fn open(opening: &Opening) -> Result<Self> {
        let dirs = resolve(&opening.specs)?;
        let embed = Embed::open(&embed::Opening {
            dirs,
            access: opening.access,
            timeout: opening.timeout,
            down: opening.down.clone(),
            purpose: opening.purpose.clone(),
        })?;
        let doc = embed.doc();
        for name in &opening.down {
            doc.named(name)?;
        }
        if let Some(zone) = &opening.zone
            && !doc.present().any(|m| m.zone == *zone)
        {
            return Err(Error::Usage(format!(
                "No member is in the zone {zone}; nothing was tried."
            )));
        }
        Ok(Self { embed, zone: opening.zone.clone(), timeout: opening.timeout })
    }

    /// The ring document in force.
    #[must_use]
    pub fn doc(&self) -> Arc<RingDoc> {
        self.embed.doc()
    }

    /// The opened nodes, in the order of the ring document.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.embed.nodes()
    }

    /// An opened node's durable state, to read.
    #[must_use]
    pub fn store(&self, id: NodeId) -> Option<&dyn Store> {
        self.embed.store(id).map(|s| s as &dyn Store)
    }

    /// An opened node's directory.
    #[must_use]
    pub fn dir(&self, id: NodeId) -> Option<&Path> {
        self.embed.dir(id)
    }

    /// Directories that could not be read: their nodes count as down.
    #[must_use]
    pub fn damaged(&self) -> &[PathBuf] {
        self.embed.damaged()
    }

    /// Directories of this ring that are no member's, or no longer.
    #[must_use]
    pub fn left_out(&self) -> &[PathBuf] {
        self.embed.left_out()
    }

    /// What a person should know, each thing once, since the last call.
    pub fn warnings(&mut self) -> Vec<String> {
        self.embed.warnings()
    }

    /// Present members that are not open: down.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let open = self.nodes();
        let doc = self.doc();
        doc.present().filter(|m| !open.contains(&m.id)).map(|m| m.name.clone()).collect()
    }

    /// Every present member and how it is.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Corrupt`] when a file cannot be read.
    pub fn views(&mut self) -> Result<Vec<View>> {
        let mut views = Vec::new();
        let addresses = self.addresses();
        for member in self.doc().present().cloned().collect::<Vec<_>>() {
            let id = member.id;
            let mut view = View {
                member,
                dir: None,
                address: addresses.get(&id).cloned(),
                status: None,
                bytes: 0,
                hints: HintStats::default(),
            };
            if let Some(store) = self.embed.store(id) {
                view.dir = self.embed.dir(id).map(Path::to_path_buf);
                view.bytes = store.used_bytes()?;
                view.hints = store.hint_stats()?;
                if let Reply::Status(status) = self.ask(id, Request::Status)? {
                    view.status = Some(status);
                }
            }
            views.push(view);
        }
        Ok(views)
    }

    /// The addresses known: each open node's own, others as the open ones last heard them.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<NodeId, String> {
        let mut known = BTreeMap::new();
        let dirs: Vec<_> =
            self.nodes().into_iter().filter_map(|id| Some((id, self.dir(id)?))).collect();
        for (_, dir) in &dirs {
            let peers: Peers = config::read(&dir.join(PEERS_FILE)).unwrap_or_default();
            for peer in peers.peers {
                if let (Ok(id), Some(address)) = (u64::from_str_radix(&peer.id, 16), peer.address) {
                    known.insert(NodeId(id), address);
                }
            }
        }
        for (id, dir) in &dirs {
            let own = config::read::<NodeConfig>(&dir.join(NODE_FILE));
            if let Some(address) = own.ok().and_then(|c| c.listen) {
                known.insert(*id, address);
            }
        }
        known
    }

    /// The node that takes a request: the first open one, in the zone if one was named.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when none is open there.
    pub fn entry(&self) -> Result<NodeId> {
        let doc = self.doc();
        let in_zone = |id: &NodeId| match (&self.zone, doc.member(*id)) {
            (Some(zone), Some(member)) => member.zone == *zone,
            _ => true,
        };
        self.nodes().into_iter().find(in_zone).ok_or_else(|| {
            Error::Unreachable(
                "No node that could take the request is open; nothing was tried.".into(),
            )
        })
    }

    pub(crate) fn ask(&mut self, at: NodeId, request: Request) -> Result<Reply> {
        self.embed.request(at, request)
    }

    /// Asks requests as they come, some at once, until the source ends.
    pub(crate) fn ask_stream(
        &mut self,
        window: usize,
        source: &mut embed::Source<'_>,
        sink: &mut embed::Sink<'_>,
    ) -> Result<()> {
        self.embed.stream(window, source, sink)
    }
}

/// The node directories that specs name.
///
/// # Errors
/// [`Error::Usage`] for one that names none.
pub fn resolve(specs: &[String]) -> Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    for spec in specs.iter().flat_map(|s| s.split(',')).filter(|s| !s.is_empty()) {
        let path = PathBuf::from(spec);
        if path.join(NODE_FILE).is_file() {
            dirs.push(path);
        } else if path.is_dir() {
            let found = nodes_in(&path)?;
            if found.is_empty() {
                return Err(Error::Usage(format!(
                    "{spec} is not a node directory and holds none."
                ))
                .hint(format!("make a ring: kvs init {spec}")));
            }
            dirs.extend(found);
        } else if is_address(spec) {
            return Err(Error::Usage(format!(
                "{spec} is the address of a running node; this version of kvs works on node directories."
            )));
        } else {
            return Err(Error::Usage(format!("{spec} does not exist; nothing was tried."))
                .hint("name a ring directory with --ring DIR, or make one: kvs init DIR"));
        }
    }
    if dirs.is_empty() {
        return Err(Error::Usage("No ring is named; nothing was tried.".into())
            .hint("name it with --ring DIR, or set KVS_RING"));
    }
    // One directory named twice is one directory.
    let mut met = BTreeSet::new();
    dirs.retain(|dir| met.insert(dir.canonicalize().unwrap_or_else(|_| dir.clone())));
    Ok(dirs)
}

fn nodes_in(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(path).map_err(Error::io("read", path))?;
    let entries = entries.filter_map(std::result::Result::ok);
    // A directory under construction begins with a dot; it stays behind when its command is killed.
    let dirs = entries.filter(|e| !e.file_name().as_encoded_bytes().starts_with(b"."));
    let dirs = dirs.map(|e| e.path());
    let mut found: Vec<_> = dirs.filter(|d| d.join(NODE_FILE).is_file()).collect();
    found.sort();
    Ok(found)
}

fn is_address(spec: &str) -> bool {
    spec.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}
