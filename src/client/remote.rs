//! A running node's file, as its own reader would see it: the reading half of [`Store`].
//!
//! ```text
//! store.get(p, k)    ->  StoreQuery::Get     -> StoreResult::Record
//! store.visit(p, …)  ->  StoreQuery::Visit*  -> a page each, until the partition ends
//! ```
//!
//! The checksums of records are checked again here, as every reader of a file does. It never writes: a node's
//! file is its own. Caveat: the pages of one visit are of different moments.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::Client;
use super::ask::defect;
use crate::channel::{ClientRequest, ClientResponse, StoreQuery, StoreResult};
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
        match self.look(StoreQuery::Size)? {
            StoreResult::Size(bytes, _) => Ok(bytes),
            _ => Err(defect()),
        }
    }

    fn look(&self, query: StoreQuery) -> Result<StoreResult> {
        let response = self.client.ask(self.node, ClientRequest::File(query))?;
        response.check(&self.client.doc())?;
        match response {
            ClientResponse::File(seen) => Ok(seen),
            _ => Err(defect()),
        }
    }
}

/// What a look shows, if it is of the kind that was asked for.
macro_rules! see {
    ($remote:ident, $query:expr, $seen:ident) => {
        match $remote.look($query)? {
            StoreResult::$seen(value) => Ok(value),
            _ => Err(defect()),
        }
    };
}

impl Store for Remote {
    fn get(&self, partition: Partition, key: &Key) -> Result<Option<Stored>> {
        let stored: Result<Option<Stored>> =
            see!(self, StoreQuery::Get(partition, key.clone()), Record);
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
            let query = StoreQuery::Visit(partition, after.clone());
            let StoreResult::Page(records, end) = self.look(query)? else { return Err(defect()) };
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
        see!(self, StoreQuery::Sums, Sums)
    }

    fn sum(&self, partition: Partition) -> Result<Sum> {
        see!(self, StoreQuery::Sum(partition), Sum)
    }

    fn leaves(&self, partition: Partition) -> Result<Box<Leaves>> {
        let filled: Result<Vec<(u8, Sum)>> = see!(self, StoreQuery::Leaves(partition), Leaves);
        let mut leaves = Box::new([Sum::default(); LEAVES]);
        for (leaf, sum) in filled? {
            leaves[usize::from(leaf)] = sum;
        }
        Ok(leaves)
    }

    fn hints(&self, after: Option<&(NodeId, Partition, Key)>, limit: usize) -> Result<Vec<Hint>> {
        see!(
            self,
            StoreQuery::Hints(after.cloned(), u32::try_from(limit).unwrap_or(u32::MAX)),
            Hints
        )
    }

    fn hint_stats(&self) -> Result<HintStats> {
        see!(self, StoreQuery::HintStats, HintStats)
    }

    fn hints_of(&self, partition: Partition, key: &Key) -> Result<Vec<Hint>> {
        see!(self, StoreQuery::HintsOf(partition, key.clone()), Hints)
    }

    fn bad_hints(&self) -> Result<BadHints> {
        // A build of the first wire version keeps no proof of its hints: nothing can be said of them.
        if self.client.speaks_first_version(self.node) {
            return Ok(BadHints::default());
        }
        see!(self, StoreQuery::BadHints, BadHints)
    }

    fn bad(&self) -> Result<Vec<(Partition, Vec<u8>)>> {
        see!(self, StoreQuery::Bad, Bad)
    }

    fn row(&self, table: Table, name: &str) -> Result<Option<Vec<u8>>> {
        see!(self, StoreQuery::Row(table, name.into()), Row)
    }

    fn rows(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        see!(self, StoreQuery::Rows(table, prefix.into()), Rows)
    }

    fn base(&self) -> Result<()> {
        // A build of the first wire version reads its small tables and no more.
        if self.client.speaks_first_version(self.node) {
            return [Table::Ring, Table::Meta]
                .iter()
                .try_for_each(|table| self.rows(*table, "").map(drop));
        }
        match self.look(StoreQuery::Base)? {
            StoreResult::Base => Ok(()),
            _ => Err(defect()),
        }
    }

    /// 0 when the node does not say: it is never taken for a later state than another.
    fn commit_number(&self) -> u64 {
        match self.look(StoreQuery::Size) {
            Ok(StoreResult::Size(_, commit)) => commit,
            _ => 0,
        }
    }

    fn apply(&mut self, _batch: &Batch) -> std::result::Result<(), Failure> {
        Err(Failure::Fatal(Error::Denied(
            "Only the node itself writes the file of a running node; nothing was changed.".into(),
        )))
    }
}
