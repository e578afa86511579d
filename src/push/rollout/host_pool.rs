//! Connections to all hosts at once, and work on them.
//!
//! ```text
//! each(hosts, 5, f)    n1 ──f──>    one thread a host, so many at once; one that fails
//!                      n2 ──f──>    does not stop the others
//! idle                 n3 . . . .   a beat every 10 s: lock and connection stay
//! ```
//!
//! It knows nothing of what is done. Caveat: a host's work is bounded by its shell, not here.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::os::now;
use crate::push::inventory::{Fleet, Host};
use crate::push::remote::RemoteHost;
use crate::push::watch::{PushEvent, Watch};

/// How often an idle connection shows life.
const BEAT: Duration = Duration::from_secs(10);

/// Connects to a host.
pub type Connect<'a> = dyn Fn(&'a Host) -> Result<RemoteHost<'a>> + Sync + 'a;

/// Hosts that are connected, and those that are given up. See the module.
pub struct HostPool<'a> {
    watch: &'a dyn Watch,
    remotes: BTreeMap<&'a str, Mutex<RemoteHost<'a>>>,
    faults: Mutex<BTreeMap<String, Error>>,
    did: Mutex<BTreeMap<String, Vec<String>>>,
    spent: Mutex<BTreeMap<String, Duration>>,
}

/// What became of the hosts.
#[derive(Debug, Default)]
pub struct Ended {
    /// Why hosts were given up.
    pub faults: BTreeMap<String, Error>,
    /// What was changed on each.
    pub did: BTreeMap<String, Vec<String>>,
    /// How long the work on each took.
    pub spent: BTreeMap<String, Duration>,
}

