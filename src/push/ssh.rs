//! SSH by libssh2: one connection per host and thread, every wait with a limit.
//!
//! ```text
//! connect   link: TCP, handshake ── hostkey: is it the host? ── login: agent, key files
//!                                   known: files of known hosts   keyfile: what a file is
//!                                                                 agent: what it has, if it answers
//! run       talk: `sh -s`, the script in, both streams out, no longer than the caller waits
//! send      a script that counts what it takes
//! hold      a talk that stays; beat: a line to it, now and then, also while others run
//! beat      spare: with nothing held, a channel by which the link is listened to
//! ```
//!
//! Whether a script was done is told by its own last line alone ([`super::shell`]). A script of which
//! a byte is missing over there was not begun, so a link that is cut before is no doubt.
//!
//! It asks for no password and no passphrase, forwards no agent, and goes through no other host.
//! Caveat: a script that is given up may go on over there.

mod agent;
mod hostkey;
mod keyfile;
mod known;
mod link;
mod login;
mod send;
mod spare;
mod talk;

use std::path::Path;
use std::time::{Duration, Instant};

use self::hostkey::HostKey;
use self::link::{Broken, Link};
use self::spare::Spare;
use self::talk::Talk;
use crate::error::{Error, Result};
use crate::os::now;
use crate::push::inventory::{Become, SshRules};
use crate::push::shell::{Output, Script, Shell};
use crate::push::watch::Watch;

/// Between two beats while something runs.
const BEAT: Duration = Duration::from_secs(10);
/// A beat takes no longer, for others are waiting for theirs. What it has begun, the next goes on with.
const BEAT_MAX: Duration = Duration::from_millis(250);
/// What is said of a host's own words, at the most.
const WORDS_MAX: usize = 300;

/// Whom to connect to.
#[derive(Clone, Debug)]
pub struct SshAccess<'a> {
    /// The host's name in the inventory.
    pub host: &'a str,
    /// Its address as it was written: what known_hosts files call it.
    pub address: &'a str,
    /// How.
    pub rules: &'a SshRules,
    /// Whether scripts run by `sudo -n`.
    pub become_root: Become,
}

impl SshAccess<'_> {
    /// What people type to see for themselves.
    fn by_hand(&self) -> String {
        let Self { address, rules, .. } = self;
        format!("see that this works: ssh -p {} {}@{address} true", rules.port, rules.user)
    }
}

/// A connection. See the module.
pub struct Ssh {
    host: String,
    user: String,
    /// How long nothing may move.
    patience: Duration,
    become_root: Become,
    held: Option<Talk>,
    /// Of a link that was idle.
    spare: Option<Spare>,
    beaten: Instant,
    link: Link,
}

impl Ssh {
    /// Connects, checks the host's key and logs in, all within one time.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::Denied`] for a host key or a login that is refused. Nothing
    /// was done there.
    pub fn connect(access: &SshAccess<'_>, watch: &dyn Watch) -> Result<Self> {
        let until = now() + access.rules.connect_timeout;
        let mut link = meet(access, watch, until)?;
        login::login(&link, access, until)?;
        link.give_way();
        let (host, user) = (access.host.to_owned(), access.rules.user.clone());
        let patience = access.rules.command_timeout;
        let become_root = access.become_root;
        let (held, spare, beaten) = (None, None, now());
        Ok(Self { host, user, patience, become_root, held, spare, beaten, link })
    }

    /// Starts a shell.
    fn open(&mut self, until: Instant) -> Result<Talk> {
        let command = match self.become_root {
            Become::None => "sh -s",
            Become::Sudo => "sudo -n sh -s",
        };
        self.link.listen();
        let talk =
            self.take_spare(until).and_then(|spare| Talk::open(&self.link, spare, command, until));
        let (host, user) = (&self.host, &self.user);
        talk.map_err(|broken| match broken {
            Broken::Refused(why) => Error::Denied(format!(
                "{host} lets {user} run no command ({why}): nothing was done there"
            ))
            .hint("its sshd must allow commands, and two at once: MaxSessions 2 or more"),
            why => Error::Unreachable(format!(
                "{host} started no shell ({why}): nothing was done there"
            )),
        })
    }

