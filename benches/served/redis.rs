//! Redis for comparison: alone, or a primary with two replicas whose every write is synced.
//!
//! ```text
//! SET k v, WAIT 1 5000  ->  +OK  :1      in one packet; fewer than one replica is an error
//! ```

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::load::Door;
use crate::{Process, ports, wait_for};

const LONG: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(10);

/// A server and its replicas.
pub(crate) struct Server {
    port: u16,
    _processes: Vec<Process>,
}

impl Server {
    /// One that keeps everything in memory.
    pub(crate) fn alone(dir: &Path) -> Self {
        let port = ports(1);
        let process = start(&dir.join("redis"), port, &["--appendonly", "no"]);
        let server = Self { port, _processes: vec![process] };
        wait_for("redis", LONG, || server.says("PONG", &["ping"]));
        server
    }

    /// A primary and two replicas, each of which syncs before it answers.
    pub(crate) fn replicated(dir: &Path) -> Self {
        let port = ports(3);
        let synced = ["--appendonly", "yes", "--appendfsync", "always"];
        let of = format!("127.0.0.1 {port}");
        let node = |i: u16| {
            let mut flags = synced.to_vec();
            if i > 0 {
                flags.extend(["--replicaof", &of]);
            }
            start(&dir.join(format!("redis{i}")), port + i, &flags)
        };
        let server = Self { port, _processes: (0..3).map(node).collect() };
        let online = |i| format!("slave{i}:ip=127.0.0.1,port=");
        wait_for("replicas of redis", LONG, || {
            let out = server.cli(&["info", "replication"]).output().expect("redis-cli");
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            let is_online = |line: &&str| line.contains("state=online");
            let replicas = text.lines().filter(is_online);
            replicas.filter(|l| (0..2).any(|i| l.starts_with(&online(i)))).count() == 2
        });
        server
    }

    fn says(&self, words: &str, args: &[&str]) -> bool {
        let out = self.cli(args).output().expect("redis-cli");
        String::from_utf8_lossy(&out.stdout).contains(words)
    }

    pub(crate) fn cli(&self, args: &[&str]) -> Command {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]).args(args);
        command
    }

    pub(crate) fn door(&self) -> Box<dyn Door> {
        let mut door = Client { port: self.port, stream: None };
        door.stream = Some(door.dial().expect("redis"));
        Box::new(door)
    }
}

fn start(dir: &Path, port: u16, flags: &[&str]) -> Process {
    std::fs::create_dir_all(dir).expect("a directory");
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command.arg("--dir").arg(dir).args(flags).args(["--repl-diskless-sync-delay", "0"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Process::start(&mut command)
}

struct Client {
    port: u16,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    fn dial(&self) -> std::io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER))?;
        Ok(BufReader::new(stream))
    }
}

impl Door for Client {
    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), String> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.dial().map_err(|e| e.to_string())?,
        };
        let (ok, replicas) = set(&mut stream, key, value).map_err(|e| e.to_string())?;
        self.stream = Some(stream);
        if ok.trim_end() != "+OK" || !matches!(replicas.trim_end(), ":1" | ":2") {
            return Err(format!("{ok}{replicas}"));
        }
        Ok(())
    }
}

fn set(
    stream: &mut BufReader<TcpStream>,
    key: &str,
    value: &[u8],
) -> std::io::Result<(String, String)> {
    let (k, v) = (key.len(), value.len());
    let mut bytes = format!("*3\r\n$3\r\nSET\r\n${k}\r\n{key}\r\n${v}\r\n").into_bytes();
    bytes.extend(value);
    bytes.extend(b"\r\n*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$4\r\n5000\r\n");
    stream.get_mut().write_all(&bytes)?;
    let (mut ok, mut replicas) = (String::new(), String::new());
    stream.read_line(&mut ok)?;
    stream.read_line(&mut replicas)?;
    Ok((ok, replicas))
}