impl<'a> HostPool<'a> {
    /// Connects to these hosts, all at once.
    pub fn connect_all(hosts: &[&'a Host], connect: &Connect<'a>, watch: &'a dyn Watch) -> Self {
        let began = now();
        let connect_one = |host: &'a Host| {
            watch.note(&host.name, &PushEvent::Begins("connecting".into()));
            (host, connect(host), began.elapsed())
        };
        let ended: Vec<_> = thread::scope(|scope| {
            let start = |host: &&'a Host| {
                let host = *host;
                let connect_one = &connect_one;
                scope.spawn(move || connect_one(host))
            };
            let running: Vec<_> = hosts.iter().map(start).collect();
            let broken = |host: &&'a Host| (*host, Err(defect(&host.name)), began.elapsed());
            let joined = running.into_iter().zip(hosts);
            joined.map(|(t, host)| t.join().unwrap_or_else(|_| broken(host))).collect()
        });
        let pool = Self {
            watch,
            remotes: BTreeMap::new(),
            faults: Mutex::new(BTreeMap::new()),
            did: Mutex::new(BTreeMap::new()),
            spent: Mutex::new(BTreeMap::new()),
        };
        let mut remotes = BTreeMap::new();
        for (host, remote, took) in ended {
            lock(&pool.spent).insert(host.name.clone(), took);
            match remote {
                Ok(remote) => drop(remotes.insert(host.name.as_str(), Mutex::new(remote))),
                Err(error) => pool.give_up(&host.name, error),
            }
        }
        Self { remotes, ..pool }
    }

    /// The hosts that are still at work, in the order of the inventory.
    pub fn names(&self, fleet: &'a Fleet) -> Vec<&'a str> {
        let faults = lock(&self.faults);
        let there = |name: &&str| self.remotes.contains_key(name) && !faults.contains_key(*name);
        fleet.all().map(|h| h.name.as_str()).filter(there).collect()
    }

    /// Whether a host is connected and not given up.
    #[must_use]
    pub fn is_at_work(&self, name: &str) -> bool {
        self.remotes.contains_key(name) && !lock(&self.faults).contains_key(name)
    }

    /// Does something on each of some hosts that are at work, so many at once; what came of it, in
    /// their order, of those where it was done. Where it failed, the host is given up.
    pub fn each<T: Send>(
        &self,
        names: &[&'a str],
        at_once: usize,
        work: impl Fn(&mut RemoteHost<'a>) -> Result<T> + Sync,
    ) -> Vec<(&'a str, T)> {
        let mut done = Vec::new();
        let names: Vec<_> = names.iter().copied().filter(|name| self.is_at_work(name)).collect();
        for some in names.chunks(at_once.max(1)) {
            let ended: Vec<_> = thread::scope(|scope| {
                let work = &work;
                let mut running = Vec::new();
                for name in some {
                    running.push((*name, scope.spawn(move || self.one(name, work))));
                }
                running.into_iter().map(|(name, t)| (name, t.join())).collect()
            });
            for (name, ended) in ended {
                match ended.unwrap_or_else(|_| Err(defect(name))) {
                    Ok(value) => done.push((name, value)),
                    Err(error) => self.give_up(name, error),
                }
            }
        }
        done
    }

    /// Does something on one host. It is not given up when that fails.
    ///
    /// # Errors
    /// Those of the work; [`Error::Unreachable`] for a host that is not connected.
    pub fn one<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut RemoteHost<'a>) -> Result<T>,
    ) -> Result<T> {
        let remote = self.remotes.get(name).ok_or_else(|| {
            Error::Unreachable(format!("{name} is not connected; nothing was done there."))
        })?;
        let began = now();
        let done = work(&mut lock(remote));
        *lock(&self.spent).entry(name.to_owned()).or_default() += began.elapsed();
        done
    }

    /// Whether a host was given up because somebody else works on it.
    pub fn is_shared(&self) -> bool {
        lock(&self.faults).values().any(|e| matches!(e.root(), Error::Busy(_)))
    }

    /// Whether a host was given up because it refused.
    pub fn refused(&self, name: &str) -> bool {
        let faults = lock(&self.faults);
        faults.get(name).is_some_and(|e| matches!(e.root(), Error::Denied(_)))
    }

    /// Goes on without a host. Why it was given up first is what counts, and what is told.
    pub fn give_up(&self, name: &str, error: Error) {
        let text = with_hints(&error);
        let is_first = match lock(&self.faults).entry(name.to_owned()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(error);
                true
            }
        };
        if is_first {
            self.watch.note(name, &PushEvent::Failed(text));
        }
    }

    /// Something was changed on a host.
    pub fn did(&self, name: &str, what: impl Into<String>) {
        let what = what.into();
        self.watch.note(name, &PushEvent::Done(what.clone()));
        lock(&self.did).entry(name.to_owned()).or_default().push(what);
    }

    /// Who hears of what is done.
    pub(super) fn watch(&self) -> &'a dyn Watch {
        self.watch
    }

    /// Something begins on a host.
    pub fn begins(&self, name: &str, what: &str) {
        self.watch.note(name, &PushEvent::Begins(what.to_owned()));
    }

    /// Whether to stop after what has been begun.
    #[must_use]
    pub fn stops(&self) -> bool {
        self.watch.stops()
    }

    /// Ends the connections; what became of the hosts.
    pub fn ended(self) -> Ended {
        thread::scope(|scope| {
            for remote in self.remotes.into_values() {
                let remote = remote.into_inner().unwrap_or_else(PoisonError::into_inner);
                scope.spawn(move || {
                    let mut remote = remote;
                    remote.unlock();
                });
            }
        });
        Ended {
            faults: self.faults.into_inner().unwrap_or_else(PoisonError::into_inner),
            did: self.did.into_inner().unwrap_or_else(PoisonError::into_inner),
            spent: self.spent.into_inner().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Keeps the connections of idle hosts alive while something is done.
    pub fn alive<T>(&self, work: impl FnOnce() -> T) -> T {
        let (over, wake) = (Mutex::new(false), Condvar::new());
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut done = lock(&over);
                while !*done {
                    let waited = wake.wait_timeout(done, BEAT);
                    done = waited.unwrap_or_else(PoisonError::into_inner).0;
                    self.remotes.values().filter_map(|remote| remote.try_lock().ok()).for_each(
                        |mut remote| {
                            // A dead connection shows itself at the host's next work.
                            drop(remote.shell.beat());
                        },
                    );
                }
            });
            let over = Over { over: &over, wake: &wake };
            let done = work();
            drop(over);
            done
        })
    }
}

/// Ends the beats, also when the work panics.
struct Over<'a> {
    over: &'a Mutex<bool>,
    wake: &'a Condvar,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        *lock(self.over) = true;
        self.wake.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error with its hint, which would otherwise be lost among those of other hosts.
fn with_hints(error: &Error) -> String {
    let mut text = error.to_string();
    let mut inner = error;
    while let Error::Hinted { error, hint } = inner {
        text += &format!(" ({hint})");
        inner = error;
    }
    text
}

fn defect(name: &str) -> Error {
    Error::Unknown(format!("The work on {name} broke off; what it did there is not known."))
}
