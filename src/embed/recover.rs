//! Cutting a ring down to the nodes that are left, when a majority is lost for good.
//!
//! ```text
//! n1 n2 | n3 n4 n5 lost       ring 7c0a…, version 9   ->   ring e41f…, version 10, settled
//!                             n3 n4 n5 removed; n1 n2 own everything
//! ```
//!
//! No agreement is possible, so none is asked: the document is written into every opened file. The
//! new ring id keeps whoever comes back later from being believed, and voids contexts. What was a
//! full copy stays full, all else fills; each node takes a new actor. Caveat: a failure between two
//! files leaves two rings; each can be opened and recovered by itself.

use super::state::Embed;
use crate::clock::Actor;
use crate::error::{Error, Result};
use crate::os::random;
use crate::ring::{Candidate, ChangeStep, MemberState, NodeId, RingDoc, RingId, plan};
use crate::store::{Batch, Op, Store, Table};

impl Embed {
    /// Writes a ring of the opened nodes alone into their files. Open them anew afterwards.
    ///
    /// # Errors
    /// [`Error::Denied`] when nobody is missing, or fewer members than replicas are left: nothing was
    /// changed. [`Error::Partial`] when a file failed after others were written.
    pub fn recover(mut self, replicas: Option<u8>) -> Result<RingDoc> {
        let before = self.doc();
        let after = self.cut_down(&before, replicas)?;
        for (done, id) in self.nodes().into_iter().enumerate() {
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            let store = &mut slot.store;
            let batch = rebirth(store, id, &before, &after)?;
            let applied = store.apply(&batch).map_err(Error::from);
            applied.map_err(|error| match done {
                0 => error,
                _ => Error::Partial(format!(
                    "{} of the nodes are in the new ring {}, the others are not: {error}",
                    done, after.id
                ))
                .hint("recover the others by naming only their directories"),
            })?;
        }
        Ok(after)
    }

    fn cut_down(&self, before: &RingDoc, replicas: Option<u8>) -> Result<RingDoc> {
        let open = self.nodes();
        let mut doc = before.clone();
        doc.id = RingId(random()?);
        doc.version += 1;
        doc.replicas = replicas.unwrap_or(before.replicas);
        for member in &mut doc.members {
            if member.state != MemberState::Removed {
                let left = open.contains(&member.id);
                member.state = if left { MemberState::Normal } else { MemberState::Removed };
            }
        }
        let (left, n) = (open.len(), doc.n());
        if before.present().count() == left {
            return Err(Error::Denied("No member is missing; nothing was changed.".into())
                .hint("kvs repair"));
        }
        if left < n {
            return Err(Error::Denied(format!(
                "The ring keeps {n} replicas, and only {left} of its members are left; nothing was \
                 changed."
            ))
            .hint(format!("keep fewer: --replicas {left}")));
        }
        let candidate = |m: &crate::ring::Member| {
            let left = m.state == MemberState::Normal;
            left.then(|| Candidate { zone: m.zone.clone(), weight: m.weight })
        };
        let candidates: Vec<_> = doc.members.iter().map(candidate).collect();
        let old = before.read_layout();
        doc.layout = plan(doc.q.count(), n, &candidates, Some(old)).map_err(|e| {
            Error::Denied(format!("The ring cannot be laid out: {e}. Nothing was changed."))
        })?;
        (doc.step, doc.old) = (ChangeStep::Settled, None);
        doc.check()?;
        Ok(doc)
    }
}

/// The rows that make a node one of the new ring.
fn rebirth(store: &dyn Store, id: NodeId, before: &RingDoc, after: &RingDoc) -> Result<Batch> {
    let row = |name: &str| store.row(Table::Meta, name);
    let mut filling = row("filling")?.unwrap_or_else(|| vec![0xff; before.q.count() as usize / 8]);
    for p in after.owned(id) {
        if !before.owners_in(before.read_layout(), p).contains(&id) {
            filling[usize::from(p.0) / 8] |= 1 << (p.0 % 8);
        }
    }
    let word = |bytes: Option<Vec<u8>>| bytes.and_then(|b| <[u8; 8]>::try_from(b).ok());
    let (Some(actor), Some(counter)) = (word(row("actor")?), word(row("counter")?)) else {
        return Err(Error::Corrupt("A node's file lacks its actor; it was not changed.".into()));
    };
    let actor = Actor(u64::from_le_bytes(actor));
    let fresh = random()? as u64;
    let meta = |name: &str, value: Vec<u8>| Op::Meta(name.into(), Some(value));
    Ok(Batch {
        ops: vec![
            meta(&format!("seen:{actor}"), counter.to_vec()),
            meta("actor", fresh.to_le_bytes().to_vec()),
            meta("counter", 0_u64.to_le_bytes().to_vec()),
            meta("filling", filling),
            Op::Meta("dropped".into(), None),
            Op::Meta("muted".into(), None),
            Op::Ring("acceptor".into(), None),
            Op::Ring("doc".into(), Some(after.encode())),
        ],
    })
}
