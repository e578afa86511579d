//! Scripts over there, and what is held; hosts that give no shell or no answer.

use std::fs;
use std::time::{Duration, Instant};

use kvs::error::Error;
use kvs::push::{Become, Output, Shell};

use super::{Ear, PATIENCE, connect, connect_by, connected, denied, has, run, said, script};
use crate::support::executable::executable;
use crate::support::sshd::Sshd;
use crate::support::wait::{always, must_last, wait_for, wait_for_within};

/// Says that it is there, and stays until its file is gone.
const STAYS: &str = r#": > "$1"; while [ -e "$1" ]; do sleep 0.1; done"#;

#[test]
fn arguments_arrive_as_they_are() {
    let Some((_sshd, mut ssh)) = connected() else { return };
    let args = ["", "it's", "a\nb\n", "$(id) `id` \\ \"", "-n", "* ~", "ünï ☃", "'"];
    let output = ssh.run(&script(r#"printf '%s|' "$#" "$@""#, &args), PATIENCE).expect("an end");
    assert_eq!(output.out, format!("8|{}|", args.join("|")));
    // More than a window, and than any command line may have.
    let long = "x".repeat(3 << 20);
    let output = ssh.run(&script("printf %s \"$1\" | wc -c", &[&long]), PATIENCE).expect("an end");
    assert_eq!(output.out.trim(), long.len().to_string());
}

#[test]
fn statuses_and_streams() {
    let Some((_sshd, mut ssh)) = connected() else { return };
    let both = run(&mut ssh, "echo out; echo err >&2; exit 3");
    assert_eq!(both, Output { status: 3, out: "out\n".into(), err: "err\n".into() });
    assert_eq!(run(&mut ssh, "cat; cat /no/such/file").status, 1);
    // Both at once, five times what is kept and more than any window.
    let much = run(&mut ssh, "yes e | head -c 5242880 >&2 & yes o | head -c 5242880; wait");
    assert_eq!(much.status, 0);
    for (text, letter) in [(&much.out, "o\n"), (&much.err, "e\n")] {
        assert!(text.starts_with(letter) && (1 << 20..2 << 20).contains(&text.len()));
    }
    // Many, one after the other: channels are let go.
    for number in 0..30 {
        assert_eq!(run(&mut ssh, &format!("echo {number}")).out, format!("{number}\n"));
    }
}

/// A start-up file that talks, and something left running that keeps the streams.
#[test]
fn what_talks_before_and_stays_after() {
    let Some((sshd, mut ssh)) = connected() else { return };
    let file = sshd.dir.join("stays");
    let body = format!("({STAYS}) & echo started");
    let started = Instant::now();
    let args = [file.to_str().expect("text")];
    let output = ssh.run(&script(&body, &args), PATIENCE).expect("an end");
    assert_eq!((output.status, output.out.as_str()), (0, "started\n"));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(run(&mut ssh, "echo on").out, "on\n");
    let Some(sshd) =
        Sshd::local_with("ForceCommand echo Welcome; $SSH_ORIGINAL_COMMAND", &["ed25519"])
    else {
        return;
    };
    sshd.be_known();
    let mut ssh = connect(&sshd, &sshd.rules()).expect("a connection");
    assert_eq!(run(&mut ssh, "echo hello").out, "hello\n");
}

#[test]
fn a_script_without_an_end_is_unknown() {
    let Some((sshd, mut ssh)) = connected() else { return };
    let error = ssh.run(&script("kill -9 $$", &[]), PATIENCE).expect_err("no end");
    assert!(matches!(error.root(), Error::Unknown(_)), "{error:?}");
    has(&said(&error), &["not known", "again"]);
    assert_eq!(run(&mut ssh, "echo on").out, "on\n");

    let file = sshd.dir.join("stays");
    let stays = script(STAYS, &[file.to_str().expect("text")]);
    let error = ssh.run(&stays, Duration::from_secs(1)).expect_err("no end in time");
    assert!(matches!(error.root(), Error::Unknown(_)), "{error:?}");
    has(&said(&error), &["in time"]);
    assert_eq!(run(&mut ssh, "echo on").out, "on\n");

    fs::remove_file(&file).expect("it ran");
    std::thread::scope(|scope| {
        let cut = scope.spawn(|| ssh.run(&stays, PATIENCE));
        wait_for("the script", || file.exists());
        assert!(sshd.signal_sessions("KILL") > 0);
        let error = cut.join().expect("no panic").expect_err("a cut link");
        assert!(matches!(error.root(), Error::Unknown(_)), "{error:?}");
        has(&said(&error), &["was cut while it worked"]);
    });
    let error = ssh.run(&stays, PATIENCE).expect_err("no link");
    assert!(matches!(error.root(), Error::Unreachable(_)), "{error:?}");
    assert!(ssh.beat().is_err());
}

#[test]
fn what_is_held_hears_beats_and_the_end() {
    let Some((sshd, mut ssh)) = connected() else { return };
    let file = sshd.dir.join("held");
    let body =
        r#"echo "held by $2"; while read -r _; do echo beat >> "$1"; done; echo end >> "$1""#;
    let held = script(body, &[file.to_str().expect("text"), "me"]);
    assert_eq!(ssh.hold(&held, PATIENCE).expect("a line"), "held by me");
    let beats = || fs::read_to_string(&file).unwrap_or_default();
    ssh.beat().expect("a link");
    assert_eq!(run(&mut ssh, "echo beside").out, "beside\n");
    ssh.beat().expect("a link");
    wait_for("two beats", || beats() == "beat\nbeat\n");
    drop(ssh);
    wait_for("the end", || beats().ends_with("end\n"));

    let mut ssh = connect(&sshd, &sshd.rules()).expect("a connection");
    assert_eq!(ssh.hold(&script("echo taken", &[]), PATIENCE).expect("a line"), "taken");
    // Its end is heard while other things are done.
    let mut gone = None;
    wait_for("its end", || {
        gone = (run(&mut ssh, ":").status == 0).then(|| ssh.beat().err()).flatten();
        gone.is_some()
    });
    has(&said(&gone.expect("an end")), &["was held on n1 has ended"]);
    has(&denied(ssh.hold(&script("echo no >&2; exit 1", &[]), PATIENCE)), &["at once", "no"]);
}

/// Held or not, whatever the other side does: dropping waits for nobody.
#[test]
fn dropping_waits_for_nobody() {
    let Some((sshd, mut ssh)) = connected() else { return };
    ssh.hold(&script("echo held; read -r _", &[]), PATIENCE).expect("a line");
    assert!(sshd.signal_sessions("STOP") > 0);
    let before = Instant::now();
    drop(ssh);
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    sshd.signal_sessions("CONT");
}

#[test]
fn hosts_that_give_no_shell() {
    for (command, words) in [
        (
            "ForceCommand echo This account is currently not available.; exit 1",
            "currently not available",
        ),
        ("ForceCommand internal-sftp", "no shell"),
        ("ForceCommand /usr/sbin/nologin", "no shell"),
    ] {
        let Some(sshd) = Sshd::local_with(command, &["ed25519"]) else { return };
        sshd.be_known();
        let mut ssh = connect(&sshd, &sshd.rules()).expect("a connection");
        has(&denied(ssh.run(&script("echo no", &[]), PATIENCE)), &[words, "/bin/sh"]);
        has(&denied(ssh.hold(&script("echo no", &[]), PATIENCE)), &[words]);
        let file = sshd.dir.join("etc/sshd_config");
        has(&denied(ssh.send(&file, "/no/such", &Ear::default())), &[words]);
    }
    let Some(sshd) = Sshd::local_with("MaxSessions 0", &["ed25519"]) else { return };
    sshd.be_known();
    let mut ssh = connect(&sshd, &sshd.rules()).expect("a connection");
    has(&denied(ssh.run(&script("echo no", &[]), PATIENCE)), &["run no command"]);
}

/// A sudo that wants a password, and one that does not; neither needs to be installed here.
#[test]
fn scripts_by_sudo() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = format!("SetEnv PATH={}:/usr/bin:/bin", dir.path().display());
    let Some(sshd) = Sshd::local_with(&config, &["ed25519"]) else { return };
    sshd.be_known();
    let sudo = |body: &str| {
        executable(&dir.path().join("sudo"), format!("#!/bin/sh\n{body}\n"));
    };
    let by_sudo = || connect_by(&sshd, &sshd.rules(), Become::Sudo, &Ear::default());
    sudo("echo 'sudo: a password is required' >&2; exit 1");
    let text = denied(by_sudo().expect("a connection").run(&script("id", &[]), PATIENCE));
    has(&text, &["by sudo", "a password is required", "NOPASSWD"]);
    sudo("[ \"$1\" = -n ] && shift && export AS=root && exec \"$@\"");
    let mut ssh = by_sudo().expect("a connection");
    assert_eq!(run(&mut ssh, "echo $AS").out, "root\n");
}

#[test]
fn hosts_that_do_not_answer() {
    let Some(sshd) = Sshd::local() else { return };
    sshd.be_known();
    let mut rules = sshd.rules();
    rules.connect_timeout = Duration::from_secs(1);
    sshd.signal("STOP");
    let before = Instant::now();
    let error = connect(&sshd, &rules).err().expect("nobody answers");
    assert!(matches!(error.root(), Error::Unreachable(_)), "{error:?}");
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    sshd.signal("CONT");
    sshd.kill();
    let error = connect(&sshd, &rules).err().expect("nobody is there");
    assert!(matches!(error.root(), Error::Unreachable(_)), "{error:?}");
    has(&said(&error), &["refused", "nothing was done", "ssh -p"]);
    rules.at = Vec::new();
    has(&said(&connect(&sshd, &rules).err().expect("no address")), &["no address"]);
    // Something else listens there, and hangs up.
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    rules.at = vec![other.local_addr().expect("its address")];
    std::thread::scope(|scope| {
        scope.spawn(|| drop(other.accept()));
        let error = connect(&sshd, &rules).err().expect("no SSH");
        has(&said(&error), &["no SSH"]);
    });
}

/// Silence counts from the moment something is asked: an idle connection is not a dead one.
#[test]
fn a_connection_may_be_idle_for_longer_than_a_command() {
    let Some(sshd) = Sshd::local() else { return };
    sshd.be_known();
    let mut rules = sshd.rules();
    rules.command_timeout = Duration::from_secs(1);
    let mut ssh = connect(&sshd, &rules).expect("a connection");
    must_last("it is idle", rules.command_timeout * 3 / 2, always);
    // It does not answer at once.
    sshd.signal_sessions("STOP");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            must_last("it stands still", rules.command_timeout * 7 / 10, always);
            sshd.signal_sessions("CONT");
        });
        assert_eq!(run(&mut ssh, "echo on").out, "on\n");
    });
}

