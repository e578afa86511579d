//! Logging in: keys that are named, then the agent's others. Never a password, never a question.
//!
//! ```text
//! by the agent   those of its identities that a key file is of     the only way of an encrypted one
//! by the file    id_ed25519, id_ecdsa, …: those that it has not
//! strangers      its other identities, three at the most
//! none           what was tried, what was passed over and why
//! ```
//!
//! A server counts every try and hangs up on too many: at the sixth, unless it was told otherwise. So
//! the likeliest come first, and no more than five. libssh2 calls a server that hangs up one that does
//! not take the key; it is told apart by what was being waited for.
//!
//! Caveat: an agent that answers ([`super::agent`]) and then does not sign is waited for; libssh2
//! cannot be told otherwise.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use ssh2::{ErrorCode, Session};

use super::agent::{self, AgentKey, Asked};
use super::keyfile::{KeyFile, KeyFileState};
use super::link::Link;
use super::{SshAccess, words};
use crate::error::{Error, Result};
use crate::os::now;

/// Identities of the agent that are tried though no key file is of them.
const STRANGERS_MAX: usize = 3;
/// Tries in all; sshd hangs up at the sixth.
const TRIES_MAX: usize = 5;
/// How long the agent may take to say what it has.
const AGENT_MAX: Duration = Duration::from_secs(5);

/// Logs in.
///
/// # Errors
/// [`Error::Denied`] when nobody is let in; [`Error::Unreachable`] when the time is over, or the link
/// is cut before a key was tried.
pub(super) fn login(link: &Link, access: &SshAccess<'_>, until: Instant) -> Result<()> {
    let keys = access.rules.keys.iter().map(|path| KeyFile::look(path)).collect();
    let mut attempt =
        LoginAttempt { link, access, until, keys, tried: Vec::new(), told: Vec::new() };
    let offered = attempt.offered()?;
    let is_let_in = link.session.authenticated()
        || offered.as_ref().is_none_or(|methods| methods.contains("publickey"))
            && attempt.keys()?;
    if is_let_in { Ok(()) } else { Err(attempt.refused(offered.as_deref())) }
}

struct LoginAttempt<'a> {
    link: &'a Link,
    access: &'a SshAccess<'a>,
    until: Instant,
    keys: Vec<KeyFile>,
    /// Public keys that were refused, or nothing where one cannot be seen.
    tried: Vec<Vec<u8>>,
    /// What is tried in words, and what was passed over.
    told: Vec<String>,
}

