//! Every script is killed in place of each command it calls, and done again: it ends as if nothing
//! had been.

use super::*;

/// A thing that is done on a host; there is the release that runs, and a second.
struct Stage<'a> {
    machine: &'a Machine,
    before: Facts,
    one: Release,
    two: Release,
}

type Step = fn(&mut RemoteHost<'_>, &Stage<'_>) -> Result<()>;

/// What is killed, each behind what makes it have something to do.
const STEPS: [(&str, Step, Step); 12] = [
    ("stage", remove_second, |remote, at| remote.stage(&at.two, &Deaf).map(drop)),
    ("stage again", |_, _| Ok(()), |remote, at| remote.stage(&at.two, &Deaf).map(drop)),
    ("identity", forget, |remote, at| remote.identity(&at.one.id).map(drop)),
    ("make", forget, make),
    (
        "configure",
        |remote, at| remote.configure(&at.before, YAML),
        |remote, at| remote.configure(&at.before, "name: n1\nlisten: 127.0.0.1:9\n"),
    ),
    ("switch", |remote, at| remote.switch(&at.one.id), |remote, at| remote.switch(&at.two.id)),
    ("start", stop, start),
    ("stop", start, stop),
    ("restore", upgrade, |remote, at| remote.restore(&at.before, PATIENCE)),
    ("prune", upgrade, |remote, _| remote.prune(1)),
    ("forget", remake, |remote, _| remote.forget()),
    ("destroy", found, |remote, _| remote.destroy(true)),
];

fn remove_second(_: &mut RemoteHost<'_>, at: &Stage<'_>) -> Result<()> {
    drop(fs::remove_dir_all(root(at.machine).join("releases").join(&at.two.id)));
    Ok(())
}

fn stop(remote: &mut RemoteHost<'_>, _: &Stage<'_>) -> Result<()> {
    remote.stop(PATIENCE)
}

fn start(remote: &mut RemoteHost<'_>, _: &Stage<'_>) -> Result<()> {
    remote.start(PATIENCE)
}

fn forget(remote: &mut RemoteHost<'_>, at: &Stage<'_>) -> Result<()> {
    stop(remote, at)?;
    remote.forget()
}

fn make(remote: &mut RemoteHost<'_>, at: &Stage<'_>) -> Result<()> {
    remote.identity(&at.one.id)?;
    remote.make(&at.one.id, "the birth's text")
}

fn remake(remote: &mut RemoteHost<'_>, at: &Stage<'_>) -> Result<()> {
    stop(remote, at)?;
    make(remote, at)
}

fn upgrade(remote: &mut RemoteHost<'_>, at: &Stage<'_>) -> Result<()> {
    stop(remote, at)?;
    let three = release(at.machine, &node("3", SERVES));
    remote.stage(&three, &Deaf)?;
    fs::write(&at.two.file, node("2", SERVES)).expect("a file");
    remote.switch(&at.two.id)?;
    remote.configure(&at.before, "name: n1\nlisten: 127.0.0.1:9\n")?;
    start(remote, at)
}

fn found(remote: &mut RemoteHost<'_>, at: &Stage<'_>) -> Result<()> {
    fs::write(&at.one.file, node("1", SERVES)).expect("a file");
    install(remote, &at.one)
}

/// What is there, without what differs from run to run: numbers of processes, logs, locks, and what
/// is hidden, which the next push removes an hour later.
fn settled(at: &Stage<'_>, facts: &Facts) -> Vec<(String, String)> {
    let mut all = tree(&root(at.machine));
    let passing = ["run/", "run/n1.pid", "log/", "log/n1.log", "run/n1.ready"];
    let hidden = |name: &str| name.starts_with('.') || name.contains("/.");
    all.retain(|(name, _)| !passing.contains(&&**name) && !name.starts_with("run/lock"));
    all.retain(|(name, _)| !hidden(name));
    all.push(("runs".into(), matches!(facts.service, Service::Running(_)).to_string()));
    all
}

/// Prepares, does, and looks; killed in place of the K-th command and then done once more. Gives
/// whether it was killed.
fn attempt(
    at: &Stage<'_>,
    host: &Host,
    (prepare, step): (Step, Step),
    k: usize,
) -> (bool, Vec<(String, String)>) {
    let mut remote = locked(at.machine, host);
    prepare(&mut remote, at).expect("a state to begin with");
    at.machine.kill_at(k);
    let first = step(&mut remote, at);
    at.machine.kill_at(0);
    drop(remote);
    if first.is_err() {
        step(&mut locked(at.machine, host), at).unwrap_or_else(|e| panic!("{k}: {e}"));
    }
    let facts = super::remote(at.machine, host).facts().expect("facts");
    (first.is_err(), settled(at, &facts))
}

#[test]
fn whatever_is_killed_can_be_done_again() {
    let machine = &machines()[0];
    let host = host();
    machine.count_commands();
    let one = release(machine, &node("1", SERVES));
    let mut remote = locked(machine, &host);
    install(&mut remote, &one).expect("a node");
    let two = release(machine, &node("2", SERVES));
    remote.stage(&two, &Deaf).expect("a second");
    let before = remote.facts().expect("facts");
    drop(remote);
    let at = Stage { machine, before, one, two };
    for (name, prepare, step) in STEPS {
        let (_, wanted) = attempt(&at, &host, (prepare, step), 0);
        let mut kills = 0;
        loop {
            let (killed, found) = attempt(&at, &host, (prepare, step), kills + 1);
            assert_eq!(found, wanted, "{name}, killed at command {}", kills + 1);
            if !killed {
                break;
            }
            kills += 1;
        }
        assert!(kills > 0, "{name} was never killed");
    }
}