/// A server that asks whether we live hears it, though nothing runs.
#[test]
fn beats_keep_an_idle_connection() {
    let config = "ClientAliveInterval 1\nClientAliveCountMax 2";
    let Some(sshd) = Sshd::local_with(config, &["ed25519"]) else { return };
    sshd.be_known();
    let mut ssh = connect(&sshd, &sshd.rules()).expect("a connection");
    let idle = |ssh: &mut kvs::push::Ssh| {
        for _ in 0..25 {
            ssh.beat().expect("a link");
            must_last("it is idle", Duration::from_millis(200), always);
        }
    };
    idle(&mut ssh);
    assert_eq!(run(&mut ssh, "echo on").out, "on\n");
    // Also after something ran, and when it is over what was held.
    assert_eq!(ssh.hold(&script("echo taken", &[]), PATIENCE).expect("a line"), "taken");
    wait_for("the end of what was held", || ssh.beat().is_err());
    idle(&mut ssh);
    for number in 0..3 {
        assert_eq!(run(&mut ssh, &format!("echo {number}")).out, format!("{number}\n"));
    }
    assert!(sshd.signal_sessions("KILL") > 0);
    let mut gone = None;
    wait_for_within("the end of the link", Duration::from_secs(5), || {
        gone = ssh.beat().err();
        gone.is_some()
    });
    has(&said(&gone.expect("an end")), &["is no more", "again"]);
}

