//! Links and failure detectors as a served node has them: nobody is told who is up.
//!
//! ```text
//! dial -> linked, both sides know       cut: nothing passes; 4 s of silence end the link, each side
//! by itself; what was sent into a cut is lost, or kept by the kernel and delivered once it ends
//! frozen: everything queues up before the node and is handled when it goes on
//! alive = linked and, by its own `Gossip`, up
//! ```
//!
//! Caveat: what comes late over a link that was replaced meanwhile is delivered all the same; a real
//! node often does not hear it. A node must bear both.

use kvs::gossip::{GossipRow, NodeHealth};

use super::*;

/// A link on which nothing was heard for so long is dead, in ms.
const SILENCE_MS: u64 = 4_000;
/// What is sent into a cut is tried again for so long, in ms.
const RETRY_MS: u64 = 60_000;

/// See the module. A pair is (who sees it, the other one).
#[derive(Default)]
pub struct Links {
    /// A cut keeps what is sent into it.
    pub hold: bool,
    /// Messages keep their order, as on one connection.
    pub fifo: bool,
    /// Machines that went down without a word.
    pub silent: BTreeSet<usize>,
    up: BTreeMap<(usize, usize), u64>,
    heard: BTreeMap<(usize, usize), u64>,
    dialling: BTreeSet<(usize, usize)>,
    last: BTreeMap<(usize, usize), u64>,
    held: BTreeMap<(usize, usize), Vec<Flight>>,
    generation: u64,
}

/// A message on its way.
struct Flight {
    /// Of the sender, when it sent this.
    life: u64,
    sent_ms: u64,
    /// Whether rest has to wait for it: not for gossip, which never ends.
    counts: bool,
    bytes: Vec<u8>,
}

impl Flight {
    fn new(life: u64, sent_ms: u64, message: &Message) -> Self {
        let counts = !matches!(message.body, Body::Gossip { .. });
        Self { life, sent_ms, counts, bytes: message.encode(WIRE).expect("a word for it") }
    }
}

impl World {
    /// From now on nodes find out themselves who is up.
    pub fn use_links(&mut self, hold: bool, fifo: bool) {
        self.links = Some(Links { hold, fifo, ..Links::default() });
        for i in 0..self.hosts.len() {
            self.listen(i);
            self.find_alive(i);
        }
    }

    /// A starting node knows nobody.
    pub(super) fn listen(&mut self, i: usize) {
        if self.links.is_none() {
            return;
        }
        let (time, seed) = (self.time(i), self.rng.next());
        let host = &mut self.hosts[i];
        host.alive.clear();
        let Some(node) = &host.node else { return };
        let row = GossipRow {
            id: host.id,
            generation: time.wall_ms,
            beat: 0,
            address: format!("{}:1", host.name),
            actor: node.actor(),
            version: node.doc().version,
            health: NodeHealth::Starting,
        };
        host.gossip = Some(Gossip::new(row, seed, time.mono_ms));
    }

    /// The other sides of a process that ended see the ends of its links, unless it went silently.
    pub(super) fn unlisten(&mut self, i: usize) {
        let silent = self.rng.chance(300);
        let Some(links) = &mut self.links else { return };
        links.up.retain(|(a, _), _| *a != i);
        if silent {
            links.silent.insert(i)
        } else {
            links.silent.remove(&i)
        };
        self.hosts[i].gossip = None;
        self.hosts[i].alive.clear();
    }

    /// A message has come; gossip is for the failure detector too.
    pub(super) fn arrive(&mut self, from: usize, to: usize, mut message: Message) {
        self.note_met(from, to, &message);
        let sender = self.hosts[from].id;
        let mono_ms = self.time(to).mono_ms;
        let host = &mut self.hosts[to];
        if let Body::Gossip { rows, answer } = &mut message.body
            && let (Some(gossip), Some(node)) = (&mut host.gossip, &host.node)
        {
            let doc = node.doc().clone();
            let news = gossip.merge(sender, std::mem::take(rows), mono_ms);
            gossip.retain(|id| doc.member(id).is_some_and(|m| m.state != MemberState::Removed));
            if !*answer && !news.is_empty() {
                self.gossip_to(to, from, news, true);
            }
            self.find_alive(to);
        }
        self.handle(to, Event::Message(sender, message));
    }

    fn gossip_to(&mut self, from: usize, to: usize, rows: Vec<GossipRow>, answer: bool) {
        let Some(node) = &self.hosts[from].node else { return };
        let doc = node.doc();
        let body = Body::Gossip { rows, answer };
        let message = Message { ring: doc.id, version: doc.version, op: 0, body };
        self.send_linked(from, to, &message);
    }

