//! A ring of three in a place of its own, and processes that serve it.

use std::cell::RefCell;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::sync::atomic::{AtomicU16, Ordering};

use kvs::store::lock::Lock;

use super::shell::{Place, binary, send};
use super::wait::wait_for;

/// Ports below 32,768 are not given out by the system.
const PORTS: (u16, u16) = (10_000, 30_000);

/// Three free ports in a row, each row given out once by this process.
pub(crate) fn ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = (std::process::id() % 500) as u16 * 40;
    let base = |n: u16| PORTS.0 + (begin + n * 4) % (PORTS.1 - PORTS.0);
    let rows = (0..2_000).map(|_| base(NEXT.fetch_add(1, Ordering::SeqCst)));
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    rows.into_iter().find(|row| (*row..*row + 3).all(is_free)).expect("three free ports")
}

/// A place with a ring `r` of three nodes that have addresses.
pub(crate) fn ring() -> Place {
    Place::ring(&format!("--partitions 16 --listen 127.0.0.1:{}", ports()))
}

/// A process that serves: `kvs up` or `kvs node run`.
pub(crate) struct Served<'a> {
    place: &'a Place,
    child: RefCell<Child>,
    /// Its output: `NAME.out`, `NAME.err`.
    name: String,
}

impl<'a> Served<'a> {
    /// Every node of `r`, ready.
    pub(crate) fn up(place: &'a Place) -> Self {
        let served = Self::start(place, "up", "up r");
        served.says("3 nodes up");
        served
    }

    /// Every node of `r`, and each has met the others: a node that is ready may not know yet that they are
    /// there, and what it refuses for that is asked of another one.
    pub(crate) fn healthy(place: &'a Place) -> Self {
        let served = Self::up(place);
        wait_for("a ring in good health", || place.kvs("status --check").code == 0);
        served
    }

    /// The node of a directory, ready.
    pub(crate) fn node(place: &'a Place, name: &str) -> Self {
        Self::node_under(place, name, "")
    }

    /// The same, with a program before it that becomes the node.
    pub(crate) fn node_under(place: &'a Place, name: &str, program: &str) -> Self {
        let served = Self::under(place, name, program, &format!("node run r/{name}"));
        served.prints(&format!("ready {name} "));
        served
    }

    /// Whatever serves, not yet ready.
    pub(crate) fn start(place: &'a Place, name: &str, line: &str) -> Self {
        Self::under(place, name, "", line)
    }

    fn under(place: &'a Place, name: &str, program: &str, line: &str) -> Self {
        let (out, err) = (format!("{name}.out"), format!("{name}.err"));
        let line = format!("{program} {} {line}", binary().display());
        let child = RefCell::new(place.start_into(&line, &out, &err));
        Self { place, child, name: name.to_owned() }
    }

    pub(crate) fn out(&self) -> String {
        self.place.read(&format!("{}.out", self.name))
    }

    pub(crate) fn err(&self) -> String {
        self.place.read(&format!("{}.err", self.name))
    }

    /// Waits until it has said so on stderr.
    pub(crate) fn says(&self, words: &str) {
        wait_for(words, || self.err().contains(words) || self.has_ended());
        assert!(self.err().contains(words), "{words:?} was not said:\n{}", self.err());
    }

    /// Waits until it has printed so on stdout.
    pub(crate) fn prints(&self, words: &str) {
        wait_for(words, || self.out().contains(words) || self.has_ended());
        assert!(self.out().contains(words), "{words:?} was not printed:\n{}", self.err());
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.child.borrow_mut().try_wait().expect("a child").is_some()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.borrow().id();
        send(signal, &id.to_string());
    }

    /// Waits for its end: its code, or a signal's number below zero.
    pub(crate) fn end(&self) -> i32 {
        wait_for(&format!("the end of {}", self.name), || self.has_ended());
        let status = self.child.borrow_mut().wait().expect("an end");
        status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
    }

    /// Tells it to stop, and holds how it ends.
    #[track_caller]
    pub(crate) fn stops(self, code: i32) {
        self.signal("TERM");
        assert_eq!(self.end(), code, "{}:\n{}", self.name, self.err());
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.signal("KILL");
            self.end();
        }
        // The children of `up` go on without it. Only who holds a lock in this very place is one.
        let names = if self.name == "up" { &["n1", "n2", "n3", "n4"][..] } else { &[] };
        for pid in names.iter().filter_map(|name| pid(self.place, name)) {
            send("KILL", &pid.to_string());
        }
    }
}

/// The process that serves a node now.
pub(crate) fn pid(place: &Place, name: &str) -> Option<u32> {
    let holder = Lock::holder(&place.path("r").join(name)).ok().flatten();
    holder.filter(|holder| holder.kind == "node").map(|holder| holder.pid)
}
