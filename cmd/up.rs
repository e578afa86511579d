//! `kvs up`: every node of a ring directory as a child process.
//!
//! ```text
//! locks of r/n1 r/n2 r/n3, in this order; each is handed to its child as stdin
//! child stdout: its ready line, passed on      child stderr: passed on as `n1: …`
//! SIGTERM, ctrl-C: SIGTERM to all, wait        a new directory in r: one more child
//! ```
//!
//! It reports children that end and restarts none. Caveat: it does not end them when it is killed
//! itself; they go on, each with its own lock, and `kvs node stop` ends them.

mod child;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use clap::Args as ClapArgs;
use kvs::cluster::nodes_in;
use kvs::error::{Error, operand};
use kvs::os::now;
use kvs::ring::NodeId;
use kvs::store::lock::{Attempt, Holder, Lock, Want};
use kvs::store::sidecar::{self, Found};

use self::child::{Child, Event};
use crate::common::{Common, on_stop_signal};
use crate::exit::{Done, Outcome};
use crate::node::run::Flags;
use crate::ui::{Ui, counted};

/// How often children and signals are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How often the ring directory is looked at.
const WATCH: Duration = Duration::from_millis(500);
/// How long children may take to stop.
const STOP: Duration = Duration::from_secs(30);

/// Run every node of a ring directory
///
/// Each node is a process of its own, `kvs node run DIR/NAME`; ready lines are printed as they
/// come, logs with the node's name before each line. A directory that appears in DIR (join,
/// replace) is started too. A node that ends is reported and not restarted. SIGTERM, ctrl-C and,
/// unless it is ignored (nohup), SIGHUP stop all nodes and wait for them: 0 when every node ended
/// cleanly, otherwise 7. When `kvs up` itself is killed, the nodes keep running: stop them with
/// `kvs node stop DIR/NAME`.
///
/// Example: kvs up r & kvs --ring r wait --node-up n1
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The ring's directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    flags: Flags,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    args.flags.filter()?;
    let dirs = nodes_in(&args.dir)?;
    if dirs.is_empty() {
        let shown = args.dir.display();
        let error = Error::Usage(format!("{shown} holds no node directory; nothing was started."));
        return Err(error.hint(format!("make a ring: kvs init {}", operand(&args.dir))).into());
    }
    let locks = take_all(ui, common, &dirs)?;
    let (tell, told) = channel();
    let stop = tell.clone();
    // Nobody listens any more when all has ended.
    on_stop_signal(move |_| drop(stop.send(Event::Stop)))?;
    let form = if ui.is_json() { "json" } else { "plain" };
    let mut words = args.flags.words();
    words.extend(["--format".into(), form.into()]);
    let mut nodes = Nodes {
        dir: args.dir.clone(),
        words,
        tell,
        running: Vec::new(),
        ended: BTreeMap::new(),
        failed: 0,
        begun: 0,
        announced: false,
    };
    for (dir, lock) in dirs.iter().zip(locks) {
        if let Err(error) = nodes.start(dir, lock) {
            drop(nodes.tell.send(Event::Stop));
            nodes.tend(ui, &told);
            return Err(error.into());
        }
    }
    Ok(nodes.tend(ui, &told))
}

fn want() -> Want {
    Want::Exclusive(Holder { kind: "up".into(), pid: std::process::id(), address: None })
}

/// Takes all locks before the first child starts: all nodes or none.
fn take_all(ui: &mut Ui, common: &Common, dirs: &[PathBuf]) -> Result<Vec<Lock>, Error> {
    let deadline = now() + common.timeout;
    let mut locks = Vec::new();
    for dir in dirs {
        if let Some(holder) = Lock::holder(dir)? {
            ui.note(&format!("waiting for {}, in use by {holder}", dir.display()));
        }
        let left = deadline.saturating_duration_since(now());
        locks.push(Lock::wait(dir, &want(), left)?);
    }
    Ok(locks)
}

/// The children, and those that were.
struct Nodes {
    dir: PathBuf,
    words: Vec<String>,
    tell: Sender<Event>,
    running: Vec<Child>,
    /// Directories whose child has ended, by the identity they had.
    ended: BTreeMap<PathBuf, Mark>,
    /// Children that have ended badly.
    failed: usize,
    begun: usize,
    announced: bool,
}

impl Nodes {
    fn start(&mut self, dir: &Path, lock: Lock) -> Result<(), Error> {
        let mark = Mark::of(dir);
        let child = Child::start(dir, mark, lock, &self.words, &self.tell)?;
        self.running.push(child);
        self.begun += 1;
        Ok(())
    }

