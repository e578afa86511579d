//! SSH by libssh2: one blocking connection per host, every wait with a limit.

use std::path::Path;
use std::time::Duration;

use super::shell::{Output, Script, Shell};
use super::{Become, SshRules, Watch};
use crate::error::Result;

/// Whom to connect to.
#[derive(Clone, Debug)]
pub struct Access<'a> {
    /// The host's name in the inventory.
    pub host: &'a str,
    /// Its address as it was written: what known_hosts files call it.
    pub address: &'a str,
    /// How.
    pub rules: &'a SshRules,
    /// Whether scripts run by `sudo -n`.
    pub become_root: Become,
}

/// A connection. See the module.
pub struct Ssh {}

impl Ssh {
    /// Connects, checks the host's key and logs in.
    ///
    /// # Errors
    /// [`crate::error::Error::Unreachable`], [`crate::error::Error::Denied`] for a host key or a
    /// login that is refused.
    pub fn connect(access: &Access<'_>, watch: &dyn Watch) -> Result<Self> {
        let _ = (access, watch);
        unimplemented!()
    }
}

impl Shell for Ssh {
    fn host(&self) -> &str {
        unimplemented!()
    }
    fn run(&mut self, _script: &Script, _patience: Duration) -> Result<Output> {
        unimplemented!()
    }
    fn send(&mut self, _file: &Path, _to: &str, _watch: &dyn Watch) -> Result<()> {
        unimplemented!()
    }
    fn hold(&mut self, _script: &Script, _patience: Duration) -> Result<String> {
        unimplemented!()
    }
    fn beat(&mut self) -> Result<()> {
        unimplemented!()
    }
}
