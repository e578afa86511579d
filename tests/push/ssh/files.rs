//! Uploads: whole or not at all, as fast as others, and what stands in their way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kvs::error::{Error, Result};
use kvs::push::{PushEvent, Shell, Ssh, Watch};

use super::{Ear, connect, connected, has, run, said};
use crate::support::shell::{Dice, is_root, skip};
use crate::support::sshd::Sshd;
use crate::support::wait::wait_for;

/// A file of so many bytes that nobody can compress.
fn file_of(sshd: &Sshd, bytes: usize) -> PathBuf {
    let mut dice = Dice(7);
    let bytes: Vec<u8> =
        (0..bytes).map(|_| u8::try_from(dice.below(256)).expect("a byte")).collect();
    let file = sshd.dir.join("local");
    fs::write(&file, bytes).expect("a file");
    file
}

fn send(ssh: &mut Ssh, file: &Path, to: &Path, watch: &dyn Watch) -> Result<()> {
    ssh.send(file, to.to_str().expect("text"), watch)
}

#[track_caller]
fn partial(result: Result<()>) -> String {
    let error = result.expect_err("a file in part");
    assert!(matches!(error.root(), Error::Partial(_)), "{error:?}");
    said(&error)
}

#[test]
fn thirty_mebibytes_arrive_as_they_are() {
    let Some((sshd, mut ssh)) = connected() else { return };
    let file = file_of(&sshd, 30 << 20);
    let to = sshd.dir.join("it's there\n☃");
    // An older one, of another mode, longer.
    fs::write(&to, vec![0; 31 << 20]).expect("a file");
    let ear = Ear::default();
    send(&mut ssh, &file, &to, &ear).expect("an upload");
    assert!(fs::read(&to).expect("a file") == fs::read(&file).expect("a file"));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&to).expect("a file").permissions());
    assert_eq!(mode & 0o777, 0o600);
    let bytes = ear.bytes();
    assert!(bytes.is_sorted() && bytes.last() == Some(&(30 << 20, 30 << 20)), "{bytes:?}");
    let empty = sshd.dir.join("empty");
    fs::write(&empty, "").expect("a file");
    send(&mut ssh, &empty, &to, &ear).expect("an upload");
    assert_eq!(fs::metadata(&to).expect("a file").len(), 0);
    assert_eq!(run(&mut ssh, "echo on").out, "on\n");
}

/// Does something when the first bytes have left.
struct Then<F>(F, AtomicBool);

impl<F: Fn() + Sync> Watch for Then<F> {
    fn note(&self, _: &str, event: &PushEvent) {
        if matches!(event, PushEvent::Bytes(..)) && !self.1.swap(true, Ordering::Relaxed) {
            (self.0)();
        }
    }
}

/// sshd stands still in the middle. When it goes on, it finds nobody, and removes what it has.
#[test]
fn a_host_that_stands_still_is_given_up() {
    let Some(sshd) = Sshd::local() else { return };
    sshd.be_known();
    let mut rules = sshd.rules();
    rules.command_timeout = Duration::from_secs(2);
    let mut ssh = connect(&sshd, &rules).expect("a connection");
    let (file, to) = (file_of(&sshd, 30 << 20), sshd.dir.join("there"));
    let watch = Then(|| assert!(sshd.signal_sessions("STOP") > 0), AtomicBool::new(false));
    let before = Instant::now();
    let text = partial(send(&mut ssh, &file, &to, &watch));
    has(&text, &["no byte", "for 2 s", "of 31457280 bytes"]);
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    assert!(to.exists());
    sshd.signal_sessions("CONT");
    wait_for("what had arrived is removed", || !to.exists());
}

#[test]
fn a_cut_link_and_a_stop_leave_nothing() {
    let Some((sshd, mut ssh)) = connected() else { return };
    let (file, to) = (file_of(&sshd, 30 << 20), sshd.dir.join("there"));
    let ear = Ear::default();
    let text = std::thread::scope(|scope| {
        let ear = &ear;
        let (ssh, file, to) = (&mut ssh, &file, &to);
        let sends = scope.spawn(move || partial(send(ssh, file, to, ear)));
        wait_for("the first bytes", || !ear.bytes().is_empty());
        ear.stops.store(true, Ordering::Relaxed);
        sends.join().expect("no panic")
    });
    has(&text, &["it was stopped at", "removed"]);
    assert!(!to.exists());
    assert_eq!(run(&mut ssh, "echo on").out, "on\n");
    let watch = Then(|| assert!(sshd.signal_sessions("KILL") > 0), AtomicBool::new(false));
    has(&partial(send(&mut ssh, &file, &to, &watch)), &["was cut while", "again"]);
    wait_for("what had arrived is removed", || !to.exists());
}

#[test]
fn places_that_cannot_take_it() {
    let Some((sshd, mut ssh)) = connected() else { return };
    let file = file_of(&sshd, 6 << 20);
    let text = partial(send(&mut ssh, &file, &sshd.dir.join("no/such/dir"), &Ear::default()));
    has(&text, &["could not take", "no/such/dir"]);
    let missing = sshd.dir.join("missing");
    assert!(matches!(send(&mut ssh, &missing, &file, &Ear::default()), Err(Error::Io { .. })));
    let full = sshd.dir.join("full");
    fs::create_dir(&full).expect("a directory");
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=4m", "kvs-full"]).arg(&full);
    if !is_root() || !mount.output().is_ok_and(|output| output.status.success()) {
        skip("a full disk over there: it takes root and mount");
        return;
    }
    let told = send(&mut ssh, &file, &full.join("there"), &Ear::default());
    let left = fs::read_dir(&full).expect("a directory").count();
    let unmounted = Command::new("umount").arg(&full).status().expect("umount");
    assert!(unmounted.success());
    has(&partial(told), &["could not take", "No space left"]);
    assert_eq!(left, 0);
    assert_eq!(run(&mut ssh, "echo on").out, "on\n");
}
