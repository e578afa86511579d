//! Logging in: the agent's identities, then key files. Never a password, never a question.
//!
//! ```text
//! agent   ten identities: those of the key files first, three at the most     a server counts every
//! files   id_ed25519, id_ecdsa, …: those the agent has not tried              try, and hangs up at six
//! none    what was tried, what was passed over and why
//! ```
//!
//! Caveat: an agent that hangs is waited for; libssh2 cannot be told otherwise.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ssh2::{Agent, ErrorCode, PublicKey, Session};

use super::Access;
use super::keyfile::{KeyFile, State};
use crate::error::{Error, Result};

/// Identities of the agent that are tried.
const AGENT_MAX: usize = 3;
/// Tries in all; sshd hangs up at the sixth.
const TRIES_MAX: usize = 5;

/// Logs in.
///
/// # Errors
/// [`Error::Denied`] when nobody is let in, [`Error::Unreachable`] when the link is cut.
pub(super) fn login(session: &Session, access: &Access<'_>) -> Result<()> {
    let offered = offered(session, &access.rules.user);
    if session.authenticated() {
        return Ok(());
    }
    let keys = access.rules.keys.iter().map(|path| KeyFile::look(path)).collect();
    let mut attempt = Attempt { session, access, keys, tried: Vec::new(), told: Vec::new() };
    if offered.as_ref().is_none_or(|methods| methods.contains("publickey")) {
        if access.rules.agent && attempt.agent()? {
            return Ok(());
        }
        if attempt.files()? {
            return Ok(());
        }
    }
    Err(attempt.refused(offered.as_deref()))
}

/// What the server would take. The binding panics over a list that is no text.
fn offered(session: &Session, user: &str) -> Option<String> {
    let ask = || session.auth_methods(user).map(str::to_owned);
    catch_unwind(AssertUnwindSafe(ask)).ok()?.ok()
}

struct Attempt<'a> {
    session: &'a Session,
    access: &'a Access<'a>,
    keys: Vec<KeyFile>,
    /// Public keys that were refused, or nothing where one cannot be seen.
    tried: Vec<Vec<u8>>,
    /// The same in words, and what was passed over.
    told: Vec<String>,
}

impl Attempt<'_> {
    /// Tries identities of the agent, if there is one; whether one was taken.
    fn agent(&mut self) -> Result<bool> {
        let Some((agent, identities)) = agent(self.session) else {
            self.told.push("no agent".into());
            return Ok(false);
        };
        let is_ours =
            |id: &PublicKey| self.keys.iter().any(|k| k.public.as_deref() == Some(id.blob()));
        let (ours, others): (Vec<_>, Vec<_>) = identities.iter().partition(|id| is_ours(id));
        let chosen: Vec<_> = ours.into_iter().chain(others).take(AGENT_MAX).collect();
        let (all, some) = (identities.len(), chosen.len());
        for identity in chosen {
            let taken = agent.userauth(&self.access.rules.user, identity);
            if self.is_in(taken)? {
                return Ok(true);
            }
            self.tried.push(identity.blob().to_vec());
        }
        self.told.push(match (all, some) {
            (0, _) => "an agent without identities".into(),
            (1, _) => "the agent's identity".into(),
            _ if all > some => format!("{some} of the agent's {all} identities"),
            _ => format!("the agent's {all} identities"),
        });
        Ok(false)
    }

    /// Tries key files; whether one was taken.
    fn files(&mut self) -> Result<bool> {
        for key in self.keys.clone() {
            let path = key.path.display();
            if key.public.as_ref().is_some_and(|public| self.tried.contains(public)) {
                continue;
            }
            let passed_over = match key.state {
                State::Missing => Some("which is not there".to_owned()),
                State::Encrypted => Some("which takes a passphrase".to_owned()),
                State::Unreadable(kind) => Some(format!("which cannot be read ({kind})")),
                State::Plain if self.tried.len() >= TRIES_MAX => {
                    Some("not tried, for servers hang up on too many".to_owned())
                }
                State::Plain => None,
            };
            if let Some(why) = passed_over {
                self.told.push(format!("{path} ({why})"));
                continue;
            }
            let user = &self.access.rules.user;
            let taken = self.session.userauth_pubkey_file(user, None, &key.path, None);
            if self.is_in(taken)? {
                return Ok(true);
            }
            self.tried.push(key.public.unwrap_or_default());
            self.told.push(path.to_string());
        }
        Ok(false)
    }

    /// Whether that let us in; a link that was cut is an end, all else a no.
    fn is_in(&self, taken: std::result::Result<(), ssh2::Error>) -> Result<bool> {
        match taken {
            Ok(()) => Ok(self.session.authenticated()),
            Err(e) if is_cut(&e) => {
                let Access { host, .. } = self.access;
                let why = e.message();
                let what =
                    format!("{host} hung up during the login ({why}): nothing was done there");
                Err(Error::Unreachable(what))
            }
            Err(_) => Ok(false),
        }
    }

    fn refused(&self, offered: Option<&str>) -> Error {
        let Access { host, address, rules, .. } = self.access;
        let (user, port) = (&rules.user, rules.port);
        let offered = offered.map_or(String::new(), |methods| {
            format!("; the server takes {}", methods.replace(',', ", "))
        });
        let tried = match self.told.as_slice() {
            [] => "no key was to be tried".to_owned(),
            told => format!("what was to be tried: {}", told.join(", ")),
        };
        let error = Error::Denied(format!(
            "{host} does not let {user} in at {address} port {port}; {tried}{offered}; nothing was done \
             there"
        ));
        let sealed = self.keys.iter().find(|key| key.state == State::Encrypted);
        match sealed {
            Some(key) => error.hint(format!("ssh-add {}", key.path.display())),
            None => error.hint(format!("see that this works: ssh -p {port} {user}@{address} true")),
        }
    }
}

/// The agent and what it has; none when there is no agent.
fn agent(session: &Session) -> Option<(Agent, Vec<PublicKey>)> {
    let mut agent = session.agent().ok()?;
    agent.connect().ok()?;
    agent.list_identities().ok()?;
    let identities = agent.identities().ok()?;
    Some((agent, identities))
}

/// Whether the link is no more.
fn is_cut(error: &ssh2::Error) -> bool {
    // LIBSSH2_ERROR_SOCKET_SEND, TIMEOUT, SOCKET_DISCONNECT, SOCKET_TIMEOUT, SOCKET_RECV
    matches!(error.code(), ErrorCode::Session(-7 | -9 | -13 | -30 | -43))
}
