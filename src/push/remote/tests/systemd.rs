//! A node that systemd keeps; a few lines of `sh` are systemd.

use super::*;

/// What the scripts ask of `systemctl`, with a process and nothing else.
const SYSTEMCTL: &str = r#"#!/bin/sh
cd 'TMP/state' || exit 1
runs() {
    read -r pid 2>/dev/null <pid && stat=$(cat "/proc/$pid/stat" 2>/dev/null) || return 1
    case $stat in *') Z '*) return 1 ;; esac
}
case $1 in
show)
    value=no
    case $3 in
    ActiveState) value=inactive; [ ! -e failed ] || value=failed; ! runs || value=active ;;
    MainPID) value=0; ! runs || value=$pid ;;
    InvocationID) value=77 ;;
    esac
    echo "$3=$value" ;;
is-enabled) [ -e enabled ] || { echo disabled; exit 1; }; echo enabled ;;
enable) echo "Created symlink for $2." >&2; : >enabled ;;
disable) rm -f enabled ;;
reset-failed) rm -f failed ;;
daemon-reload) echo >>reloads ;;
stop) runs && kill -TERM "$pid" ;;
start)
    rm -f out
    line=$(sed -n 's/^ExecStart=//p' "../etc/$2")
    eval "exec setsid $line" </dev/null >out 2>&1 &
    echo $! >pid
    while runs; do
        case $(cat out) in *'ready '*) exit 0 ;; esac
    done
    : >failed
    exit 1 ;;
*) exit 2 ;;
esac
"#;

fn with_systemd(machine: &Machine) {
    for name in ["state", "systemd"] {
        fs::create_dir(machine.at(name)).expect("a directory");
    }
    let tmp = machine.dir.path().display().to_string().replace('\'', r"'\''");
    machine.fake("systemctl", &SYSTEMCTL.replace("TMP", &tmp));
    machine.fake("journalctl", "#!/bin/sh\necho \"of $1: no room in the map\"\n");
}

/// The scripts want root for a unit, and get it in the tests of those who have it.
#[test]
fn a_unit_keeps_it() {
    for machine in machines().into_iter().filter(|_| whoami() == "root") {
        with_systemd(&machine);
        let mut host = host();
        host.service = ServiceKind::Auto;
        let mut remote = locked(&machine, &host);
        let before = remote.facts().expect("facts");
        assert_eq!(before.kind, Some(ServiceKind::Systemd));
        let one = release(&machine, &node("1", SERVES));
        install(&mut remote, &one).expect("a node");
        let unit = machine.at("etc/kvs-prod_n1.service");
        let text = fs::read_to_string(&unit).expect("a unit");
        assert!(text.contains("\nUser=root\n"), "{text}");
        remote.proven().expect("a note");
        let facts = remote.facts().expect("facts");
        assert!(facts.service_as_wanted && facts.unit.as_deref() == Some(&text));
        let Service::Running(_) = facts.service else { panic!("{facts:?}") };
        remote.start(PATIENCE).expect("it runs already");
        assert_eq!(remote.facts().expect("facts").service, facts.service);
        remote.stop(PATIENCE).expect("an end");
        assert_eq!(remote.facts().expect("facts").service, Service::Stopped);
        fs::write(&unit, text.replace("65536", "1024")).expect("a unit");
        assert!(!remote.facts().expect("facts").service_as_wanted);
        remote.restore(&facts, PATIENCE).expect("the way back");
        assert_eq!(fs::read_to_string(&unit).expect("a unit"), text);
        remote.stop(PATIENCE).expect("an end");

        let dies = release(&machine, &node("2", "exit 8"));
        let error = install(&mut remote, &dies).expect_err("it dies");
        assert!(matches!(error.root(), Error::Partial(_)), "{error}");
        assert!(
            error.to_string().contains("\n  of _SYSTEMD_UNIT=kvs-prod_n1.service: no room"),
            "{error}"
        );
        assert!(remote.logs(5).expect("a log").contains("no room in the map"));
        remote.restore(&facts, PATIENCE).expect("the way back");
        let after = remote.facts().expect("facts");
        let Service::Running(_) = after.service else { panic!("stopped") };
        assert!(!after.proving, "what was proven is back");
        remote.destroy(true).expect("an end");
        assert_eq!((unit.exists(), tree(&machine.at("home"))), (false, vec![]));
    }
}

#[test]
fn what_keeps_it_can_be_changed() {
    for machine in machines().into_iter().filter(|_| whoami() == "root") {
        with_systemd(&machine);
        let mut unit_host = host();
        unit_host.service = ServiceKind::Systemd;
        let one = release(&machine, &node("1", SERVES));
        install(&mut locked(&machine, &unit_host), &one).expect("a node");
        let background = host();
        let mut remote = locked(&machine, &background);
        let facts = remote.facts().expect("facts");
        assert_eq!((facts.kind, facts.service_as_wanted), (Some(ServiceKind::Systemd), false));
        install(&mut remote, &one).expect("the same, in the background");
        let after = remote.facts().expect("facts");
        assert_eq!((after.kind, after.service_as_wanted), (Some(ServiceKind::Background), true));
        assert!(after.unit.is_none() && after.service != facts.service);
        remote.restore(&facts, PATIENCE).expect("the way back");
        assert_eq!(remote.facts().expect("facts").kind, Some(ServiceKind::Systemd));
        remote.destroy(true).expect("an end");
    }
}

#[test]
fn without_systemd_a_unit_is_refused() {
    for machine in machines() {
        let mut host = host();
        host.service = ServiceKind::Systemd;
        let one = release(&machine, &node("1", SERVES));
        let error = install(&mut locked(&machine, &host), &one).expect_err("no systemd");
        assert!(matches!(error.root(), Error::Denied(_)), "{error}");
        assert!(error.to_string().contains("takes systemd and root"), "{error}");
        assert_eq!(tree(&machine.at("etc")), []);
    }
}

/// Root made it, by sudo; it belongs to who logged in, and runs as them.
#[test]
fn what_root_makes_is_given_to_who_logged_in() {
    for machine in machines().into_iter().filter(|_| whoami() == "root") {
        with_systemd(&machine);
        let mut host = host();
        (host.service, host.ssh.user) = (ServiceKind::Auto, "nobody".into());
        let mut remote = locked(&machine, &host);
        install(&mut remote, &release(&machine, &node("1", SERVES))).expect("a node");
        let facts = remote.facts().expect("facts");
        assert_eq!((facts.owner.as_str(), facts.user.as_str()), ("nobody", "root"));
        assert!(facts.service_as_wanted && facts.unit.expect("a unit").contains("\nUser=nobody\n"));
        let owner = |name: &str| {
            let found = fs::metadata(root(&machine).join(name)).expect("a file");
            std::os::unix::fs::MetadataExt::uid(&found)
        };
        assert_ne!(owner("data/node.yaml"), 0);
        assert_eq!((owner("data"), owner("data/birth")), (owner("data/node.yaml"), owner("data")));
        assert_eq!(owner("releases"), 0, "a node does not write its own program");
        remote.destroy(true).expect("an end");
    }
}
