//! What still breaks a rule, by name. The lists only shrink: a violation that is not listed fails
//! the test, and so does an entry that no longer stands. The failure prints the list to paste.

/// One violation: the entry that stands for it in a list, without a line number, and the finding.
pub(crate) struct Debt {
    pub(crate) entry: String,
    pub(crate) finding: String,
}

/// Compares what was found with what is known. `None` when both are equal.
pub(crate) fn differences(name: &str, known: &[&str], found: &[Debt]) -> Option<String> {
    let mut entries: Vec<&str> = found.iter().map(|debt| debt.entry.as_str()).collect();
    entries.sort_unstable();
    entries.dedup();
    let mut text = String::new();
    for debt in found.iter().filter(|debt| !known.contains(&debt.entry.as_str())) {
        text += &format!("new: {}\n", debt.finding);
    }
    for entry in known.iter().filter(|entry| !entries.contains(entry)) {
        text += &format!("mended, remove it from tests/tidy/known.rs: {entry}\n");
    }
    if text.is_empty() && !known.is_sorted() {
        text += "the list is not sorted\n";
    }
    let rows: String = entries.iter().map(|entry| format!("    {entry:?},\n")).collect();
    let list = match entries.as_slice() {
        [] => format!("pub(crate) const {name}: &[&str] = &[];"),
        [one] if one.len() + name.len() < 60 => {
            format!("pub(crate) const {name}: &[&str] = &[{one:?}];")
        }
        _ => format!("pub(crate) const {name}: &[&str] = &[\n{rows}];"),
    };
    (!text.is_empty()).then(|| format!("{text}the list as the tree is now:\n\n{list}\n"))
}

/// Fails when what was found and what is known differ.
pub(crate) fn compare(name: &str, known: &[&str], found: &[Debt]) {
    if let Some(text) = differences(name, known, found) {
        panic!("{text}");
    }
}

macro_rules! settle {
    ($list:ident, $found:expr) => {
        $crate::known::compare(stringify!($list), $crate::known::$list, &$found)
    };
}
pub(crate) use settle;

pub(crate) const IMPORT_CIRCLES: &[&str] = &[
    "src/client.rs",
    "src/client/ask.rs",
    "src/client/remote.rs",
    "src/client/stream.rs",
    "src/protocol.rs",
    "src/protocol/check.rs",
    "src/push/inventory.rs",
    "src/push/inventory/check.rs",
    "src/push/inventory/draft.rs",
    "src/push/inventory/fill.rs",
    "src/push/inventory/form.rs",
    "src/push/inventory/names.rs",
    "src/push/plan.rs",
    "src/push/plan/founding.rs",
    "src/push/plan/judge.rs",
    "src/push/plan/step.rs",
    "src/push/remote.rs",
    "src/push/remote/facts.rs",
    "src/push/remote/release.rs",
    "src/push/remote/stage.rs",
    "src/push/remote/unit.rs",
    "src/push/scale.rs",
    "src/push/scale/look.rs",
    "src/push/scale/memory.rs",
    "src/push/scale/words.rs",
    "src/push/ssh.rs",
    "src/push/ssh/hostkey.rs",
    "src/push/ssh/link.rs",
    "src/push/ssh/login.rs",
    "src/push/ssh/send.rs",
    "src/push/ssh/spare.rs",
    "src/push/ssh/talk.rs",
    "src/quorum.rs",
    "src/quorum/confirm.rs",
    "src/quorum/prior.rs",
    "src/quorum/read.rs",
    "src/quorum/write.rs",
    "src/ring.rs",
    "src/ring/change.rs",
    "src/ring/check.rs",
    "src/ring/member.rs",
    "src/serve.rs",
    "src/serve/start.rs",
    "src/store/hints.rs",
    "src/store/lmdb.rs",
    "src/store/lmdb/open.rs",
    "src/store/lmdb/reader.rs",
    "src/store/tables.rs",
];

pub(crate) const METHOD_CIRCLES: &[&str] = &[
    "Client: src/client.rs",
    "Client: src/client/ask.rs",
    "Executor: src/push/rollout/apply.rs",
    "Executor: src/push/rollout/bootstrap.rs",
    "Executor: src/push/rollout/rolling_restart.rs",
];