/// A way to the host on which some of what comes back takes its time.
fn slow(sshd: &Sshd, delay: impl Fn(usize) -> Duration + Send + 'static) -> std::net::SocketAddr {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let (at, to) = (listener.local_addr().expect("its address"), sshd.at);
    std::thread::spawn(move || {
        let (client, _) = listener.accept().expect("a client");
        let server = std::net::TcpStream::connect(to).expect("the host");
        let (mut up, mut there) = (client.try_clone().expect("a socket"), &server);
        std::thread::scope(|scope| {
            scope.spawn(|| std::io::copy(&mut up, &mut there));
            let mut bytes = vec![0; 64 << 10];
            for number in 1.. {
                let Ok(some @ 1..) = (&server).read(&mut bytes) else { break };
                must_last("bytes are on their way", delay(number), always);
                if (&client).write_all(&bytes[..some]).is_err() {
                    break;
                }
            }
            drop(client.shutdown(std::net::Shutdown::Both));
            drop(server.shutdown(std::net::Shutdown::Both));
        });
    });
    at
}

/// Connecting and logging in share one time: neither alone takes longer here.
#[test]
fn a_login_that_takes_too_long_as_a_whole() {
    let Some(sshd) = Sshd::local() else { return };
    sshd.be_known();
    let mut rules = sshd.rules();
    rules.connect_timeout = Duration::from_secs(2);
    let time = rules.connect_timeout;
    // The greeting, and what comes after the keys are exchanged.
    rules.at = vec![slow(&sshd, move |number| match number {
        1 => time * 7 / 10,
        2..6 => Duration::ZERO,
        _ => time * 35 / 100,
    })];
    let before = Instant::now();
    let error = connect(&sshd, &rules).err().expect("no login in time");
    assert!(matches!(error.root(), Error::Unreachable(_)), "{error:?}");
    has(&said(&error), &["let nobody in within 2s", "nothing was done", "ssh.connect_timeout"]);
    assert!(before.elapsed() < time * 3 / 2, "{:?}", before.elapsed());
}

/// An address that swallows what is sent to it leaves time for the next.
#[test]
fn an_address_that_does_not_answer_is_not_the_last() {
    let Some(sshd) = Sshd::local() else { return };
    sshd.be_known();
    let mut rules = sshd.rules();
    rules.connect_timeout = Duration::from_secs(4);
    // Who has no room for more connections does not say so.
    let full = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = full.local_addr().expect("its address");
    let fill = || std::net::TcpStream::connect_timeout(&at, Duration::from_millis(100)).ok();
    let _waiting: Vec<_> = std::iter::from_fn(fill).collect();
    rules.at = vec![at, sshd.at];
    drop(connect(&sshd, &rules).unwrap_or_else(|e| panic!("{e}")));
}
