//! The part of a cluster that is running nodes: which of them, and where their directories are.
//!
//! ```text
//! r/n1 open, r/n2 open, r/n3 shut   ->  connect to n1; it says who is up; n3 is down, file or no file
//! host:port,host:port               ->  connect to the first; the key comes from its own file
//! ```
//!
//! A member is up when the entry says so. One that does not answer is taken for down from then on.
//! Caveat: the entry's view may be some seconds old.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::failures::defect;
use super::find::Places;
use super::opening::Opening;
use super::view::{View, lost};
use crate::channel::Info;
use crate::client::{self, Client, Remote};
use crate::config::{self, NODE_FILE, NodeConfig, Secret, read_keys};
use crate::error::{Error, Result};
use crate::node::{Reply, Request, Status};
use crate::node_dir::RING_KEY;
use crate::ring::{NodeId, RingDoc};
use crate::store::sidecar::{self, Found};
use crate::store::{HintStats, Store};

/// Running nodes. See the module.
pub(super) struct Live {
    pub(super) client: Arc<Client>,
    pub(super) secrets: Vec<Secret>,
    files: BTreeMap<NodeId, Remote>,
    dirs: BTreeMap<NodeId, PathBuf>,
    /// Only these are looked at; all when `None`.
    only: Option<BTreeSet<NodeId>>,
    /// Did not answer when they were asked.
    gone: BTreeSet<NodeId>,
    pub(super) warnings: Vec<String>,
}

