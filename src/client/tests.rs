//! The client against stand-ins that answer, hang up and keep silent.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::fake::{Act, KEY, World};
use super::*;
use crate::channel::{Fault, Info, StoreQuery, StoreResult};
use crate::key::{Key, Partition};
use crate::node::{Reply, Request};
use crate::quorum::{GetReply, Options, PutReply, PutRequest, Verdict};
use crate::ring::RingId;
use crate::store::Store;

const TIMEOUT: Duration = Duration::from_millis(1_500);

fn options(addresses: &[&str], timeout: Duration) -> ConnectOptions {
    let addresses = addresses.iter().map(|a| (*a).to_owned()).collect();
    let keys = RingKeys::new(vec![KEY]);
    ConnectOptions { addresses, keys, timeout, insist: false, strangers: false }
}

fn open(addresses: &[&str]) -> Client {
    Client::open(options(addresses, TIMEOUT)).expect("somebody answers")
}

fn get() -> Request {
    Request::Get(Key::new("k").expect("a key"), Options::default())
}

fn put() -> Request {
    let options = Options::default();
    Request::Put(PutRequest { partition: Partition(0), items: Vec::new(), options })
}

fn got() -> Act {
    let reply = GetReply {
        verdict: Verdict::Done,
        stored: None,
        answers: Vec::new(),
        r: 1,
        clashes: Vec::new(),
    };
    Act::Say(vec![ClientResponse::Reply(Reply::Get(reply))])
}

fn done() -> Act {
    Act::Say(vec![ClientResponse::Reply(Reply::Put(PutReply::none(Verdict::Done)))])
}

fn info() -> Act {
    Act::Say(vec![ClientResponse::Info(Box::default())])
}

fn hang_up(_: &ClientRequest) -> Act {
    Act::HangUp
}

fn keep(_: &ClientRequest) -> Act {
    Act::Keep
}

#[test]
fn what_a_node_says_of_ring_and_members_is_known_at_once() {
    let world = World::new(3);
    let client = open(&[&world.start(2, keep)]);
    assert_eq!(client.entry(), NodeId(2));
    assert_eq!(*client.doc(), world.doc);
    assert_eq!(client.members().len(), 3);
    assert_eq!(client.address(NodeId(3)), Some(world.address(3)));
}

#[test]
fn a_read_whose_node_breaks_goes_on_at_the_next_address() {
    let world = World::new(3);
    let (one, two) = (world.start(1, hang_up), world.start(2, |_| got()));
    let client = open(&[&one, &two]);
    assert_eq!(client.entry(), NodeId(1));
    assert!(matches!(client.request(NodeId(1), get()), Ok(Reply::Get(_))));
    assert_eq!(client.entry(), NodeId(2));
}

#[test]
fn a_put_that_was_sent_when_its_node_broke_is_unknown_and_not_repeated() {
    static PUTS: AtomicUsize = AtomicUsize::new(0);
    let world = World::new(2);
    let one = world.start(1, |_| {
        PUTS.fetch_add(1, Ordering::SeqCst);
        Act::HangUp
    });
    let two = world.start(2, |_| {
        PUTS.fetch_add(1, Ordering::SeqCst);
        done()
    });
    let error = open(&[&one, &two]).request(NodeId(1), put()).expect_err("it broke");
    assert!(matches!(error.root(), Error::Unknown(_)), "{error}");
    assert_eq!(PUTS.load(Ordering::SeqCst), 1);
}

#[test]
fn a_put_that_was_not_sent_goes_to_the_next_address() {
    let world = World::new(2);
    // The first node ends the connection after it was asked how it is: the put finds it closed.
    let one = world.start(1, |request| match request {
        ClientRequest::Info => Act::HangUp,
        _ => panic!("a closed connection carries nothing"),
    });
    let two = world.start(2, |_| done());
    let client = open(&[&one, &two]);
    let news = client.members();
    assert!(client.info(NodeId(1)).is_err());
    // Its door stays open; only the dialling of it again shows who is there. Point it elsewhere.
    let mut moved = (*news).clone();
    moved[0].row.address = world.address(2);
    client.known().news = Arc::new(moved);
    assert!(matches!(client.request(NodeId(1), put()), Ok(Reply::Put(_))));
    assert_eq!(client.entry(), NodeId(2));
}