    /// What a served node does at every tick besides ticking.
    pub(super) fn link_tick(&mut self, i: usize) {
        if self.links.is_none() || !self.is_up(i) {
            return;
        }
        self.end_links(i);
        self.dial(i);
        let time = self.time(i);
        let linked: Vec<usize> = self.linked_of(i);
        let ids: Vec<_> = linked.iter().map(|o| self.hosts[*o].id).collect();
        let host = &mut self.hosts[i];
        let (Some(node), Some(gossip)) = (&host.node, &mut host.gossip) else { return };
        let health = match (node.is_ready(), node.has_room()) {
            (false, _) => NodeHealth::Starting,
            (_, false) => NodeHealth::Full,
            _ => NodeHealth::Well,
        };
        let (actor, version) = (node.actor(), node.doc().version);
        gossip.set(|row| (row.actor, row.version, row.health) = (actor, version, health));
        let called = gossip.tick(time.mono_ms, &ids);
        let rows = gossip.rows();
        for id in called {
            let to = linked[ids.iter().position(|o| *o == id).expect("one of them")];
            self.gossip_to(i, to, rows.clone(), false);
        }
        self.find_alive(i);
    }

    fn linked_of(&self, i: usize) -> Vec<usize> {
        let Some(links) = &self.links else { return Vec::new() };
        links.up.range((i, 0)..(i + 1, 0)).map(|(pair, _)| pair.1).collect()
    }

    fn open(&self, a: usize, b: usize) -> bool {
        let sheltered = self.sheltered.contains(&a) || self.sheltered.contains(&b);
        sheltered || !self.cuts.contains(&(a, b)) && !self.cuts.contains(&(b, a))
    }

    /// Links whose other side is gone, has replaced them, or is silent.
    fn end_links(&mut self, i: usize) {
        for o in self.linked_of(i) {
            let (open, up, frozen) = (self.open(i, o), self.is_up(o), self.hosts[o].frozen);
            let doc = self.hosts[i].node.as_ref().map(|n| n.doc().clone()).expect("it runs");
            let removed =
                doc.member(self.hosts[o].id).is_none_or(|m| m.state == MemberState::Removed);
            let now = self.now_ms;
            let links = self.links.as_mut().expect("there are links");
            let same = links.up.get(&(i, o)) == links.up.get(&(o, i));
            let heard = links.heard.entry((i, o)).or_insert(now);
            if open && up && same && !frozen {
                *heard = now;
            }
            let ended = open && (up && !same || !up && !links.silent.contains(&o));
            if removed || ended || now >= *heard + SILENCE_MS {
                links.up.remove(&(i, o));
                self.ended(i, o);
            }
        }
    }

    fn dial(&mut self, i: usize) {
        let doc = self.hosts[i].node.as_ref().map(|n| n.doc().clone()).expect("it runs");
        for o in 0..self.hosts.len() {
            let member =
                doc.member(self.hosts[o].id).is_some_and(|m| m.state != MemberState::Removed);
            let links = self.links.as_ref().expect("there are links");
            let busy = links.up.contains_key(&(i, o)) || links.dialling.contains(&(i, o));
            let able = member && self.is_up(o) && !self.hosts[o].frozen && self.open(i, o);
            if i == o || busy || !able || !self.rng.chance(400) {
                continue;
            }
            self.shake_hands(i, o);
        }
    }

    fn shake_hands(&mut self, a: usize, b: usize) {
        let after = 3 * self.rng.within(self.net.delay_ms.0, self.net.delay_ms.1);
        let lives = (self.hosts[a].life, self.hosts[b].life);
        self.links.as_mut().expect("there are links").dialling.insert((a, b));
        self.push(after, What::Linked { a, b, lives });
    }

    /// A link is made anew though there is one: what is under way on the old one is lost, or late.
    pub fn relink(&mut self, a: usize, b: usize) {
        if self.links.is_some() && a != b && self.reaches(a, b) {
            self.shake_hands(a, b);
        }
    }

    pub(super) fn linked(&mut self, a: usize, b: usize, lives: (u64, u64)) {
        let alive = (self.hosts[a].life, self.hosts[b].life) == lives;
        let able = alive && self.is_up(a) && self.is_up(b) && self.open(a, b);
        let fine = able && !self.hosts[a].frozen && !self.hosts[b].frozen;
        let knows = |me: usize, other: usize| {
            let doc = self.hosts[me].node.as_ref().map(|n| n.doc().clone());
            let id = self.hosts[other].id;
            doc.is_some_and(|d| d.member(id).is_some_and(|m| m.state != MemberState::Removed))
        };
        // Whoever is not known to the other side is not let in.
        let fine = fine && knows(b, a);
        let Some(links) = &mut self.links else { return };
        links.dialling.remove(&(a, b));
        if !fine {
            return;
        }
        links.generation += 1;
        let mut replaced = Vec::new();
        for pair in [(a, b), (b, a)] {
            let before = links.up.insert(pair, links.generation);
            replaced.extend(before.map(|_| pair));
            links.heard.insert(pair, self.now_ms);
        }
        replaced.into_iter().for_each(|(me, other)| self.ended(me, other));
        self.find_alive(a);
        self.find_alive(b);
    }