    /// Stays with the children until the last has ended.
    fn tend(mut self, ui: &mut Ui, told: &Receiver<Event>) -> Done {
        let (mut watched, mut stop_by) = (now(), None);
        loop {
            match told.recv_timeout(TICK) {
                Ok(Event::Stop) => {
                    self.terminate(ui);
                    stop_by.get_or_insert(now() + STOP);
                }
                Ok(event) => self.hear(ui, event),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            self.reap(ui, told);
            self.announce(ui);
            if self.running.is_empty() {
                return if self.failed == 0 { Done::Yes } else { Done::Partly };
            }
            if stop_by.is_some_and(|by| now() >= by) {
                return self.give_up(ui);
            }
            if stop_by.is_none() && now() >= watched + WATCH {
                self.watch(ui);
                watched = now();
            }
        }
    }

    /// Passes on what a child says.
    fn hear(&mut self, ui: &mut Ui, event: Event) {
        match event {
            Event::Ready(id, line) => {
                // Whoever does not read the line does without it; the nodes serve.
                drop(ui.line(&line).and_then(|()| ui.flush()));
                self.running.iter_mut().filter(|c| c.id() == id).for_each(|c| c.ready = true);
            }
            Event::Said(name, line) => ui.say(&format!("{name}: {line}")),
            Event::Stop => {}
        }
    }

    /// Reports children that have ended.
    fn reap(&mut self, ui: &mut Ui, told: &Receiver<Event>) {
        while let Some(at) = self.running.iter_mut().position(Child::has_ended) {
            let mut child = self.running.remove(at);
            let status = child.end();
            // Its last words first; a signal that comes just now is asked for again by nobody.
            let mut stop = false;
            while let Ok(event) = told.try_recv() {
                stop |= matches!(event, Event::Stop);
                self.hear(ui, event);
            }
            if stop {
                drop(self.tell.send(Event::Stop));
            }
            if !status.success() {
                self.failed += 1;
            }
            ui.say(&format!("{} has ended: {}", child.name, child::how(status)));
            self.ended.insert(child.dir, child.mark);
        }
    }

    /// Says once, when every child is ready or has ended, that this is so.
    fn announce(&mut self, ui: &mut Ui) {
        let ready = self.running.len();
        if self.announced || self.running.iter().any(|child| !child.ready) {
            return;
        }
        self.announced = true;
        match self.begun {
            _ if ready == 0 => {}
            begun if begun == ready => ui.note(&format!("{} up", counted(ready, "node"))),
            begun => ui.say(&format!("{ready} of {} up", counted(begun, "node"))),
        }
    }

    /// Starts nodes whose directories are new, or other ones than those that ended.
    fn watch(&mut self, ui: &mut Ui) {
        for dir in nodes_in(&self.dir).unwrap_or_default() {
            let runs = self.running.iter().any(|child| child.dir == dir);
            if runs || self.ended.get(&dir).is_some_and(|ended| ended.is(Mark::of(&dir))) {
                continue;
            }
            // One that is in use now, by whoever makes it, is looked at again.
            let Ok(Attempt::Held(lock)) = Lock::attempt(&dir, &want()) else { continue };
            match self.start(&dir, lock) {
                Ok(()) => ui.note(&format!("starting {}, which is new", dir.display())),
                Err(error) => {
                    ui.error(&error);
                    self.failed += 1;
                    self.ended.insert(dir.clone(), Mark::of(&dir));
                }
            }
        }
    }

    fn terminate(&self, ui: &mut Ui) {
        for child in &self.running {
            if let Err(error) = child.terminate() {
                ui.warn(&format!("{} cannot be signalled to stop: {error}", child.name));
            }
        }
    }

    fn give_up(&self, ui: &mut Ui) -> Done {
        for child in &self.running {
            let (name, id) = (&child.name, child.id());
            ui.say(&format!("{name} was signalled to stop and is still running, as process {id}"));
        }
        Done::Partly
    }
}

/// What tells a directory from another one that took its place: its inode, whose number a new one may
/// get again, and the node's identity, which cannot be read at any moment.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    inode: u64,
    node: Option<NodeId>,
}

impl Mark {
    fn of(dir: &Path) -> Self {
        let node = match sidecar::read(dir) {
            Ok(Found::Valid(identity)) => Some(identity.node),
            _ => None,
        };
        Self { inode: dir.metadata().map_or(0, |m| m.ino()), node }
    }

    fn is(self, other: Self) -> bool {
        let unknown = self.node.is_none() || other.node.is_none();
        self.inode == other.inode && (unknown || self.node == other.node)
    }
}
