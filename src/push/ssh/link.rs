//! The socket and the session on it. Every wait ends.
//!
//! ```text
//! dial         TCP, the handshake, the login     blocking, all under one deadline
//! after login  operations that give way          poll(2), under a deadline of the caller
//! dropped      the socket goes first             so that libssh2 has nobody left to wait for
//! ```
//!
//! Caveat: an operation of libssh2 that gave way in the middle of a packet must be repeated before
//! any other can send. Loops here repeat all of theirs; what is sent now and then waits for
//! [`Link::is_free`].

use std::cell::Cell;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ssh2::{BlockDirections, ErrorCode, MethodType, Session};

use super::SshAccess;
use super::hostkey::HostKey;
use crate::error::{Error, Result};
use crate::os::now;

/// LIBSSH2_ERROR_EAGAIN
const GIVES_WAY: ErrorCode = ErrorCode::Session(-37);
/// LIBSSH2_ERROR_KEX_FAILURE: among others, that there is no algorithm both know.
const NO_KEX: ErrorCode = ErrorCode::Session(-5);
/// LIBSSH2_ERROR_CHANNEL_FAILURE and LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED
const REFUSALS: [ErrorCode; 2] = [ErrorCode::Session(-21), ErrorCode::Session(-22)];
/// Between two keepalives, at the most.
const KEEPALIVE_MAX: u64 = 15;
/// A wait looks up this often.
const SLICE: Duration = Duration::from_millis(250);

/// Why an operation did not come to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Its time was over; the link lives.
    Late,
    /// The other side has said nothing for so long, not even that it lives.
    Silent(Duration),
    /// The other side refused; the link lives.
    Refused(String),
    /// The link is no more.
    Cut(String),
}

impl From<ssh2::Error> for Broken {
    fn from(error: ssh2::Error) -> Self {
        let what = error.message().to_owned();
        if REFUSALS.contains(&error.code()) { Self::Refused(what) } else { Self::Cut(what) }
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Late => write!(f, "its time was over"),
            Self::Silent(time) => write!(f, "nothing was heard for {} s", time.as_secs()),
            Self::Refused(what) | Self::Cut(what) => write!(f, "{what}"),
        }
    }
}

/// Why an address was of no use.
enum LinkFailed {
    Socket(std::io::Error),
    Ssh(ssh2::Error),
    Late(Broken),
}

impl From<std::io::Error> for LinkFailed {
    fn from(error: std::io::Error) -> Self {
        Self::Socket(error)
    }
}

impl From<ssh2::Error> for LinkFailed {
    fn from(error: ssh2::Error) -> Self {
        Self::Ssh(error)
    }
}

impl std::fmt::Display for LinkFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(why) => write!(f, "{why}"),
            Self::Ssh(why) => write!(f, "no SSH ({})", why.message()),
            Self::Late(why) => write!(f, "{why}"),
        }
    }
}

/// See the module.
pub(super) struct Link {
    pub(super) session: Session,
    socket: TcpStream,
    /// When the other side was last heard.
    heard: Cell<Instant>,
    /// How long it may say nothing.
    patience: Duration,
    is_cut: Cell<bool>,
}

