//! What a test asks of a [`World`]: requests that run until they are answered, and looks at disks.

use kvs::key::Partition;
use kvs::node::RepairReport;

use super::*;

/// An ordinary quorum: the ring's majority, five seconds.
pub fn options() -> Options {
    Options { timeout_ms: 5_000, write_back: true, ..Options::default() }
}

/// The same, owners only.
pub fn strict() -> Options {
    Options { strict: true, ..options() }
}

impl World {
    /// Asks a node; the reply will be in `replies` under the ticket.
    pub fn request(&mut self, via: usize, request: Request) -> u64 {
        self.ticket += 1;
        let ticket = self.ticket;
        self.note(|| format!("request {ticket} via {via}: {request:?}"));
        self.handle(via, Event::Request(Ticket(ticket), request));
        ticket
    }

    /// Asks a node and runs until it answers; `None` when a minute was not enough.
    pub fn ask(&mut self, via: usize, request: Request) -> Option<Reply> {
        let ticket = self.request(via, request);
        let until = self.now_ms + 60_000;
        loop {
            if let Some(reply) = self.replies.remove(&ticket) {
                return Some(reply);
            }
            if self.step(until) == Step::Over {
                return None;
            }
        }
    }

    pub fn place(&self, key: &str) -> (Partition, Key) {
        let key = Key::new(key).expect("a key");
        (self.doc().q.partition(&key), key)
    }

    /// The hosts that own a key, in order.
    pub fn owners(&self, key: &str) -> Vec<usize> {
        let writers = self.doc().writers(self.place(key).0);
        let host = |id: NodeId| self.hosts.iter().position(|h| h.id == id);
        writers.into_iter().filter_map(host).collect()
    }

    /// A write of one key, as a request.
    pub fn write_request(
        &self,
        key: &str,
        value: Option<&str>,
        basis: Precondition,
        options: Options,
    ) -> Request {
        let (partition, key) = self.place(key);
        let item = Item { key, value: value.map(|v| (v.as_bytes().to_vec(), None)), basis };
        Request::Put(PutRequest { partition, items: vec![item], options })
    }

    /// Any write, until it is answered; an answer that never came is unknown.
    pub fn write(
        &mut self,
        via: usize,
        key: &str,
        value: Option<&str>,
        basis: Precondition,
        options: Options,
    ) -> PutReply {
        let request = self.write_request(key, value, basis, options);
        match self.ask(via, request) {
            Some(Reply::Put(reply)) => reply,
            other => PutReply::none(Verdict::Unknown(format!("{other:?}"))),
        }
    }

    /// An overwrite with the ordinary quorum.
    pub fn put(&mut self, via: usize, key: &str, value: &str) -> PutReply {
        self.write(via, key, Some(value), Precondition::Overwrite { force: false }, options())
    }

    /// A blind put with the ordinary quorum.
    pub fn blind(&mut self, via: usize, key: &str, value: &str) -> PutReply {
        self.write(via, key, Some(value), Precondition::Blind, options())
    }

    pub fn delete(&mut self, via: usize, key: &str) -> PutReply {
        self.write(via, key, None, Precondition::Overwrite { force: false }, options())
    }

    pub fn get(&mut self, via: usize, key: &str, options: Options) -> GetReply {
        let key = Key::new(key).expect("a key");
        match self.ask(via, Request::Get(key, options)) {
            Some(Reply::Get(reply)) => reply,
            other => {
                let verdict = Verdict::Unreachable(format!("{other:?}"));
                GetReply { verdict, stored: None, answers: vec![], r: 0, clashes: vec![] }
            }
        }
    }

    /// The values a read gives, as text, in order of their bytes.
    pub fn got(&mut self, via: usize, key: &str, options: Options) -> Result<Vec<String>, Verdict> {
        let reply = self.get(via, key, options);
        let key = Key::new(key).expect("a key");
        match reply.verdict {
            Verdict::Done => Ok(texts(reply.stored.and_then(|s| s.record(&key).ok()))),
            other => Err(other),
        }
    }

    /// The record on a host's disk, unproven ones left out.
    pub fn record(&self, i: usize, key: &str) -> Option<Record> {
        let (p, key) = self.place(key);
        self.hosts[i].store.get(p, &key).ok().flatten().and_then(|s| s.record(&key).ok())
    }

    /// The values on a host's disk, as text, in order of their bytes.
    pub fn values(&self, i: usize, key: &str) -> Vec<String> {
        texts(self.record(i, key))
    }

    /// A repair of every running node, one after the other: records that moved, partitions that are
    /// filling still.
    pub fn repair_all(&mut self) -> (u64, usize) {
        let mut total = (0, 0);
        for i in 0..self.hosts.len() {
            if let Some(report) = self.repair(i, RepairRequest::default()) {
                total.0 += report.pulled + report.pushed;
                total.1 += report.filling.len();
            }
        }
        total
    }

    pub fn repair(&mut self, i: usize, request: RepairRequest) -> Option<RepairReport> {
        if !self.is_up(i) {
            return None;
        }
        match self.ask(i, Request::Repair(request)) {
            Some(Reply::Repair(report)) => Some(report),
            _ => None,
        }
    }

    /// Every running node delivers its hints; how many are left.
    pub fn deliver_all(&mut self) -> u64 {
        let up: Vec<_> = (0..self.hosts.len()).filter(|i| self.is_up(*i)).collect();
        up.into_iter().fold(0, |left, i| match self.ask(i, Request::Deliver) {
            Some(Reply::Deliver(_, more)) => left + more,
            _ => left + 1,
        })
    }

    /// Proposes a change through a node; why it is not so, if it is not.
    pub fn change(&mut self, via: usize, changes: &[Change]) -> Result<(), String> {
        let next = self.doc().change(changes).map_err(|e| e.to_string())?;
        match self.ask(via, Request::Propose(Box::new(next))) {
            Some(Reply::Ring(_, None)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }

    /// Takes the change under way as far as it goes.
    pub fn advance(&mut self, via: usize) -> Result<(), String> {
        match self.ask(via, Request::Advance) {
            Some(Reply::Ring(_, None)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }

    /// A new machine of this name; it is no member until a [`Change::Join`] says so.
    pub fn new_host(&mut self, name: &str, zone: &str, weight: u32) -> (usize, Member) {
        let member = self.member(name, zone, weight);
        let doc = self.doc();
        let host = self.add_host(&member, &doc, false);
        self.restart(host);
        (host, member)
    }

    /// A node's machine is lost; its name goes to a fresh one. Gives the new host.
    pub fn replace(&mut self, via: usize, lost: usize) -> Result<usize, String> {
        if self.is_up(lost) {
            self.crash(lost, false);
        }
        let name = self.hosts[lost].name.clone();
        let (host, member) = self.new_host(&name, "", 1);
        self.hosts[lost].gone = true;
        self.change(via, &[Change::Replace(member)])?;
        Ok(host)
    }
}

fn texts(record: Option<Record>) -> Vec<String> {
    let siblings = record.unwrap_or_default().siblings;
    let text = |s: (Dot, kvs::record::Value)| String::from_utf8_lossy(&s.1.bytes).into_owned();
    let mut texts: Vec<_> = siblings.into_iter().map(text).collect();
    texts.sort();
    texts
}
