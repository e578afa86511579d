//! etcd for comparison: three members, and a client of its own protocol as small as can be.
//!
//! ```text
//! HTTP/2: HEADERS /etcdserverpb.KV/Put, DATA PutRequest{key, value}
//!         -> HEADERS, DATA PutResponse, HEADERS (end)     no DATA before the end: it failed
//! ```
//!
//! One request is under way on a connection at a time, so that windows are never full; what the
//! server grants of its own is not counted. Headers of answers are not read.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::load::Door;
use crate::{Process, ports, wait_for};

const LONG: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(10);

/// Kinds of frames, and their flags.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
/// Bytes taken before the server is granted as many more.
const GRANT: u32 = 16 << 10;

/// Three members.
pub(crate) struct Cluster {
    port: u16,
    _processes: Vec<Process>,
}

impl Cluster {
    pub(crate) fn start(dir: &Path) -> Self {
        let port = ports(6);
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let members: Vec<_> = (0..3).map(|i| format!("e{i}={}", url(port + 3 + i))).collect();
        let member = |i: u16| {
            let mut command = Command::new("etcd");
            command.arg("--name").arg(format!("e{i}"));
            command.arg("--data-dir").arg(dir.join(format!("etcd{i}")));
            for flag in ["--listen-client-urls", "--advertise-client-urls"] {
                command.args([flag, &url(port + i)]);
            }
            for flag in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
                command.args([flag, &url(port + 3 + i)]);
            }
            command.args(["--initial-cluster", &members.join(",")]);
            command.args(["--initial-cluster-state", "new", "--log-level", "error"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            Process::start(&mut command)
        };
        let cluster = Self { port, _processes: (0..3).map(member).collect() };
        wait_for("etcd", LONG, || {
            (0..3).all(|i| Client::dial(port + i).is_ok_and(|mut c| c.ask("ready", b"1").is_ok()))
        });
        cluster
    }

    /// A client of one of the members.
    pub(crate) fn door(&self, i: usize) -> Box<dyn Door> {
        let port = self.port + (i % 3) as u16;
        Box::new(Reconnecting { port, client: Some(Client::dial(port).expect("etcd")) })
    }
}

struct Reconnecting {
    port: u16,
    client: Option<Client>,
}

impl Door for Reconnecting {
    fn put(&mut self, key: &str, value: &[u8]) -> std::result::Result<(), String> {
        let client = self.client.take().map_or_else(|| Client::dial(self.port), Ok);
        let mut client = client.map_err(|e| e.to_string())?;
        client.ask(key, value).map_err(|e| e.to_string())?;
        self.client = Some(client);
        Ok(())
    }
}

struct Client {
    stream: TcpStream,
    /// What has come and was not yet read as frames.
    bytes: Vec<u8>,
    headers: Vec<u8>,
    next: u32,
    taken: u32,
}

impl Client {
    fn dial(port: u16) -> Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
        let headers = headers(&format!("127.0.0.1:{port}"));
        Ok(Self { stream, bytes: Vec::new(), headers, next: 1, taken: 0 })
    }

    /// One Put, until its answer has ended.
    fn ask(&mut self, key: &str, value: &[u8]) -> Result<()> {
        let id = self.next;
        self.next += 2;
        let mut put = vec![0x0a, short(key.len())];
        put.extend(key.as_bytes());
        put.extend([0x12, short(value.len())]);
        put.extend(value);
        let mut body = vec![0];
        body.extend((put.len() as u32).to_be_bytes());
        body.extend(put);
        let mut bytes = frame(HEADERS, END_HEADERS, id, &self.headers);
        bytes.extend(frame(DATA, END_STREAM, id, &body));
        self.stream.write_all(&bytes)?;
        let mut answered = false;
        loop {
            let (kind, flags, stream, body) = self.frame()?;
            match kind {
                DATA => {
                    answered |= !body.is_empty();
                    self.grant(body.len() as u32)?;
                }
                SETTINGS if flags & ACK == 0 => {
                    self.stream.write_all(&frame(SETTINGS, ACK, 0, &[]))?;
                }
                PING if flags & ACK == 0 => self.stream.write_all(&frame(PING, ACK, 0, &body))?,
                RST_STREAM | GOAWAY => return Err(Error::other("reset")),
                _ => {}
            }
            if matches!(kind, DATA | HEADERS) && stream == id && flags & END_STREAM != 0 {
                let refused = || Error::other("refused");
                return answered.then_some(()).ok_or_else(refused);
            }
        }
    }

    fn grant(&mut self, taken: u32) -> Result<()> {
        self.taken += taken;
        if self.taken >= GRANT {
            let grant = frame(WINDOW_UPDATE, 0, 0, &self.taken.to_be_bytes());
            self.stream.write_all(&grant)?;
            self.taken = 0;
        }
        Ok(())
    }

    /// The next whole frame: kind, flags, stream, body.
    fn frame(&mut self) -> Result<(u8, u8, u32, Vec<u8>)> {
        loop {
            if let Some((head, rest)) = self.bytes.split_first_chunk::<9>() {
                let [a, b, c, kind, flags, s0, s1, s2, s3] = *head;
                let length = u32::from_be_bytes([0, a, b, c]) as usize;
                if rest.len() >= length {
                    let body = rest[..length].to_vec();
                    self.bytes.drain(..9 + length);
                    let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
                    return Ok((kind, flags, stream, body));
                }
            }
            let mut more = [0; 4096];
            let n = self.stream.read(&mut more)?;
            if n == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.bytes.extend(&more[..n]);
        }
    }
}

/// The headers of a Put, none of them to be remembered by the server.
fn headers(authority: &str) -> Vec<u8> {
    // POST and http by their numbers; the others by the number of their name, or its letters.
    let mut block = vec![0x83, 0x86];
    let mut add = |name: &[u8], value: &str| {
        block.extend(name);
        block.push(short(value.len()));
        block.extend(value.as_bytes());
    };
    add(&[0x04], "/etcdserverpb.KV/Put");
    add(&[0x01], authority);
    add(&[0x0f, 0x10], "application/grpc");
    add(b"\x00\x02te", "trailers");
    block
}

fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A length that fits into one byte wherever it is written here.
fn short(length: usize) -> u8 {
    u8::try_from(length).ok().filter(|n| *n < 127).expect("a short text")
}
