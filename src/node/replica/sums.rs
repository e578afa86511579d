//! What a pass compares: sums of arcs, from durable state, and which of a peer's differ here.
//!
//! Caveat: a row that cannot be read ends the comparison; what is wrong is mended before the next one.

use std::collections::{BTreeMap, BTreeSet};

use super::Replica;
use crate::digest::{HashRange, Leaves, Sum};
use crate::error::Result;
use crate::key::{Key, Partition};
use crate::node::flow::{ARCS_MAX, Caller, Ctx};
use crate::protocol::{Body, Scope};
use crate::record::RecordHash;
use crate::ring::NodeId;
use crate::store::verify;

impl Replica {
    /// The partitions a scope means between this node and a peer, in order.
    pub(in crate::node) fn scope(&self, peer: NodeId, scope: &Scope) -> Vec<Partition> {
        match scope {
            Scope::Only(partitions) => partitions.clone(),
            Scope::Shared => {
                let theirs: BTreeSet<_> = self.doc.owned(peer).into_iter().collect();
                let mut shared = self.doc.owned(self.id);
                shared.retain(|p| theirs.contains(p));
                shared
            }
        }
    }

    /// Durable sums of arcs, over some partitions.
    ///
    /// # Errors
    /// When a row of the digests cannot be read: they are mended.
    pub(in crate::node) fn sums_of(
        &mut self,
        cx: &mut Ctx<'_>,
        scope: &[Partition],
        arcs: &[HashRange],
    ) -> Result<Vec<Sum>> {
        let q = self.q();
        let wide = |a: &HashRange| u32::from(a.bits) < q.bits();
        let sums = if arcs.iter().any(wide) { cx.store.sums() } else { Ok(Vec::new()) };
        let sums = sums.inspect_err(|e| {
            scope.first().into_iter().for_each(|p| self.cannot_read(cx, *p, e));
        })?;
        let sums: BTreeMap<Partition, Sum> = sums.into_iter().collect();
        let mut leaves: Option<(Partition, Box<Leaves>)> = None;
        let mut found = Vec::with_capacity(arcs.len());
        for arc in arcs {
            let span = arc.span(self.q());
            let (first, last) = (Partition(span.first as u16), Partition(span.last as u16));
            let from = scope.partition_point(|p| *p < first);
            let within = scope[from..].iter().take_while(|p| **p <= last);
            if wide(arc) {
                found.push(within.filter_map(|p| sums.get(p).copied()).sum());
                continue;
            }
            if within.count() == 0 {
                found.push(Sum::default());
                continue;
            }
            if u32::from(arc.bits) == self.q().bits() {
                found.push(cx.store.sum(first)?);
                continue;
            }
            if leaves.as_ref().is_none_or(|l| l.0 != first) {
                let read = cx.store.leaves(first);
                leaves = Some((first, read.inspect_err(|e| self.cannot_read(cx, first, e))?));
            }
            let of = &leaves.as_ref().expect("just read").1;
            let range = usize::from(span.leaf_first)..=usize::from(span.leaf_last);
            found.push(of[range].iter().copied().sum());
        }
        Ok(found)
    }

    /// The peer's side of a comparison: the arcs that differ here. `None`: other ring version.
    pub(in crate::node) fn differing(
        &mut self,
        cx: &mut Ctx<'_>,
        caller: Caller,
        scope: &Scope,
        arcs: &[(HashRange, Sum)],
    ) -> Option<Body> {
        if *scope == Scope::Shared && caller.version != self.doc.version {
            return None;
        }
        let partitions = self.scope(caller.node, scope);
        let asked: Vec<HashRange> = arcs.iter().map(|a| a.0).take(ARCS_MAX).collect();
        let sane = asked
            .iter()
            .all(|a| u32::from(a.bits) <= self.q().bits() + 8 && u64::from(a.prefix) < 1 << a.bits);
        if !sane {
            return None;
        }
        let own = match self.sums_of(cx, &partitions, &asked) {
            Ok(own) => own,
            Err(error) => return Some(Body::NotStored(error.to_string())),
        };
        let differ = arcs.iter().zip(own).filter(|((_, theirs), own)| theirs != own);
        Some(Body::Differ(differ.map(|((arc, _), own)| (*arc, own)).collect()))
    }

    /// The keys and terms of some leaves, from durable state, in order.
    ///
    /// # Errors
    /// When a partition cannot be read, or a leaf is not what its sum promises: it is audited anew.
    pub(in crate::node) fn list(
        &mut self,
        cx: &mut Ctx<'_>,
        leaves: &[(Partition, Vec<u8>)],
    ) -> Result<Vec<(Key, RecordHash)>> {
        let mut found = Vec::new();
        for (p, wanted) in leaves {
            let listed = verify::leaves(cx.store, self.q(), *p, wanted);
            found.extend(listed.inspect_err(|_| self.audit_anew(cx, *p))?);
        }
        Ok(found)
    }
}
