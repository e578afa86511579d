//! The agent, as far as it answers.
//!
//! ```text
//! a thread of its own   connect, list the identities     an agent that hangs keeps it, and it alone
//! here                  the same once more               only when that came to its end in time
//! ```
//!
//! libssh2 finds the agent by the environment, waits for it without a limit, and keeps all of a
//! connection locked meanwhile. Caveat: one that answers and then never signs is waited for.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use ssh2::{Agent, PublicKey, Session};

/// What became of asking the agent.
pub(super) enum Asked {
    /// It has these.
    Has(AgentKey),
    /// There is no agent, or it is none.
    Nobody,
    /// It is there and does not answer.
    Silent,
}

/// An agent and its identities.
pub(super) struct AgentKey {
    pub(super) agent: Agent,
    pub(super) identities: Vec<PublicKey>,
}

/// Asks the agent what it has.
pub(super) fn ask(session: &Session, patience: Duration) -> Asked {
    match try_out(patience) {
        Ok(true) => held(session).map_or(Asked::Nobody, Asked::Has),
        Ok(false) | Err(RecvTimeoutError::Disconnected) => Asked::Nobody,
        Err(RecvTimeoutError::Timeout) => Asked::Silent,
    }
}

/// Whether there is an agent, by a session that nobody needs.
fn try_out(patience: Duration) -> Result<bool, RecvTimeoutError> {
    let (tell, told) = channel();
    // Not scoped: nobody is to wait for one that hangs. It ends with the agent, or with us.
    let asks = thread::Builder::new().name("agent".into()).spawn(move || {
        let has = Session::new().ok().is_some_and(|session| held(&session).is_some());
        // Whoever asked may have given up.
        tell.send(has).ok();
    });
    drop(asks);
    told.recv_timeout(patience)
}

fn held(session: &Session) -> Option<AgentKey> {
    let mut agent = session.agent().ok()?;
    agent.connect().ok()?;
    agent.list_identities().ok()?;
    let identities = agent.identities().ok()?;
    Some(AgentKey { agent, identities })
}
