//! What nodes hear and what comes of it: messages on their way, and batches made durable.

use super::*;

impl World {
    pub fn handle(&mut self, i: usize, event: Event) {
        let now = self.time(i);
        self.watch_event(i, &event);
        let host = &mut self.hosts[i];
        let Some(node) = &mut host.node else { return };
        let actions = node.handle(&host.store, now, event);
        self.watch_actions(i, &actions);
        for action in actions {
            self.act(i, action);
        }
    }

    /// The present, as a host's clocks show it.
    pub fn time(&self, i: usize) -> Time {
        let host = &self.hosts[i];
        let wall_ms = (WALL_MS + self.now_ms).saturating_add_signed(host.skew_ms);
        let mono_ms = if self.own_clocks {
            let ran = self.now_ms - host.started_ms;
            ran.saturating_add_signed(ran as i64 * host.drift_ppm / 1_000_000)
        } else {
            self.now_ms
        };
        Time { wall_ms, mono_ms }
    }

    pub(super) fn act(&mut self, i: usize, action: Action) {
        match action {
            Action::Send(to, message) => self.send(i, to, &message),
            Action::Commit(BatchSeq(seq), batch) => {
                let staged = self.look(i, &batch);
                let host = &mut self.hosts[i];
                host.staged = staged;
                host.handed_ms = self.now_ms;
                host.store.stage(&batch);
                let (life, (low, high)) = (host.life, host.commit_ms);
                let after = self.rng.within(low, high);
                self.push(after, What::Synced { host: i, life, seq });
            }
            Action::Reply(Ticket(ticket), reply) => {
                self.note(|| format!("reply {ticket} {reply:?}"));
                self.replies.insert(ticket, reply);
            }
            Action::Note(note) => {
                if let Note::Clash(key) = &note {
                    self.wrong.push(format!("{} met a dot of {key} with two values", self.name(i)));
                }
                self.note(|| format!("note of {i}: {note:?}"));
            }
            Action::Stop(why) => {
                self.note(|| format!("stop of {i}: {why}"));
                self.hosts[i].broken |= self.hosts[i].doubtful;
                self.crash(i, false);
            }
        }
    }

    fn send(&mut self, from: usize, to: NodeId, message: &Message) {
        let Some(to) = self.hosts.iter().position(|h| h.id == to && !h.gone) else { return };
        if self.links.is_some() {
            return self.send_linked(from, to, message);
        }
        let sheltered = self.sheltered.contains(&from) || self.sheltered.contains(&to);
        let net = if sheltered { Net::CALM } else { self.net.clone() };
        let lost = self.rng.chance(net.lose_permille);
        if lost || !sheltered && self.cuts.contains(&(from, to)) {
            return self.count("messages lost");
        }
        if !self.is_up(to) && self.rng.chance(500) {
            // A link that is gone is sometimes known to be: then nothing was sent.
            let (life, op, to) = (self.hosts[from].life, message.op, self.hosts[to].id);
            return self.push(0, What::Unsent { host: from, life, to, op });
        }
        // A request to coordinate travels at most once: a connection doubles nothing by itself, and
        // a node sends such a request again only when it is sure that nothing was applied.
        let once = matches!(message.body, Body::Put(_));
        let copies = 1 + u64::from(!once && self.rng.chance(net.double_permille));
        for _ in 0..copies {
            let mut after = self.rng.within(net.delay_ms.0, net.delay_ms.1);
            if self.rng.chance(net.late_permille) {
                after += self.rng.below(net.late_ms);
            }
            self.flying += 1;
            self.count("messages");
            let bytes = message.encode(WIRE).expect("this build has a word for what it says");
            let (life, sent_ms) = (self.hosts[from].life, self.now_ms);
            self.push(after, What::Deliver { from, to, life, sent_ms, counts: true, bytes });
        }
    }

    pub(super) fn synced(&mut self, i: usize, seq: u64) {
        let host = &mut self.hosts[i];
        let event = match host.store.sync() {
            Ok(()) => Event::Committed(BatchSeq(seq)),
            Err(failure) => Event::Failed(BatchSeq(seq), failure),
        };
        host.follow();
        match event {
            Event::Committed(_) => self.keep(i),
            _ => self.hosts[i].staged.clear(),
        }
        self.note(|| format!("synced {i}: {event:?}"));
        if matches!(event, Event::Failed(..)) {
            self.count("failed commits");
        }
        self.hosts[i].gathers_ms = Some(self.hosts[i].handed_ms);
        self.handle(i, event);
        self.hosts[i].gathers_ms = None;
    }

