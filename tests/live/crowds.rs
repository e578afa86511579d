//! Crowds at the two doors of a node: idle, half way through, greedy; with the ring's key and without.
//!
//! ```text
//! far client --100 ms--> node        its put is done, whatever the crowd does
//! 1,200 idle ----------> node        bounded memory, bounded log, nobody else shut out
//! ```
//!
//! `KVS_CROWD=10000` makes the crowds as large as a host can: then it takes minutes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use kvs::channel::{ClientRequest, ClientResponse, Hello};
use kvs::ring::NodeId;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::guests::{Guest, PEAK_MIB, address, get, peak_mib, put};
use crate::support::served::{Served, ring};
use crate::support::shell::{Place, skip};

/// How far away the far client is, one way.
const AWAY: Duration = Duration::from_millis(100);
/// The address of the crowd; the honest come from 127.0.0.1.
const CROWD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Lines that a node may log about all of it.
const LINES_MAX: usize = 100;

/// How many there are in a crowd.
fn many(few: usize) -> usize {
    let wanted =
        std::env::var_os("KVS_CROWD").and_then(|n| n.to_str().and_then(|n| n.parse().ok()));
    wanted.unwrap_or(0).max(few)
}

/// Lets this process open as many files as it may; whether those are enough.
fn has_descriptors(wanted: usize) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("up to the hard limit");
    let enough = limit.maximum.is_none_or(|most| most as usize > 4_096.max(wanted + 2_000));
    if !enough {
        skip("crowds at the doors of a node: too few file descriptors");
    }
    enough
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// So many connections that say these words and nothing more.
fn idle(to: SocketAddr, count: usize, words: &[u8]) -> Vec<TcpStream> {
    let connect = async {
        let mut all = Vec::new();
        for _ in 0..count {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind((CROWD, 0).into()).expect("an address of this machine");
            let mut stream = socket.connect(to).await.expect("it listens");
            // It may have been sent out already.
            drop(stream.write_all(words).await);
            all.push(stream.into_std().expect("a socket"));
        }
        all
    };
    runtime().block_on(connect)
}

/// Has somebody far away act, through an address of its own; `before` happens whenever it has
/// connected and not yet said a word.
fn from_afar<T>(
    to: SocketAddr,
    before: impl Fn() -> Vec<TcpStream> + Sync,
    act: impl FnOnce(&str) -> T,
) -> T {
    let runtime = runtime();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let (end, ended) = oneshot::channel::<()>();
    std::thread::scope(|scope| {
        let before = &before;
        scope.spawn(move || {
            let relay = async {
                let mut held = Vec::new();
                loop {
                    let (near, _) = listener.accept().await.expect("a client");
                    let far = tokio::net::TcpStream::connect(to).await.expect("it listens");
                    held.push(before());
                    let ((near_in, near_out), (far_in, far_out)) =
                        (near.into_split(), far.into_split());
                    drop(tokio::spawn(delayed(near_in, far_out)));
                    drop(tokio::spawn(delayed(far_in, near_out)));
                }
            };
            runtime.block_on(async {
                tokio::select! {
                    () = relay => {}
                    _ = ended => {}
                }
            });
        });
        let done = act(&address);
        drop(end);
        done
    })
}

/// Passes bytes on, each piece so much later.
async fn delayed(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
) {
    let mut bytes = [0; 4_096];
    while let Ok(n) = from.read(&mut bytes).await
        && n > 0
    {
        tokio::time::sleep(AWAY).await;
        if to.write_all(&bytes[..n]).await.is_err() {
            return;
        }
    }
}

/// n1, n2, n3; n1 under a limit of descriptors, if one is given.
fn three<'a>(place: &'a Place, program: &str) -> [Served<'a>; 3] {
    let n1 = Served::node_under(place, "n1", program);
    let all = [n1, Served::node(place, "n2"), Served::node(place, "n3")];
    place.kvs("wait --node-up n1,n2,n3 --timeout 20s").ends(0);
    all
}

fn peer_port(place: &Place) -> SocketAddr {
    address(place, "n1").parse().expect("an address")
}

/// A put and a get from far away are done.
fn the_far_are_served(place: &Place, before: impl Fn() -> Vec<TcpStream> + Sync) {
    from_afar(peer_port(place), before, |far| {
        place.kvs(&format!("put -q far v --ring {far} --key-file r/ring.key")).ends(0);
        place.kvs(&format!("get -q far --ring {far} --key-file r/ring.key")).ends(0).prints("v");
    });
}

fn within_bounds(place: &Place, n1: &Served<'_>) {
    let peak = peak_mib(place, "n1");
    assert!(peak < PEAK_MIB, "it took {peak} MiB");
    let lines = n1.err().lines().count();
    assert!(lines < LINES_MAX, "it logged {lines} lines: {}", &n1.err()[..2_000]);
}

/// Idle strangers from elsewhere fill every place; then 66 more come, from the far client's own
/// address, each time between its connection and its first word.
#[test]
fn strangers_at_the_peer_port_shut_out_nobody() {
    let count = many(1_200);
    if !has_descriptors(count) {
        return;
    }
    let place = ring();
    let nodes = three(&place, "");
    let at = peer_port(&place);
    let _idle = idle(at, count, b"");
    let _half = idle(at, 100, &[0x03, 0xff, 1, 2, 3]);
    let _wrong = idle(at, 100, &[&[0x00, 0x60][..], &[7; 0x60]].concat());
    let newer = || (0..66).map(|_| TcpStream::connect(at).expect("it listens")).collect();
    the_far_are_served(&place, newer);
    within_bounds(&place, &nodes[0]);
    nodes.into_iter().for_each(|node| node.stops(0));
}

