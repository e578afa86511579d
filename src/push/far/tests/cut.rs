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

type Step = fn(&mut Far<'_>, &Stage<'_>) -> Result<()>;

/// What is killed, each behind what makes it have something to do.
const STEPS: [(&str, Step, Step); 12] = [
    ("stage", remove_second, |far, at| far.stage(&at.two, &Deaf).map(drop)),
    ("stage again", |_, _| Ok(()), |far, at| far.stage(&at.two, &Deaf).map(drop)),
    ("identity", forget, |far, at| far.identity(&at.one.id).map(drop)),
    ("make", forget, make),
    (
        "configure",
        |far, at| far.configure(&at.before, YAML),
        |far, at| far.configure(&at.before, "name: n1\nlisten: 127.0.0.1:9\n"),
    ),
    ("switch", |far, at| far.switch(&at.one.id), |far, at| far.switch(&at.two.id)),
    ("start", stop, start),
    ("stop", start, stop),
    ("restore", upgrade, |far, at| far.restore(&at.before, PATIENCE)),
    ("prune", upgrade, |far, _| far.prune(1)),
    ("forget", remake, |far, _| far.forget()),
    ("destroy", found, |far, _| far.destroy(true)),
];

fn remove_second(_: &mut Far<'_>, at: &Stage<'_>) -> Result<()> {
    drop(fs::remove_dir_all(root(at.machine).join("releases").join(&at.two.id)));
    Ok(())
}

fn stop(far: &mut Far<'_>, _: &Stage<'_>) -> Result<()> {
    far.stop(PATIENCE)
}

fn start(far: &mut Far<'_>, _: &Stage<'_>) -> Result<()> {
    far.start(PATIENCE)
}

fn forget(far: &mut Far<'_>, at: &Stage<'_>) -> Result<()> {
    stop(far, at)?;
    far.forget()
}

fn make(far: &mut Far<'_>, at: &Stage<'_>) -> Result<()> {
    far.identity(&at.one.id)?;
    far.make(&at.one.id, "the birth's text")
}

fn remake(far: &mut Far<'_>, at: &Stage<'_>) -> Result<()> {
    stop(far, at)?;
    make(far, at)
}

fn upgrade(far: &mut Far<'_>, at: &Stage<'_>) -> Result<()> {
    stop(far, at)?;
    let three = release(at.machine, &node("3", SERVES));
    far.stage(&three, &Deaf)?;
    fs::write(&at.two.file, node("2", SERVES)).expect("a file");
    far.switch(&at.two.id)?;
    far.configure(&at.before, "name: n1\nlisten: 127.0.0.1:9\n")?;
    start(far, at)
}

fn found(far: &mut Far<'_>, at: &Stage<'_>) -> Result<()> {
    fs::write(&at.one.file, node("1", SERVES)).expect("a file");
    install(far, &at.one)
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
    let mut far = locked(at.machine, host);
    prepare(&mut far, at).expect("a state to begin with");
    at.machine.kill_at(k);
    let first = step(&mut far, at);
    at.machine.kill_at(0);
    drop(far);
    if first.is_err() {
        step(&mut locked(at.machine, host), at).unwrap_or_else(|e| panic!("{k}: {e}"));
    }
    let facts = super::far(at.machine, host).facts().expect("facts");
    (first.is_err(), settled(at, &facts))
}

#[test]
fn whatever_is_killed_can_be_done_again() {
    let machine = &machines()[0];
    let host = host();
    machine.count_commands();
    let one = release(machine, &node("1", SERVES));
    let mut far = locked(machine, &host);
    install(&mut far, &one).expect("a node");
    let two = release(machine, &node("2", SERVES));
    far.stage(&two, &Deaf).expect("a second");
    let before = far.facts().expect("facts");
    drop(far);
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
