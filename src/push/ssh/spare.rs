//! A channel that is open before it is needed: by it an idle link is listened to.
//!
//! ```text
//! idle   what arrives is read, and answered: a server asks now and then whether we live
//! run    the next command gets the channel
//! ```
//!
//! libssh2 reads only for something that waits to be read, so there has to be something. The server
//! counts it as a session, as it does the command that follows.

use std::io::{ErrorKind, Read as _};
use std::time::Instant;

use ssh2::Channel;

use super::link::{Broken, Link};

/// See the module.
pub(super) struct Spare(Channel);

impl Spare {
    pub(super) fn open(link: &Link, until: Instant) -> Result<Self, Broken> {
        link.until(until, || link.session.channel_session()).map(Self)
    }

    /// Reads what has arrived, and sees to it that what libssh2 answers leaves as a whole.
    pub(super) fn drain(&mut self, link: &Link, until: Instant) -> Result<(), Broken> {
        loop {
            match self.0.read(&mut [0]) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(e) if e.kind() != ErrorKind::WouldBlock => {
                    return Err(link.broken(Broken::Cut(e.to_string())));
                }
                Err(_) if link.sends() => link.wait(until)?,
                Err(_) => return Ok(()),
            }
        }
    }

    /// Whether the server has closed it.
    pub(super) fn is_over(&self) -> bool {
        self.0.eof()
    }

    pub(super) fn channel(self) -> Channel {
        self.0
    }
}
