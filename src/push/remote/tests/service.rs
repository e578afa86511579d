//! A node that is made, started, upgraded, put back, stopped, forgotten and removed.

use super::*;

fn pid(facts: &Facts) -> u32 {
    match facts.service {
        Service::Running(pid) => pid,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_node_lives_and_is_upgraded_and_goes_back() {
    for machine in machines() {
        let host = host();
        let mut remote = locked(&machine, &host);
        let one = release(&machine, &node("1", SERVES));
        install(&mut remote, &one).expect("a node");
        let first = remote.facts().expect("facts");
        assert_eq!(first.current.as_ref(), Some(&one.id));
        assert_eq!((&first.previous, first.port_taken), (&None, false));
        assert_eq!(first.node_yaml.as_deref(), Some(YAML));
        let sums = ["961b6dd3ede3cb8ecbaacbd68de040cd78eb2ed5889130cceb4c49268ea4d506"];
        assert_eq!((first.ring_keys.len(), first.ring_keys[0].as_str()), (2, sums[0]));
        assert!(first.service_as_wanted && !first.data_foreign);
        let shown = fs::read(format!("/proc/{}/cmdline", pid(&first))).expect("a process");
        assert!(String::from_utf8_lossy(&shown).contains("current/kvs\0node\0run\0"));
        remote.start(PATIENCE).expect("it runs already");
        assert_eq!(remote.facts().expect("facts").service, first.service);

        let two = release(&machine, &node("2", SERVES));
        remote.stage(&two, &Deaf).expect("a release");
        assert_eq!(remote.facts().expect("facts").service, first.service, "nothing was touched");
        remote.switch(&two.id).expect("a switch");
        let error = remote.start(PATIENCE).expect_err("the old one runs");
        assert!(matches!(error.root(), Error::Busy(_)), "{error}");
        remote.stop(PATIENCE).expect("an end");
        remote.stop(PATIENCE).expect("it has ended already");
        assert_eq!(remote.facts().expect("facts").service, Service::Stopped);
        remote.configure(&first, "name: n1\nlisten: 127.0.0.1:9\n").expect("another file");
        remote.start(PATIENCE).expect("the new one");
        let second = remote.facts().expect("facts");
        assert_ne!(second.service, first.service);
        assert_eq!(second.previous.as_ref(), Some(&one.id));
        let before = fs::read_to_string(root(&machine).join("data/node.yaml.before"));
        assert_eq!(before.expect("a file"), YAML);

        remote.restore(&first, PATIENCE).expect("the way back");
        let third = remote.facts().expect("facts");
        assert_eq!((&third.current, &third.previous), (&first.current, &first.previous));
        assert_eq!(third.node_yaml, first.node_yaml);
        assert_ne!(pid(&third), pid(&second));
        remote.restore(&first, PATIENCE).expect("once more");
        remote.restore(&third, PATIENCE).expect("once more");
        let log = remote.logs(2).expect("a log");
        assert_eq!(log.lines().count(), 2, "{log}");
        assert!(log.contains("begins "), "{log}");
        remote.stop(PATIENCE).expect("an end");
    }
}

#[test]
fn what_was_not_there_before_is_taken_back_and_data_stays() {
    for machine in machines() {
        let host = host();
        let mut remote = locked(&machine, &host);
        let before = remote.facts().expect("facts");
        install(&mut remote, &release(&machine, &node("1", SERVES))).expect("a node");
        remote.restore(&before, PATIENCE).expect("the way back");
        let after = remote.facts().expect("facts");
        assert_eq!((after.service, after.current), (Service::None, None));
        assert!(after.node_yaml.is_some(), "its data is kept");
    }
}

#[test]
fn a_node_that_does_not_come_says_why() {
    for machine in machines() {
        let host = host();
        let mut remote = locked(&machine, &host);
        let dies = release(&machine, &node("1", "echo 'no room in the map' >&2; exit 8"));
        let error = install(&mut remote, &dies).expect_err("it dies");
        assert!(matches!(error.root(), Error::Partial(_)), "{error}");
        let told = error.to_string();
        assert!(told.starts_with("n1 could not start its node: its node ended before"), "{told}");
        assert!(told.contains("\n  begins ") && told.contains("\n  no room in the map"), "{told}");
        let error = remote.start(PATIENCE).expect_err("again");
        assert_eq!(error.to_string().matches("no room").count(), 1, "only of this start: {error}");
        let mute = release(&machine, &node("2", "while [ -d \"$3\" ]; do /bin/sleep 0.02; done"));
        remote.stage(&mute, &Deaf).expect("a release");
        remote.switch(&mute.id).expect("a switch");
        let second = Duration::from_secs(1);
        let error = remote.start(second).expect_err("a mute one");
        assert!(error.to_string().contains("its node is not ready after 1 s"), "{error}");
        remote.stop(PATIENCE).expect("an end");
    }
}

#[test]
fn one_that_does_not_end_is_not_killed() {
    for machine in machines() {
        let host = host();
        let mut remote = locked(&machine, &host);
        let deaf = "trap '' TERM; echo ready n1; \
                    while [ -d \"$3\" ] && [ ! -e \"$3/end\" ]; do /bin/sleep 0.02; done";
        install(&mut remote, &release(&machine, &node("1", deaf))).expect("a node");
        let facts = remote.facts().expect("facts");
        let error = remote.stop(Duration::from_secs(1)).expect_err("it does not end");
        assert!(matches!(error.root(), Error::Busy(_)), "{error}");
        assert!(error.to_string().contains(&format!("(process {})", pid(&facts))), "{error}");
        assert_eq!(remote.facts().expect("facts").service, facts.service);
        let error = remote.forget().expect_err("it runs");
        assert!(matches!(error.root(), Error::Busy(_)), "{error}");
        fs::write(root(&machine).join("data/end"), "").expect("a file");
        remote.stop(PATIENCE).expect("an end");
    }
}

/// One that was started last, is no good and does not end, must not keep the host from going back.
#[test]
fn a_new_one_that_hangs_is_ended_and_the_old_one_runs_again() {
    for machine in machines() {
        let host = host();
        let mut remote = locked(&machine, &host);
        install(&mut remote, &release(&machine, &node("1", SERVES))).expect("a node");
        let before = remote.facts().expect("facts");
        let hangs = "trap '' TERM; while [ -d \"$3\" ]; do /bin/sleep 0.02; done";
        let two = release(&machine, &node("2", hangs));
        remote.stage(&two, &Deaf).expect("a release");
        remote.stop(PATIENCE).expect("an end");
        remote.switch(&two.id).expect("a switch");
        remote.start(Duration::from_secs(1)).expect_err("it is never ready");
        let hung = pid(&remote.facts().expect("facts"));
        remote.restore(&before, Duration::from_secs(2)).expect("the way back");
        let after = remote.facts().expect("facts");
        assert_eq!((&after.current, &after.previous), (&before.current, &before.previous));
        assert!(![hung, pid(&before)].contains(&pid(&after)));
        // Who ran all the time is never ended by force.
        remote.restore(&after, Duration::from_secs(2)).expect("nothing to do");
        assert_eq!(remote.facts().expect("facts").service, after.service);
        remote.stop(PATIENCE).expect("an end");
    }
}

/// A pid file is no licence to kill: the process has to be the one that was started.
#[test]
fn a_stranger_with_the_number_is_left_alone() {
    for machine in machines() {
        let host = host();
        let mut remote = locked(&machine, &host);
        install(&mut remote, &release(&machine, &node("1", SERVES))).expect("a node");

        let file = root(&machine).join("run/n1.pid");
        let line = fs::read_to_string(&file).expect("a pid file");
        let [_, boot, since, id] = line.trim().split(' ').collect::<Vec<_>>()[..] else { panic!() };
        remote.stop(PATIENCE).expect("an end");
        let mut stranger = Command::new("sleep").arg("1000").spawn().expect("a process");
        let number = stranger.id();
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).expect("its figures");
        let own = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19));
        let own = own.expect("a time");
        for line in [
            format!("{number} {boot} {since} {id}\n"),
            format!("{number} another-boot {own} {id}\n"),
            format!("{number} {boot} {own} {id}\n"), // all of it right, and yet no kvs
            format!("{number}\n"),
            "-1 x y\n".into(),
            String::new(),
        ] {
            fs::write(&file, &line).expect("a file");
            assert_eq!(remote.facts().expect("facts").service, Service::Stopped, "{line}");
            remote.stop(PATIENCE).expect("nobody to stop");
            assert!(stranger.try_wait().expect("a state").is_none(), "{line}");
        }
        stranger.kill().expect("an end");
        stranger.wait().expect("an end");
    }
}

