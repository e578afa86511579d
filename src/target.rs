//! What a TARGET names, as one thing to ask: running nodes, or the directories of stopped ones.
//!
//! ```text
//! host:port,…  a running ring, by any of its nodes
//! r            a ring directory: every directory in it with a node.yaml
//! r/n1         one node
//! r/n1,r/n2    some nodes; members found in none of them are down
//! ```
//!
//! A directory whose node runs is reached through that node, and a ring directory with any running
//! node *is* that running ring: never half files, half sockets, except for jobs that look at single
//! nodes. Commands and jobs ask a [`Target`] and never see a driver. What it does not do: it does
//! not print and decides nothing about exit codes. Caveat: a node may start or end meanwhile; what
//! was found at the opening holds.

mod ask;
mod change;
mod data;
mod explain;
mod find;
mod fit;
mod live;
mod seat;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use self::change::{GIVE_UP, Moves, is_applied};
pub use self::data::OnRecord;
pub(crate) use self::data::defect;
pub use self::explain::{Actors, Inspection, KeptHint, Replica, Standing, State, Superseded};
use self::find::{Places, now};
pub use self::find::{is_address, nodes_in, resolve};
use self::live::Live;
use crate::channel::Info;
use crate::config::{self, NODE_FILE, NodeConfig, PEERS_FILE, Peers};
use crate::embed::{self, Embed};
use crate::error::{Error, Result, operand};
use crate::node::{Reply, Request, Status};
use crate::ring::{Member, NodeId, RingDoc};
pub use crate::store::lmdb::Access;
use crate::store::{HintStats, Loss, Store, Table};

/// What to open, and how.
#[derive(Clone, Debug)]
pub struct Opening {
    /// TARGETs, each possibly several separated by commas.
    pub specs: Vec<String>,
    /// To read or to write.
    pub access: Access,
    /// How long to wait for locks.
    pub timeout: Duration,
    /// Members taken as down; of directories alone.
    pub down: Vec<String>,
    /// The member that is to be replaced: what is left of it is not asked.
    pub lost: Option<String>,
    /// The file with the ring's key, for addresses.
    pub key_file: Option<PathBuf>,
    /// Running nodes and files of stopped ones may be mixed: single nodes are looked at.
    pub mixed: bool,
    /// The zone the request comes from.
    pub zone: Option<String>,
    /// The command, for whoever meets its locks.
    pub purpose: String,
}

/// A ring that can be asked.
pub struct Target {
    /// Directories. There is this, or what runs; a mixed one may have both.
    embed: Option<Embed>,
    live: Option<Live>,
    zone: Option<String>,
    timeout: Duration,
    damaged: Vec<PathBuf>,
    left_out: Vec<PathBuf>,
    /// Members that were named one by one, by their directories; `None`: the ring as a whole was.
    named: Option<BTreeSet<String>>,
    warnings: Vec<String>,
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
    /// Partitions that have lost records, as its file has in mind.
    pub lost: usize,
    /// How its process is, when it runs.
    pub info: Option<Info>,
}

impl View {
    /// A member of which nothing more is known.
    fn of(member: Member) -> Self {
        Self {
            member,
            dir: None,
            address: None,
            status: None,
            bytes: 0,
            hints: HintStats::default(),
            lost: 0,
            info: None,
        }
    }
}

impl Target {
    /// Opens what the specs name.
    ///
    /// # Errors
    /// [`Error::Usage`] for a spec that names no node, an unknown `down` or zone, `down` of a running
    /// ring or no key for one; as [`Embed::open`] of files and [`crate::client::Client::open`] of
    /// nodes, but [`Error::Busy`] when a node holds its directory and cannot be reached. Nothing is
    /// changed.
    pub fn open(opening: &Opening) -> Result<Self> {
        let until = now() + opening.timeout;
        loop {
            let places = Places::find(&opening.specs, until)?;
            let warned = |mut target: Self| {
                target.warn_of_headless(&places.headless);
                let one_by_one = !places.whole && places.addresses.is_empty();
                let named = || places.dirs.iter().map(|(dir, _)| config::name_of(dir)).collect();
                target.named = one_by_one.then(named);
                target
            };
            if places.is_live() {
                return Self::open_live(&places, opening).map(warned);
            }
            match Self::open_files(places.shut(), opening) {
                // Nodes may have been started meanwhile.
                Err(error) if matches!(error.root(), Error::Busy(_)) => {
                    if now() < until && Places::find(&opening.specs, until)?.is_live() {
                        continue;
                    }
                    return Err(error);
                }
                opened => return opened.map(warned),
            }
        }
    }

    /// A node without its configuration is down, though its data may be good.
    fn warn_of_headless(&mut self, dirs: &[PathBuf]) {
        for dir in dirs {
            let (what, cure) = (find::beheaded(dir), find::head(dir));
            self.warnings.push(format!("{what}: it counts as down; {cure}"));
        }
    }