    /// Tells the node that a link of it has ended, or was replaced by another one.
    pub(super) fn ended(&mut self, i: usize, other: usize) {
        let (alive, peer) = (self.hosts[i].alive.clone(), self.hosts[other].id);
        self.handle(i, Event::Cut(peer));
        self.handle(i, Event::Alive(alive));
    }

    /// Tells the node who can be reached, when that has changed.
    pub(super) fn find_alive(&mut self, i: usize) {
        let time = self.time(i);
        let linked = self.linked_of(i).into_iter().map(|o| self.hosts[o].id);
        let host = &self.hosts[i];
        let Some(gossip) = &host.gossip else { return };
        let alive: BTreeSet<_> = linked.filter(|id| gossip.is_up(*id, time.mono_ms)).collect();
        if alive != self.hosts[i].alive {
            self.note(|| format!("{i} finds alive: {alive:?}"));
            self.hosts[i].alive.clone_from(&alive);
            self.handle(i, Event::Alive(alive));
        }
    }

    pub(super) fn send_linked(&mut self, from: usize, to: usize, message: &Message) {
        let sheltered = self.sheltered.contains(&from) || self.sheltered.contains(&to);
        let net = if sheltered { Net::CALM } else { self.net.clone() };
        let Some(links) = &mut self.links else { return };
        if !links.up.contains_key(&(from, to)) {
            if message.op != 0 {
                let (life, op, to) = (self.hosts[from].life, message.op, self.hosts[to].id);
                self.push(0, What::Unsent { host: from, life, to, op });
            }
            return;
        }
        if !sheltered && self.cuts.contains(&(from, to)) {
            if links.hold {
                let held = links.held.entry((from, to)).or_default();
                held.push(Flight::new(self.hosts[from].life, self.now_ms, message));
            }
            return self.count("messages lost");
        }
        let fifo = links.fifo;
        if !fifo && self.rng.chance(net.lose_permille) {
            return self.count("messages lost");
        }
        let once = fifo || matches!(message.body, Body::Put(_));
        let copies = 1 + u64::from(!once && self.rng.chance(net.double_permille));
        for _ in 0..copies {
            let mut after = self.rng.within(net.delay_ms.0, net.delay_ms.1);
            if self.rng.chance(net.late_permille) {
                after += self.rng.below(net.late_ms);
            }
            let flight = Flight::new(self.hosts[from].life, self.now_ms, message);
            self.fly((from, to), after, flight);
        }
    }

    fn fly(&mut self, (from, to): (usize, usize), mut after: u64, flight: Flight) {
        let now = self.now_ms;
        if let Some(links) = &mut self.links
            && links.fifo
        {
            let last = links.last.entry((from, to)).or_default();
            *last = (*last).max(now + after);
            after = *last - now;
        }
        let Flight { life, sent_ms, counts, bytes } = flight;
        self.flying += usize::from(counts);
        self.count("messages");
        self.push(after, What::Deliver { from, to, life, sent_ms, counts, bytes });
    }

    /// Ends all cuts; what the kernels kept is delivered, unless it is too old.
    pub fn mend(&mut self) {
        self.note(|| "mend".into());
        self.cuts.clear();
        let held = self.links.as_mut().map(|l| std::mem::take(&mut l.held)).unwrap_or_default();
        for ((from, to), messages) in held {
            let mut after = self.rng.within(1, 3_000);
            let most = self.rng.within(0, RETRY_MS);
            for flight in messages {
                if self.now_ms <= flight.sent_ms + most {
                    self.count("messages held");
                    self.fly((from, to), after, flight);
                    after += self.rng.below(3);
                }
            }
        }
        self.tell_truth();
    }

    /// A host stands still for so long: nothing is lost, everything waits.
    pub fn freeze(&mut self, i: usize, ms: u64) -> bool {
        if !self.is_up(i) || self.hosts[i].frozen {
            return false;
        }
        self.note(|| format!("freeze {i} for {ms}"));
        self.hosts[i].frozen = true;
        self.push(ms, What::Thaw(i));
        true
    }

    pub fn thaw(&mut self, i: usize) {
        if !std::mem::take(&mut self.hosts[i].frozen) {
            return;
        }
        self.note(|| format!("thaw {i}"));
        self.hosts[i].stood_ms = self.now_ms;
        for what in std::mem::take(&mut self.hosts[i].backlog) {
            // It may end meanwhile, and does not freeze here.
            self.happen(what);
        }
    }
}
