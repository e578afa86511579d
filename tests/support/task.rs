//! Processes beside the test: this very binary, started again with a task in its environment.
//!
//! ```text
//! test -- start(net, 3, Task::Load(plan)) --> ip netns exec …-h3 hosts process_beside_a_test …
//!                                             KVS_HOST_TASK={"Load": …}
//! ```
//!
//! A task reads its standard input and ends when that is closed: it does not outlive its test.

use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Stdio};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::load::Plan;
use super::net::Net;
use super::stranger::Crowd;

/// The variable that holds the task.
const VARIABLE: &str = "KVS_HOST_TASK";
/// A short task takes no longer unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// What a process is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Write and read until told to stop; the log has every operation.
    Load(Plan),
    /// Read every key once, strictly.
    Last(Plan),
    /// Print every datagram that comes.
    Hear(SocketAddr),
    /// Send a datagram.
    Say(SocketAddr, String),
    /// Bother a port.
    Bother(Crowd),
}

/// Starts a task in a host. Its standard input is a pipe: closing it ends the task.
pub(crate) fn start(net: &Net, host: usize, task: &Task) -> Child {
    let own = std::env::current_exe().expect("this binary");
    let task = serde_json::to_string(task).expect("a task is plain data");
    let mut command = net.command(host, "/bin/sh");
    // Crowds need more files than a shell usually grants.
    command.args(["-c", "ulimit -n 30000 2>/dev/null; exec \"$0\" \"$@\""]).arg(own);
    command
        .args(["process_beside_a_test", "--ignored", "--exact", "--nocapture"])
        .env(VARIABLE, task);
    command.stdin(Stdio::piped()).spawn().expect("a task")
}

/// Does the task of this process, if it has one.
pub(crate) fn run() {
    let Some(task) = std::env::var_os(VARIABLE) else { return };
    let task = serde_json::from_str(task.to_str().expect("text")).expect("a task");
    match task {
        Task::Load(plan) => plan.run(),
        Task::Last(plan) => plan.read_all(),
        Task::Hear(at) => hear(at),
        Task::Say(to, text) => {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
            socket.send_to(text.as_bytes(), to).expect("a datagram that leaves");
        }
        Task::Bother(crowd) => crowd.run(),
    }
}

fn hear(at: SocketAddr) {
    let socket = UdpSocket::bind(at).expect("a socket");
    println!("\nheard: listening");
    let mut bytes = [0; 1024];
    while let Ok(length) = socket.recv(&mut bytes) {
        println!("heard: {}", String::from_utf8_lossy(&bytes[..length]));
    }
}

/// Whether it is time to end; whoever waits is woken.
#[derive(Default)]
pub(crate) struct Stop(Mutex<bool>, Condvar);

impl Stop {
    /// Waits for the end of our standard input, then it is time.
    pub(crate) fn when_input_ends(&self) {
        // Whatever ends it, an error too, is an end.
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        self.now();
    }

    pub(crate) fn now(&self) {
        *self.0.lock().expect("nobody panics with it") = true;
        self.1.notify_all();
    }

    /// Waits so long at the most; whether it is time.
    pub(crate) fn within(&self, time: Duration) -> bool {
        let guard = self.0.lock().expect("nobody panics with it");
        *self.1.wait_timeout_while(guard, time, |stop| !*stop).expect("the same").0
    }
}
