//! A ring that runs, as a shell sees it: transcripts with real node processes under `testdata/stories`.
//!
//! Each file is one story, told with the binary in a fresh directory. Besides `kvs` and `sh` a line
//! may be one of:
//!
//! ```text
//! up             runs every node of `r` with `kvs up`, and waits until all see each other
//! kill NAME      ends a node as a power cut does, and waits until the others have noticed
//! stop           ends them all in good order
//! addresses      keeps the addresses of the ring's members in KVS_RING from now on
//! ```
//!
//! Caveat: what depends on who was faster (how many owners acknowledged) is left out with `-q`.

use std::process::{Child, Command};

use crate::support::run::{World, binary, words};

#[test]
fn stories() {
    crate::support::golden::run("stories", || {
        let mut ring = Running { world: World::new(), up: None };
        move |line| match words(line).iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["up"] => ring.up(),
            ["stop"] => ring.stop(),
            ["kill", name] => ring.kill(name),
            ["addresses"] => ring.addresses(),
            _ => ring.world.run(line),
        }
    });
}

/// A directory with a ring in it, and `kvs up` over it while it runs.
struct Running {
    world: World,
    up: Option<Child>,
}

impl Running {
    fn up(&mut self) -> String {
        let mut command = self.world.command(binary());
        let log = std::fs::File::create(self.world.path("up.log")).expect("a log");
        command.args(["up", "r", "--metrics", "off"]);
        command.stdout(log.try_clone().expect("a log")).stderr(log);
        self.up = Some(command.spawn().expect("kvs up starts"));
        let names = self.world.run("sh ls -d r/n* | cut -d/ -f2 | paste -sd,");
        self.world.run(&format!("kvs -q wait --settled --node-up {} --timeout 60s", names.trim()))
    }

    fn kill(&mut self, name: &str) -> String {
        let pid = format!("$(kvs node info {name} | awk '$1 == \"pid\" {{print $2}}')");
        let killed = self.world.run(&format!("sh kill -9 {pid}"));
        killed + &self.world.run(&format!("kvs -q wait --node-down {name} --timeout 60s"))
    }

    fn stop(&mut self) -> String {
        let Some(mut up) = self.up.take() else { return "nothing runs\n".into() };
        let told = Command::new("kill").arg(up.id().to_string()).status();
        assert!(told.is_ok_and(|s| s.success()), "kvs up is told to stop");
        match up.wait().expect("kvs up ends").code() {
            Some(0) => String::new(),
            code => format!("[exit {}]\n", code.unwrap_or(-1)),
        }
    }

    fn addresses(&mut self) -> String {
        let listed =
            self.world.command(binary()).args(["ring", "show", "--format", "plain"]).output();
        let listed = String::from_utf8(listed.expect("it runs").stdout).expect("text");
        let addresses: Vec<_> = listed.lines().filter_map(|line| line.split('\t').nth(4)).collect();
        self.world.ring = addresses.join(",");
        String::new()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.up.is_some() {
            // A story that failed half way leaves no process behind.
            drop(self.stop());
        }
    }
}
