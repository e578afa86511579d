//! Links that break in the wrong moment: under a member that was frozen while the ring went on without
//! it, and under a request.

use std::net::TcpStream;

use kvs::channel::{ClientRequest, ClientResponse, Frame, Hello, Static};
use kvs::clock::Actor;
use kvs::config;
use kvs::gossip::{GossipRow, NodeHealth};
use kvs::protocol::{Body, Message};
use kvs::ring::{NodeId, RingId};

use crate::guests::{Guest, address};
use crate::support::served::{Served, ring};
use crate::support::shell::Place;
use crate::support::wait::wait_for;

/// It thaws into dials that were begun when it was a member still. It must learn that it is none, from
/// whoever it meets first, and end: what it acknowledges alone nobody else will ever hold.
#[test]
fn a_member_that_was_replaced_while_it_was_frozen_ends_when_it_thaws() {
    let place = ring();
    let (n1, n3) = (Served::node(&place, "n1"), Served::node(&place, "n3"));
    let old = Served::node(&place, "n2");
    place.kvs("wait --node-up n1,n2,n3 --timeout 20s").ends(0);
    place.kvs("put -q k v -w 3").ends(0);
    let zombie = address(&place, "n2");
    let ring = ["n1", "n3"].map(|name| address(&place, name)).join(",");
    let live = format!("--ring {ring} --key-file r/ring.key");
    place.sh("mkdir s").ends(0);
    old.signal("STOP");
    n1.says("considered down peer=\"n2\"");
    n3.says("considered down peer=\"n2\"");
    let line = format!("replace n2 --yes --dir s/n2 --timeout 60s {live}");
    let replace = Served::start(&place, "replace", &line);
    wait_for("a new directory", || place.path("s/n2/data.mdb").exists() || replace.has_ended());
    let new = Served::start(&place, "new", "node run s/n2 --listen 127.0.0.1:0");
    assert_eq!(replace.end(), 0, "{}", replace.err());
    old.signal("CONT");
    assert_eq!(old.end(), 0, "{}", old.err());
    old.says("no longer a member of the ring");
    let late = format!("put -q late v -w 1 --ring {zombie} --key-file r/ring.key --timeout 3s");
    place.kvs(&late).ends(6);
    place.kvs(&format!("wait --settled --in-sync --node-up n2 {live} --timeout 60s")).ends(0);
    [n1, n3, new].into_iter().for_each(|node| node.stops(0));
}

/// A member that is alive and answers nothing: n2, by its own key.
struct Mute {
    guest: Guest,
    ring: RingId,
    version: u64,
    id: NodeId,
    beat: u64,
}

impl Mute {
    fn dials(place: &Place) -> Self {
        let mut asker = Guest::at(place, "n1");
        asker.post(1, ClientRequest::Ring).expect("it is heard");
        let Ok((_, ClientResponse::Ring(doc))) = asker.told() else { panic!("no document") };
        let id = doc.members.iter().find(|m| m.name == "n2").expect("a member").id;
        let secret = config::read_key(&place.path("r/n2/node.key")).expect("a key");
        let own = Static::of(secret);
        let hello = Hello { run: 7, ..Hello::new(None, Some(id)) };
        let stream = TcpStream::connect(address(place, "n1")).expect("a node");
        let mut guest = Guest::shakes(place, stream, &own, &hello);
        let welcome = guest.next().expect("a word");
        assert_eq!(welcome, Frame::Welcome { peer: true });
        let mut mute = Self { guest, ring: doc.id, version: doc.version, id, beat: 0 };
        mute.lives();
        mute
    }

    /// Shows life.
    fn lives(&mut self) {
        self.beat += 1;
        let row = GossipRow {
            id: self.id,
            generation: 1 << 50,
            beat: self.beat,
            address: "127.0.0.1:9".into(),
            actor: Actor(1),
            version: self.version,
            health: NodeHealth::Well,
        };
        let body = Body::Gossip { rows: vec![row], answer: true };
        let message = Message { ring: self.ring, version: self.version, op: 0, body };
        self.guest.say(&Frame::Message(Box::new(message))).expect("a link");
    }

    fn hears(&mut self) -> Frame {
        let frame = self.guest.next().expect("a link");
        self.lives();
        frame
    }
}

/// n2 is asked to store something, and dials again: what went over the first link may never have come.
/// Whoever waits for its answer hears so, and does not wait until its own time is over.
#[test]
fn who_waits_for_an_answer_hears_that_its_link_gave_way_to_another() {
    let place = ring();
    let (n1, n3) = (Served::node(&place, "n1"), Served::node(&place, "n3"));
    n1.says("up peer=\"n3\"");
    let first_owner = |key: &str| {
        let told = place.kvs(&format!("ring where {key} --format plain")).ends(0).text();
        told.lines().next().and_then(|l| l.split('\t').nth(2)).map(str::to_owned)
    };
    let keys = (0..).map(|i| format!("k{i}"));
    let key = keys.take(500).find(|k| first_owner(k).as_deref() == Some("n1")).expect("a key");
    let mut first = Mute::dials(&place);
    n1.says("up peer=\"n2\"");
    std::thread::scope(|scope| {
        let place = &place;
        let line =
            format!("put -q {key} v -w 3 --blind --timeout 60s --ring {}", address(place, "n1"));
        let put = scope.spawn(move || place.kvs(&format!("{line} --key-file r/ring.key")));
        let is_write = |frame: &Frame| matches!(frame, Frame::Message(m) if matches!(m.body, Body::Write { .. }));
        while !is_write(&first.hears()) {}
        let mut second = Mute::dials(place);
        let heard = (0..50).take_while(|_| !put.is_finished()).map(|_| second.hears()).count();
        assert!(heard < 50, "it waits for an answer that will not come");
        put.join().expect("an end").ends(5);
    });
    [n1, n3].into_iter().for_each(|node| node.stops(0));
}