pub(crate) const BOOL_PARAMETERS: &[&str] = &[
    "src/cluster/change.rs: admit(accept_loss)",
    "src/cluster/running.rs: drain(on)",
    "src/node/boot.rs: genesis(born_full)",
    "src/node/replica/copies.rs: add_corrupt(end)",
    "src/node/replica/filling.rs: has_met(lossy)",
    "src/node/replica/witnesses.rs: hear(lost)",
    "src/node/scripts/words.rs: page(end)",
    "src/node/scripts/words.rs: stored(full)",
    "src/node/view.rs: rest(resting)",
    "src/node/witness.rs: greeted(renewed)",
    "src/node/witness.rs: judge(lost)",
    "src/node_dir/create.rs: fill(born_full)",
    "src/node_dir/keys.rs: fit_to_run_again(up)",
    "src/node_dir/provision.rs: new(founder)",
    "src/push/inventory/check.rs: refuse(wrong)",
    "src/push/plan.rs: kind_of(upgrades)",
    "src/push/remote.rs: destroy(data)",
    "src/push/remote.rs: end(by_force)",
    "src/push/remote/unit.rs: wanted_kind(is_root)",
    "src/push/rollout/ops.rs: destroy(data)",
    "src/push/ssh.rs: lost(in_part)",
    "src/quorum/write.rs: new(strict)",
    "src/store/apply.rs: rises(may_stay)",
    "src/store/lmdb/structure.rs: beside(last)",
    "src/store/lmdb/structure.rs: length(is_leaf)",
    "src/store/memory.rs: crash(keep)",
    "src/store/memory.rs: set_full(full)",
    "src/transfer/line.rs: encode(clock)",
    "src/transfer/line.rs: encode(expires)",
];

pub(crate) const INTEGERS_SIDE_BY_SIDE: &[&str] = &[
    "src/client/ports.rs: free_ports(count, seed)",
    "src/gossip.rs: new(seed, now_ms)",
    "src/node/disk_space.rs: is_within(ms, now_ms)",
    "src/node/witness.rs: begin_life(above, seed)",
    "src/node/witness.rs: bits(seed, epoch)",
    "src/protocol/check.rs: at_most(count, most)",
    "src/push/inventory/fill.rs: scale(replicas, members)",
    "src/push/remote/release.rs: number(at, size)",
    "src/quorum/progress.rs: at(now_ms, patience_ms)",
    "src/quorum/progress.rs: at(patience_ms, deadline_ms)",
    "src/quorum/write.rs: owners_and_fallbacks(owners, fallbacks)",
    "src/ring/layout.rs: fair_loads(partitions, replicas)",
    "src/ring/layout.rs: substitute(from, to)",
    "src/ring/planner.rs: copy(partition, member)",
    "src/ring/planner.rs: cost(from, to)",
    "src/ring/planner.rs: cost(partition, from)",
    "src/ring/planner.rs: deal(partitions, replicas)",
    "src/ring/planner.rs: exchange(_, to)",
    "src/ring/planner.rs: exchange(from, to)",
    "src/ring/planner.rs: exchange(partition, _)",
    "src/ring/planner.rs: exchange(partition, from)",
    "src/ring/planner.rs: plan(partitions, replicas)",
    "src/ring/planner.rs: validate(partitions, replicas)",
    "src/store.rs: hint_page(limit, bytes)",
    "src/store/lmdb/preflight.rs: meta(number, at)",
    "src/store/lmdb/preflight.rs: read(number, count)",
    "src/store/lmdb/preflight.rs: tree(number, depth)",
    "src/store/lmdb/structure.rs: beside(number, level)",
    "src/store/lmdb/structure.rs: branch(number, level)",
    "src/store/lmdb/structure.rs: page(number, level)",
    "src/store/lmdb/structure.rs: read(page, count)",
    "src/store/lmdb/structure.rs: take(first, count)",
    "src/store/lmdb/structure.rs: tree(root, levels)",
];

pub(crate) const SEVERAL_MEANINGS: &[&str] = &[
    "Before: src/node/scripts/shown.rs",
    "Before: src/store/rows.rs",
    "Look: src/push/plan/tests/look.rs",
    "Look: src/push/scale/look.rs",
    "Step: src/push/plan/step.rs",
    "Step: src/push/remote/tests/cut.rs",
    "World: src/node/scripts/world.rs",
    "World: src/quorum/scripts/world.rs",
];

