//! SIGKILL at any moment of a load, a repair and a replacement; SIGINT in a load and a repair.

use std::fs;
use std::process::Command;

use crate::support::shell::{Dice, Place, lines, size};
use crate::support::wait::wait_for;

const KEYS: usize = 1_500;
/// Rounds of each kind; with three kinds, twelve kills.
const ROUNDS: usize = 4;
/// Rounds at the most, on a machine so fast that the first commands end before they are killed.
const ROUNDS_MAX: usize = 16;

/// What every story ends with: nothing acknowledged is lost, and the copies are equal again.
fn is_whole(place: &Place, expected: &[String]) {
    place.kvs("verify -q").ends(0);
    place.kvs("get -q acked").ends(0).prints("for good");
    place.kvs("repair -q").ends(0);
    place.is_sound_and_equal();
    let mut dump = place.dump();
    let acked = dump.iter().position(|l| l.contains(r#""acked""#)).expect("the acknowledged key");
    dump.remove(acked);
    assert!(dump == expected, "{} keys, {} expected", dump.len(), expected.len());
}

fn with_an_acked_key() -> Place {
    let place = Place::ring("--partitions 64");
    place.args(&["put", "-q", "acked", "for good"]).ends(0);
    place
}

/// The progress a killed load has shown is no acknowledgement; the load that says 0 is one.
#[test]
fn a_load_that_is_killed_can_be_run_again() {
    let place = with_an_acked_key();
    let (mut dice, mut range) = (Dice(1), 250);
    let mut killed = 0;
    let mut before: Vec<String> = Vec::new();
    for round in 0..ROUNDS_MAX {
        if round >= ROUNDS && killed > 0 {
            break;
        }
        let lines = lines(KEYS, &format!("round{round}"), 200);
        place.write("load", lines.join("\n"));
        killed += usize::from(place.kill_within(&mut range, &mut dice, "load -q load"));
        place.kvs("verify -q").ends(0);
        place.kvs("get -q acked").ends(0).prints("for good");
        // A key that was loaded before has its value of then or that of now, never none or both.
        let dump = place.dump();
        let known = |l: &String| [&before, &lines].iter().any(|all| all.binary_search(l).is_ok());
        assert_eq!(dump.iter().filter(|l| !known(l)).count(), 1, "the acknowledged key alone");
        assert!(dump.len() > before.len(), "a key that was acknowledged is gone");
        place.kvs("load -q load").ends(0);
        is_whole(&place, &lines);
        before = lines;
    }
    assert!(killed > 0, "no load was killed: the test proves nothing");
}

#[test]
fn a_repair_that_is_killed_can_be_run_again() {
    let place = with_an_acked_key();
    let (mut dice, mut range) = (Dice(2), 120);
    let mut killed = 0;
    for round in 0..ROUNDS_MAX {
        if round >= ROUNDS && killed > 0 {
            break;
        }
        let lines = lines(KEYS, &format!("round{round}"), 200);
        place.write("load", lines.join("\n"));
        place.kvs("load -q load --down n3").ends(0);
        killed += usize::from(place.kill_within(&mut range, &mut dice, "repair -q"));
        is_whole(&place, &lines);
    }
    assert!(killed > 0, "no repair was killed: the test proves nothing");
}

/// Typed again it does the work, or names the command that goes on with the change under way.
#[test]
fn a_replacement_that_is_killed_can_be_gone_on_with() {
    let place = with_an_acked_key();
    let lines = lines(KEYS, "once", 200);
    place.write("load", lines.join("\n"));
    place.kvs("load -q load").ends(0);
    let (mut dice, mut range) = (Dice(3), 150);
    let mut killed = 0;
    for round in 0..ROUNDS_MAX {
        if round >= ROUNDS && killed > 0 {
            break;
        }
        fs::remove_dir_all(place.path("r/n2")).expect("a directory to lose");
        killed += usize::from(place.kill_within(&mut range, &mut dice, "replace n2 --yes"));
        place.kvs("get -q acked").ends(0).prints("for good");
        let again = place.kvs("replace n2 --yes").ends_in(&[0, 9]);
        if again.code == 9 {
            again.says("kvs ring apply");
            place.kvs("ring apply --yes").ends(0);
        }
        is_whole(&place, &lines);
    }
    assert!(killed > 0, "no replacement was killed: the test proves nothing");
}

#[test]
fn an_interrupted_load_says_so_and_can_be_run_again() {
    let place = with_an_acked_key();
    let lines = lines(20_000, "big", 800);
    place.write("load", lines.join("\n"));
    let file = place.path("r/n1/data.mdb");
    let before = size(&file);
    let told = place.signal_when("INT", "load load", || size(&file) > before + (1 << 20));
    told.ends(7).says("The load was stopped").says("run the load again");
    place.kvs("load -q load").ends(0);
    is_whole(&place, &lines);
}

#[test]
fn an_interrupted_repair_says_so_and_can_be_run_again() {
    let place = with_an_acked_key();
    let lines = lines(8_000, "big", 800);
    place.write("load", lines.join("\n"));
    place.kvs("load -q load --down n3").ends(0);
    let file = place.path("r/n3/data.mdb");
    let before = size(&file);
    let told = place.signal_when("INT", "repair", || size(&file) > before + (1 << 20));
    told.ends(7).says("stopped").says("kvs repair");
    is_whole(&place, &lines);
}

/// A command that is gone leaves no lock behind.
#[test]
fn a_killed_writer_leaves_no_lock() {
    let place = with_an_acked_key();
    let mut child = place.start(
        Command::new(crate::support::shell::binary()).get_program().to_str().expect("a path"),
        &["load", "-"],
    );
    wait_for("the lock of n3", || {
        fs::read_to_string(place.path("r/n3/kvs.lock")).is_ok_and(|t| t.starts_with("kvs-load"))
    });
    place.kvs("put k v --timeout 0s").ends(9).says("kvs-load").says("--timeout");
    child.kill().expect("a child to kill");
    child.wait().expect("its end");
    place.kvs("put k v --timeout 0s").ends(0);
    place.kvs("get k").ends(0).prints("v");
}

/// What asks `kvs edit` to finish asks its command too.
#[test]
fn the_command_of_an_edit_ends_with_it() {
    let place = with_an_acked_key();
    place.write("wait", "echo $$ > id.new; mv id.new id; exec sleep 600");
    for (signal, number) in [("TERM", 15), ("HUP", 1), ("INT", 2)] {
        let begun = || place.path("id").exists();
        let told = place.signal_when(signal, "edit acked -- sh ./wait", begun);
        assert_eq!(told.code, -number, "{signal}: {}", told.err);
        let id = place.read("id");
        wait_for("the command's end", || !is_running(id.trim()));
        fs::remove_file(place.path("id")).expect("a file");
        place.kvs("get -q acked").ends(0).prints("for good");
    }
}

/// Whether a process is there that has not ended: one that nobody has reaped is dead.
fn is_running(id: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
