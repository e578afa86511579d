//! A stand-in for running nodes: speaks the channel, answers by a script. For tests alone.
//!
//! ```text
//! Fake::start(ring, 0, |ask| Act::Say(vec![…]))    n1 of the ring, on a free port
//! ```
//!
//! It tells ring and members by itself. What it does not do: it holds no data.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use crate::channel::{
    Arrival, ClientRequest, ClientResponse, Frame, Handshake, Hello, MemberView, OtherClock,
    RingKeys, Session, Static,
};
use crate::clock::Actor;
use crate::gossip::{GossipRow, NodeHealth};
use crate::key::Q;
use crate::ring::{Member, MemberState, NodeId, RingDoc, RingId};

/// What a fake node does with a question.
pub(super) enum Act {
    /// Answers so.
    Say(Vec<ClientResponse>),
    /// Ends the connection.
    HangUp,
    /// Nothing.
    Keep,
}

type Script = dyn Fn(&ClientRequest) -> Act + Send + Sync;

/// A ring that exists in words.
#[derive(Clone)]
pub(super) struct World {
    pub(super) doc: RingDoc,
    /// Where each member listens.
    pub(super) doors: Vec<Arc<TcpListener>>,
}

pub(super) const KEY: [u8; 32] = [7; 32];

impl World {
    /// A ring of this many members, each with a listener.
    pub(super) fn new(members: u8) -> Self {
        let member = |i: u8| Member {
            id: NodeId(u64::from(i)),
            name: format!("n{i}"),
            zone: "default".into(),
            weight: 1,
            state: MemberState::Normal,
            public_key: own(i).public(),
        };
        let q = Q::new(8).expect("eight");
        let members: Vec<_> = (1..=members).map(member).collect();
        let doors = members.iter().map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let doors = doors.map(Arc::new).collect();
        let doc = RingDoc::first(RingId(7), q, 1, members).expect("a ring");
        Self { doc, doors }
    }

    pub(super) fn address(&self, i: u8) -> String {
        self.doors[usize::from(i) - 1].local_addr().expect("it listens").to_string()
    }

    fn news(&self) -> Vec<MemberView> {
        let row = |i: u8| GossipRow {
            id: NodeId(u64::from(i)),
            generation: 1,
            beat: 1,
            address: self.address(i),
            actor: Actor(u64::from(i)),
            version: 1,
            health: NodeHealth::Well,
        };
        let rows = (1..=self.doors.len() as u8).map(row);
        rows.map(|row| MemberView { row, up: true, phi: 0.1, silent_ms: 5 }).collect()
    }

    /// Has a member answer by a script, for as long as the test runs.
    pub(super) fn start(
        &self,
        i: u8,
        script: impl Fn(&ClientRequest) -> Act + Send + Sync + 'static,
    ) -> String {
        let (world, script): (_, Arc<Script>) = (self.clone(), Arc::new(script));
        let door = self.doors[usize::from(i) - 1].clone();
        let run = move || {
            while let Ok((stream, _)) = door.accept() {
                let (world, script) = (world.clone(), script.clone());
                let serve = move || world.serve(i, stream, &*script);
                thread::Builder::new().spawn(serve).expect("a thread");
            }
        };
        thread::Builder::new().spawn(run).expect("a thread");
        self.address(i)
    }

    /// Talks to one client until either hangs up.
    fn serve(&self, i: u8, mut stream: TcpStream, script: &Script) -> Option<()> {
        let hello = Hello::new(Some(self.doc.id), Some(NodeId(u64::from(i))));
        let keys = RingKeys::new(vec![KEY]);
        let first = packet(&mut stream)?;
        let (shake, reply) = Handshake::answer(&keys, &own(i), &hello, &first).ok()?;
        stream.write_all(&reply).ok()?;
        let last = packet(&mut stream)?;
        let Session { mut sealer, mut opener, .. } = shake.answered(&last).ok()?;
        let mut say = |stream: &mut TcpStream, frame: Frame| {
            let mut out = Vec::new();
            sealer.seal(&frame.encode(), &mut out).ok()?;
            stream.write_all(&out).ok()
        };
        say(&mut stream, Frame::Welcome { peer: false })?;
        loop {
            let Some(bytes) = opener.open(&packet(&mut stream)?).ok()? else { continue };
            let (bytes, _) = OtherClock::default().take(&bytes, Arrival::default()).ok()?;
            let Ok(Frame::Request(id, request)) = Frame::decode(bytes) else { continue };
            let act = match *request {
                ClientRequest::Ring => {
                    Act::Say(vec![ClientResponse::Ring(Box::new(self.doc.clone()))])
                }
                ClientRequest::Members => Act::Say(vec![ClientResponse::Members(self.news())]),
                request => script(&request),
            };
            match act {
                Act::Say(all) => {
                    for response in all {
                        say(&mut stream, Frame::Response(id, Box::new(response)))?;
                    }
                }
                Act::HangUp => return None,
                Act::Keep => {}
            }
        }
    }
}

fn own(i: u8) -> Static {
    Static::of([i; 32])
}

fn packet(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}