pub(crate) const BANNED_WORDS: &[&str] = &[
    "cmd/config.rs: . of the: 1",
    "cmd/diff.rs: told: 1",
    "cmd/exit.rs: nobody: 2",
    "cmd/get.rs: nobody: 1",
    "cmd/node.rs: nobody: 1",
    "cmd/node/make.rs: whoever: 1",
    "cmd/node/run.rs: cannot be meant: 1",
    "cmd/node/run.rs: tells: 1",
    "cmd/node/run.rs: whoever: 1",
    "cmd/node/stop.rs: tells: 1",
    "cmd/push.rs: as it should be: 1",
    "cmd/push.rs: nobody: 1",
    "cmd/push.rs: tells: 1",
    "cmd/push/fleet.rs: tells: 1",
    "cmd/push/fleet.rs: told: 1",
    "cmd/push/here.rs: somebody: 2",
    "cmd/push/here.rs: whoever: 1",
    "cmd/push/talk.rs: tells: 1",
    "cmd/render.rs: nobody: 1",
    "cmd/ring/change.rs: whoever: 1",
    "cmd/status.rs: nobody: 1",
    "cmd/status.rs: so long: 1",
    "cmd/status/seen.rs: nobody: 1",
    "cmd/ui.rs: nobody: 1",
    "cmd/ui.rs: somebody: 1",
    "cmd/ui.rs: told: 1",
    "cmd/ui.rs: whoever: 1",
    "cmd/up.rs: tells: 1",
    "cmd/up/child.rs: tells: 2",
    "cmd/up/child.rs: told: 1",
    "cmd/wait.rs: told: 1",
    "man/kvs-push-stop.1: tells: 1",
    "man/kvs-push.1: as it should be: 1",
    "man/kvs-push.1: nobody: 1",
    "src/bounded.rs: nobody: 1",
    "src/channel/stamp.rs: tells: 1",
    "src/clock.rs: nobody: 1",
    "src/cluster/change.rs: nobody: 1",
    "src/cluster/find.rs: nobody: 2",
    "src/cluster/joining.rs: is no node: 1",
    "src/cluster/joining.rs: nobody: 1",
    "src/cluster/nodes.rs: told: 1",
    "src/config/values.rs: nobody: 1",
    "src/digest.rs: told: 1",
    "src/embed/recover.rs: muted: 1",
    "src/embed/recover.rs: whoever: 1",
    "src/embed/stream.rs: tells: 1",
    "src/gossip.rs: hearsay: 3",
    "src/gossip.rs: tells: 1",
    "src/gossip.rs: told: 1",
    "src/node/commit_queue.rs: nobody: 1",
    "src/node/driver.rs: tells: 1",
    "src/node/flow.rs: whoever: 1",
    "src/node/identity.rs: muted: 2",
    "src/node/identity.rs: whoever: 1",
    "src/node/op/pass.rs: whoever: 1",
    "src/node/op/propose.rs: muted: 4",
    "src/node/op/put.rs: told: 2",
    "src/node/op/put.rs: whoever: 1",
    "src/node/replica/audit.rs: told: 2",
    "src/node/replica/filling.rs: nobody: 1",
    "src/node/replica/state.rs: nobody: 1",
    "src/node/replica/voting.rs: muted: 1",
    "src/node/scripts/shown.rs: muted: 3",
    "src/node/scripts/shown.rs: wish: 1",
    "src/node/scrub.rs: told: 1",
    "src/node/witness.rs: told: 2",
    "src/node/witness.rs: whoever: 2",
    "src/node_dir/aside.rs: is no node: 1",
    "src/node_dir/peers.rs: whoever: 1",
    "src/node_dir/provision.rs: told: 1",
    "src/os/random.rs: nobody: 1",
    "src/os/small.rs: so many: 1",
    "src/push/inventory/draft.rs: nobody: 1",
    "src/push/inventory/fill.rs: told: 1",
    "src/push/inventory/form.rs: nobody: 1",
    "src/push/inventory/tests/refuse.rs: told: 1",
    "src/push/plan/judge.rs: as it should be: 1",
    "src/push/plan/step.rs: told: 1",
    "src/push/plan/tests/look.rs: as it should be: 1",
    "src/push/plan/tests/look.rs: yard: 2",
    "src/push/remote.rs: somebody: 1",
    "src/push/remote.rs: told: 1",
    "src/push/remote.rs: unborn: 1",
    "src/push/remote/facts.rs: unborn: 1",
    "src/push/remote/scripts.rs: somebody: 1",
    "src/push/remote/scripts.rs: told: 2",
    "src/push/remote/tests/born.rs: birth: 2",
    "src/push/remote/tests/cut.rs: birth: 1",
    "src/push/remote/tests/lock.rs: desk: 2",
    "src/push/remote/tests/lock.rs: nobody: 1",
    "src/push/remote/tests/lock.rs: somebody: 1",
    "src/push/remote/tests/lock.rs: whoever: 1",
    "src/push/remote/tests/service.rs: nobody: 1",
    "src/push/remote/tests/service.rs: told: 2",
    "src/push/remote/tests/stage.rs: told: 3",
    "src/push/remote/tests/systemd.rs: birth: 1",
    "src/push/remote/tests/systemd.rs: nobody: 3",
    "src/push/rollout/apply.rs: told: 1",
    "src/push/rollout/bootstrap.rs: birth: 1",
    "src/push/rollout/bootstrap.rs: somebody: 1",
    "src/push/rollout/bootstrap.rs: told: 1",
    "src/push/rollout/fleet_lock.rs: nobody: 1",
    "src/push/rollout/fleet_lock.rs: whoever: 1",
    "src/push/rollout/host_pool.rs: so many: 1",
    "src/push/rollout/ops.rs: somebody: 1",
    "src/push/rollout/ring_client.rs: nobody: 1",
    "src/push/scale.rs: so many: 1",
    "src/push/scale.rs: told: 1",
    "src/push/scale/memory.rs: so many: 1",
    "src/push/scale/words.rs: told: 1",
    "src/push/shell.rs: nobody: 1",
    "src/push/ssh.rs: told: 1",
    "src/push/ssh/hostkey.rs: nobody: 1",
    "src/push/ssh/hostkey.rs: somebody: 2",
    "src/push/ssh/keyfile.rs: tells: 1",
    "src/push/ssh/link.rs: nobody: 1",
    "src/push/ssh/login.rs: nobody: 1",
    "src/push/ssh/login.rs: told: 3",
    "src/push/ssh/send.rs: nobody: 1",
    "src/push/ssh/talk.rs: tells: 1",
    "src/quorum/confirm.rs: told: 2",
    "src/quorum/prior.rs: told: 1",
    "src/record.rs: whoever: 1",
    "src/repair.rs: told: 1",
    "src/repair/check.rs: nobody: 2",
    "src/repair/diff.rs: whoever: 1",
    "src/repair/digest.rs: told: 1",
    "src/repair/run.rs: nobody: 1",
    "src/ring/check.rs: whoever: 1",
    "src/ring/follows.rs: whoever: 1",
    "src/ring/planner.rs: shall: 2",
    "src/serve/admission.rs: whoever: 1",
    "src/serve/dialer.rs: told: 1",
    "src/serve/listener.rs: somebody: 1",
    "src/serve/slots.rs: nobody: 1",
    "src/serve/slots.rs: told: 1",
    "src/store.rs: told: 1",
    "src/store/apply.rs: nobody: 1",
    "src/store/files.rs: whoever: 2",
    "src/store/hints.rs: tells: 1",
    "src/store/lmdb.rs: whoever: 1",
    "src/store/lmdb/held.rs: somebody: 1",
    "src/store/lmdb/open.rs: whoever: 1",
    "src/store/lmdb/reader.rs: told: 1",
    "src/store/lock.rs: somebody: 1",
    "src/store/lock.rs: whoever: 2",
    "src/store/memory.rs: tells: 1",
    "src/store/seal.rs: told: 1",
    "src/store/upgrade.rs: whoever: 1",
    "src/store/verify.rs: told: 2",
];

