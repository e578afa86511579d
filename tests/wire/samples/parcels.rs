//! What clients and nodes say to each other in parcels.

use super::*;

fn requests() -> Vec<Request> {
    let some = Some(vec![Partition(0), Partition(7)]);
    let mut all = vec![
        Request::Put(put()),
        Request::Scan(Partition(1), Some(key()), 9, options()),
        Request::Repair(RepairRequest { partitions: some, accept_missing: true }),
        Request::Verify(Partition(1)),
        Request::GiveUp(key()),
        Request::Deliver,
        Request::Spread,
        Request::Propose(Box::new(moving())),
        Request::Advance,
        Request::Cleanup,
        Request::Unsettled,
        Request::Status,
    ];
    all.extend(all_options().into_iter().map(|options| Request::Get(key(), options)));
    all.extend([
        Request::AcceptLoss(None),
        Request::AcceptLoss(Some(Partition(3))),
        Request::DropBadHints(key()),
        Request::Scrub(1 << 20),
        Request::Put(put_exactly()),
    ]);
    named(all, request_name, REQUESTS).into_iter().map(|(_, r)| r).collect()
}

fn looks() -> Vec<Look> {
    let all = vec![
        Look::Get(Partition(1), key()),
        Look::Visit(Partition(1), Some(b"raw".to_vec())),
        Look::Sums,
        Look::Sum(Partition(2)),
        Look::Leaves(Partition(2)),
        Look::Hints(Some((NodeId(1), Partition(2), key())), 10),
        Look::HintStats,
        Look::HintsOf(Partition(2), key()),
        Look::Bad,
        Look::Row(Table::Ring, "doc".into()),
        Look::Rows(Table::Meta, "seen/".into()),
        Look::Size,
        Look::BadHints,
        Look::Base,
    ];
    named(all, look_name, LOOKS).into_iter().map(|(_, l)| l).collect()
}

/// One question at least of every kind.
pub(crate) fn asks() -> Vec<(String, Ask)> {
    let plain = [
        Ask::Ring,
        Ask::Info,
        Ask::Members,
        Ask::Transfers,
        Ask::Drain(true),
        Ask::Drain(false),
        Ask::Stop,
        Ask::Load,
    ];
    let of_node = requests().into_iter().map(Ask::Node);
    let all = of_node.chain(looks().into_iter().map(Ask::File)).chain(plain).collect();
    named(all, ask_name, ASKS)
}

fn replies() -> Vec<Reply> {
    let get = |verdict| GetReply {
        verdict,
        stored: Some(stored()),
        answers: answers().into_iter().map(|a| (NodeId(2), a)).collect(),
        r: 2,
        clashes: vec![dot()],
    };
    let report = RepairReport {
        pulled: 3,
        pushed: 4,
        filling: vec![Partition(2)],
        missed: vec![NodeId(1)],
        dropped: 5,
    };
    let bad = verify::Bad { key: b"raw".to_vec(), why: "It is damaged.".into() };
    let verdict = verify::Verdict {
        records: 2,
        bytes: 300,
        bad: vec![bad],
        wrong_leaves: 1,
        wrong_sum: true,
        lost: None,
    };
    let status = Status {
        version: 2,
        actor: 7,
        owns: 8,
        filling: 1,
        keys: 9,
        hints: 3,
        bad: 1,
        waiting: true,
        full: false,
    };
    let mut all = vec![
        Reply::Put(put_reply()),
        Reply::Scan(Ok((vec![(key(), stored())], true))),
        Reply::Scan(Err("Too few.".into())),
        Reply::Repair(report),
        Reply::Verify(verdict),
        Reply::Deliver(3, 4),
        Reply::Ring(Shared::new(moving()), Some("why".into())),
        Reply::Status(status),
    ];
    all.extend(verdicts().into_iter().map(get).map(Reply::Get));
    all.push(Reply::Scrub { bytes: 300, over: true });
    all.push(Reply::Refused("It says what cannot be.".into()));
    named(all, reply_name, REPLIES).into_iter().map(|(_, r)| r).collect()
}

fn seens() -> Vec<Seen> {
    let raw = |text: &str| serde_bytes::ByteBuf::from(text);
    let target = NodeId(2);
    let hint = Hint { target, partition: partition(), key: key(), stored: Some(stored()) };
    let all = vec![
        Seen::Record(Some(stored())),
        Seen::Record(None),
        Seen::Page(vec![(raw("k"), raw("\u{0}any bytes"))], true),
        Seen::Sums(vec![(Partition(1), sum())]),
        Seen::Sum(sum()),
        Seen::Leaves(vec![(255, sum())]),
        Seen::Hints(vec![hint.clone(), Hint { stored: None, ..hint }]),
        Seen::HintStats(HintStats { count: 1, acknowledged: 2, bytes: 3 }),
        Seen::Bad(vec![(Partition(1), b"raw".to_vec())]),
        Seen::Row(Some(b"row".to_vec())),
        Seen::Rows(vec![("name".into(), b"row".to_vec())]),
        Seen::Size(7, u64::MAX),
        Seen::BadHints(BadHints::default()),
        Seen::Base,
    ];
    named(all, seen_name, SEENS).into_iter().map(|(_, s)| s).collect()
}

fn info() -> Info {
    Info {
        build: "0.1.0".into(),
        pid: 3,
        dir: "/var/lib/kvs/n1".into(),
        address: "h:1".into(),
        metrics: Some("h:2".into()),
        uptime_s: 60,
        bytes: 4_096,
        full: false,
        draining: true,
        waiting: false,
        requests: 1,
        links: 2,
        clients: 3,
        rounds: 4,
        wall_ms: 1 << 40,
    }
}

fn load() -> Load {
    Load {
        run: 9,
        uptime_ms: 60_000,
        requests: 7,
        refused: 1,
        failed: 2,
        latency: vec![0, 7],
        commits: 5,
        bytes: 4_096,
        disk_free: 1 << 30,
        disk_total: 1 << 40,
    }
}

/// One answer at least of every kind.
pub(crate) fn tolds() -> Vec<(String, Told)> {
    let news = News { row: row(), up: false, phi: 8.5, silent_ms: 9 };
    let transfer =
        |kind| Transfer { kind, peer: NodeId(2), pulled: 1, pushed: 2, partitions: 3, age_ms: 4 };
    let plain = [
        Told::Busy,
        Told::Ring(Box::new(doc())),
        Told::Info(Box::new(info())),
        Told::Members(vec![news]),
        Told::Transfers(vec![transfer(TransferKind::Sync), transfer(TransferKind::Hints)]),
        Told::Done,
        Told::Fault(fault()),
        Told::Load(Box::new(load())),
    ];
    let of_node = replies().into_iter().map(Told::Reply);
    let all = of_node.chain(seens().into_iter().map(Told::File)).chain(plain).collect();
    named(all, told_name, TOLDS)
}

fn fault() -> Fault {
    Fault::from(&Error::Refused("No.".into()).hint("again"))
}

/// One parcel at least of every kind.
pub(crate) fn parcels() -> Vec<(String, Parcel)> {
    let plain = [
        Parcel::Welcome { peer: true },
        Parcel::Welcome { peer: false },
        Parcel::Refused(fault()),
        Parcel::Beat,
        Parcel::Message(Box::new(message(Body::Accepted))),
        Parcel::Ask(u64::MAX, Box::new(Ask::Ring)),
        Parcel::Told(7, Box::new(Told::Done)),
    ];
    named(plain.into(), parcel_name, PARCELS)
}