    fn open_files(dirs: Vec<PathBuf>, opening: &Opening) -> Result<Self> {
        let embed = open_embed(dirs, opening)?;
        let (damaged, left_out) = (embed.damaged().to_vec(), embed.left_out().to_vec());
        let target = Self {
            embed: Some(embed),
            live: None,
            zone: opening.zone.clone(),
            timeout: opening.timeout,
            damaged,
            left_out,
            named: None,
            warnings: Vec::new(),
        };
        for name in opening.down.iter().chain(&opening.lost) {
            target.doc().named(name)?;
        }
        target.check_zone()?;
        Ok(target)
    }

    fn open_live(places: &Places, opening: &Opening) -> Result<Self> {
        if let Some(name) = opening.down.first() {
            return Err(Error::Usage(
                "--down is for stopped nodes; these are running. Nothing was tried.".into(),
            )
            .hint(format!("stop a node instead: kvs node stop {}", operand(name))));
        }
        let live = Live::open(places, opening)?;
        let mut target = Self {
            embed: None,
            live: Some(live),
            zone: opening.zone.clone(),
            timeout: opening.timeout,
            damaged: Vec::new(),
            left_out: Vec::new(),
            named: None,
            warnings: Vec::new(),
        };
        target.check_zone()?;
        target.enter_zone()?;
        let shut = places.shut();
        if opening.mixed && !shut.is_empty() {
            target.add_files(shut, opening)?;
        }
        if let Some(name) = &opening.lost {
            target.refuse_alive(name)?;
        }
        Ok(target)
    }