    /// The records of a batch, each with the clock that the key had before.
    fn look(&mut self, i: usize, batch: &Batch) -> Vec<Staged> {
        let mut found = Vec::new();
        let mut before: BTreeMap<&Key, VersionVector> = BTreeMap::new();
        let doc = self.hosts[i].node.as_ref().map(|n| n.doc().clone()).expect("it has just spoken");
        for op in &batch.ops {
            let (key, stored, target) = match op {
                Op::Record { key, stored, .. } => (key, stored, None),
                Op::Hint(Hint { key, target, stored: Some(stored), .. }) => {
                    (key, stored, Some(*target))
                }
                _ => continue,
            };
            let Ok(record) = stored.record(key) else {
                self.wrong.push(format!("{} commits an unreadable record", self.name(i)));
                continue;
            };
            // What has rotted since the node read it was known to it all the same.
            let durable = || match self.hosts[i].store.get(doc.q.partition(key), key) {
                Ok(stored) => stored.and_then(|s| s.record(key).ok()).unwrap_or_default().clock,
                Err(_) => self.hosts[i].ever.get(&(None, key.clone())).cloned().unwrap_or_default(),
            };
            let clock = match target {
                None => before.remove(key).unwrap_or_else(durable),
                Some(_) => record.clock.clone(),
            };
            if target.is_none() {
                before.insert(key, record.clock.clone());
            }
            found.push(Staged {
                key: key.clone(),
                record,
                before: clock,
                target,
                at_ms: self.now_ms,
                from_ms: self.hosts[i].gathers_ms.unwrap_or(self.now_ms),
                version: doc.version,
            });
        }
        found
    }

    /// What was staged is durable: its dots have their values for ever.
    pub(super) fn keep(&mut self, i: usize) {
        for Staged { key, record, before, target, at_ms, from_ms, version } in
            std::mem::take(&mut self.hosts[i].staged)
        {
            for (dot, value) in &record.siblings {
                self.bind(*dot, &key, &value.bytes);
            }
            self.hosts[i].ever.entry((target, key.clone())).or_default().join(&record.clock);
            for &(actor, counter) in record.clock.entries() {
                let dot = Dot { actor, counter };
                if counter <= before.get(actor) || self.mints.contains_key(&dot) {
                    continue;
                }
                let own = (actor, before.get(actor));
                let others = record.clock.entries().iter().filter(|e| e.0 != actor);
                let known = others.chain(Some(&own).filter(|own| own.1 > 0));
                let known = known.map(|&(actor, counter)| Dot { actor, counter }).collect();
                let kept = record.siblings.iter().map(|s| s.0).filter(|d| *d != dot).collect();
                let value = record.sibling(dot).map(|v| v.bytes.clone());
                let key = key.clone();
                let mint = Mint { dot, key, host: i, at_ms, from_ms, version, known, kept, value };
                self.mints.insert(dot, mint);
                self.watch.minted.push(dot);
            }
            if self.watch.on {
                self.watch.kept.push((i, key, record));
            }
        }
    }

    /// Notes that a dot carries this value; one with two values is wrong.
    pub fn bind(&mut self, dot: Dot, key: &Key, bytes: &[u8]) {
        let known = self.dots.entry(dot).or_insert_with(|| (key.clone(), bytes.to_vec()));
        if known.0 != *key || known.1 != bytes {
            self.wrong.push(format!("the dot {dot:?} of {key} has two values"));
        }
    }

    /// Dots of these actors that nobody can know of may be minted again.
    pub fn unbind(&mut self, gone: impl Fn(Dot) -> bool) {
        self.dots.retain(|dot, _| !gone(*dot));
    }

    pub(super) fn name(&self, i: usize) -> String {
        self.hosts[i].name.clone()
    }

    pub fn is_up(&self, i: usize) -> bool {
        self.hosts[i].node.is_some()
    }

    /// Whether both are running and nothing is cut between them.
    pub fn reaches(&self, a: usize, b: usize) -> bool {
        let open = !self.cuts.contains(&(a, b)) && !self.cuts.contains(&(b, a));
        self.is_up(a) && self.is_up(b) && open
    }

    /// The oldest version of the ring that any machine in service was seen to act under.
    pub fn oldest_version(&self) -> u64 {
        self.hosts.iter().filter(|h| !h.gone).map(|h| h.version).min().unwrap_or(0)
    }

    /// The newest ring document that any running node acts under, or else any disk holds.
    pub fn doc(&self) -> std::sync::Arc<RingDoc> {
        let docs = self.hosts.iter().filter_map(|h| h.node.as_ref()).map(|n| n.doc().clone());
        docs.max_by_key(|d| d.version).unwrap_or_else(|| {
            let row = |h: &Host| h.store.row(Table::Ring, "doc").ok().flatten();
            let rows = self.hosts.iter().filter_map(row);
            let docs = rows.filter_map(|row| RingDoc::decode(&row).ok());
            docs.max_by_key(|d| d.version).expect("a disk holds the ring").into()
        })
    }
}
