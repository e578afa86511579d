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

use super::apply::Job;
use super::home::address;
use super::plan;
use crate::config::Secret;
use crate::error::{Error, Result};
use crate::node_dir::Provision;
use crate::ring::{Change, Member, NodeId, RingDoc, State};

impl<'a> Job<'_, 'a> {
    /// Makes a ring of all hosts at work; its document.
    pub(super) fn found(&self) -> Result<RingDoc> {
        let survey = self.survey;
        let names = self.busy();
        self.may_found(&names)?;
        self.stage(&names)?;
        let ids = self.identities(&names)?;
        let keys = match &survey.keys[..] {
            [] => survey.home.make_key()?,
            keys => keys.to_vec(),
        };
        let members = ids.iter().filter_map(|(name, key)| self.member(name, *key, State::Normal));
        let doc = survey.home.first(members.collect())?;
        let names: Vec<_> = ids.keys().copied().collect();
        let addresses = self.addresses_of(&doc);
        self.born(&names, &keys, &doc, &addresses, true);
        // Those that come later fill from N-W+1 others, which have to be full.
        let late = names.iter().filter(|name| !survey.crew.is_at_work(name)).count();
        if late >= doc.majority() {
            return Err(Error::Partial(format!(
                "{late} of {} founders could not be made; no node was started.",
                names.len()
            )));
        }
        self.go_ahead()?;
        let started = self.start_all(&names);
        if started.is_empty() {
            return Err(Error::Partial("No node of the new ring could be started.".into()));
        }
        let doc = self.awaited()?;
        started.iter().for_each(|name| survey.crew.did(name, "founded the ring"));
        self.prove_all(&started)?;
        Ok(doc)
    }

    /// Whether these are enough, and there can be no ring elsewhere.
    fn may_found(&self, names: &[&str]) -> Result<()> {
        let survey = self.survey;
        let replicas = usize::from(survey.fleet.replicas);
        if survey.crew.is_shared() {
            return Err(Error::Busy(
                "Somebody else works on some of the hosts, and may be making the ring; no second one \
                 was made."
                    .into(),
            )
            .hint("wait until they are done, then run this again"));
        }
        if names.len() < replicas {
            return Err(Error::Denied(format!(
                "A ring of {replicas} replicas needs as many hosts, and {} can be used; no ring was \
                 made.",
                names.len()
            ))
            .hint("mend the hosts that failed, then run it again"));
        }
        let (unseen, key) = (survey.unseen(), survey.home.key_file().display());
        let seeded = survey.facts.values().any(|f| f.seeded);
        let first_time = survey.keys.is_empty() || seeded && unseen.is_empty();
        if !first_time {
            return Err(Error::Denied(format!(
                "{key} is there, so there may be a ring, on hosts or in directories that were not \
                 looked at; no second one was made."
            ))
            .hint(format!(
                "if there never was one, move {key} away; else name its hosts and data:"
            )));
        }
        if 2 * unseen.len() >= survey.fleet.hosts.len() {
            return Err(Error::Denied(
                "A ring is made of more than half of the inventory's hosts at once, or there may be \
                 one already on those that were not looked at; no ring was made."
                    .into(),
            )
            .hint("run it once more of the hosts can be reached"));
        }
        Ok(())
    }

    /// Takes in hosts that are no members yet, and founders that were never made.
    pub(super) fn join(&self, doc: &RingDoc) -> Result<()> {
        let survey = self.survey;
        let lacks = |name: &&str| {
            let made = survey.facts[name].node_yaml.is_some();
            !made || self.replaces(name) || !doc.present().any(|m| m.name == **name)
        };
        let founded = survey.doc.is_none() && survey.facts.values().all(|f| f.node_yaml.is_none());
        let names: Vec<_> = self.busy().into_iter().filter(lacks).collect();
        if names.is_empty() || founded {
            return Ok(());
        }
        self.stage(&names)?;
        let ids = self.identities_for(&names, doc)?;
        let ids: BTreeMap<_, _> =
            ids.into_iter().filter(|(n, k)| self.may_join(n, k, doc)).collect();
        let names: Vec<_> = ids.keys().copied().collect();
        let wishes: BTreeMap<_, _> = ids
            .iter()
            .filter_map(|(name, key)| Some((*name, self.wish(name, *key, doc)?)))
            .collect();
        survey.home.admit(&wishes.values().cloned().collect::<Vec<_>>())?;
        let addresses = survey.home.addresses()?;
        self.born(&names, &survey.keys, doc, &addresses, false);
        let started = self.start_all(&names);
        for name in &started {
            survey.crew.begins(name, "joining");
            if let Err(error) = self.await_node(name, NodeId::of_key(&ids[name])) {
                survey.crew.give_up(name, error);
            }
        }
        let there: Vec<_> =
            started.into_iter().filter(|name| survey.crew.is_at_work(name)).collect();
        survey.home.change(there.iter().filter_map(|name| wishes.get(name).cloned()).collect())?;
        there.iter().for_each(|name| survey.crew.did(name, "joined the ring"));
        self.prove_all(&there)
    }

    /// Whether a host's node is to have the place of a lost member.
    fn replaces(&self, name: &str) -> bool {
        self.survey.wish.replace.iter().any(|lost| lost == name)
    }

    /// Whether a name is free, is this node's already, or is to be its; the host is given up when not.
    pub(super) fn may_join(&self, name: &str, key: &[u8; 32], doc: &RingDoc) -> bool {
        let survey = self.survey;
        let holder = doc.present().find(|m| m.name == name).map(|m| m.id);
        let (own, replaces) = (holder == Some(NodeId::of_key(key)), self.replaces(name));
        if holder.is_none() || own != replaces {
            return true;
        }
        let (text, hint) = if own {
            let data = &survey.facts[name].data;
            let text = format!("{name} is not lost: {data} is there. Nothing was changed there.");
            (text, format!("start it: kvs push start FLEET --only {name}"))
        } else {
            let text = format!("{name} is a member with another key; no node was made.");
            (text, format!("give its place to a new one: kvs push apply --replace {name}"))
        };
        survey.crew.give_up(name, Error::Denied(text).hint(hint));
        false
    }

    /// Waits for the node of one that is to be a member.
    fn await_node(&self, name: &str, id: NodeId) -> Result<()> {
        let at = self.survey.host(name).map(address).unwrap_or_default();
        self.survey.home.await_node(&at, id, self.survey.fleet.rollout.ready_timeout)
    }

    /// The change that makes a node a member, unless it is one.
    fn wish(&self, name: &str, key: [u8; 32], doc: &RingDoc) -> Option<Change> {
        let member = self.member(name, key, State::Joining)?;
        match doc.member(member.id) {
            Some(_) => None,
            None if self.replaces(name) => Some(Change::Replace(member)),
            None => Some(Change::Join(member)),
        }
    }

    fn member(&self, name: &str, key: [u8; 32], state: State) -> Option<Member> {
        let host = self.survey.host(name)?;
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
        let of = |m: &Member| Some((m.id, address(self.survey.host(&m.name)?)));
        doc.present().filter_map(of).collect()
    }

    /// The public key of each node that is to be.
    pub(super) fn identities(&self, names: &[&'a str]) -> Result<BTreeMap<&'a str, [u8; 32]>> {
        let survey = self.survey;
        let read = survey.crew.each(names, usize::MAX, |far| {
            let release = &survey.releases[far.host.name.as_str()].id;
            let text = far.identity(release)?;
            let bytes = blake3::Hash::from_hex(text.trim());
            bytes.map(|hash| *hash.as_bytes()).map_err(|_| {
                Error::Denied(format!("{} told no public key; no node was made.", far.host.name))
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
            doc.member(NodeId::of_key(key)).is_some_and(|m| m.state == State::Removed)
        };
        let gone: Vec<_> = ids.iter().filter(|(_, k)| removed(k)).map(|(n, _)| *n).collect();
        if gone.is_empty() {
            return Ok(ids);
        }
        let survey = self.survey;
        survey.crew.each(&gone, usize::MAX, |far| {
            let name = &far.host.name;
            if !survey.wish.join.contains(name) {
                let data = &survey.facts[name.as_str()].data;
                let text =
                    format!("{name}: {data} is of a member that was removed; it was left alone.");
                return Err(Error::Denied(text).hint(format!("move {data} away there")));
            }
            far.forget()
        });
        self.identities(names)
    }

    /// Has each host make its node's directory.
    fn born(
        &self,
        names: &[&'a str],
        keys: &[Secret],
        doc: &RingDoc,
        addresses: &BTreeMap<NodeId, String>,
        founder: bool,
    ) {
        let survey = self.survey;
        survey.crew.each(names, usize::MAX, |far| {
            let birth = Provision::new(plan::wanted(far.host), keys, doc, addresses, founder);
            far.make(&survey.releases[far.host.name.as_str()].id, &birth.text()?)
        });
    }
}