    /// Opens files of stopped nodes beside those that run.
    fn add_files(&mut self, dirs: Vec<PathBuf>, opening: &Opening) -> Result<()> {
        match open_embed(dirs.clone(), opening) {
            Ok(embed) if embed.doc().id == self.doc().id => {
                self.damaged = embed.damaged().to_vec();
                self.left_out = embed.left_out().to_vec();
                self.embed = Some(embed);
                self.leave_out_removed();
                Ok(())
            }
            Ok(_) => {
                let dir = dirs.first().map_or("A directory".into(), |d| d.display().to_string());
                let text = format!("{dir} belongs to another ring than the running nodes.");
                Err(Error::Denied(text).hint("name one ring only"))
            }
            Err(error) if embed::is_damage(&error) || embed::is_odd(&error) => {
                self.warnings.push(format!("stopped members count as down: {error}"));
                self.damaged = if embed::is_odd(&error) { Vec::new() } else { dirs };
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// A file may be of a member that was removed since it was last served.
    fn leave_out_removed(&mut self) {
        let (doc, Some(embed)) = (self.doc(), &self.embed) else { return };
        for id in embed.nodes().into_iter().filter(|id| !is_present(&doc, *id)) {
            if let Some(dir) = embed.dir(id) {
                self.warnings
                    .push(format!("{} no longer belongs to a member; ignored", dir.display()));
                self.left_out.push(dir.to_path_buf());
            }
        }
    }

    fn check_zone(&self) -> Result<()> {
        match &self.zone {
            Some(zone) if !self.doc().present().any(|m| m.zone == *zone) => {
                Err(Error::Usage(format!("No member is in the zone {zone}; nothing was tried.")))
            }
            _ => Ok(()),
        }
    }

    /// The ring document in force.
    #[must_use]
    pub fn doc(&self) -> Arc<RingDoc> {
        let files = self.embed.as_ref().map(Embed::doc);
        let live = self.live.as_ref().map(|live| live.client.doc());
        let newest = files.into_iter().chain(live).max_by_key(|d| d.version);
        newest.expect("a target has files or runs")
    }

    /// The nodes that can be asked, in the order of the ring document.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        let mut nodes = self.live.as_ref().map(Live::nodes).unwrap_or_default();
        nodes.extend(self.embed.as_ref().map(Embed::nodes).unwrap_or_default());
        if self.embed.is_some() && self.live.is_some() {
            let doc = self.doc();
            nodes.retain(|id| is_present(&doc, *id));
            nodes.sort_by_key(|id| doc.members.iter().position(|m| m.id == *id));
        }
        nodes
    }

    /// A node's durable state, to read.
    #[must_use]
    pub fn store(&self, id: NodeId) -> Option<&dyn Store> {
        let file = self.embed.as_ref().and_then(|e| e.store(id)).map(|s| s as &dyn Store);
        let live = || self.live.as_ref().and_then(|l| l.store(id)).map(|s| s as &dyn Store);
        file.or_else(live)
    }

    /// A node's directory, as far as one was named.
    #[must_use]
    pub fn dir(&self, id: NodeId) -> Option<&Path> {
        let file = self.embed.as_ref().and_then(|e| e.dir(id));
        file.or_else(|| self.live.as_ref()?.dir(id))
    }

    /// Directories that could not be read: their nodes count as down.
    #[must_use]
    pub fn damaged(&self) -> &[PathBuf] {
        &self.damaged
    }

    /// Members whose files are damaged as a whole, found at the opening or since.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let since = self.embed.as_ref().map(Embed::damaged).unwrap_or_default();
        let mut names: Vec<String> =
            self.damaged.iter().chain(since).map(|d| config::name_of(d)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Directories of this ring that are no member's, or no longer.
    #[must_use]
    pub fn left_out(&self) -> &[PathBuf] {
        &self.left_out
    }

    /// What a person should know, each thing once, since the last call.
    pub fn warnings(&mut self) -> Vec<String> {
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.extend(self.embed.as_mut().map(Embed::warnings).unwrap_or_default());
        warnings.extend(
            self.live.as_mut().map(|l| std::mem::take(&mut l.warnings)).unwrap_or_default(),
        );
        warnings
    }

    /// Present members that cannot be asked: down.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let open = self.nodes();
        let doc = self.doc();
        doc.present().filter(|m| !open.contains(&m.id)).map(|m| m.name.clone()).collect()
    }

    /// Those of the missing that the specs name: one by one, or with their ring.
    #[must_use]
    pub fn named_missing(&self) -> Vec<String> {
        let mut missing = self.missing();
        missing.retain(|name| self.named.as_ref().is_none_or(|named| named.contains(name)));
        missing
    }

    /// Every present member and how it is.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Corrupt`] when a file cannot be read.
    pub fn views(&mut self) -> Result<Vec<View>> {
        if let Some(live) = &self.live {
            return Ok(live.views());
        }
        let mut views = Vec::new();
        let addresses = self.addresses();
        for member in self.doc().present().cloned().collect::<Vec<_>>() {
            let id = member.id;
            let mut view = View { address: addresses.get(&id).cloned(), ..View::of(member) };
            if let Some(store) = self.embed.as_ref().and_then(|e| e.store(id)) {
                view.dir = self.dir(id).map(Path::to_path_buf);
                view.bytes = store.used_bytes()?;
                view.hints = store.hint_stats()?;
                view.lost = lost(store)?;
                if let Reply::Status(status) = self.ask(id, Request::Status)? {
                    view.status = Some(status);
                }
            }
            views.push(view);
        }
        Ok(views)
    }

    /// The addresses known: of running nodes as the entry heard them; of directories each open
    /// node's own, others as the open ones last heard them.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<NodeId, String> {
        let doc = self.doc();
        if let Some(live) = &self.live {
            let told = doc.present().filter_map(|m| Some((m.id, live.client.address(m.id)?)));
            return told.collect();
        }
        let mut known = BTreeMap::new();
        let dirs: Vec<_> =
            self.nodes().into_iter().filter_map(|id| Some((id, self.dir(id)?))).collect();
        for (_, dir) in &dirs {
            let peers: Peers = config::read(&dir.join(PEERS_FILE)).unwrap_or_default();
            known.extend(embed::addresses(peers));
        }
        for (id, dir) in &dirs {
            let own = config::read::<NodeConfig>(&dir.join(NODE_FILE));
            if let Some(address) = own.ok().and_then(|c| c.advertise.or(c.listen)) {
                known.insert(*id, address);
            }
        }
        known
    }

    /// The node that takes a request: of running nodes the one connected to, else the first open
    /// one, in the zone if one was named.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when none is open there.
    pub fn entry(&self) -> Result<NodeId> {
        if let Some(live) = &self.live {
            return Ok(live.client.entry());
        }
        let doc = self.doc();
        let in_zone = |id: &NodeId| self.is_in_zone(&doc, *id);
        self.nodes().into_iter().find(in_zone).ok_or_else(nobody)
    }

    fn is_in_zone(&self, doc: &RingDoc, id: NodeId) -> bool {
        match (&self.zone, doc.member(id)) {
            (Some(zone), Some(member)) => member.zone == *zone,
            _ => true,
        }
    }

    /// Goes in by a running node of the zone.
    fn enter_zone(&self) -> Result<()> {
        let (Some(live), doc) = (&self.live, self.doc()) else { return Ok(()) };
        let nodes = [live.client.entry()].into_iter().chain(live.nodes());
        let entry = nodes.into_iter().find(|id| self.is_in_zone(&doc, *id)).ok_or_else(nobody)?;
        live.client.enter_at(entry);
        Ok(())
    }
}

fn open_embed(dirs: Vec<PathBuf>, opening: &Opening) -> Result<Embed> {
    Embed::open(&embed::Opening {
        dirs,
        access: opening.access,
        timeout: opening.timeout,
        down: opening.down.iter().chain(&opening.lost).cloned().collect(),
        purpose: opening.purpose.clone(),
    })
}

/// How many partitions a file knows to have lost records.
fn lost(store: &dyn Store) -> Result<usize> {
    Ok(store.rows(Table::Meta, Loss::PREFIX)?.len())
}

fn is_present(doc: &RingDoc, id: NodeId) -> bool {
    doc.present().any(|m| m.id == id)
}

fn nobody() -> Error {
    Error::Unreachable("No node that could take the request is open; nothing was tried.".into())
}
