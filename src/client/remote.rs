//! A running node's file, as its own reader would see it: the reading half of [`Store`].
//!
//! ```text
//! store.get(p, k)    ->  Ask File(Get)     -> Told File(Record)
//! store.visit(p, …)  ->  Ask File(Visit)*  -> a page each, until the partition ends
//! ```
//!
//! Records are proven again here, as every reader of a file does. It never writes: a node's file is
//! its own. Caveat: pages of one visit are of different moments.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::Client;
use super::ask::defect;
use crate::channel::{Ask, Look, Seen, Told};
use crate::digest::{Leaves, Sum};
use crate::error::{Error, Result};
use crate::key::{Key, LEAVES, Partition};
use crate::ring::NodeId;
use crate::store::{BadHints, Batch, Failure, Hint, HintStats, Store, Stored, Table, Visit};

/// One node's file, over the network. See the module.
#[derive(Clone)]
pub struct Remote {
    client: Arc<Client>,
    node: NodeId,
}

impl Remote {
    /// The file of this node.
    #[must_use]
    pub fn new(client: Arc<Client>, node: NodeId) -> Self {
        Self { client, node }
    }

    /// Bytes of its tables.
    ///
    /// # Errors
    /// As [`Client::ask`] of a read.
    pub fn used_bytes(&self) -> Result<u64> {
        match self.look(Look::Size)? {
            Seen::Size(bytes, _) => Ok(bytes),
            _ => Err(defect()),
        }
    }

    fn look(&self, look: Look) -> Result<Seen> {
        let told = self.client.ask(self.node, Ask::File(look))?;
        told.check(&self.client.doc())?;
        match told {
            Told::File(seen) => Ok(seen),
            _ => Err(defect()),
        }
    }
}

/// What a look shows, if it is of the kind that was asked for.
macro_rules! see {
    ($remote:ident, $look:expr, $seen:ident) => {
        match $remote.look($look)? {
            Seen::$seen(value) => Ok(value),
            _ => Err(defect()),
        }
    };
}

impl Store for Remote {
    fn get(&self, partition: Partition, key: &Key) -> Result<Option<Stored>> {
        let stored: Result<Option<Stored>> = see!(self, Look::Get(partition, key.clone()), Record);
        let stored = stored?;
        stored.iter().try_for_each(|s| s.prove(key))?;
        Ok(stored)
    }

    fn visit(
        &self,
        partition: Partition,
        after: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let mut after = after.map(<[u8]>::to_vec);
        loop {
            let look = Look::Visit(partition, after.clone());
            let Seen::Page(records, end) = self.look(look)? else { return Err(defect()) };
            for (key, stored) in &records {
                if visit(key, stored) == ControlFlow::Break(()) {
                    return Ok(());
                }
            }
            let last = records.into_iter().next_back().map(|(key, _)| key.into_vec());
            if end || last.is_none() || last == after {
                return Ok(());
            }
            after = last;
        }
    }

    fn sums(&self) -> Result<Vec<(Partition, Sum)>> {
        see!(self, Look::Sums, Sums)
    }

    fn sum(&self, partition: Partition) -> Result<Sum> {
        see!(self, Look::Sum(partition), Sum)
    }

    fn leaves(&self, partition: Partition) -> Result<Box<Leaves>> {
        let filled: Result<Vec<(u8, Sum)>> = see!(self, Look::Leaves(partition), Leaves);
        let mut leaves = Box::new([Sum::default(); LEAVES]);
        for (leaf, sum) in filled? {
            leaves[usize::from(leaf)] = sum;
        }
        Ok(leaves)
    }

    fn hints(&self, after: Option<&(NodeId, Partition, Key)>, limit: usize) -> Result<Vec<Hint>> {
        see!(self, Look::Hints(after.cloned(), u32::try_from(limit).unwrap_or(u32::MAX)), Hints)
    }

    fn hint_stats(&self) -> Result<HintStats> {
        see!(self, Look::HintStats, HintStats)
    }

    fn hints_of(&self, partition: Partition, key: &Key) -> Result<Vec<Hint>> {
        see!(self, Look::HintsOf(partition, key.clone()), Hints)
    }

    fn bad_hints(&self) -> Result<BadHints> {
        // A build of the first wire version keeps no proof of its hints: nothing can be said of them.
        if self.client.speaks_first_version(self.node) {
            return Ok(BadHints::default());
        }
        see!(self, Look::BadHints, BadHints)
    }

    fn bad(&self) -> Result<Vec<(Partition, Vec<u8>)>> {
        see!(self, Look::Bad, Bad)
    }

    fn row(&self, table: Table, name: &str) -> Result<Option<Vec<u8>>> {
        see!(self, Look::Row(table, name.into()), Row)
    }

    fn rows(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        see!(self, Look::Rows(table, prefix.into()), Rows)
    }

    fn base(&self) -> Result<()> {
        // A build of the first wire version reads its small tables and no more.
        if self.client.speaks_first_version(self.node) {
            return [Table::Ring, Table::Meta]
                .iter()
                .try_for_each(|table| self.rows(*table, "").map(drop));
        }
        match self.look(Look::Base)? {
            Seen::Base => Ok(()),
            _ => Err(defect()),
        }
    }

    /// 0 when the node does not say: nobody takes that for a later state than another.
    fn commit_number(&self) -> u64 {
        match self.look(Look::Size) {
            Ok(Seen::Size(_, commit)) => commit,
            _ => 0,
        }
    }

    fn apply(&mut self, _batch: &Batch) -> std::result::Result<(), Failure> {
        Err(Failure::Fatal(Error::Denied(
            "Only the node itself writes the file of a running node; nothing was changed.".into(),
        )))
    }
}
