//! What goes wrong in a [`World`]: crashes, older directories, damaged records, cuts, false alarms.

use super::*;

impl Host {
    /// What the file says of itself.
    pub fn identity(&self) -> Identity {
        let word = |name| {
            let row = self.store.row(Table::Meta, name).expect("memory can be read");
            u64::from_le_bytes(row.expect("a row of identity").try_into().expect("a word"))
        };
        let (actor, commit) = (Actor(word("actor")), self.store.commit_number());
        Identity { node: self.id, actor, commit }
    }

    /// The sidecar follows the file.
    pub(super) fn follow(&mut self) {
        self.sidecar = Some(self.identity());
    }
}

impl World {
    /// The process dies; a commit under way is lost, or `keep`: was durable after all.
    pub fn crash(&mut self, i: usize, keep: bool) {
        self.note(|| format!("crash {i}"));
        let host = &mut self.hosts[i];
        host.node = None;
        host.life += 1;
        let before = host.store.commit_number();
        host.store.crash(keep);
        host.frozen = false;
        for what in std::mem::take(&mut host.backlog) {
            if let What::Deliver { counts, .. } = what {
                self.flying -= usize::from(counts);
            }
        }
        if self.hosts[i].store.commit_number() > before {
            self.keep(i);
        }
        self.hosts[i].staged.clear();
        self.watch.forget(i);
        // What a witness was told a moment ago it may have kept nowhere.
        let now = self.now_ms;
        self.watch.met.retain(|pair, met| pair.0 != i || met.1 + 3_000 < now);
        self.unlisten(i);
        self.tell_truth();
    }

    /// Starts the process; the sidecar says whether the file is suspect.
    pub fn restart(&mut self, i: usize) {
        if self.hosts[i].node.is_some() || self.hosts[i].gone || self.hosts[i].broken {
            return;
        }
        let host = &self.hosts[i];
        let reads = |name| host.store.row(Table::Meta, name).is_ok();
        if host.doubtful && !(reads("actor") && reads("commit")) {
            self.hosts[i].broken = true;
            return;
        }
        let seed = u128::from(self.rng.next()) << 64 | u128::from(self.rng.next());
        let witnesses = self.witnesses;
        let host = &mut self.hosts[i];
        host.restarts += 1;
        host.started_ms = self.now_ms;
        let found = host.sidecar.map_or(Found::Missing, Found::Valid);
        let suspect = match sidecar::judge(&host.identity(), found) {
            Trust::Proven => None,
            Trust::Suspect(reason) => Some(reason.to_string()),
        };
        let boot = Boot { seed, suspect, witnesses, ..Boot::default() };
        match Node::open(&host.store, boot) {
            Ok(node) => host.node = Some(node),
            Err(_) if host.doubtful => host.broken = true,
            Err(error) => self.wrong.push(format!("node {i} cannot be opened: {error}")),
        }
        self.note(|| format!("restart {i}"));
        let life = self.hosts[i].life;
        self.push(1, What::Tick { host: i, life });
        self.listen(i);
        self.tell_truth();
    }

    /// A copy of the directory as it is now.
    pub fn snapshot(&self, i: usize) -> Snapshot {
        let host = &self.hosts[i];
        let mut store = host.store.clone();
        store.crash(false);
        let ever = host.ever.clone();
        Snapshot { store, sidecar: host.sidecar, ever, at_ms: self.now_ms }
    }

    /// Stops the node and puts an older directory back; the caller restarts it.
    pub fn restore(&mut self, i: usize, snapshot: &Snapshot, with_sidecar: bool) {
        if self.is_up(i) {
            self.crash(i, false);
        }
        self.note(|| format!("restore {i}, sidecar: {with_sidecar}"));
        self.hosts[i].store = snapshot.store.clone();
        self.hosts[i].ever.clone_from(&snapshot.ever);
        self.watch.forget_promises(i);
        if with_sidecar {
            self.hosts[i].sidecar = snapshot.sidecar;
        }
    }

    /// A record vanishes behind the store's back.
    pub fn lose(&mut self, i: usize, key: &str) -> bool {
        let (p, key) = self.place(key);
        self.note(|| format!("lose {key} at {i}"));
        self.hosts[i].store.lose(p, &key)
    }

    /// A record's bytes rot.
    pub fn rot(&mut self, i: usize, key: &str) -> bool {
        let (p, key) = self.place(key);
        self.note(|| format!("rot {key} at {i}"));
        self.hosts[i].store.rot(p, &key)
    }

    /// Reads everything while the node is down: leaves are rebuilt, and what is missing from them
    /// makes the file a suspect one.
    pub fn salvage(&mut self, i: usize) {
        if self.is_up(i) {
            self.crash(i, false);
        }
        let host = &mut self.hosts[i];
        host.store.set_full(false);
        let found: Vec<_> = host.store.sums().expect("memory can be read");
        for p in found.into_iter().map(|s| s.0) {
            let verdict = kvs::store::verify::verify(&host.store, p).expect("memory can be read");
            if !verdict.digest_matches() {
                host.store.apply(&Batch { ops: vec![Op::Rebuild(p)] }).expect("there is room");
                host.sidecar = None;
            }
        }
    }

    /// Cuts one direction.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.note(|| format!("cut {from}->{to}"));
        self.cuts.insert((from, to));
        self.tell_truth();
    }

    /// Cuts a node off from all others, both ways.
    pub fn isolate(&mut self, i: usize) {
        for other in (0..self.hosts.len()).filter(|o| *o != i) {
            self.cuts.extend([(i, other), (other, i)]);
        }
        self.tell_truth();
    }

    /// Ends all cuts and calms the network.
    pub fn heal(&mut self) {
        self.note(|| "heal".into());
        self.net = Net::CALM;
        self.mend();
        // Every link stands: whoever was started again is known by its new process.
        for (from, to) in self.pairs() {
            self.is_linked_to(from, to, self.hosts[from].life);
        }
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        let up: Vec<_> = (0..self.hosts.len()).filter(|i| self.is_up(*i)).collect();
        up.iter().flat_map(|a| up.iter().map(|b| (*a, *b))).filter(|(a, b)| a != b).collect()
    }

    /// Tells a node's failure detector who is alive.
    pub fn say_alive(&mut self, i: usize, alive: &[usize]) {
        if self.links.is_some() {
            return;
        }
        let ids: BTreeSet<_> =
            alive.iter().filter(|o| **o != i).map(|o| self.hosts[*o].id).collect();
        self.hosts[i].alive.clone_from(&ids);
        self.handle(i, Event::Alive(ids));
    }

    pub(super) fn tell_truth(&mut self) {
        if self.lying || self.links.is_some() {
            return;
        }
        for i in 0..self.hosts.len() {
            let all = 0..self.hosts.len();
            let alive: Vec<_> = all.filter(|o| *o != i && self.reaches(i, *o)).collect();
            self.say_alive(i, &alive);
        }
    }

    /// The commit under way fails for a reason that is no full disk: the node stops.
    pub fn break_disk(&mut self, i: usize, keep: bool) {
        self.note(|| format!("disk of {i} breaks"));
        let error = kvs::error::Error::Corrupt("the disk says no".into());
        let before = self.hosts[i].store.commit_number();
        self.hosts[i].store.crash(keep);
        if self.hosts[i].store.commit_number() > before {
            self.keep(i);
        }
        self.handle(i, Event::Failed(BatchSeq(0), Failure::Fatal(error)));
    }
}
