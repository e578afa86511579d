//! One pusher at a time, whoever dies and whatever they forget.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;

fn lock_dir(machine: &Machine) -> PathBuf {
    root(machine).join("run/lock")
}

/// Makes whoever has the lock look as if it had been silent for so long.
fn silence(machine: &Machine, seconds: u64) {
    let up = fs::read_to_string("/proc/uptime").expect("a time");
    let up: u64 = up.split('.').next().and_then(|up| up.parse().ok()).expect("seconds");
    let boot = fs::read_to_string(machine.at("boot_id")).expect("a boot id");
    let beats = tree(&lock_dir(machine)).into_iter().filter(|(name, _)| name.ends_with(".beat"));
    for (name, _) in beats {
        // A machine that has just been started knows no moment that long ago.
        let line = format!("{} {}\n", boot.trim(), up.saturating_sub(seconds));
        fs::write(lock_dir(machine).join(name), line).expect("a file");
    }
}

#[test]
fn the_second_hears_who_the_first_is() {
    for machine in machines() {
        let host = host();
        let mut first = locked(&machine, &host);
        let mut second = remote(&machine, &host);
        let error = second.lock("tom").expect_err("a lock that is held");
        assert!(matches!(error.root(), Error::Busy(_)), "{error}");
        assert!(error.to_string().contains("sara@desk, process 7, last heard of"), "{error}");
        assert!(error.to_string().starts_with("n1 "), "{error}");
        let seen = second.facts().expect("facts").locked.expect("somebody");
        assert!(seen.starts_with("sara@desk, process 7, last heard of "), "{seen}");
        assert_eq!(first.facts().expect("facts").locked, None, "not in its own way");
        first.shell.beat().expect("a beat");
        first.prune(3).expect("the lock is still the first's");
        assert!(matches!(second.prune(3).expect_err("no lock").root(), Error::Busy(_)));
        first.unlock();
        assert_eq!(tree(&lock_dir(&machine)), []);
        second.lock("tom").expect("a lock that was let go");
        first.lock("sara").expect_err("the second has it");
        // The link of the second is cut, or its process killed.
        drop(second);
        assert_eq!(tree(&lock_dir(&machine)), []);
        first.lock("sara").expect("a lock whose holder is gone");
    }
}

#[test]
fn a_silent_holder_is_taken_over_and_then_can_do_nothing() {
    for machine in machines() {
        let host = host();
        let mut first = locked(&machine, &host);
        silence(&machine, 100);
        remote(&machine, &host).lock("tom").expect_err("100 s are not enough");
        silence(&machine, 121);
        assert_eq!(remote(&machine, &host).facts().expect("facts").locked, None);
        // An upload that grows is a sign of life.
        let token = first.token.clone().expect("a lock");
        let upload = root(&machine).join(format!("releases/.0123456789abcdef.{token}.tmp"));
        fs::write(&upload, "").expect("a file");
        remote(&machine, &host).lock("tom").expect_err("an upload that moves");
        fs::remove_file(upload).expect("a file");
        let mut second = remote(&machine, &host);
        second.lock("tom").expect("a lock nobody keeps");
        for result in [first.prune(3), first.switch("0123456789abcdef"), first.make("0", "")] {
            let error = result.expect_err("the lock is another's");
            assert!(matches!(error.root(), Error::Busy(_)), "{error}");
            assert!(error.to_string().contains("our lock was taken over"), "{error}");
        }
        drop(first);
        second.prune(3).expect("the end of the first takes nothing from the second");
        // The machine is started again: nobody of before lives.
        fs::write(machine.at("boot_id"), "another\n").expect("a file");
        remote(&machine, &host).lock("ann").expect("a lock of before");
    }
}

#[test]
fn of_many_that_come_at_once_at_most_one_wins() {
    for machine in machines() {
        let (host, machine) = (&host(), &machine);
        for stale in [false, true, true] {
            let old = stale.then(|| {
                let old = locked(machine, host);
                silence(machine, 500);
                old
            });
            let holders = AtomicUsize::new(0);
            let most = AtomicUsize::new(0);
            let winners: usize = thread::scope(|scope| {
                let come = || {
                    let mut remote = remote(machine, host);
                    while remote.lock("many").is_err() {}
                    most.fetch_max(holders.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    remote.prune(3).expect("the lock is ours");
                    holders.fetch_sub(1, Ordering::SeqCst);
                    remote.unlock();
                    1
                };
                let all: Vec<_> = (0..4).map(|_| scope.spawn(come)).collect();
                all.into_iter().map(|one| one.join().expect("an end")).sum()
            });
            assert_eq!((winners, most.into_inner()), (4, 1));
            drop(old);
        }
    }
}

#[test]
fn a_root_that_cannot_be_made_is_a_sentence() {
    for machine in machines() {
        let mut host = host();
        host.root = machine.at("boot_id/root").display().to_string();
        let error = remote(&machine, &host).lock("sara").expect_err("no place");
        assert!(matches!(error.root(), Error::Denied(_)), "{error}");
        assert!(error.to_string().starts_with("n1 has no place for kvs at "), "{error}");
    }
}