#[test]
fn silence_ends_with_the_timeout_as_what_the_question_was() {
    let world = World::new(1);
    let client = open(&[&world.start(1, keep)]);
    for (request, is) in [
        (ClientRequest::Node(get()), "refused"),
        (ClientRequest::Node(put()), "unknown"),
        (ClientRequest::Node(Request::Deliver), "partial"),
        (ClientRequest::Info, "refused"),
    ] {
        let start = now();
        let error = client.ask(NodeId(1), request).expect_err("nobody answers");
        let was = match error.root() {
            Error::Refused(_) => "refused",
            Error::Unknown(_) => "unknown",
            Error::Partial(_) => "partial",
            _ => "something else",
        };
        assert_eq!(was, is, "{error}");
        let took = now() - start;
        assert!(took < TIMEOUT * 3, "{took:?}");
    }
}

#[test]
fn a_job_lives_as_long_as_it_shows_life() {
    let world = World::new(1);
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    // Its answers come one by one, each after most of the timeout.
    let one = world.start(1, |request| match request {
        ClientRequest::Node(Request::Deliver) => {
            let slow = || {
                let until = now() + TIMEOUT * 2 / 3;
                while now() < until {
                    thread::park_timeout(TIMEOUT / 10);
                }
            };
            ASKED.fetch_add(1, Ordering::SeqCst);
            slow();
            Act::Say(vec![ClientResponse::Busy])
        }
        ClientRequest::Info => Act::Say(vec![ClientResponse::Info(Box::<Info>::default())]),
        _ => Act::Keep,
    });
    let client = open(&[&one]);
    let start = now();
    let error = client.request(NodeId(1), Request::Deliver).expect_err("it falls silent");
    assert!(matches!(error.root(), Error::Partial(_)), "{error}");
    assert!(now() - start >= TIMEOUT * 3 / 2, "a sign of life gives it more time");
    assert_eq!(ASKED.load(Ordering::SeqCst), 1);
}

#[test]
fn what_a_node_refuses_is_its_own_error() {
    let world = World::new(2);
    let one = world.start(1, |_| {
        let error = Error::Denied("not from here".into()).hint("go away");
        Act::Say(vec![ClientResponse::Fault(Fault::from(&error))])
    });
    let error = open(&[&one]).request(NodeId(1), get()).expect_err("it refuses");
    assert!(matches!(error.root(), Error::Denied(_)), "{error}");
    assert_eq!(error.to_string(), "not from here");
}

#[test]
fn a_build_that_does_not_know_a_question_is_told_from_a_node_that_is_gone() {
    let world = World::new(2);
    // What it is asked after it hung up has all the time that is left, not the tenth of one that is gone.
    let patient = Duration::from_secs(5);
    let old = world.start(1, move |request| match request {
        ClientRequest::Info => {
            let until = now() + patient / 8;
            while now() < until {
                thread::park_timeout(patient / 100);
            }
            Act::Say(vec![ClientResponse::Info(Box::<Info>::default())])
        }
        _ => Act::HangUp,
    });
    let (client, start) = (Client::open(options(&[&old], patient)).expect("it is there"), now());
    let error = client.load(NodeId(1)).expect_err("it does not know");
    assert!(matches!(error.root(), Error::Denied(_)), "{error}");
    assert!(error.to_string().starts_with("n1 runs kvs"), "{error}");
    assert!(now() - start < patient, "it was waited for");
    let gone = world.start(2, hang_up);
    let error = open(&[&gone]).load(NodeId(2)).expect_err("it is gone");
    assert!(matches!(error.root(), Error::Refused(_)), "{error}");
    let mute = World::new(1);
    let error = open(&[&mute.start(1, keep)]).load(NodeId(1)).expect_err("it is mute");
    assert!(matches!(error.root(), Error::Refused(_)), "{error}");
}

