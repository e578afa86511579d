//! Reading and writing keys through its cluster.
//!
//! A quorum that could not be had becomes an error here; a key that is absent does not. It does not
//! choose what to do with siblings; its caller does.

use std::cell::RefCell;

use super::failures::defect;
use super::handle::Cluster;
use crate::error::{Error, Result};
use crate::key::{Key, Partition};
use crate::node::{Reply, Request};
use crate::quorum::{GetReply, Item, Options, Precondition, PutReply, PutRequest, Verdict};
use crate::record::Record;
use crate::ring::{NodeId, RingDoc};
use crate::store::verify::verify;
use crate::store::{Loss, Store, Table};

/// Requests of a load under way at once: enough to keep every file busy.
const PUTS_AT_ONCE: usize = 24;
/// Records asked of each owner in one page of a scan.
const PAGE: u32 = 2_048;

/// Called with each key and record of a scan, in order.
pub type OnRecord<'a> = dyn FnMut(&Key, &Record) -> Result<()> + 'a;

impl Cluster {
    /// Reads one key from a quorum.
    ///
    /// # Errors
    /// [`Error::Usage`] for a quorum above N, [`Error::Refused`] or [`Error::Unreachable`] when it
    /// could not be had. Nothing is changed.
    pub fn get(&mut self, key: &Key, options: &Options) -> Result<GetReply> {
        let options = self.checked(options)?;
        let at = self.entry()?;
        let Reply::Get(reply) = self.ask(at, Request::Get(key.clone(), options))? else {
            return Err(defect());
        };
        let what = format!("The read of {key}");
        let hint = match reply.r {
            1 => "kvs status shows who is down; kvs repair fills copies that are behind",
            _ => "kvs status shows who is down; kvs repair, or lower R with -r",
        };
        let settled = settle(&reply.verdict, &what, hint);
        settled.map_err(|error| self.or_damage(self.doc().q.partition(key), error))?;
        Ok(reply)
    }

    /// Writes one key.
    ///
    /// # Errors
    /// [`Error::Usage`] for a quorum above N; [`Error::Refused`] or [`Error::Unreachable`]: nothing
    /// was written; [`Error::Unknown`]: it may have been.
    pub fn put(&mut self, item: Item, options: &Options) -> Result<PutReply> {
        let options = self.checked(options)?;
        let at = self.entry()?;
        let partition = self.doc().q.partition(&item.key);
        let what = format!("The write of {}", item.key);
        let conditional = matches!(item.basis, Precondition::Exact(_) | Precondition::Absent);
        let key = item.key.clone();
        let request = PutRequest { partition, items: vec![item], options };
        let put = self.ask(at, Request::Put(request)).and_then(|reply| {
            let Reply::Put(reply) = reply else { return Err(defect()) };
            settle(&reply.verdict, &what, "kvs status shows who is down").map(|()| reply)
        });
        put.map_err(|error| if conditional { look_first(error, &key) } else { error })
    }

    /// Writes many keys as they come from `source`, each request those of one partition, some
    /// requests at once. `done` takes each reply.
    ///
    /// # Errors
    /// As [`Cluster::put`], for the first that failed; what was written before stays.
    pub(crate) fn put_stream(
        &mut self,
        options: &Options,
        source: &mut dyn FnMut() -> Option<PutRequest>,
        done: &mut dyn FnMut(PutReply) -> Result<()>,
    ) -> Result<()> {
        let options = self.checked(options)?;
        let (at, doc, nodes) = (self.entry()?, self.doc(), self.nodes());
        // A running owner coordinates at once; others would pass the write on to it.
        let live = self.is_live() && self.zone.is_none();
        let place = |p: Partition| {
            let owner = doc.writers(p).into_iter().find(|id| nodes.contains(id));
            owner.filter(|_| live).unwrap_or(at)
        };
        // The source and the sink share what went wrong first: nothing more is asked after it.
        let failed: RefCell<Option<Error>> = RefCell::new(None);
        let mut next = || {
            if failed.borrow().is_some() {
                return None;
            }
            let request = source()?;
            let at = place(request.partition);
            Some((at, Request::Put(PutRequest { options: options.clone(), ..request })))
        };
        let mut take = |reply| {
            let taken = match reply {
                Reply::Put(reply) => {
                    settle(&reply.verdict, "A write", "kvs status shows who is down")
                        .and_then(|()| done(reply))
                }
                _ => Err(defect()),
            };
            if let Err(error) = taken {
                failed.borrow_mut().get_or_insert(error);
            }
        };
        self.ask_stream(PUTS_AT_ONCE, &mut next, &mut take)?;
        failed.into_inner().map_or(Ok(()), Err)
    }