impl Live {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::Usage`] without a key for addresses; [`Error::Unreachable`] when no address is
    /// answered at, [`Error::Busy`] when those are of nodes that hold their directories here.
    pub(super) fn open(places: &Places, opening: &Opening) -> Result<Self> {
        let secrets = secrets(places, opening)?;
        let local: Vec<_> = places.open().map(|(_, address)| address.to_owned()).collect();
        let held = places.addresses.is_empty();
        let client = Client::open(client::ConnectOptions {
            addresses: places.addresses.iter().cloned().chain(local).collect(),
            keys: crate::channel::RingKeys::new(secrets.clone()),
            timeout: opening.timeout,
            insist: held,
            strangers: false,
        });
        let client = Arc::new(client.map_err(|error| {
            match error.root() {
                Error::Unreachable(text) if held => Error::Busy(text.clone())
                    .hint("its directory is in use by a node: check that process, or end it"),
                _ => error,
            }
        })?);
        let dirs = places.dirs.iter();
        let dirs: BTreeMap<_, _> =
            dirs.filter_map(|(dir, _)| Some((owner(dir, &client.doc())?, dir.clone()))).collect();
        let named = opening.mixed && !places.whole && places.addresses.is_empty();
        let open: BTreeSet<_> = places.open().map(|(dir, _)| dir).collect();
        let of_open = dirs.iter().filter(|(_, dir)| open.contains(dir.as_path()));
        let only = named.then(|| of_open.map(|(id, _)| *id).collect());
        let mut live = Self {
            client,
            secrets,
            files: BTreeMap::new(),
            dirs,
            only,
            gone: BTreeSet::new(),
            warnings: Vec::new(),
        };
        live.find_files();
        Ok(live)
    }

    /// Every member has a file, though it may not be reachable.
    fn find_files(&mut self) {
        let client = &self.client;
        let doc = client.doc();
        let ids = doc.present().map(|m| m.id);
        self.files = ids.map(|id| (id, Remote::new(client.clone(), id))).collect();
    }

    /// Learns ring and members anew.
    pub(super) fn refresh(&mut self) -> Result<()> {
        self.client.refresh()?;
        self.gone.clear();
        self.find_files();
        Ok(())
    }

    /// Members that are up, in the order of the ring document.
    pub(super) fn nodes(&self) -> Vec<NodeId> {
        let (doc, entry) = (self.client.doc(), self.client.entry());
        let news = self.client.members();
        let up: BTreeSet<_> = news.iter().filter(|n| n.up).map(|n| n.row.id).collect();
        let wanted = |id: &NodeId| self.only.as_ref().is_none_or(|only| only.contains(id));
        let there = |id: &NodeId| {
            let answers = !self.gone.contains(id) && self.client.no_answer(*id).is_none();
            (up.contains(id) || *id == entry) && answers && wanted(id)
        };
        doc.present().map(|m| m.id).filter(there).collect()
    }

    pub(super) fn store(&self, id: NodeId) -> Option<&Remote> {
        self.files.get(&id).filter(|_| self.nodes().contains(&id))
    }

    pub(super) fn dir(&self, id: NodeId) -> Option<&Path> {
        self.dirs.get(&id).map(PathBuf::as_path)
    }

    /// Asks a node; one that does not answer for itself is passed over from now on.
    pub(super) fn request(&mut self, at: NodeId, request: Request) -> Result<Reply> {
        let own = !request.is_anyones();
        let asked = self.client.request(at, request);
        if let Err(error) = &asked
            && own
            && matches!(error.root(), Error::Unreachable(_) | Error::Partial(_))
            && self.gone.insert(at)
        {
            self.warnings.push(format!("{} is skipped: {error}", self.client.doc().name(at)));
        }
        asked
    }

    /// Every present member and how it is: those that are up are asked at once.
    pub(super) fn views(&self) -> Vec<View> {
        let client = &self.client;
        let told: BTreeMap<_, _> =
            client.each(self.nodes(), |id| state(client, id)).into_iter().collect();
        let view = |member: &crate::ring::Member| {
            let mut view = View::of(member.clone());
            view.dir = self.dir(member.id).map(Path::to_path_buf);
            view.address = client.address(member.id);
            if let Some(Ok(told)) = told.get(&member.id) {
                view.status = Some(told.status.clone());
                view.bytes = told.info.bytes;
                view.info = Some(told.info.clone());
                view.hints = told.hints;
                view.lost = told.lost;
            }
            view
        };
        client.doc().present().map(view).collect()
    }
}

/// What one running node says.
struct MemberStanding {
    status: Status,
    info: Info,
    hints: HintStats,
    lost: usize,
}

/// How one running node is.
fn state(client: &Arc<Client>, id: NodeId) -> Result<MemberStanding> {
    let Reply::Status(status) = client.request(id, Request::Status)? else {
        return Err(defect());
    };
    let (info, file) = (client.info(id)?, Remote::new(client.clone(), id));
    Ok(MemberStanding { status, info, hints: file.hint_stats()?, lost: lost(&file)? })
}

/// The ring's keys: of a running node's directory, or of the file that was named.
fn secrets(places: &Places, opening: &Opening) -> Result<Vec<Secret>> {
    let local = places.open().map(|(dir, _)| dir).chain(places.dirs.iter().map(|d| d.0.as_path()));
    let local: Vec<_> = local.map(|dir| dir.join(RING_KEY)).collect();
    let named = opening.key_file.clone().filter(|_| !places.addresses.is_empty());
    match named.as_deref().or(local.first().map(PathBuf::as_path)) {
        // Any node's will do; of none the first is told of.
        Some(file) => read_keys(file).or_else(|error| {
            let others = local.iter().skip(1).filter(|_| named.is_none());
            others.map(|file| read_keys(file)).find_map(Result::ok).ok_or(error)
        }),
        None => Err(Error::Usage(
            "A running ring needs its key, and no key file was given; nothing was tried.".into(),
        )
        .hint("export KVS_KEY_FILE=DIR/ring.key, the file of any node of the ring")),
    }
}

/// Whose directory it is: as its sidecar says, or else the member of that name.
fn owner(dir: &Path, doc: &RingDoc) -> Option<NodeId> {
    if let Ok(Found::Valid(identity)) = sidecar::read(dir) {
        return Some(identity.node);
    }
    let config: NodeConfig = config::read(&dir.join(NODE_FILE)).ok()?;
    Some(doc.named(&config.name).ok()?.id)
}