#[test]
fn nobody_names_every_address_and_why() {
    let world = World::new(1);
    let (mute, closed) = (World::new(1), {
        let door = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        door.local_addr().expect("it listens").to_string()
    });
    let other = world.start(1, keep);
    let all = [closed.as_str(), "no-such-host.invalid:1", &mute.address(1), &other];
    let keys = RingKeys::new(vec![[9; 32]]);
    let options = ConnectOptions { keys, ..options(&all, TIMEOUT) };
    let start = now();
    let Err(error) = Client::open(options) else { panic!("nobody has that key") };
    // One that is there and does not take the key says what is to be done.
    assert!(matches!(error.root(), Error::Denied(_)), "{error}");
    let text = error.to_string();
    for part in [
        format!("{closed} refuses the connection"),
        "no-such-host.invalid:1 is a name that".to_owned(),
        format!("{} does not answer", mute.address(1)),
        format!("{other} ends the handshake: it does not have this ring's key"),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
    assert!(now() - start < TIMEOUT * 4);
}

#[test]
fn another_node_or_ring_behind_an_address_is_not_taken_for_the_one_wanted() {
    let world = World::new(2);
    let one = world.start(1, keep);
    let client = open(&[&one]);
    let mut moved = (*client.members()).clone();
    moved[1].row.address = one; // n1 is where n2 is said to be
    client.known().news = Arc::new(moved);
    let error = client.info(NodeId(2)).expect_err("that is n1");
    assert!(error.to_string().contains("is now another node"), "{error}");

    let (keys, own) = (client.keys(), Static::fresh().expect("randomness"));
    let ring = Some(RingId(8));
    let dial = DialOptions { keys, own: &own, ring, node: None, first: &[] };
    let no = NodeConnection::dial(&world.address(1), &dial, now() + TIMEOUT)
        .err()
        .expect("another ring");
    assert_eq!(no.why, "belongs to another ring");
}

#[test]
fn several_silent_nodes_cost_one_timeout() {
    let world = World::new(5);
    for i in 1..=4 {
        world.start(i, keep);
    }
    let five = world.start(5, |_| Act::Say(vec![ClientResponse::Info(Box::<Info>::default())]));
    let client = open(&[&five]);
    let start = now();
    let all = client.ask_all((1..=5).map(|i| (NodeId(i), ClientRequest::Info)).collect());
    let good: Vec<_> = all.iter().filter(|a| a.1.is_ok()).map(|a| a.0).collect();
    assert_eq!((all.len(), good), (5, vec![NodeId(5)]));
    assert!(now() - start < TIMEOUT * 3, "{:?}", now() - start);
}

#[test]
fn a_stream_keeps_many_questions_open_on_several_nodes() {
    let world = World::new(2);
    let one = world.start(1, |_| done());
    world.start(2, |_| done());
    let client = open(&[&one]);
    let (mut asked, mut replies) = (0_u64, 0);
    let mut source = || {
        asked += 1;
        (asked <= 100).then(|| (NodeId(asked % 2 + 1), put()))
    };
    let streamed = client.stream(8, &mut source, &mut |_| replies += 1);
    assert!(streamed.is_ok(), "{streamed:?}");
    assert_eq!(replies, 100);
}

#[test]
fn a_stream_goes_round_nodes_that_drain_and_nodes_that_are_gone() {
    let world = World::new(3);
    let one = world.start(1, |_| done());
    world.start(2, |_| {
        let error = Error::Busy("draining".into());
        Act::Say(vec![ClientResponse::Fault(Fault::from(&error))])
    });
    let client = open(&[&one]);
    // Behind the third address there is another node.
    let mut moved = (*client.members()).clone();
    moved[2].row.address = world.address(1);
    client.known().news = Arc::new(moved);
    let (mut asked, mut replies) = (0_u64, 0);
    let mut source = || {
        asked += 1;
        (asked <= 30).then(|| (NodeId(asked % 3 + 1), put()))
    };
    let streamed = client.stream(4, &mut source, &mut |_| replies += 1);
    assert!(streamed.is_ok(), "{streamed:?}");
    assert_eq!(replies, 30);
}

#[test]
fn a_stream_ends_with_the_node_that_breaks() {
    let world = World::new(2);
    let one = world.start(1, |_| done());
    world.start(2, hang_up);
    let client = open(&[&one]);
    let mut asked = 0;
    let mut source = || {
        asked += 1;
        Some((NodeId(asked % 2 + 1), put()))
    };
    let error = client.stream(4, &mut source, &mut |_| {}).expect_err("n2 hangs up");
    assert!(matches!(error.root(), Error::Unknown(_)), "{error}");
}

#[test]
fn a_node_is_given_less_time_than_its_client_has() {
    static ALLOWED: AtomicU64 = AtomicU64::new(0);
    let world = World::new(1);
    let one = world.start(1, |request| {
        if let ClientRequest::Node(Request::Get(_, options)) = request {
            ALLOWED.store(options.timeout_ms, Ordering::SeqCst);
        }
        got()
    });
    // So long that the opening is nothing of it.
    let all = 60_000;
    let client = Client::open(options(&[&one], Duration::from_millis(all))).expect("it answers");
    client.request(NodeId(1), get()).expect("an answer");
    let allowed = ALLOWED.load(Ordering::SeqCst);
    assert!((all / 2..=all * 9 / 10).contains(&allowed), "{allowed} of {all}");
}

#[test]
fn a_remote_file_reads_page_by_page() {
    let world = World::new(1);
    let one = world.start(1, |request| {
        let bytes = |text: &str| serde_bytes::ByteBuf::from(text.as_bytes());
        let seen = match request {
            ClientRequest::File(StoreQuery::Visit(_, None)) => {
                StoreResult::Page(vec![(bytes("a"), bytes("1")), (bytes("b"), bytes("2"))], false)
            }
            ClientRequest::File(StoreQuery::Visit(_, Some(after))) if after == b"b" => {
                StoreResult::Page(vec![(bytes("c"), bytes("3"))], true)
            }
            ClientRequest::File(StoreQuery::Leaves(_)) => {
                StoreResult::Leaves(vec![(3, crate::digest::Sum { terms: 9, count: 1 })])
            }
            _ => return Act::HangUp,
        };
        Act::Say(vec![ClientResponse::File(seen)])
    });
    let mut remote = Remote::new(Arc::new(open(&[&one])), NodeId(1));
    let mut keys = Vec::new();
    let visited = remote.visit(Partition(0), None, &mut |key, _| {
        keys.push(key.to_vec());
        std::ops::ControlFlow::Continue(())
    });
    assert!(visited.is_ok(), "{visited:?}");
    assert_eq!(keys, [b"a", b"b", b"c"]);
    let leaves = remote.leaves(Partition(0)).expect("leaves");
    assert_eq!((leaves[3].count, leaves[4].count), (1, 0));
    assert!(remote.apply(&crate::store::Batch::default()).is_err());
}

#[test]
fn ports_are_found_in_a_row() {
    let first = free_ports(3, 42).expect("there are some");
    assert!((10_000..30_000).contains(&first));
    let taken = std::net::TcpListener::bind(("127.0.0.1", first)).expect("it was free");
    assert!(!free_port(&format!("127.0.0.1:{first}")));
    assert_ne!(free_ports(1, 42), Some(first));
    drop(taken);
}

/// All that is waited for a node that says nothing is waited once: then it is passed over.
#[test]
fn a_silent_node_is_waited_for_once() {
    let world = World::new(2);
    let (one, two) = (world.start(1, |_| info()), world.start(2, keep));
    let timeout = Duration::from_secs(10);
    let client = Client::open(options(&[&one, &two], timeout)).expect("somebody answers");
    // It has waited for it for all of the time.
    let mut wait_budget = WaitBudget::new(timeout);
    wait_budget.waited(now() - timeout, now());
    client.known().wait_budget = wait_budget;
    client.known().unanswered.insert(NodeId(2), NoAnswer::TimedOut);
    assert!(client.left() < timeout / 2, "{:?}", client.left());
    let start = now();
    assert!(client.info(NodeId(2)).is_err() && client.no_answer(NodeId(2)).is_some());
    assert!(now() - start < timeout / 2, "all of the time once more");
    // Others are asked as before, and one that answers is as good as any.
    assert!(client.info(NodeId(1)).is_ok());
    client.known().unanswered.insert(NodeId(1), NoAnswer::TimedOut);
    assert!(client.info(NodeId(1)).is_ok() && client.no_answer(NodeId(1)).is_none());
}

/// Whoever does not answer for itself is silent; whoever cannot answer for all may wait for others.
#[test]
fn silence_is_of_a_nodes_own_answers() {
    let world = World::new(2);
    let (one, two) = (world.start(1, keep), world.start(2, |_| got()));
    let client = open(&[&one, &two]);
    assert!(client.request(NodeId(1), get()).is_ok());
    assert!(client.no_answer(NodeId(1)).is_none());
    assert!(client.info(NodeId(1)).is_err());
    assert!(client.no_answer(NodeId(1)) == Some(NoAnswer::TimedOut));
    client.refresh().expect("the second answers");
    assert!(client.no_answer(NodeId(1)).is_none());
}

/// A node whose connection breaks is as one that is silent: whoever looks at single nodes passes it
/// over from then on.
#[test]
fn a_node_that_breaks_off_is_as_good_as_silent() {
    let world = World::new(2);
    let (one, two) = (world.start(1, |_| info()), world.start(2, hang_up));
    let client = open(&[&one, &two]);
    assert!(
        client.info(NodeId(2)).is_err() && client.no_answer(NodeId(2)) == Some(NoAnswer::HungUp)
    );
    assert!(client.info(NodeId(1)).is_ok() && client.no_answer(NodeId(1)).is_none());
}

/// A node that cannot be connected to is told from one that is slow and from one that hangs up.
#[test]
fn a_node_that_cannot_be_connected_to_is_unreachable() {
    let world = World::new(2);
    let one = world.start(1, |_| info());
    let client = open(&[&one]);
    // Nobody accepts what the second one's listener takes in, and a handshake needs an answer.
    assert!(client.info(NodeId(2)).is_err());
    assert_eq!(client.no_answer(NodeId(2)), Some(NoAnswer::Unreachable));
    assert!(client.info(NodeId(1)).is_ok() && client.no_answer(NodeId(1)).is_none());
}
