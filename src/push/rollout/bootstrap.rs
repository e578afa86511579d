//! Hosts that are no members yet: a ring founded of them, or a ring that takes them in.
//!
//! ```text
//! host      node make DATA --identity   ->  public key; its secret never leaves the host
//! here      document of all founders, or of the ring as it is
//! host      node make DATA < birth      ->  its directory; start
//! here      founders: wait for all      joiners: wait, propose, advance, in sync
//! ```
//!
//! What was cut off goes on at the next run: the identity waits on the host. A founding that was cut
//! off before any node was started begins anew; later, a founder that is missing is born filling, for
//! the ring may have been written to. Too many of those could never fill, so that no node is started
//! then. Caveat: the directory of a spare that has left makes way for a new one.

use std::collections::BTreeMap;

use super::apply::{Births, Executor, Hosts, names};
use super::ring_client::address;
use crate::config::Secret;
use crate::error::{Error, Result};
use crate::node_dir::Provision;
use crate::push::plan::{self, HostSteps, Role, Step};
use crate::ring::{Change, Member, MemberState, NodeId, RingDoc};

impl<'a> Executor<'_, 'a> {
    /// Makes a ring of all these hosts.
    pub(super) fn bootstrap(&self, hosts: &Hosts<'_, 'a>) -> Result<()> {
        let session = self.session;
        if session.pool.is_shared() {
            return Err(Error::Busy(
                "Somebody else works on some of the hosts, and may be making the ring; no second one \
                 was made."
                    .into(),
            )
            .hint("wait until they are done, then run this again"));
        }
        plan::may_found(session.fleet, &session.facts, &names(hosts))?;
        self.upload(hosts)?;
        let ids = self.identities(&names(hosts))?;
        let keys = match &session.facts.keys[..] {
            [] => session.ring_client.make_key()?,
            keys => keys.to_vec(),
        };
        let members =
            ids.iter().filter_map(|(name, key)| self.member(name, *key, MemberState::Normal));
        let doc = session.ring_client.first(members.collect())?;
        let founders: Vec<_> = hosts.iter().filter(|h| ids.contains_key(h.name)).copied().collect();
        self.make_dirs(&founders, &keys, &doc, &self.addresses_of(&doc))?;
        self.enough_made(&founders, &doc)?;
        self.go_ahead()?;
        let started: Vec<_> = self.upgrade(&founders).into_iter().map(|(name, _)| name).collect();
        if started.is_empty() {
            return Err(Error::Partial("No node of the new ring could be started.".into()));
        }
        session.ring_client.await_open(self.patience())?;
        started.iter().for_each(|name| session.pool.did(name, "founded the ring"));
        self.prove_all(&started)
    }

    /// Whether those that are made are enough for the others to come later: these fill from N-W+1
    /// others, which have to be full.
    fn enough_made(&self, founders: &Hosts<'_, 'a>, doc: &RingDoc) -> Result<()> {
        let late = founders.len() - self.at_work(founders).len();
        if late < doc.majority() {
            return Ok(());
        }
        Err(Error::Partial(format!(
            "{late} of {} founders could not be made; no node was started.",
            founders.len()
        )))
    }

    /// Takes in hosts that are no members yet, and founders that were never made.
    pub(super) fn join(&self, hosts: &Hosts<'_, 'a>) -> Result<()> {
        let session = self.session;
        let doc = match &session.facts.doc {
            Some(doc) => doc.clone(),
            None => session.ring_client.await_open(self.patience())?,
        };
        self.upload(hosts)?;
        let ids = self.identities_for(&names(&self.at_work(hosts)), &doc)?;
        let may_join = |host: &&&HostSteps<'a>| {
            ids.get(host.name).is_some_and(|key| self.may_join(host.name, role_of(host), key, &doc))
        };
        let joiners: Vec<_> = hosts.iter().filter(may_join).copied().collect();
        let change =
            |host: &&HostSteps<'a>| Some((host.name, self.change_for(host, ids[host.name], &doc)?));
        let changes: BTreeMap<_, _> = joiners.iter().filter_map(change).collect();
        session.ring_client.admit(&changes.values().cloned().collect::<Vec<_>>())?;
        self.make_dirs(&joiners, &session.facts.keys, &doc, &session.ring_client.addresses()?)?;
        self.upgrade(&self.at_work(&joiners));
        for host in self.at_work(&joiners) {
            session.pool.begins(host.name, "joining");
            if let Err(error) = self.await_node(host.name, NodeId::of_key(&ids[host.name])) {
                session.pool.give_up(host.name, error);
            }
        }
        let there = names(&self.at_work(&joiners));
        session
            .ring_client
            .change(there.iter().filter_map(|name| changes.get(name).cloned()).collect())?;
        there.iter().for_each(|name| session.pool.did(name, "joined the ring"));
        self.prove_all(&there)
    }

    /// Whether a name is free, is this node's already, or is to be its; the host is given up when not.
    pub(super) fn may_join(&self, name: &str, role: Role, key: &[u8; 32], doc: &RingDoc) -> bool {
        let session = self.session;
        let holder = doc.present().find(|m| m.name == name).map(|m| m.id);
        let (own, replaces) = (holder == Some(NodeId::of_key(key)), role == Role::Replacement);
        if holder.is_none() || own != replaces {
            return true;
        }
        let (text, hint) = if own {
            let data = &session.facts.hosts[name].data;
            let text = format!("{name} is not lost: {data} is there. Nothing was changed there.");
            (text, format!("start it: kvs push start FLEET --only {name}"))
        } else {
            let text = format!("{name} is a member with another key; no node was made.");
            (text, format!("give its place to a new one: kvs push apply --replace {name}"))
        };
        session.pool.give_up(name, Error::Denied(text).hint(hint));
        false
    }

    /// Waits for the node of one that is to be a member.
    fn await_node(&self, name: &str, id: NodeId) -> Result<()> {
        let at = self.session.host(name).map(address).unwrap_or_default();
        self.session.ring_client.await_node(&at, id, self.session.fleet.rollout.ready_timeout)
    }

    /// The change that makes a node a member, unless it is one.
    fn change_for(&self, host: &HostSteps<'a>, key: [u8; 32], doc: &RingDoc) -> Option<Change> {
        let member = self.member(host.name, key, MemberState::Joining)?;
        match doc.member(member.id) {
            Some(_) => None,
            None if role_of(host) == Role::Replacement => Some(Change::Replace(member)),
            None => Some(Change::Join(member)),
        }
    }

    fn member(&self, name: &str, key: [u8; 32], state: MemberState) -> Option<Member> {
        let host = self.session.host(name)?;
        Some(Member {
            id: NodeId::of_key(&key),
            name: host.name.clone(),
            zone: host.zone.clone(),
            weight: host.weight,
            state,
            public_key: key,
        })
    }

    fn addresses_of(&self, doc: &RingDoc) -> BTreeMap<NodeId, String> {
        let of = |m: &Member| Some((m.id, address(self.session.host(&m.name)?)));
        doc.present().filter_map(of).collect()
    }

    /// The public key of each node that is to be.
    pub(super) fn identities(&self, names: &[&'a str]) -> Result<BTreeMap<&'a str, [u8; 32]>> {
        let session = self.session;
        let read = session.pool.each(names, usize::MAX, |remote| {
            let release = &session.releases[remote.host.name.as_str()].id;
            let text = remote.identity(release)?;
            let bytes = blake3::Hash::from_hex(text.trim());
            bytes.map(|hash| *hash.as_bytes()).map_err(|_| {
                Error::Denied(format!("{} told no public key; no node was made.", remote.host.name))
            })
        });
        self.go_ahead()?;
        Ok(read.into_iter().collect())
    }

    /// The same, where the directory of a spare that has left makes way for a new one.
    fn identities_for(
        &self,
        names: &[&'a str],
        doc: &RingDoc,
    ) -> Result<BTreeMap<&'a str, [u8; 32]>> {
        let ids = self.identities(names)?;
        let removed = |key: &[u8; 32]| {
            doc.member(NodeId::of_key(key)).is_some_and(|m| m.state == MemberState::Removed)
        };
        let gone: Vec<_> = ids.iter().filter(|(_, k)| removed(k)).map(|(n, _)| *n).collect();
        if gone.is_empty() {
            return Ok(ids);
        }
        let session = self.session;
        session.pool.each(&gone, usize::MAX, |remote| {
            let name = &remote.host.name;
            if !session.options.join.contains(name) {
                let data = &session.facts.hosts[name.as_str()].data;
                let text =
                    format!("{name}: {data} is of a member that was removed; it was left alone.");
                return Err(Error::Denied(text).hint(format!("move {data} away there")));
            }
            remote.forget()
        });
        self.identities(names)
    }

    /// Has each host make its node's directory.
    fn make_dirs(
        &self,
        hosts: &Hosts<'_, 'a>,
        keys: &[Secret],
        doc: &RingDoc,
        addresses: &BTreeMap<NodeId, String>,
    ) -> Result<()> {
        let mut births = Births::new();
        for host in hosts {
            let Some(wanted) = self.session.host(host.name).map(plan::wanted) else { continue };
            let founder = role_of(host) == Role::Founder;
            let birth = Provision::new(wanted, keys, doc, addresses, founder);
            births.insert(host.name, birth.text()?);
        }
        self.on_each(hosts, |step| matches!(step, Step::MakeDir(_)), &births);
        Ok(())
    }
}

/// As what a host's directory is made.
fn role_of(host: &HostSteps<'_>) -> Role {
    let role = host.steps.iter().find_map(|step| match step {
        Step::MakeDir(role) => Some(*role),
        _ => None,
    });
    role.unwrap_or(Role::Joiner)
}