#[test]
fn data_of_others_is_not_made_nor_removed() {
    for machine in machines() {
        let host = host();
        let mut remote = locked(&machine, &host);
        let one = release(&machine, &node("1", SERVES));
        install(&mut remote, &one).expect("a node");
        let error = remote.make(&one.id, "of another ring").expect_err("it is another's");
        assert!(matches!(error.root(), Error::Denied(_)), "{error}");
        assert!(error.to_string().contains("this is of another ring"), "{error}");

        remote.forget().expect_err("it runs");
        remote.stop(PATIENCE).expect("an end");
        // Somebody has it open, without a service.
        let data = root(&machine).join("data");
        let lock = fs::File::create(data.join("kvs.lock")).expect("a file");
        let error = remote.forget().expect_err("it is in use");
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        drop(lock);
        fs::rename(data.join("node.yaml"), data.join("thesis.tex")).expect("a rename");
        let error = remote.forget().expect_err("no node");
        assert!(matches!(error.root(), Error::Denied(_)), "{error}");
        fs::rename(data.join("thesis.tex"), data.join("node.yaml")).expect("a rename");
        remote.forget().expect("it is gone");
        remote.forget().expect("it was gone");
        assert!(!data.exists());
        remote.destroy(false).expect("the rest");
        assert_eq!(tree(&machine.at("home")), []);
    }
}