pub(crate) const FORGOTTEN_TESTS: &[&str] = &[];

pub(crate) const SLEEPS: &[&str] = &["tests/live/crowds.rs: 1"];

pub(crate) const CLAIMS_OF_ABSENCE: &[&str] = &["cmd/ui.rs: the one thing that prints"];

pub(crate) const CLAIMS_OF_EXIT_CODES: &[&str] = &[];

pub(crate) const CLAIMS_OF_FILES: &[&str] = &[];

#[test]
fn self_a_list_only_shrinks() {
    let debts = |entries: &[&str]| -> Vec<Debt> {
        let debt = |entry: &&str| Debt { entry: (*entry).into(), finding: format!("{entry}:1") };
        entries.iter().map(debt).collect()
    };
    assert_eq!(differences("A", &["a", "b"], &debts(&["b", "a", "a"])), None);
    let new = differences("A", &["a"], &debts(&["a", "b"])).expect("a new one");
    assert!(new.starts_with("new: b:1\n") && new.contains("    \"a\",\n    \"b\",\n"), "{new}");
    let mended = differences("A", &["a", "b"], &debts(&["a"])).expect("a mended one");
    assert!(mended.starts_with("mended") && mended.ends_with("= &[\"a\"];\n"), "{mended}");
    assert!(differences("A", &["b", "a"], &debts(&["a", "b"])).is_some(), "not sorted");
}
