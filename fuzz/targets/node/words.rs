//! What a script says: messages and requests made of its bytes, well-formed or absurd.

use super::*;

impl World<'_> {
    pub(super) fn anyone(&mut self) -> NodeId {
        let at = self.bytes.below(4) as usize;
        self.doc.members[at].id
    }

    pub(super) fn message(&mut self) -> Message {
        let ring = if self.bytes.below(64) == 0 { kvs::ring::RingId(6) } else { self.doc.id };
        let version = match self.bytes.below(8) {
            0 => self.bytes.number(),
            1 => self.doc.version + 1,
            _ => self.hosts[0].node.doc().version,
        };
        // Operations are drawn from a seed that is known here, so that replies meet tasks.
        let op = match self.bytes.below(4) {
            0 => self.bytes.number(),
            _ => self.flying.front().map_or(1, |f| op_of(&f.2)),
        };
        Message { ring, version, op, body: self.body() }
    }

    fn body(&mut self) -> Body {
        match self.bytes.below(35) {
            kind @ 0..20 => self.of_records(kind),
            kind => self.of_the_ring(kind),
        }
    }

    fn of_records(&mut self, kind: u64) -> Body {
        match kind {
            0 => Body::Hello { actor: self.actor(), counter: self.bytes.number() },
            1 => Body::Seen {
                actor: self.actor(),
                counter: self.bytes.number(),
                commit: self.bytes.number(),
            },
            2 | 3 => Body::Put(self.put()),
            4 => Body::PutDone(self.put_reply()),
            5 => Body::NotMine("no".into()),
            6 => Body::Read(self.list(|w| w.key())),
            7 => Body::Answers(self.list(|w| match w.bytes.below(3) {
                0 => Answer::Vote(Some(w.stored().1)),
                1 => Answer::Extra(None),
                _ => Answer::Unreadable,
            })),
            8 | 9 => Body::Write {
                records: self.list(Self::stored),
                hint_for: (self.bytes.below(2) == 0).then(|| self.id()),
            },
            10 => Body::Stored { full: true, actor: self.actor(), commit: self.bytes.number() },
            11 => Body::NotStored("no".into()),
            12 => Body::Page {
                partition: self.partition(),
                after: None,
                limit: self.bytes.number() as u32,
            },
            13 => Body::Paged {
                records: self.list(|w| w.stored()).into_iter().map(|(k, s)| (k, Some(s))).collect(),
                end: self.bytes.below(2) == 0,
                full: true,
            },
            14 => Body::Fullness(self.scope()),
            15 => Body::Filling(self.list(Self::partition)),
            16 => Body::Sums { scope: self.scope(), arcs: self.list(Self::arc) },
            17 => Body::Differ(self.list(Self::arc)),
            18 => Body::List(self.list(|w| (w.partition(), w.list(|w| w.bytes.byte())))),
            _ => Body::Listing(self.list(|w| (w.key(), RecordHash(u128::from(w.bytes.number()))))),
        }
    }

    fn of_the_ring(&mut self, kind: u64) -> Body {
        match kind {
            20 => Body::Prepare(self.ballot()),
            21 => {
                let some = self.bytes.below(2) == 0;
                Body::Promise(some.then(|| (self.ballot(), Box::new(self.next_doc()))))
            }
            22 => Body::Accept(self.ballot(), Box::new(self.next_doc())),
            23 => Body::Accepted,
            24 => Body::Rejected(self.ballot()),
            25 => Body::Muted,
            26 => Body::Chosen(Box::new(self.next_doc())),
            27 => Body::WantRing,
            28 => Body::Cleared { clear: true, hints: self.bytes.number() },
            30 => Body::Replicate {
                records: self.list(Self::stored),
                hint_for: (self.bytes.below(2) == 0).then(|| self.id()),
                commit: self.bytes.number(),
            },
            31 => Body::Greet {
                opened: self.point(),
                actor: self.actor(),
                counter: self.bytes.number(),
                epoch: self.bytes.number(),
                life: self.bytes.number(),
                renewed: self.bytes.below(2) == 0,
            },
            32 => Body::Met {
                life: self.bytes.number(),
                met: self.point(),
                actor: self.actor(),
                counter: self.bytes.number(),
            },
            33 => Body::Copies {
                answers: self.list(|w| Answer::Vote(Some(w.stored().1))),
                asked: self.bytes.number() as u32,
                wall_ms: self.bytes.number(),
            },
            29 => Body::Gossip { rows: self.list(Self::row), answer: true },
            _ => [Body::Barrier, Body::Fill, Body::Deliver][self.bytes.below(3) as usize].clone(),
        }
    }

    pub(super) fn request(&mut self) -> Request {
        match self.bytes.below(12) {
            0..4 => Request::Put(self.put()),
            4 | 5 => Request::Get(self.key(), self.options()),
            6 => {
                let (p, limit) = (self.partition(), self.bytes.number() as u32);
                Request::Scan(p, None, limit, self.options())
            }
            7 => Request::Repair(RepairRequest {
                partitions: (self.bytes.below(2) == 0).then(|| self.list(Self::partition)),
                accept_missing: true,
            }),
            8 => Request::Verify(self.partition()),
            9 => Request::Propose(Box::new(self.next_doc())),
            10 => Request::GiveUp(self.key()),
            _ => match self.bytes.below(9) {
                6 => Request::AcceptLoss((self.bytes.below(2) == 0).then(|| self.partition())),
                7 => Request::DropBadHints(self.key()),
                8 => Request::Scrub(self.bytes.number()),
                0 => Request::Deliver,
                1 => Request::Spread,
                2 => Request::Advance,
                3 => Request::Cleanup,
                4 => Request::Unsettled,
                _ => Request::Status,
            },
        }
    }

    fn point(&mut self) -> FilePoint {
        let (epoch, life) = (self.bytes.number(), self.bytes.number());
        FilePoint { epoch, life, commit: self.bytes.number() }
    }

    fn list<T>(&mut self, mut entry: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.bytes.below(4);
        (0..count).map(|_| entry(self)).collect()
    }

    pub(super) fn key(&mut self) -> Key {
        Key::new([b'a' + self.bytes.below(6) as u8]).expect("one byte")
    }

    pub(super) fn id(&mut self) -> NodeId {
        if self.bytes.below(8) == 0 { NodeId(self.bytes.number()) } else { self.anyone() }
    }

    pub(super) fn actor(&mut self) -> Actor {
        match self.bytes.below(3) {
            0 => Actor(self.bytes.number()),
            _ => self.hosts[self.bytes.below(3) as usize].node.actor(),
        }
    }

    fn partition(&mut self) -> Partition {
        let wild = self.bytes.below(4) == 0;
        Partition(if wild { self.bytes.number() as u16 } else { self.bytes.below(8) as u16 })
    }

    fn scope(&mut self) -> Scope {
        let some = self.bytes.below(2) == 0;
        if some { Scope::Only(self.list(Self::partition)) } else { Scope::Shared }
    }

    fn arc(&mut self) -> (HashRange, Sum) {
        let wild = self.bytes.below(3) == 0;
        let bits = if wild { self.bytes.byte() } else { self.bytes.below(12) as u8 };
        let prefix = self.bytes.number() as u32;
        let prefix = if wild { prefix } else { prefix & ((1 << bits) - 1) };
        (HashRange { bits, prefix }, Sum { terms: u128::from(self.bytes.number()), count: 1 })
    }

    fn ballot(&mut self) -> Ballot {
        Ballot(self.bytes.number(), self.bytes.below(5))
    }

    pub(super) fn clock(&mut self) -> VersionVector {
        let dots = self.list(|w| Dot { actor: w.actor(), counter: w.bytes.number().max(1) });
        dots.into_iter().collect()
    }

    fn options(&mut self) -> Options {
        let some = |n: u64| (n > 0).then(|| n as u8 - 1);
        Options {
            n: some(self.bytes.below(5)),
            w: some(self.bytes.below(6)),
            r: some(self.bytes.below(6)),
            level: None,
            zone: None,
            strict: self.bytes.below(2) == 0,
            patient: self.bytes.below(2) == 0,
            write_back: true,
            timeout_ms: self.bytes.number(),
        }
    }

    fn put(&mut self) -> PutRequest {
        let items = self.list(|w| {
            let basis = match w.bytes.below(6) {
                0 => Precondition::Context(w.clock()),
                5 => Precondition::Exact(w.clock()),
                1 => Precondition::Overwrite { force: true },
                2 => Precondition::Blind,
                3 => Precondition::Append,
                _ => Precondition::Absent,
            };
            let expires = (w.bytes.below(4) == 0).then(|| w.bytes.number());
            let value = (w.bytes.below(4) > 0).then(|| (vec![w.bytes.byte()], expires));
            Item { key: w.key(), value, basis }
        });
        let fits = items.first().filter(|_| self.bytes.below(8) > 0);
        let partition = fits.map(|i| self.doc.q.partition(&i.key));
        let partition = partition.unwrap_or_else(|| self.partition());
        PutRequest { partition, items, options: self.options() }
    }

    fn put_reply(&mut self) -> PutReply {
        let items = self.list(|_| ItemReply::LostRace);
        PutReply { items, ..PutReply::none(Verdict::Done) }
    }

    /// A record with a right checksum.
    pub(super) fn stored(&mut self) -> (Key, Stored) {
        let (key, clock) = (self.key(), self.clock());
        let value = kvs::record::Value {
            bytes: vec![self.bytes.byte()],
            written_ms: self.bytes.number(),
            expires_ms: None,
            derived: false,
        };
        let last = clock.entries().last().copied();
        let siblings = last.map(|(actor, counter)| (Dot { actor, counter }, value));
        let record = Record { clock, siblings: siblings.into_iter().collect() };
        (key.clone(), Stored::new(&key, &record))
    }

    pub(super) fn row(&mut self) -> GossipRow {
        let (id, generation, beat) = (self.id(), self.bytes.number(), self.bytes.number());
        let (actor, version) = (self.actor(), self.bytes.number());
        GossipRow {
            id,
            generation,
            beat,
            address: "h:1".into(),
            actor,
            version,
            health: NodeHealth::Well,
        }
    }

    /// A document that may be next, or is nearly so.
    fn next_doc(&mut self) -> RingDoc {
        let doc = self.hosts[self.bytes.below(3) as usize].node.doc();
        let mut next = match self.bytes.below(3) {
            0 => (**doc).clone(),
            1 => doc.change(&[Change::Leave("n4".into())]).unwrap_or_else(|_| (**doc).clone()),
            _ => doc.advance().unwrap_or_else(|| (**doc).clone()),
        };
        match self.bytes.below(16) {
            0 => next.version = self.bytes.number(),
            1 => next.q = Q::new(16).expect("a power of two"),
            2 => next.replicas = self.bytes.byte(),
            3 => drop(next.members.pop()),
            4 => next.members[0].public_key = [9; 32],
            5 => next.members[1].state = MemberState::Removed,
            6 => next.old = None,
            7 => next.id = kvs::ring::RingId(6),
            8 => next.members[2].name = "n\n1".into(),
            _ => {}
        }
        next
    }
}

/// The bytes of a script, taken from the front; 0 after their end.
pub(super) struct Script<'a>(pub(super) &'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        let wide = if end > 256 { u64::from(self.byte()) << 8 } else { 0 };
        (wide + u64::from(self.byte())) % end
    }

    /// A number that is at an edge more often than not.
    pub(super) fn number(&mut self) -> u64 {
        match self.below(12) {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            3 => u64::MAX - 1,
            4 => 1 << 62,
            5 => (1 << 53) + 1,
            6 => u64::from(u32::MAX),
            7 => 1 << 40,
            _ => u64::from(self.byte()),
        }
    }
}