#[test]
fn all_is_removed_but_data_unless_asked_for() {
    for machine in machines() {
        let host = host();
        for data in [false, true] {
            let mut remote = locked(&machine, &host);
            install(&mut remote, &release(&machine, &node("1", SERVES))).expect("a node");

            remote.destroy(data).expect("an end");
            let left = tree(&root(&machine));
            assert_eq!(left.is_empty(), data, "{left:?}");
            assert!(left.iter().all(|(name, _)| name.starts_with("data/")), "{left:?}");
        }
    }
}

/// Whoever owns the node's directory can swap a name for a link between two commands of root's: nothing
/// is written through it, and nothing made where it leads.
#[test]
fn a_name_that_becomes_a_link_meanwhile_leads_nowhere() {
    let after = [
        ("rm", r#"for f; do case $f in *.new) ln -s VICTIM/file "$f" ;; esac; done"#),
        ("mkdir", r#"for d; do :; done; case $d in *.new) rmdir "$d"; ln -s VICTIM "$d" ;; esac"#),
    ];
    for (command, swap) in after {
        for machine in machines() {
            let host = host();
            let mut remote = locked(&machine, &host);
            let one = release(&machine, &node("1", SERVES));
            install(&mut remote, &one).expect("a node");
            remote.stop(PATIENCE).expect("an end");
            let facts = remote.facts().expect("facts");
            let victim = machine.at("victim");
            fs::create_dir(&victim).expect("a directory");
            fs::write(victim.join("file"), "secret").expect("a file");
            let swap = swap.replace("VICTIM", &victim.display().to_string().replace(' ', "\\ "));
            machine.fake(command, &format!("#!/bin/sh\n/bin/{command} \"$@\" || exit\n{swap}\n"));
            let configured = remote.configure(&facts, "name: n1\nlisten: 127.0.0.1:9\n");
            assert_eq!(configured.is_ok(), command == "rm", "{configured:?}");
            assert_eq!(fs::read_to_string(victim.join("file")).expect("a file"), "secret");
            assert_eq!(fs::read_dir(&victim).expect("a directory").count(), 1);
        }
    }
}
