//! Virtual time: the queue of what is to happen, one event after the other.

use super::*;

impl World {
    /// Handles the next event, if one is due by `until_ms`.
    pub fn step(&mut self, until_ms: u64) -> Step {
        if self.queue.peek().is_none_or(|e| e.0.0 > until_ms) {
            self.now_ms = self.now_ms.max(until_ms);
            return Step::Over;
        }
        let Some(Reverse((at, _, what))) = self.queue.pop() else { return Step::Over };
        let same = at / 1_000 == self.now_ms / 1_000;
        self.at_once = if same { self.at_once + 1 } else { 0 };
        self.now_ms = at;
        if self.at_once > AT_ONCE_MAX {
            self.endless(&what);
            return Step::Over;
        }
        if let What::Script(token) = what {
            return Step::Script(token);
        }
        match what.host() {
            Some(host) if self.hosts[host].frozen => self.hosts[host].backlog.push(what),
            _ => self.happen(what),
        }
        Step::Inner
    }

    /// Nodes keep each other busy for ever.
    fn endless(&mut self, what: &What) {
        let said = match what {
            What::Deliver { from, to, bytes, .. } => {
                format!("{from}->{to} {:.300}", format!("{:?}", Message::decode(bytes)))
            }
            _ => String::new(),
        };
        self.wrong.push(format!("[endless] {AT_ONCE_MAX} events in a second, the last {said}"));
        self.queue.clear();
        self.at_once = 0;
    }

    pub(super) fn happen(&mut self, what: What) {
        match what {
            What::Deliver { from, to, life, sent_ms, counts, bytes } => {
                self.flying -= usize::from(counts);
                if !self.is_linked_to(from, to, life) {
                    return self.count("messages of former processes");
                }
                self.note(|| format!("deliver {from}->{to} {:?}", Message::decode(&bytes)));
                self.hash(&bytes);
                match Message::decode(&bytes) {
                    Ok(message) if self.is_up(to) => {
                        let message = self.aged(message, self.now_ms - sent_ms);
                        self.arrive(from, to, message);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let name = self.name(from);
                        self.wrong.push(format!(
                            "[unproven] {name} sends what it has not proven: {error}"
                        ));
                    }
                }
            }
            What::Synced { host, life, seq } if self.hosts[host].life == life => {
                self.synced(host, seq);
            }
            What::Tick { host, life } if self.hosts[host].life == life => {
                let after = self.rng.within(self.tick_ms.0, self.tick_ms.1);
                self.push(after, What::Tick { host, life });
                self.handle(host, Event::Tick);
                self.link_tick(host);
            }
            What::Unsent { host, life, to, op } if self.hosts[host].life == life => {
                self.handle(host, Event::Unsent(to, op));
            }
            What::Linked { a, b, lives } => self.linked(a, b, lives),
            What::Thaw(host) => self.thaw(host),
            _ => {}
        }
    }

    /// A link is one of two processes: what a former one sent goes down with it, and before a driver
    /// passes on the first word of a new one it says that the link was cut, also one that lies.
    pub(super) fn is_linked_to(&mut self, from: usize, to: usize, life: u64) -> bool {
        if !self.is_up(to) {
            return true;
        }
        let known = self.spoke.entry((to, from)).or_insert(life);
        let (newer, older) = (life > *known, life < *known);
        *known = life.max(*known);
        if newer && self.links.is_none() {
            self.ended(to, from);
        }
        !older
    }

    /// A driver takes the time that a request was on its way off the time that it has.
    fn aged(&self, mut message: Message, age_ms: u64) -> Message {
        if self.ages {
            message.body.age(age_ms);
        }
        message
    }

    pub fn run_for(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while self.step(until) != Step::Over {}
    }

    /// Has [`World::step`] return [`Step::Script`] with this token after so long.
    pub fn script(&mut self, after_ms: u64, token: u64) {
        self.push(after_ms, What::Script(token));
    }

    /// Runs until no message flies and no node has work; false when a minute was not enough.
    pub fn settle(&mut self) -> bool {
        let until = self.now_ms + 60_000;
        self.run_for(1);
        while !self.is_quiet() {
            if self.step(until) == Step::Over {
                return false;
            }
        }
        true
    }

    fn is_quiet(&self) -> bool {
        let idle = |h: &Host| h.node.as_ref().is_none_or(Node::is_idle);
        self.flying == 0 && self.hosts.iter().all(idle)
    }

    pub(super) fn push(&mut self, after_ms: u64, what: What) {
        self.seq += 1;
        self.queue.push(Reverse((self.now_ms + after_ms, self.seq, what)));
    }

    pub(super) fn hash(&mut self, bytes: &[u8]) {
        // The beginning says enough of a message.
        for byte in self.now_ms.to_le_bytes().iter().chain(bytes.iter().take(200)) {
            self.log = (self.log ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>8} {}", self.now_ms, line()));
        }
    }
}