    /// The channel that an idle link was listened to by, as long as it is open.
    fn take_spare(&mut self, until: Instant) -> std::result::Result<Option<ssh2::Channel>, Broken> {
        // What it has begun to answer must leave whole, or nothing else can.
        self.spare.iter_mut().try_for_each(|spare| spare.drain(&self.link, until))?;
        Ok(self.spare.take().filter(|spare| !spare.is_over()).map(Spare::channel))
    }

    /// Listens to a link on which nothing runs, and says that we live.
    fn listen_idle(&mut self) -> std::result::Result<(), Broken> {
        let until = now() + BEAT_MAX;
        self.link.listen();
        if self.spare.as_ref().is_none_or(Spare::is_over) {
            self.spare = Some(Spare::open(&self.link, until)?);
        }
        self.spare.iter_mut().try_for_each(|spare| spare.drain(&self.link, until))?;
        self.link.keep_alive()
    }

    /// Brings the text of a script and listens, until it is over or has said enough.
    fn converse(&mut self, talk: &mut Talk, text: &[u8], until: Instant, goal: Goal) -> Result<()> {
        let mut left = text;
        while !(talk.is_over() || goal == Goal::Line && first_line(talk).is_some()) {
            let turn = talk.turn(&self.link, left).and_then(|(sent, moved)| {
                left = &left[sent..];
                if left.is_empty() && goal == Goal::End {
                    talk.close_input(&self.link)?;
                }
                match moved && now() < until || talk.is_over() {
                    true => Ok(()),
                    false => self.link.wait(until),
                }
            });
            turn.map_err(|broken| self.lost(&broken, !left.is_empty()))?;
            self.beat_if_due();
        }
        Ok(())
    }

    /// What is to be said of a link that broke under a script. One of which a byte has not left was
    /// not begun.
    fn lost(&self, broken: &Broken, in_part: bool) -> Error {
        let host = &self.host;
        if in_part {
            let what = format!("{host} did not take a script ({broken}): nothing was done there");
            return Error::Unreachable(what);
        }
        let what = match broken {
            Broken::Late => format!("{host} did not come to an end in time"),
            why => format!("the link to {host} was cut while it worked ({why})"),
        };
        Error::Unknown(format!("{what}; what it did is not known")).hint("run the command again")
    }

    /// What a script came to whose streams are at their end.
    fn output(&self, out: &[u8], err: &[u8]) -> Result<Output> {
        if Output::begun(out).is_none() {
            return Err(self.no_shell(out, err));
        }
        Output::parse(out, err).ok_or_else(|| {
            let host = &self.host;
            let what = "its shell was ended before the script was; what it did is not known";
            Error::Unknown(format!("{host}: {what}")).hint("run the command again")
        })
    }

    /// What is to be said when no shell began our script.
    fn no_shell(&self, out: &[u8], err: &[u8]) -> Error {
        let (host, user) = (&self.host, &self.user);
        let said = words(&[err, out].concat());
        let said =
            if said.is_empty() { "it said nothing".into() } else { format!("it said: {said}") };
        if self.become_root == Become::Sudo {
            let what = format!("{user} may not run a shell by sudo on {host} ({said})");
            return Error::Denied(format!("{what}: nothing was done there")).hint(format!(
                "there: echo '{user} ALL=(root) NOPASSWD: ALL' > /etc/sudoers.d/kvs; or log in as root"
            ));
        }
        let what = format!("{host} gives {user} no shell ({said})");
        Error::Denied(format!("{what}: nothing was done there"))
            .hint("give the user /bin/sh as its shell, and no ForceCommand")
    }

    fn gone(&self, why: &str) -> Error {
        Error::Unreachable(format!("the link to {} is no more ({why})", self.host))
            .hint("run the command again when the host answers")
    }

    /// A beat to what is held, when the last is long ago. One that fails is told by what comes after.
    fn beat_if_due(&mut self) {
        if self.held.is_some() && now().duration_since(self.beaten) >= BEAT {
            drop(self.beat());
        }
    }
}

