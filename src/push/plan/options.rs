//! What is asked of a push besides its inventory.
//!
//! ```text
//! --only n1,n2      --replace n3      --accept-downtime
//! ```
//!
//! Plain values; the command line and `scale` fill them in.

use std::path::PathBuf;
use std::time::Duration;

use crate::push::inventory::Host;

/// What is to be pushed, and how far.
#[derive(Clone, Debug, Default)]
pub struct ApplyOptions {
    /// Only these hosts; all when empty.
    pub only: Vec<String>,
    /// Spares that are to be members.
    pub join: Vec<String>,
    /// Members whose node is lost for good: their place goes to a new one on the same host.
    pub replace: Vec<String>,
    /// Go on although the ring cannot answer meanwhile.
    pub accept_downtime: bool,
    /// The binary of hosts for which the inventory names none.
    pub program: PathBuf,
    /// Who works on the hosts, for others who want to.
    pub owner: String,
    /// How long the ring may take to answer.
    pub timeout: Duration,
}

impl ApplyOptions {
    /// Whether a host is asked for.
    pub(in crate::push) fn names(&self, host: &Host) -> bool {
        let named = [&self.only, &self.join, &self.replace];
        self.only.is_empty() || named.iter().any(|names| names.contains(&host.name))
    }
}
