//! Directories for members that are to join or to take another's place.
//!
//! ```text
//! r/n4 is not there             made, with the ring's key, document and addresses
//! r/n4 was made, is not served  its file says who it is
//! r/n4 was made and runs        its sidecar and its node say who it is
//! ```
//!
//! A running ring takes in only a member that runs: a change waits for every member. It starts
//! nothing itself. Caveat: a directory that was made stays when nobody starts its node.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::find::{Door, door};
use super::handle::Cluster;
use crate::channel::RingKeys;
use crate::client::{Client, ConnectOptions};
use crate::config::{self, NODE_FILE, NodeConfig, Secret, read_keys};
use crate::error::{Error, Result, operand, word};
use crate::node_dir::{
    MemberSpec, OLD_NODE_FILE, RING_KEY, create_member, found_member, would_join,
};
use crate::os::now;
use crate::ring::{Member, MemberState, NodeId};
use crate::store::sidecar::{self, Found};

/// How long a new node is waited for at least that is starting.
const START: Duration = Duration::from_secs(15);
/// How often it is looked for.
const PAUSE: Duration = Duration::from_millis(50);

impl Cluster {
    /// Makes the directory of a member that is to join, with this ring's key and document. One that
    /// was made for this ring earlier and has not joined yet is taken as it is.
    ///
    /// # Errors
    /// [`Error::Denied`] when the directory is not empty, is a node already, or the key file is open
    /// to others; nothing is left behind.
    pub fn prepare_member(&self, dir: &Path, spec: &MemberSpec) -> Result<Member> {
        if dir.join(NODE_FILE).exists() {
            return self.found(dir, spec);
        }
        create_member(dir, spec, &self.doc(), &self.keys()?, &self.addresses())
    }

    /// Whether the directory was made for this member earlier and waits to take its place.
    #[must_use]
    pub fn is_prepared(&self, dir: &Path, spec: &MemberSpec) -> bool {
        self.found(dir, spec).is_ok()
    }

    /// The member whose directory this is, as its small files say: whatever it is called itself.
    #[must_use]
    pub fn home_of(&self, dir: &Path) -> Option<Member> {
        let doc = self.doc();
        let present = |member: &&Member| member.state != MemberState::Removed;
        if let Ok(Found::Valid(identity)) = sidecar::read(dir) {
            return doc.member(identity.node).filter(present).cloned();
        }
        let config: NodeConfig = config::read(&dir.join(NODE_FILE)).ok()?;
        doc.named(&config.name).ok().filter(present).cloned()
    }

    /// The commands that put back the directory of a member that a replacement has moved aside, when the
    /// replacement ended there; `None` when there is none that is still this member's.
    #[must_use]
    pub fn way_back(&self, name: &str) -> Option<String> {
        let beside = self.nodes().into_iter().find_map(|id| self.dir(id))?.parent()?;
        let home = beside.join(name);
        let (old, new) = (word(home.join(OLD_NODE_FILE)), word(home.join(NODE_FILE)));
        if home.exists() {
            let is_half = home.join(OLD_NODE_FILE).is_file() && !home.join(NODE_FILE).exists();
            return is_half.then(|| format!("mv {old} {new}"));
        }
        let entries = std::fs::read_dir(beside).ok()?.filter_map(std::result::Result::ok);
        let aside = entries.map(|entry| entry.path()).find(|dir| {
            let file = dir.file_name().unwrap_or_default().to_string_lossy();
            let is_aside = file.strip_prefix(name).is_some_and(|rest| rest.starts_with(".old-"));
            is_aside && self.home_of(dir).is_some_and(|member| member.name == name)
        })?;
        Some(format!("mv {} {} && mv {old} {new}", word(aside), word(home)))
    }

    /// A member that answers is not lost.
    pub(super) fn refuse_alive(&self, name: &str) -> Result<()> {
        let id = self.doc().named(name)?.id;
        if !self.nodes().contains(&id) {
            return Ok(());
        }
        Err(Error::Denied(format!("{name} is running, so it is not lost. Nothing was changed."))
            .hint(format!(
                "take it out with kvs leave {0}, or stop it: kvs node stop {0}",
                operand(name)
            )))
    }