impl Shell for Ssh {
    fn host(&self) -> &str {
        &self.host
    }

    fn run(&mut self, script: &Script, patience: Duration) -> Result<Output> {
        let text = script.text()?;
        let until = now() + patience;
        let mut talk = self.open(until)?;
        let end = self.converse(&mut talk, text.as_bytes(), until, Goal::End);
        let (out, err) = talk.end(&self.link);
        end?;
        self.output(&out, &err)
    }

    fn send(&mut self, file: &Path, to: &str, watch: &dyn Watch) -> Result<()> {
        send::send(self, file, to, watch)
    }

    fn hold(&mut self, script: &Script, patience: Duration) -> Result<String> {
        let text = script.held()?;
        let until = now() + patience;
        self.held = None;
        let mut talk = self.open(until)?;
        self.converse(&mut talk, text.as_bytes(), until, Goal::Line)?;
        if let Some(line) = first_line(&talk) {
            self.held = Some(talk);
            self.beaten = now();
            return Ok(line);
        }
        let (out, err) = talk.end(&self.link);
        let output = self.output(&out, &err)?;
        let (host, said) = (&self.host, words(output.err.as_bytes()));
        Err(Error::Denied(format!("{host} ended at once what was to stay there: {said}")))
    }

    fn beat(&mut self) -> Result<()> {
        self.beaten = now();
        if self.link.is_cut() {
            return Err(self.gone("it was cut"));
        }
        let Some(held) = &mut self.held else {
            return match self.listen_idle() {
                // The link lives; what it is good for is told by what comes after.
                Ok(()) | Err(Broken::Late | Broken::Refused(_)) => Ok(()),
                Err(why) => Err(self.gone(&why.to_string())),
            };
        };
        if let Err(why) = held.say(&self.link, b"\n") {
            return Err(self.gone(&why.to_string()));
        }
        if held.is_over() {
            self.held = None;
            let what = format!("what was held on {} has ended there", self.host);
            return Err(Error::Unreachable(what));
        }
        Ok(())
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // Before the channels go: they would wait for the other side.
        self.link.cut();
    }
}

/// A link to the host, which has shown the key that it should.
fn meet(access: &SshAccess<'_>, watch: &dyn Watch, until: Instant) -> Result<Link> {
    let mut host_key = HostKey::read(access)?;
    loop {
        let Some(link) = Link::dial(access, &host_key, until)? else {
            return Err(host_key.not_pinned());
        };
        let key = link.session.host_key().map(|(key, _)| key.to_vec());
        if host_key.decide(&key.unwrap_or_default(), watch)? {
            return Ok(link);
        }
    }
}

/// What a script is to come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// Its end.
    End,
    /// A line of output.
    Line,
}

/// The first line of what a script has said.
fn first_line(talk: &Talk) -> Option<String> {
    let begun = talk.begun()?;
    let end = begun.iter().position(|byte| *byte == b'\n')?;
    Some(String::from_utf8_lossy(&begun[..end]).into_owned()).filter(|line| !line.is_empty())
}

/// A host's own words, on one line and not too many.
fn words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<&str> = text.split(|c: char| c.is_control() || c == ' ').collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A build of libssh2 that has lost these cannot talk to the hosts of today.
    #[test]
    fn the_algorithms_of_today_are_there() {
        let session = ssh2::Session::new().expect("a session");
        let has = |method, name: &str| {
            session.supported_algs(method).expect("a list").iter().any(|a| a.starts_with(name))
        };
        assert!(has(ssh2::MethodType::Kex, "curve25519-sha256"));
        assert!(has(ssh2::MethodType::HostKey, "ssh-ed25519"));
        assert!(has(ssh2::MethodType::HostKey, "rsa-sha2-512"));
        assert!(has(ssh2::MethodType::CryptCs, "aes256-gcm"));
    }

    #[test]
    fn words_of_a_host_are_one_line() {
        assert_eq!(words(b"\n\x1b[1mno\r\n  way\n"), "[1mno way");
        assert_eq!(words(&[b'x'; 999]).len(), WORDS_MAX);
    }
}
