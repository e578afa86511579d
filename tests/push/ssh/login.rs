//! Who is let in: agents with many keys, key files, wrong users.

use std::fs;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kvs::error::Error;
use kvs::push::SshRules;

use super::{connect, denied, has, said};
use crate::support::executable::executable;
use crate::support::shell::{ended, send};
use crate::support::sshd::{KINDS, Sshd, key, keygen, write_key};
use crate::support::wait::wait_for;

/// The variables of [`process_beside_a_test`]: the port, and the user's directory.
const PORT: &str = "KVS_PUSH_LOGIN_PORT";
const SSH_DIR: &str = "KVS_PUSH_LOGIN_DIR";

/// A real agent.
pub(crate) struct Agent {
    child: Child,
    pub(crate) socket: PathBuf,
}

impl Agent {
    pub(crate) fn new(dir: &Path) -> Self {
        let socket = dir.join("agent");
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("an agent");
        // The socket has its name before the agent listens: only one that connects has met it.
        wait_for("an agent", || UnixStream::connect(&socket).is_ok());
        Self { child, socket }
    }

    pub(crate) fn add(&self, key: &Path) {
        let mut command = Command::new("ssh-add");
        command.arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket);
        // The passphrase of keys that have one, as a program that is asked for it.
        let ask = self.socket.with_file_name("ask");
        executable(&ask, "#!/bin/sh\necho secret\n");
        command.env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", "no");
        assert!(command.status().expect("ssh-add").success(), "{}", key.display());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A login with the agent of its environment.
#[test]
#[ignore = "no test: a process beside one"]
fn process_beside_a_test() {
    let (Ok(port), Ok(dir)) = (std::env::var(PORT), std::env::var(SSH_DIR)) else { return };
    let at = format!("127.0.0.1:{port}").parse().expect("an address");
    let rules = rules_of(at, Path::new(&dir));
    let address = "127.0.0.1";
    let access = kvs::push::SshAccess {
        host: "n1",
        address,
        rules: &rules,
        become_root: kvs::push::Become::None,
    };
    match kvs::push::Ssh::connect(&access, &super::Ear::default()) {
        Ok(_) => println!("\nsaid: in"),
        Err(error) => println!("\nsaid: {}", super::said(&error)),
    }
}

fn rules_of(at: std::net::SocketAddr, dir: &Path) -> SshRules {
    SshRules {
        at: vec![at],
        port: at.port(),
        user: crate::support::sshd::me(),
        keys: vec![dir.join("id_ed25519")],
        agent: true,
        known_hosts: vec![dir.join("known_hosts")],
        host_keys: kvs::push::HostKeys::Strict,
        connect_timeout: super::PATIENCE,
        command_timeout: super::PATIENCE,
    }
}

/// What a login with this agent comes to.
fn login_with(sshd: &Sshd, agent: &Agent) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["ssh::login::process_beside_a_test", "--ignored", "--exact", "--nocapture"]);
    command.env("SSH_AUTH_SOCK", &agent.socket).env(PORT, sshd.at.port().to_string());
    command.env(SSH_DIR, sshd.ssh_dir()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own, to be ended with when it hangs.
    command.process_group(0);
    let child = command.spawn().expect("this binary");
    let told = ended("a login".into(), child, super::PATIENCE);
    let text = told.text();
    let said = text.lines().find_map(|line| line.strip_prefix("said: "));
    said.unwrap_or_else(|| panic!("{text}\n{}", told.err)).to_owned()
}

fn a_known_host() -> Option<Sshd> {
    let sshd = Sshd::local()?;
    sshd.be_known();
    Some(sshd)
}

/// An agent with so many keys that open nothing.
fn agent_of_strangers(sshd: &Sshd, strangers: usize) -> Agent {
    let agent = Agent::new(&sshd.dir);
    for number in 0..strangers {
        agent.add(&stranger(sshd, number));
    }
    agent
}

/// The file of a key that opens nothing.
fn stranger(sshd: &Sshd, number: usize) -> PathBuf {
    let file = sshd.dir.join(format!("key{number}"));
    write_key("ed25519", &format!("agent{number}"), &file);
    file
}

/// Ten identities would be hung up on. The one whose public key lies there comes first.
#[test]
fn an_agent_with_ten_keys() {
    let Some(sshd) = a_known_host() else { return };
    let agent = agent_of_strangers(&sshd, 9);
    // The key file is tried before them.
    assert_eq!(login_with(&sshd, &agent), "in");
    // It is in the agent alone, as the last of ten; only its public half is a file.
    let own = sshd.ssh_dir().join("id_ed25519");
    agent.add(&own);
    fs::remove_file(&own).expect("a file");
    assert_eq!(login_with(&sshd, &agent), "in");
    // Nothing says which one to try.
    fs::remove_file(own.with_extension("pub")).expect("a file");
    let text = login_with(&sshd, &agent);
    has(&text, &["3 of the agent's 10 identities", "id_ed25519 (which is not there)", "publickey"]);
    assert!(!sshd.log().contains("Too many authentication failures"), "{}", sshd.log());
}