    /// Whether somebody serves the directory, or is about to.
    ///
    /// # Errors
    /// [`Error::Io`] when its lock cannot be looked at.
    pub fn is_served(&self, dir: &Path) -> Result<bool> {
        Ok(door(dir)? != Door::Shut)
    }

    /// Waits until the node of a new directory runs and answers; of a ring that does not run itself
    /// there is nothing to wait for.
    ///
    /// # Errors
    /// [`Error::Partial`] when nobody starts it in time: the directory is made, the ring unchanged.
    pub fn await_member(&self, dir: &Path, member: NodeId) -> Result<()> {
        if !self.is_live() {
            return Ok(());
        }
        let (until, late) = (now() + self.timeout, now() + self.timeout.max(START));
        loop {
            let door = door(dir)?;
            if let Door::Open(address) = &door
                && self.answers(address, member, until).is_ok()
            {
                return Ok(());
            }
            // Nobody waits for a node that nobody starts.
            if now() >= if door == Door::Starting { late } else { until } {
                let (shown, dir) = (dir.display(), operand(dir));
                return Err(Error::Partial(format!(
                    "{shown} was made, but its node is not running; the ring was not changed."
                ))
                .hint(format!("start it: kvs node run {dir}; then run this command again")));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Waits until a node answers at an address as this member, which it may not be yet: a node
    /// elsewhere, of which there is no directory here.
    ///
    /// # Errors
    /// [`Error::Partial`] with what it met last when the time is over: the ring is unchanged.
    /// [`Error::Unreachable`] when the ring itself does not run.
    pub fn await_node(&self, address: &str, member: NodeId, patience: Duration) -> Result<()> {
        let until = now() + patience;
        loop {
            let Err(error) = self.answers(address, member, until) else { return Ok(()) };
            if !self.is_live() || now() + PAUSE >= until {
                return Err(error);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Whether a node answers at an address as this member.
    fn answers(&self, address: &str, member: NodeId, until: Instant) -> Result<()> {
        let live = self.nodes.running().ok_or_else(|| {
            Error::Unreachable("The ring is not running; there is no node to wait for.".into())
        })?;
        let left = until.saturating_duration_since(now()).clamp(PAUSE, self.timeout.max(PAUSE));
        let met = self.meet(address, &live.secrets, left).map_err(|error| {
            Error::Partial(format!("The node at {address} does not answer yet: {error}"))
                .hint("read its log; once it runs, run this command again")
        })?;
        let (ring, id) = (met.doc().id, met.entry());
        let why = match (ring == self.doc().id, id == member) {
            (true, true) => return Ok(()),
            (false, _) => "a node of another ring",
            (true, false) => "another node of this ring",
        };
        Err(Error::Partial(format!(
            "The address {address} is that of {why}; the ring was not changed."
        ))
        .hint("check what runs there, and whether two nodes have the same address"))
    }

    /// The member that a directory was made for.
    fn found(&self, dir: &Path, spec: &MemberSpec) -> Result<Member> {
        let doc = self.doc();
        match door(dir)? {
            Door::Open(address) => {
                let keys = read_keys(&dir.join(RING_KEY))?;
                let client = self.meet(&address, &keys, self.timeout)?;
                would_join(dir, spec, &doc, client.doc().id, client.entry())
            }
            _ => found_member(dir, spec, &doc, self.timeout),
        }
    }

    /// Connects to a node that may be no member yet.
    fn meet(&self, address: &str, secrets: &[Secret], timeout: Duration) -> Result<Client> {
        Client::open(ConnectOptions {
            addresses: vec![address.to_owned()],
            keys: RingKeys::new(secrets.to_vec()),
            timeout,
            insist: true,
            strangers: true,
        })
    }

    fn keys(&self) -> Result<Vec<Secret>> {
        if let Some(live) = self.nodes.running() {
            return Ok(live.secrets.clone());
        }
        let home = self.nodes().into_iter().find_map(|id| self.dir(id));
        let home = home.ok_or_else(|| Error::Unreachable("No node is open.".into()))?;
        read_keys(&home.join(RING_KEY))
    }
}
