//! The network of these tests itself: cuts have a direction, nothing is left behind.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;

use crate::support::net::{Net, namespaces, sh};
use crate::support::task::{self, Task};

/// A host that writes down what it is told.
struct Ear(std::process::Child, BufReader<std::process::ChildStdout>, SocketAddr);

impl Ear {
    fn new(net: &Net, host: usize) -> Self {
        let at = format!("{}:4000", net.address(host)).parse().expect("an address");
        let mut child = task::start(net, host, &Task::Hear(at));
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut ear = Self(child, out, at);
        assert_eq!(ear.hears(), "listening");
        ear
    }

    fn hears(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.1.read_line(&mut line).expect("a line") > 0, "it has ended");
            if let Some(heard) = line.trim().strip_prefix("heard: ") {
                return heard.to_owned();
            }
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn say(net: &Net, host: usize, to: &Ear, text: &str) {
    let child = task::start(net, host, &Task::Say(to.2, text.into()));
    assert_eq!(crate::support::shell::ended(text.into(), child, task::DEADLINE).code, 0);
}

/// What was said through a cut is not heard; the other direction is not concerned.
#[test]
fn a_cut_has_a_direction_and_can_be_healed() {
    let Some(net) = Net::new(3) else { return };
    let (mut one, mut two) = (Ear::new(&net, 1), Ear::new(&net, 2));
    say(&net, 2, &one, "before");
    net.cut_one_way(2, 1);
    say(&net, 2, &one, "lost");
    say(&net, 3, &one, "from three");
    say(&net, 1, &two, "against the cut");
    net.cut(1, 2);
    say(&net, 1, &two, "lost");
    say(&net, 3, &two, "three again");
    net.heal();
    say(&net, 2, &one, "healed");
    say(&net, 1, &two, "healed");
    assert_eq!([one.hears(), one.hears(), one.hears()], ["before", "from three", "healed"]);
    assert_eq!(
        [two.hears(), two.hears(), two.hears()],
        ["against the cut", "three again", "healed"]
    );
}

/// A network leaves nothing behind, and takes away what a dead process left.
#[test]
fn nothing_is_left_behind() {
    let Some(net) = Net::new(1) else { return };
    let prefix = net.prefix.clone();
    let of = |prefix: &str| namespaces().into_iter().filter(|n| n.starts_with(prefix)).count();
    assert_eq!(of(&prefix), 2);
    // No process has this number: it is above the largest there can be.
    sh("ip netns add kvs-99999999-0-h1").expect("a namespace");
    drop(net);
    assert_eq!((of(&prefix), of("kvs-99999999-")), (0, 1));
    let _next = Net::new(1).expect("a network");
    assert_eq!(of("kvs-99999999-"), 0);
}