    /// Reads every record whose key begins with `prefix` from a quorum, partition by partition, keys
    /// in order within each. Tombstones come too.
    ///
    /// # Errors
    /// [`Error::Refused`] when a partition's quorum cannot be had; those before it were visited.
    /// [`Error::Corrupt`] when copies are damaged: all that can be read was visited.
    pub fn scan(
        &mut self,
        prefix: &[u8],
        options: &Options,
        visit: &mut OnRecord<'_>,
    ) -> Result<()> {
        let options = self.checked(options)?;
        let mut damaged: Vec<Error> = Vec::new();
        for p in self.doc().q.all() {
            match self.scan_partition(p, prefix, &options, visit) {
                Err(error) if is_damage(&error) => damaged.push(error),
                other => other?,
            }
        }
        let more = damaged.len().saturating_sub(1);
        let Some(first) = damaged.into_iter().next() else { return Ok(()) };
        if more == 0 {
            return Err(first);
        }
        let text = format!("{} {more} more partitions cannot be read.", first.root());
        Err(Error::Corrupt(text).hint(heal(&self.doc())))
    }

    /// A read that was refused: when copies of the owners are damaged, that is why.
    fn or_damage(&self, p: Partition, error: Error) -> Error {
        if !matches!(error.root(), Error::Refused(_)) {
            return error;
        }
        let doc = self.doc();
        let owners = doc.owners_in(doc.read_layout(), p).into_iter();
        let doubt = |id: NodeId| Some(format!("{} {}", doc.name(id), doubt(self.store(id)?, p)?));
        let doubts: Vec<String> = owners.filter_map(doubt).collect();
        if doubts.is_empty() {
            return error;
        }
        let text = format!("{} The copy of {}.", error.root(), doubts.join("; that of "));
        Error::Corrupt(text).hint(heal(&doc))
    }

    fn scan_partition(
        &mut self,
        p: Partition,
        prefix: &[u8],
        options: &Options,
        visit: &mut OnRecord<'_>,
    ) -> Result<()> {
        let at = self.entry()?;
        let mut after: Option<Key> = None;
        loop {
            let request = Request::Scan(p, after.clone(), PAGE, options.clone());
            let Reply::Scan(page) = self.ask(at, request)? else { return Err(defect()) };
            let (records, end) = page.map_err(|why| {
                let text = format!("Partition {p} cannot be read: {why}.");
                let hint = "kvs status shows who is down; kvs repair fills what is behind";
                self.or_damage(p, Error::Refused(text).hint(hint))
            })?;
            for (key, stored) in &records {
                if key.as_bytes().starts_with(prefix) {
                    visit(key, &stored.record(key)?)?;
                }
            }
            after = records.into_iter().next_back().map(|r| r.0);
            if end || after.is_none() {
                return Ok(());
            }
        }
    }

