//! What clients and nodes say to each other in frames.

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

fn looks() -> Vec<StoreQuery> {
    let all = vec![
        StoreQuery::Get(Partition(1), key()),
        StoreQuery::Visit(Partition(1), Some(b"raw".to_vec())),
        StoreQuery::Sums,
        StoreQuery::Sum(Partition(2)),
        StoreQuery::Leaves(Partition(2)),
        StoreQuery::Hints(Some((NodeId(1), Partition(2), key())), 10),
        StoreQuery::HintStats,
        StoreQuery::HintsOf(Partition(2), key()),
        StoreQuery::Bad,
        StoreQuery::Row(Table::Ring, "doc".into()),
        StoreQuery::Rows(Table::Meta, "seen/".into()),
        StoreQuery::Size,
        StoreQuery::BadHints,
        StoreQuery::Base,
    ];
    named(all, look_name, LOOKS).into_iter().map(|(_, l)| l).collect()
}

/// One question at least of every kind.
pub(crate) fn asks() -> Vec<(String, ClientRequest)> {
    let plain = [
        ClientRequest::Ring,
        ClientRequest::Info,
        ClientRequest::Members,
        ClientRequest::Transfers,
        ClientRequest::Drain(true),
        ClientRequest::Drain(false),
        ClientRequest::Stop,
        ClientRequest::Load,
    ];
    let of_node = requests().into_iter().map(ClientRequest::Node);
    let all = of_node.chain(looks().into_iter().map(ClientRequest::File)).chain(plain).collect();
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
    let verdict = verify::PartitionVerdict {
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

fn seens() -> Vec<StoreResult> {
    let raw = |text: &str| serde_bytes::ByteBuf::from(text);
    let target = NodeId(2);
    let hint = Hint { target, partition: partition(), key: key(), stored: Some(stored()) };
    let all = vec![
        StoreResult::Record(Some(stored())),
        StoreResult::Record(None),
        StoreResult::Page(vec![(raw("k"), raw("\u{0}any bytes"))], true),
        StoreResult::Sums(vec![(Partition(1), sum())]),
        StoreResult::Sum(sum()),
        StoreResult::Leaves(vec![(255, sum())]),
        StoreResult::Hints(vec![hint.clone(), Hint { stored: None, ..hint }]),
        StoreResult::HintStats(HintStats { count: 1, acknowledged: 2, bytes: 3 }),
        StoreResult::Bad(vec![(Partition(1), b"raw".to_vec())]),
        StoreResult::Row(Some(b"row".to_vec())),
        StoreResult::Rows(vec![("name".into(), b"row".to_vec())]),
        StoreResult::Size(7, u64::MAX),
        StoreResult::BadHints(BadHints::default()),
        StoreResult::Base,
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
pub(crate) fn tolds() -> Vec<(String, ClientResponse)> {
    let news = MemberView { row: row(), up: false, phi: 8.5, silent_ms: 9 };
    let transfer =
        |kind| Transfer { kind, peer: NodeId(2), pulled: 1, pushed: 2, partitions: 3, age_ms: 4 };
    let plain = [
        ClientResponse::Busy,
        ClientResponse::Ring(Box::new(doc())),
        ClientResponse::Info(Box::new(info())),
        ClientResponse::Members(vec![news]),
        ClientResponse::Transfers(vec![
            transfer(TransferKind::Sync),
            transfer(TransferKind::Hints),
        ]),
        ClientResponse::Done,
        ClientResponse::Fault(fault()),
        ClientResponse::Load(Box::new(load())),
    ];
    let of_node = replies().into_iter().map(ClientResponse::Reply);
    let all = of_node.chain(seens().into_iter().map(ClientResponse::File)).chain(plain).collect();
    named(all, told_name, TOLDS)
}

fn fault() -> Fault {
    Fault::from(&Error::Refused("No.".into()).hint("again"))
}

/// One frame at least of every kind.
pub(crate) fn frames() -> Vec<(String, Frame)> {
    let plain = [
        Frame::Welcome { peer: true },
        Frame::Welcome { peer: false },
        Frame::Refused(fault()),
        Frame::Beat,
        Frame::Message(Box::new(message(Body::Accepted))),
        Frame::Request(RequestId(u64::MAX), Box::new(ClientRequest::Ring)),
        Frame::Response(RequestId(7), Box::new(ClientResponse::Done)),
    ];
    let missed = |name: &&&str| !plain.iter().any(|frame| variant_name(frame) == **name);
    assert_eq!(VARIANTS.iter().find(missed), None, "no sample of it");
    named(plain.into(), frame_name, &[])
}