/// Holders of the key that say nothing fill every place for clients. Half of them name a node that
/// nobody knows.
#[test]
fn idle_clients_make_room_for_those_who_ask() {
    let count = many(1_100);
    if !has_descriptors(count) {
        return;
    }
    let place = ring();
    let nodes = three(&place, "");
    let unknown = Hello::new(None, Some(NodeId(4_711)));
    let mut crowd = Vec::new();
    for i in 0..count {
        let stream = TcpStream::connect(peer_port(&place)).expect("it listens");
        let hello = if i % 2 == 0 { Hello::new(None, None) } else { unknown.clone() };
        crowd.push(Guest::greets(&place, stream, &hello));
    }
    the_far_are_served(&place, Vec::new);
    within_bounds(&place, &nodes[0]);
    nodes.into_iter().for_each(|node| node.stops(0));
}

/// Every place for clients is taken by somebody in the middle of a question that never ends.
#[test]
fn an_operator_is_heard_when_all_clients_are_busy() {
    if !has_descriptors(1_100) {
        return;
    }
    let place = ring();
    let nodes = three(&place, "");
    let mut crowd: Vec<_> = (0..1_024).map(|_| Guest::at(&place, "n1")).collect();
    for guest in &mut crowd {
        guest.stream.write_all(&[0x00, 0x40, 1, 2, 3]).expect("it is heard");
    }
    let mut late = Guest::at(&place, "n1");
    late.post(1, get("k")).expect("it is heard");
    let told = late.told().expect("an answer").1;
    assert!(matches!(&told, ClientResponse::Fault(_)), "{told:?}");
    late.post(2, ClientRequest::Info).expect("it is heard");
    let told = late.told().expect("an answer").1;
    assert!(matches!(&told, ClientResponse::Info(_)), "{told:?}");
    place.kvs("put -q k v").ends(0);
    place.kvs("node info n1").ends(0);
    place.kvs("status").ends(0);
    place.kvs("node stop n1").ends(0);
    let [n1, n2, n3] = nodes;
    assert_eq!(n1.end(), 0, "{}", n1.err());
    [n2, n3].into_iter().for_each(|node| node.stops(0));
}

/// Long questions that never end: what was sent of them is read only as far as there is room.
#[test]
fn questions_of_8_mib_that_never_end_are_not_gathered() {
    let place = ring();
    let nodes = three(&place, "");
    std::thread::scope(|scope| {
        let place = &place;
        let greedy = |i: usize| {
            move || {
                let mut guest = Guest::at(place, "n1");
                let mut packets = guest.packets(1, put(&format!("long{i}"), 8_000_000));
                packets.pop();
                guest.stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a limit");
                // The node stops reading, or the last byte is missing.
                drop(guest.stream.write_all(&packets));
                guest
            }
        };
        let all: Vec<_> = (0..32).map(|i| scope.spawn(greedy(i))).collect();
        let all: Vec<_> = all.into_iter().map(|one| one.join().expect("a guest")).collect();
        the_far_are_served(place, Vec::new);
        drop(all);
    });
    // Of 244 MiB it has read 32, and has them twice while a packet is opened.
    let peak = peak_mib(&place, "n1");
    assert!(peak < 150, "it took {peak} MiB");
    within_bounds(&place, &nodes[0]);
    nodes.into_iter().for_each(|node| node.stops(0));
}

/// A node that may open 1,024 files, and more than that at its figures.
#[test]
fn a_crowd_at_the_figures_takes_neither_files_nor_log_nor_figures_away() {
    let count = many(1_100);
    if !has_descriptors(count) {
        return;
    }
    let place = ring();
    let nodes = three(&place, "prlimit --nofile=1024:1024");
    let info = place.kvs("node info n1").ends(0).text();
    let at = info.lines().find_map(|l| l.strip_prefix("metrics\t")).expect("an address");
    let at: SocketAddr = at.parse().expect("an address");
    let _idle = idle(at, count, b"");
    let _half = idle(at, 200, &[b"GET /metrics HTTP/1.1\r\nX: ", &[b'x'; 20_000][..]].concat());
    let _many = idle(at, 50, &b"GET /metrics HTTP/1.1\r\n\r\n".repeat(40));
    the_far_are_served(&place, Vec::new);
    let figures = figures(at, "GET /metrics HTTP/1.0\r\n\r\n");
    assert!(figures.starts_with("HTTP/1.1 200 OK\r\n"), "{figures}");
    assert!(figures.contains("\nkvs_commit_seconds_count "), "{figures}");
    assert!(self::figures(at, "PUT / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    assert!(self::figures(at, "what?\r\n\r\n").starts_with("HTTP/1.1 400 "));
    within_bounds(&place, &nodes[0]);
    nodes.into_iter().for_each(|node| node.stops(0));
}

fn figures(at: SocketAddr, ask: &str) -> String {
    let mut stream = TcpStream::connect(at).expect("an endpoint");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    stream.write_all(ask.as_bytes()).expect("a question");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("figures");
    text
}