    /// Options with this cluster's timeout, their quorum held against the ring's N.
    ///
    /// # Errors
    /// [`Error::Usage`] when it asks for more than N.
    pub fn checked(&self, options: &Options) -> Result<Options> {
        let n = self.doc().n();
        for (name, wanted) in [("n", options.n), ("w", options.w), ("r", options.r)] {
            match wanted {
                Some(0) => {
                    return Err(Error::Usage(format!("-{name} 0 asks for nothing; use 1 to {n}.")));
                }
                Some(wanted) if usize::from(wanted) > n => {
                    return Err(Error::Usage(format!(
                        "-{name} {wanted} is more than the ring's {n} replicas; nothing was tried."
                    )));
                }
                _ => {}
            }
        }
        let least = options.n.map_or(n, usize::from);
        for (name, wanted) in [("w", options.w), ("r", options.r)] {
            if wanted.is_some_and(|w| usize::from(w) > least) {
                return Err(Error::Usage(format!(
                    "-{name} is more than the -n {least} owners that are asked; nothing was tried."
                )));
            }
        }
        // Of files time passes only when nothing moves: any time is enough for whoever is open, and
        // reading them writes nothing. Running nodes are asked for enough, and may mend.
        let (timeout_ms, live) = (self.timeout.as_millis().max(1) as u64, self.is_live());
        let zone = options.zone.clone().or_else(|| self.zone.clone().filter(|_| live));
        Ok(Options { patient: !live, write_back: live, timeout_ms, zone, ..options.clone() })
    }
}

/// The way out of damaged copies.
fn heal(doc: &RingDoc) -> &'static str {
    match doc.n() {
        1 => {
            "there is no other copy: restore a backup, or save what can be read (kvs dump) and \
             continue without the rest: kvs repair --verify, then kvs repair --accept-losses"
        }
        _ => {
            "heal from other copies: kvs repair --verify; if there are none, continue with what \
             is left: kvs repair --accept-losses"
        }
    }
}

/// What is wrong with a copy of a partition, the rest of a sentence that begins with its node.
fn doubt(store: &dyn Store, p: Partition) -> Option<String> {
    let lost = store.row(Table::Meta, &Loss::row(p)).ok().flatten();
    if lost.is_some() {
        return Some(format!("has lost records of partition {p}"));
    }
    if store.bad().is_ok_and(|bad| bad.iter().any(|b| b.0 == p)) {
        return Some(format!("holds damaged records in partition {p}"));
    }
    match verify(store, p) {
        Ok(verdict) if verdict.is_good() => None,
        Ok(verdict) if verdict.lost.is_none() && !verdict.bad.is_empty() => {
            Some(format!("holds damaged records in partition {p}"))
        }
        Ok(_) => Some(format!("has lost records of partition {p}")),
        Err(error) => Some(format!("cannot be read: {}", error.root())),
    }
}

fn is_damage(error: &Error) -> bool {
    matches!(error.root(), Error::Corrupt(_))
}

/// What a conditional write that may have taken effect calls for: repeated, it would only meet itself,
/// or be done twice.
fn look_first(error: Error, key: &Key) -> Error {
    let Error::Unknown(why) = error.root() else { return error };
    let look = format!("read the key before you repeat it: kvs get {}", key.argument());
    Error::Unknown(why.clone()).hint(look)
}

fn settle(verdict: &Verdict, what: &str, hint: &str) -> Result<()> {
    match verdict {
        Verdict::Done => Ok(()),
        Verdict::Refused(why) => {
            Err(Error::Refused(format!("{what} was refused: {why}. Nothing was changed."))
                .hint(hint))
        }
        Verdict::Unknown(why) => {
            Err(Error::Unknown(format!("{what} may or may not have taken effect: {why}."))
                .hint("repeat it while it ends with 5"))
        }
        Verdict::Unreachable(why) => {
            Err(Error::Unreachable(format!("{what} could not begin: {why}.")).hint(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also when the node broke off, where the client's own advice is to repeat.
    #[test]
    fn a_conditional_write_is_not_to_be_repeated_unseen() {
        let key = Key::new(b"k 1").expect("a key");
        let broke = Error::Unknown("n1 broke off.".into()).hint("repeat it until it says so");
        let Error::Hinted { error, hint } = look_first(broke, &key) else { panic!("no hint") };
        assert!(matches!(*error, Error::Unknown(why) if why == "n1 broke off."));
        assert_eq!(hint, "read the key before you repeat it: kvs get 'k 1'");
        let refused = Error::Refused("no.".into()).hint("try again");
        let Error::Hinted { hint, .. } = look_first(refused, &key) else { panic!("no hint") };
        assert_eq!(hint, "try again");
    }
}