/// What is named is tried before what happens to be in an agent; who hangs up is told from who refuses.
#[test]
fn a_server_that_takes_few_tries() {
    let Some(sshd) = Sshd::local_with("MaxAuthTries 3", KINDS) else { return };
    sshd.be_known();
    let agent = agent_of_strangers(&sshd, 4);
    assert_eq!(login_with(&sshd, &agent), "in");
    assert!(sshd.log().contains("Accepted publickey"), "{}", sshd.log());
    assert!(!sshd.log().contains("Failed publickey"), "{}", sshd.log());
    // The named one opens nothing either.
    fs::write(sshd.dir.join("etc/authorized_keys"), key("ecdsa", "user").1).expect("a file");
    let text = login_with(&sshd, &agent);
    has(
        &text,
        &["does not let", "hung up after 3 keys", "id_ed25519, 3 of the agent's 4 identities"],
    );
    has(&text, &["nothing was done", "in ssh.keys, with its .pub", "`agent: false`"]);
    let mut rules = sshd.rules();
    rules.keys = (0..4).map(|number| stranger(&sshd, number)).collect();
    has(&denied(connect(&sshd, &rules)), &["hung up after 3 keys"]);
}

#[test]
fn a_server_that_hangs_up_before_a_key_is_out_of_reach() {
    let Some(sshd) = Sshd::local_with("MaxAuthTries 0", KINDS) else { return };
    sshd.be_known();
    let mut rules = sshd.rules();
    for keys in [rules.keys.clone(), Vec::new()] {
        rules.keys = keys;
        let error = connect(&sshd, &rules).err().expect("nobody is let in");
        assert!(matches!(error.root(), Error::Unreachable(_)), "{error:?}");
        has(&said(&error), &["hung up during the login", "nothing was done", "ssh -p"]);
    }
}

/// Whether nobody is at a socket any more.
fn is_gone(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, ConnectionReset, NotFound};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | NotFound)
}

/// An agent that stands still, and one that does not even take connections any more: key files go on.
#[test]
fn an_agent_that_does_not_answer() {
    let Some(sshd) = a_known_host() else { return };
    let agent = Agent::new(&sshd.dir);
    send("STOP", &agent.child.id().to_string());
    let before = Instant::now();
    assert_eq!(login_with(&sshd, &agent), "in");
    assert!(before.elapsed() < Duration::from_secs(15), "{:?}", before.elapsed());
    fs::remove_file(sshd.ssh_dir().join("id_ed25519")).expect("a file");
    let (socket, waiting) = (agent.socket.clone(), AtomicUsize::new(0));
    let gone = std::sync::OnceLock::new();
    let text = std::thread::scope(|scope| {
        // Whoever waits for it waits no longer when it is gone.
        let agent = agent;
        scope.spawn(|| {
            let mut all = Vec::new();
            loop {
                match UnixStream::connect(&socket) {
                    Ok(one) => all.push(one),
                    // Other tests may have all the files this process may open, for a moment.
                    Err(error) if !is_gone(&error) => std::thread::yield_now(),
                    Err(error) => break drop(gone.set(error)),
                }
                waiting.store(all.len(), Ordering::Relaxed);
            }
        });
        // It has room for 128.
        let full = || waiting.load(Ordering::Relaxed) >= 120;
        wait_for("a full queue", || full() || gone.get().is_some());
        assert!(full(), "the agent is gone: {gone:?}");
        login_with(&sshd, &agent)
    });
    has(&text, &["does not let", "the agent does not answer", "id_ed25519 (which is not there)"]);
}

#[test]
fn an_encrypted_key_takes_an_agent() {
    let Some(sshd) = a_known_host() else { return };
    let own = sshd.ssh_dir().join("id_ed25519");
    let file = own.to_str().expect("text");
    keygen(&["-q", "-p", "-P", "", "-N", "secret", "-f", file]);
    fs::remove_file(own.with_extension("pub")).expect("a file");
    let text = denied(connect(&sshd, &sshd.rules()));
    has(&text, &["takes a passphrase", &format!("ssh-add {file}")]);
    let agent = Agent::new(&sshd.dir);
    assert!(login_with(&sshd, &agent).contains("an agent without identities"));
    agent.add(&own);
    assert_eq!(login_with(&sshd, &agent), "in");
}

/// Every kind of key that OpenSSH makes, and an older form.
#[test]
fn kinds_of_key_files() {
    let Some(sshd) = a_known_host() else { return };
    let mut rules = sshd.rules();
    let allowed = sshd.dir.join("etc/authorized_keys");
    for (kind, form) in
        [("ed25519", "OpenSSH"), ("ecdsa", "OpenSSH"), ("rsa", "OpenSSH"), ("rsa", "PEM")]
    {
        let file = sshd.dir.join(format!("{kind}-{form}"));
        write_key(kind, "kinds", &file);
        if form == "PEM" {
            keygen(&[
                "-q",
                "-p",
                "-P",
                "",
                "-N",
                "",
                "-m",
                "PEM",
                "-f",
                file.to_str().expect("text"),
            ]);
        }
        fs::write(&allowed, key(kind, "kinds").1).expect("a file");
        rules.keys = vec![sshd.dir.join("no-such-key"), file];
        drop(
            connect(&sshd, &rules).unwrap_or_else(|e| panic!("{kind} {form}: {e}\n{}", sshd.log())),
        );
    }
}

#[test]
fn nobody_is_let_in_without_reason() {
    let Some(sshd) = a_known_host() else { return };
    let mut rules = sshd.rules();
    rules.user = "no-such-user".into();
    let text = denied(connect(&sshd, &rules));
    has(
        &text,
        &["does not let no-such-user in at 127.0.0.1", "id_ed25519", "takes publickey", "ssh -p"],
    );
    // Seven files: no server is asked so often.
    let mut rules = sshd.rules();
    rules.keys = (0..7).map(|number| stranger(&sshd, number)).collect();
    let text = denied(connect(&sshd, &rules));
    has(&text, &["key4,", "key5 (not tried", "key6 (not tried"]);
    rules.keys = Vec::new();
    has(&denied(connect(&sshd, &rules)), &["no key was to be tried"]);
}
