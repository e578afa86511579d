//! Rounds in which every command is a process of its own: it opens all directories it finds, runs
//! one request and ends, as the embedded driver does. Between two commands anything may have
//! happened to a directory.
//!
//! ```text
//! damage, restore … | open n1 n3 (n2 is away) | put k | close | open n1 n2 n3 | repair | close …
//! ```
//!
//! The network of such a process is instant and loses nothing; a kill may come at any moment.

use kvs::node::{RepairRequest, Request};

use super::plan::Fault;
use super::run::{Run, Turn};
use crate::support::world::{Net, Step};

impl Run {
    /// One round of commands, in place of one with servers.
    pub fn commands(&mut self) {
        self.begin_round();
        self.w.lying = false;
        self.w.net = Net { delay_ms: (0, 0), ..Net::CALM };
        self.close_all(true);
        let until = self.w.now_ms + self.plan.round_ms;
        while self.w.now_ms < until && self.failure().is_none() {
            if self.w.rng.chance(200) {
                self.fault();
                self.w.sheltered.clear();
            }
            self.open_some();
            let killed = self.command();
            self.close_all(killed);
            self.w.run_for(500);
            self.take_wrong();
        }
        self.w.cuts.clear();
    }

    fn open_some(&mut self) {
        let away = self.w.rng.below(5 * self.w.hosts.len() as u64) as usize;
        for host in (0..self.w.hosts.len()).filter(|h| *h != away) {
            self.w.restart(host);
        }
        // Time for the greeting, of which `fault` may have scheduled more than was wanted.
        self.run_until(500, |_| false);
        if self.w.rng.chance(200) {
            let host = self.w.rng.below(self.w.hosts.len() as u64) as usize;
            self.snapshots.insert(host, self.w.snapshot(host));
        }
        if self.w.rng.chance(200) {
            self.audit(false);
        }
    }

    /// The processes end, in good order or killed.
    fn close_all(&mut self, killed: bool) {
        let met = self.w.watch.met.clone();
        for host in 0..self.w.hosts.len() {
            if self.w.is_up(host) {
                self.w.crash(host, false);
            }
        }
        if !killed {
            self.w.watch.met = met;
        }
        self.give_up();
    }

    /// Whether it was killed on the way.
    fn command(&mut self) -> bool {
        let up: Vec<_> = (0..self.w.hosts.len()).filter(|i| self.w.is_up(*i)).collect();
        let Some(via) = self.w.rng.pick(&up).copied() else { return false };
        let kill = self.w.rng.chance(60);
        let most_ms = if kill { self.w.rng.below(10) } else { 30_000 };
        if self.w.rng.chance(750) {
            let client = self.w.rng.below(self.plan.clients as u64) as usize;
            self.begin(client, via);
            self.run_until(most_ms, |run| run.clients[client].open.is_empty());
            return kill;
        }
        let ring = self.next_of_ring();
        let each = match self.w.rng.below(3) {
            0 => Request::Deliver,
            1 => Request::Cleanup,
            _ => Request::Repair(RepairRequest::default()),
        };
        let requests: Vec<_> = match ring {
            Some(request) => vec![(via, request)],
            None => up.iter().map(|host| (*host, each.clone())).collect(),
        };
        for (host, request) in requests {
            if !self.w.is_up(host) {
                continue;
            }
            let ticket = self.w.request(host, request);
            self.tickets.insert(ticket, Vec::new());
            self.run_until(most_ms, |run| !run.tickets.contains_key(&ticket));
        }
        kill
    }

    /// Runs until it is so, or for so long; what was scheduled for servers is void.
    fn run_until(&mut self, most_ms: u64, done: impl Fn(&Self) -> bool) {
        let until = self.w.now_ms + most_ms;
        while !done(self) && self.failure().is_none() {
            match self.w.step(until) {
                Step::Over => break,
                Step::Script(token) => self.void(token as usize),
                Step::Inner => {}
            }
            self.check_commits();
            self.take_replies();
        }
    }

    fn void(&mut self, token: usize) {
        if let Some(Turn::Room(host)) = self.turn_of(token) {
            self.w.hosts[host].store.set_full(false);
        }
    }

    /// Whether this can happen to a directory that nobody has open.
    pub fn is_of_disks(fault: Fault) -> bool {
        use Fault::{Breakdown, Cut, Freeze, Isolate, Relink, Strike, ZoneDown};
        !matches!(fault, Cut | Isolate | Strike | Freeze | Relink | Breakdown | ZoneDown)
    }
}