impl Link {
    /// Connects to the first address that answers as SSH should. `None` when it does, and has shown
    /// all the kinds of key that it has.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub(super) fn dial(
        access: &SshAccess<'_>,
        host_key: &HostKey<'_>,
        until: Instant,
    ) -> Result<Option<Self>> {
        let mut whys = Vec::new();
        let mut others = u32::try_from(access.rules.at.len()).unwrap_or(u32::MAX);
        for at in &access.rules.at {
            // One that swallows packets must leave some of the time to those after it.
            let share = until.saturating_duration_since(now()) / others;
            others -= 1;
            match Self::to(*at, access, host_key, share, until) {
                Ok(link) => return Ok(Some(link)),
                Err(LinkFailed::Ssh(e)) if e.code() == NO_KEX && host_key.was_met() => {
                    return Ok(None);
                }
                Err(why) => whys.push(format!("{at}: {why}")),
            }
        }
        let host = access.host;
        let why = if whys.is_empty() { "it has no address".to_owned() } else { whys.join("; ") };
        let error = format!("{host} cannot be reached ({why}): nothing was done there");
        Err(Error::Unreachable(error).hint(access.by_hand()))
    }

    fn to(
        at: SocketAddr,
        access: &SshAccess<'_>,
        host_key: &HostKey<'_>,
        share: Duration,
        until: Instant,
    ) -> std::result::Result<Self, LinkFailed> {
        // None at all is an error of its own, which says nothing of the host.
        let share = share.max(Duration::from_millis(1));
        let socket = TcpStream::connect_timeout(&at, share)?;
        socket.set_nodelay(true)?;
        let ours = socket.try_clone()?;
        let session = Session::new()?;
        let (heard, is_cut) = (Cell::new(now()), Cell::new(false));
        let patience = access.rules.command_timeout;
        let mut link = Self { session, socket: ours, heard, patience, is_cut };
        link.prefer(host_key)?;
        link.session.set_tcp_stream(socket);
        link.limit(until).map_err(LinkFailed::Late)?;
        link.session.handshake()?;
        Ok(link)
    }

    /// Gives the next call that blocks what is left of the time.
    pub(super) fn limit(&self, until: Instant) -> std::result::Result<(), Broken> {
        // 0 would be no limit.
        let left = until.saturating_duration_since(now()).as_millis();
        if left == 0 {
            return Err(Broken::Late);
        }
        self.session.set_timeout(u32::try_from(left).unwrap_or(u32::MAX));
        Ok(())
    }

    fn prefer(&self, host_key: &HostKey<'_>) -> std::result::Result<(), ssh2::Error> {
        let session = &self.session;
        let algorithms = host_key.algorithms(&session.supported_algs(MethodType::HostKey)?);
        session.method_pref(MethodType::HostKey, &algorithms)?;
        for direction in [MethodType::CryptCs, MethodType::CryptSc] {
            // GCM has machine instructions on every host that is likely; ChaCha20 is plain C here.
            let (fast, rest): (Vec<_>, Vec<_>) =
                session.supported_algs(direction)?.into_iter().partition(|a| a.contains("gcm"));
            session.method_pref(direction, &[fast, rest].concat().join(","))?;
        }
        Ok(())
    }

    /// After the login: from here on nothing blocks but [`Link::wait`].
    pub(super) fn give_way(&mut self) {
        let interval = (self.patience.as_secs() / 4).clamp(2, KEEPALIVE_MAX);
        self.patience = self.patience.max(Duration::from_secs(4 * interval));
        self.session.set_keepalive(true, u32::try_from(interval).unwrap_or(15));
        self.session.set_blocking(false);
        self.heard.set(now());
    }

    /// Repeats an operation until it does not give way.
    pub(super) fn until<T>(
        &self,
        until: Instant,
        mut operation: impl FnMut() -> std::result::Result<T, ssh2::Error>,
    ) -> std::result::Result<T, Broken> {
        if self.is_cut.get() {
            return Err(Broken::Cut("the link was cut before".into()));
        }
        loop {
            match operation() {
                Ok(value) => return Ok(value),
                Err(e) if e.code() == GIVES_WAY => self.wait(until)?,
                Err(e) => return Err(self.broken(e.into())),
            }
        }
    }

    /// Waits for the socket, some time at the most, and keeps the link alive meanwhile.
    pub(super) fn wait(&self, until: Instant) -> std::result::Result<(), Broken> {
        let at = now();
        if at >= until {
            return Err(Broken::Late);
        }
        let sends = self.sends();
        let flags = if sends { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let ready = self.poll(flags, SLICE.min(until - at));
        if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            self.heard.set(now());
        }
        if now().duration_since(self.heard.get()) >= self.patience {
            return Err(self.broken(Broken::Silent(self.patience)));
        }
        if sends { Ok(()) } else { self.keep_alive() }
    }

    /// Says that we live, when that was not said for some time and can be in one piece.
    pub(super) fn keep_alive(&self) -> std::result::Result<(), Broken> {
        if !self.is_free() {
            return Ok(());
        }
        let kept = self.session.keepalive_send();
        kept.map(drop).map_err(|e| self.broken(Broken::Cut(e.message().into())))
    }

    /// Silence counts from now: before, nobody was asked anything.
    pub(super) fn listen(&self) {
        self.heard.set(now());
    }

    /// Whether a packet is half sent.
    pub(super) fn sends(&self) -> bool {
        matches!(self.session.block_directions(), BlockDirections::Outbound | BlockDirections::Both)
    }

    /// Whether a small packet would leave in one piece.
    pub(super) fn is_free(&self) -> bool {
        !self.is_cut.get()
            && !self.sends()
            && self.poll(PollFlags::OUT, Duration::ZERO).contains(PollFlags::OUT)
    }

    /// What the socket is ready for; nothing after the time, or a signal.
    fn poll(&self, flags: PollFlags, time: Duration) -> PollFlags {
        let mut sockets = [PollFd::new(&self.socket, flags)];
        let time = Timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
        match poll(&mut sockets, Some(&time)) {
            Ok(_) => sockets[0].revents(),
            Err(_) => PollFlags::empty(),
        }
    }

    /// Notes that the link is no more, when that is so.
    pub(super) fn broken(&self, broken: Broken) -> Broken {
        if matches!(broken, Broken::Cut(_) | Broken::Silent(_)) {
            self.cut();
        }
        broken
    }

    /// Gives the link up: whoever is on the other side hears of it.
    pub(super) fn cut(&self) {
        self.is_cut.set(true);
        // It may be closed already; there is nothing to lose.
        drop(self.socket.shutdown(Shutdown::Both));
    }

    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.get()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.session.set_blocking(false);
        self.cut();
    }
}
