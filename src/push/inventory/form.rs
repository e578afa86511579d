//! `fleet.yaml` as it is written: every field optional but the few that nobody can guess.
//!
//! ```text
//! ring: prod                                    Form
//! defaults: {ssh: {user: deploy}}               Defaults, SshForm
//! hosts: [{name: n1, address: 10.0.0.11}]       HostForm, SshForm
//! ```
//!
//! It says what was written and where it is no inventory, by line and column. What is not written
//! is `None`; [`super::fill`] knows the defaults. An empty section is one that is not there.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::{Become, ServiceKind};
use crate::config;
use crate::error::{Error, Result};

/// What was found wrong: a sentence without its file.
pub(super) type Wrong = String;

/// Words in the names of fields that people look for in other tools' inventories.
const SECRETIVE: [&str; 7] =
    ["pass", "secret", "token", "private", "credential", "key_data", "keydata"];

/// Digits of a ring's key.
const KEY_DIGITS: usize = 64;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    pub(super) ring: String,
    pub(super) key: Option<PathBuf>,
    pub(super) replicas: Option<Count>,
    pub(super) partitions: Option<Count>,
    pub(super) defaults: Option<Defaults>,
    pub(super) hosts: Option<Vec<HostForm>>,
    pub(super) spares: Option<Vec<HostForm>>,
    pub(super) rollout: Option<RolloutForm>,
    pub(super) scale: Option<ScaleForm>,
}

/// What holds for every host that does not say otherwise.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Defaults {
    pub(super) ssh: Option<SshForm>,
    #[serde(rename = "become")]
    pub(super) become_root: Option<Become>,
    pub(super) service: Option<ServiceKind>,
    pub(super) root: Option<String>,
    pub(super) data: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) port: Option<Port>,
    pub(super) zone: Option<String>,
    pub(super) weight: Option<Count>,
    pub(super) metrics: Option<String>,
    pub(super) quota: Option<Size>,
    pub(super) binary: Option<PathBuf>,
}

/// One host, or spare.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostForm {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) advertise: Option<String>,
    // From here on the fields of `Defaults`: flattening them would lose line and column.
    pub(super) ssh: Option<SshForm>,
    #[serde(rename = "become")]
    pub(super) become_root: Option<Become>,
    pub(super) service: Option<ServiceKind>,
    pub(super) root: Option<String>,
    pub(super) data: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) port: Option<Port>,
    pub(super) zone: Option<String>,
    pub(super) weight: Option<Count>,
    pub(super) metrics: Option<String>,
    pub(super) quota: Option<Size>,
    pub(super) binary: Option<PathBuf>,
}

/// How to reach an sshd.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SshForm {
    pub(super) user: Option<String>,
    pub(super) port: Option<Port>,
    pub(super) keys: Option<Vec<PathBuf>>,
    pub(super) agent: Option<bool>,
    pub(super) known_hosts: Option<Vec<PathBuf>>,
    pub(super) host_keys: Option<HostKeysForm>,
    /// Of one host only.
    pub(super) host_key: Option<String>,
    pub(super) connect_timeout: Option<Time>,
    pub(super) command_timeout: Option<Time>,
}

/// What is done about a host that is not known.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum HostKeysForm {
    Strict,
    AcceptNew,
}

/// How hosts take turns.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RolloutForm {
    pub(super) batch: Option<Count>,
    pub(super) pause: Option<Time>,
    pub(super) ready_timeout: Option<Time>,
    pub(super) sync_timeout: Option<Time>,
    pub(super) uploads: Option<Count>,
}

/// When to grow and to shrink.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScaleForm {
    pub(super) min: Option<Count>,
    pub(super) max: Option<Count>,
    pub(super) window: Option<Time>,
    pub(super) cool_down: Option<Time>,
    pub(super) requests: Option<Rate>,
    pub(super) latency: Option<Time>,
    pub(super) bytes: Option<Size>,
    pub(super) disk: Option<Share>,
    pub(super) shrink_below: Option<Share>,
}

/// Scalars that are read while the reader still knows where it is in the file.
macro_rules! scalars {
    ($($name:ident $of:ty, $read:path, $expecting:literal;)*) => {$(
        #[doc = concat!("Is ", $expecting, ".")]
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $name(pub(super) $of);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
                struct Reader;
                impl de::Visitor<'_> for Reader {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<$name, E> {
                        $read(text).map($name).map_err(E::custom)
                    }
                    fn visit_u64<E: de::Error>(self, n: u64) -> std::result::Result<$name, E> {
                        self.visit_str(&n.to_string())
                    }
                    fn visit_i64<E: de::Error>(self, n: i64) -> std::result::Result<$name, E> {
                        self.visit_str(&n.to_string())
                    }
                    fn visit_f64<E: de::Error>(self, n: f64) -> std::result::Result<$name, E> {
                        self.visit_str(&n.to_string())
                    }
                }
                d.deserialize_any(Reader)
            }
        }
    )*};
}
scalars! {
    Time Duration, config::duration, "a time like 5s or 1m 30s";
    Size u64, config::size, "a size like 50GiB";
    Share f64, config::share, "a share like 80%";
    Count u32, count, "a number like 3";
    Port u16, port, "a port like 7400";
    Rate f64, rate, "a number like 5000";
}

fn count(text: &str) -> std::result::Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is no whole number that fits here"))
}

fn port(text: &str) -> std::result::Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| format!("{text:?} is no port; there are 1 to 65535"))
}

fn rate(text: &str) -> std::result::Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| format!("{text:?} is no number above 0"))
}

impl Form {
    /// Reads the text of an inventory.
    ///
    /// # Errors
    /// [`Error::Usage`] with line and column.
    pub(super) fn parse(text: &str, source: &str) -> Result<Self> {
        // Before anything else: a message about a field may quote what is in it.
        if holds_key(text) {
            let what = "a key is written in it, where none belongs; nothing was done";
            return Err(Error::Usage(format!("{source}: {what}.")).hint(
                "keys are named by their files: ssh.keys for logging in, key for the ring; what was \
                 written here should be replaced by a fresh one",
            ));
        }
        config::parse(text, source).map_err(|error| match unknown_field(&error) {
            Some(field) if SECRETIVE.iter().any(|word| field.contains(word)) => error.hint(
                "no password or key belongs in this file: ssh.keys names key files, an agent \
                 opens those that are encrypted, sudo is asked with -n",
            ),
            _ => error,
        })
    }

    /// Those that are to be members, then spares.
    pub(super) fn all(&self) -> impl Iterator<Item = &HostForm> {
        self.hosts.iter().chain(&self.spares).flatten()
    }
}

/// Whether a private key, or one of a ring, is anywhere in the text. A path may have a checksum in it:
/// only what stands for itself is a key.
fn holds_key(text: &str) -> bool {
    let ends = |c: char| c.is_whitespace() || "'\"`,:#[]{}\\".contains(c);
    let is_key =
        |word: &str| word.len() >= KEY_DIGITS && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.contains("PRIVATE KEY-----") || text.split(ends).any(is_key)
}

/// The field that there is none of, in small letters.
fn unknown_field(error: &Error) -> Option<String> {
    let text = error.to_string();
    let (_, rest) = text.split_once("unknown field `")?;
    Some(rest.split('`').next()?.to_lowercase())
}