impl LoginAttempt<'_> {
    /// What the server would take. The binding panics over a list that is no text.
    fn offered(&self) -> Result<Option<String>> {
        self.link.limit(self.until).map_err(|_| self.late())?;
        let ask = || self.link.session.auth_methods(&self.access.rules.user).map(str::to_owned);
        match catch_unwind(AssertUnwindSafe(ask)) {
            Ok(Ok(methods)) => Ok(Some(methods)),
            Ok(Err(why)) => self.ends(&why, 0).map(|()| None),
            Err(_) => Ok(None),
        }
    }

    /// Tries keys, the likeliest first; whether one was taken.
    fn keys(&mut self) -> Result<bool> {
        let held = if self.access.rules.agent { self.ask_agent() } else { None };
        let held = held.as_ref();
        Ok(self.by_agent(held)? || self.by_files(held)? || self.by_strangers(held)?)
    }

    fn ask_agent(&mut self) -> Option<AgentKey> {
        // Keys in files are to get their turn whatever becomes of it.
        let left = self.until.saturating_duration_since(now());
        match agent::ask(&self.link.session, AGENT_MAX.min(left / 2)) {
            Asked::Has(held) => {
                if held.identities.is_empty() {
                    self.told.push("an agent without identities".into());
                }
                return Some(held);
            }
            Asked::Nobody => self.told.push("no agent".into()),
            Asked::Silent => self.told.push("the agent does not answer".into()),
        }
        None
    }

    /// Tries the agent's identities that key files are of.
    fn by_agent(&mut self, held: Option<&AgentKey>) -> Result<bool> {
        let Some(AgentKey { agent, identities }) = held else { return Ok(false) };
        for key in self.keys.clone() {
            let of_key = |blob: &[u8]| key.public.as_deref() == Some(blob);
            let Some(identity) = identities.iter().find(|id| of_key(id.blob())) else { continue };
            let path = key.path.display();
            if !self.is_to_be_tried(key.public.as_deref(), &path.to_string()) {
                continue;
            }
            self.told.push(format!("{path} by the agent"));
            if self.is_in(identity.blob(), |_, user| agent.userauth(user, identity))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tries key files that the agent does not have.
    fn by_files(&mut self, held: Option<&AgentKey>) -> Result<bool> {
        let identities = held.map_or(&[][..], |held| &held.identities);
        for key in self.keys.clone() {
            let path = key.path.display().to_string();
            if identities.iter().any(|id| key.public.as_deref() == Some(id.blob())) {
                continue;
            }
            let passed_over = match key.state {
                KeyFileState::Plain => None,
                KeyFileState::Missing => Some("which is not there".to_owned()),
                KeyFileState::Encrypted => Some("which takes a passphrase".to_owned()),
                KeyFileState::Unreadable(kind) => Some(format!("which cannot be read ({kind})")),
            };
            if let Some(why) = passed_over {
                self.told.push(format!("{path} ({why})"));
                continue;
            }
            if !self.is_to_be_tried(key.public.as_deref(), &path) {
                continue;
            }
            self.told.push(path);
            let by_file = |session: &Session, user: &str| {
                session.userauth_pubkey_file(user, None, &key.path, None)
            };
            if self.is_in(key.public.as_deref().unwrap_or_default(), by_file)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tries identities of the agent that no key file is of.
    fn by_strangers(&mut self, held: Option<&AgentKey>) -> Result<bool> {
        let Some(AgentKey { agent, identities }) = held else { return Ok(false) };
        let is_named = |blob: &[u8]| self.keys.iter().any(|k| k.public.as_deref() == Some(blob));
        let all: Vec<_> = identities.iter().filter(|id| !is_named(id.blob())).collect();
        let other = if all.len() < identities.len() { "other " } else { "" };
        let some = all.len().min(STRANGERS_MAX).min(TRIES_MAX.saturating_sub(self.tried.len()));
        match all.len() {
            0 => {}
            1 if some == 1 => self.told.push(format!("the agent's {other}identity")),
            n if some == n => self.told.push(format!("the agent's {n} {other}identities")),
            n => self.told.push(format!("{some} of the agent's {n} {other}identities")),
        }
        for identity in all.into_iter().take(some) {
            if self.is_in(identity.blob(), |_, user| agent.userauth(user, identity))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a named key was not tried yet, and can be.
    fn is_to_be_tried(&mut self, public: Option<&[u8]>, path: &str) -> bool {
        if public.is_some_and(|public| self.tried.iter().any(|tried| tried == public)) {
            return false;
        }
        let has_room = self.tried.len() < TRIES_MAX;
        if !has_room {
            self.told.push(format!("{path} (not tried, for servers hang up on too many)"));
        }
        has_room
    }

    /// Whether a try lets us in.
    fn is_in(
        &mut self,
        key: &[u8],
        try_it: impl FnOnce(&Session, &str) -> std::result::Result<(), ssh2::Error>,
    ) -> Result<bool> {
        self.link.limit(self.until).map_err(|_| self.late())?;
        let session = &self.link.session;
        let tried = try_it(session, &self.access.rules.user);
        if let Err(why) = tried {
            // One that could not be asked about does not count.
            let asked = usize::from(why.code() != UNSENT);
            self.ends(&why, self.tried.len() + asked)?;
        } else if session.authenticated() {
            return Ok(true);
        }
        self.tried.push(key.to_vec());
        Ok(false)
    }

    /// Ends the login when an answer is more than a no to one of so many keys.
    fn ends(&self, why: &ssh2::Error, keys: usize) -> Result<()> {
        match fate(why) {
            Fate::No => Ok(()),
            Fate::Late => Err(self.late()),
            Fate::Cut if now() >= self.until => Err(self.late()),
            Fate::Cut => Err(self.hung_up(why.message(), keys)),
        }
    }

    fn late(&self) -> Error {
        let SshAccess { host, rules, .. } = self.access;
        let time = humantime::format_duration(rules.connect_timeout);
        let what = format!("{host} let nobody in within {time}{}", self.tries());
        Error::Unreachable(format!("{what}; nothing was done there"))
            .hint(format!("{}; or give it more time: ssh.connect_timeout", self.access.by_hand()))
    }

    fn hung_up(&self, why: &str, keys: usize) -> Error {
        let SshAccess { host, address, rules, .. } = self.access;
        let (user, port) = (&rules.user, rules.port);
        if keys == 0 {
            let what = format!("{host} hung up during the login ({why}): nothing was done there");
            return Error::Unreachable(what).hint(self.access.by_hand());
        }
        let keys = if keys == 1 { "1 key".to_owned() } else { format!("{keys} keys") };
        Error::Denied(format!(
            "{host} does not let {user} in at {address} port {port}: it hung up after {keys}{}; nothing \
             was done there",
            self.tries()
        ))
        .hint("name the right key in ssh.keys, with its .pub beside it, or say `agent: false`")
    }

    fn refused(&self, offered: Option<&str>) -> Error {
        let SshAccess { host, address, rules, .. } = self.access;
        let (user, port) = (&rules.user, rules.port);
        let offered = offered.map_or(String::new(), |methods| {
            format!("; the server takes {}", words(methods.replace(',', ", ").as_bytes()))
        });
        let tries =
            if self.told.is_empty() { "; no key was to be tried".into() } else { self.tries() };
        let error = Error::Denied(format!(
            "{host} does not let {user} in at {address} port {port}{tries}{offered}; nothing was done \
             there"
        ));
        let is_sealed =
            |key: &&KeyFile| key.state == KeyFileState::Encrypted && !self.was_tried(key);
        match self.keys.iter().find(is_sealed) {
            Some(key) => error.hint(format!("ssh-add {}", key.path.display())),
            None => error.hint(self.access.by_hand()),
        }
    }

    fn was_tried(&self, key: &KeyFile) -> bool {
        key.public.as_ref().is_some_and(|public| self.tried.contains(public))
    }

    /// What was tried, behind what came of it.
    fn tries(&self) -> String {
        match self.told.as_slice() {
            [] => String::new(),
            told => format!("; what was to be tried: {}", told.join(", ")),
        }
    }
}

/// What an error of libssh2 says of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Not this key, or not this way.
    No,
    /// The time was over.
    Late,
    /// The link is no more.
    Cut,
}

/// LIBSSH2_ERROR_SOCKET_SEND
const UNSENT: ErrorCode = ErrorCode::Session(-7);

fn fate(error: &ssh2::Error) -> Fate {
    match error.code() {
        // LIBSSH2_ERROR_TIMEOUT, SOCKET_TIMEOUT
        ErrorCode::Session(-9 | -30) => Fate::Late,
        // LIBSSH2_ERROR_SOCKET_SEND, SOCKET_DISCONNECT, SOCKET_RECV
        ErrorCode::Session(-7 | -13 | -43) => Fate::Cut,
        // LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED: a no, but so is called whatever ends a wait for an answer.
        ErrorCode::Session(-19) if error.message().starts_with("Waiting for") => Fate::Cut,
        _ => Fate::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_hangs_up_is_told_from_one_that_refuses() {
        for (code, message, wanted) in [
            (-18, "Username/PublicKey combination invalid", Fate::No),
            (-19, "Callback returned error", Fate::No),
            (-19, "Invalid signature for supplied public key, or bad …", Fate::No),
            (-19, "Waiting for USERAUTH response", Fate::Cut),
            (-19, "Waiting for publickey USERAUTH response", Fate::Cut),
            (-7, "Unable to send userauth-publickey request", Fate::Cut),
            (-13, "LinkFailed getting response", Fate::Cut),
            (-43, "LinkFailed getting response", Fate::Cut),
            (-9, "API timeout expired", Fate::Late),
        ] {
            let error = ssh2::Error::new(ErrorCode::Session(code), message);
            assert_eq!(fate(&error), wanted, "{code} {message}");
        }
    }
}
