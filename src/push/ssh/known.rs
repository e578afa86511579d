//! Files of known hosts, as OpenSSH writes and reads them.
//!
//! ```text
//! n1,10.0.0.11 ssh-ed25519 AAAA…              names
//! [n1]:2222 ecdsa-sha2-nistp256 AAAA…         a name with a port that is not 22
//! *.example,!old.example ssh-rsa AAAA…        patterns, and what they do not mean
//! |1|salt|hash ssh-ed25519 AAAA…              HMAC-SHA1 of a name
//! @revoked * ssh-ed25519 AAAA…                refused wherever it is shown
//! @cert-authority *.example ssh-rsa AAAA…     not used here: a remark
//! ```
//!
//! libssh2 has its own reader, which knows neither patterns nor marks and takes a key of another
//! kind for a changed one. This one reads no file, and decides nothing beyond what the lines say. A
//! line that cannot be read is left out with a remark. Caveat: names only, no look at the address a
//! name leads to.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Digest as _;

/// The lines of some files, in their order.
#[derive(Debug, Default)]
pub(super) struct Known {
    lines: Vec<KnownLine>,
    broken: Vec<String>,
}

/// One key of some hosts.
#[derive(Debug)]
pub(super) struct KnownLine {
    pub(super) file: PathBuf,
    pub(super) number: usize,
    mark: Mark,
    names: HostNames,
    /// As SSH calls it: `ssh-ed25519`.
    pub(super) kind: String,
    key: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    None,
    Revoked,
    Authority,
}

#[derive(Debug)]
enum HostNames {
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
    Patterns(Vec<String>),
}

/// What a host is called in such files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostName {
    /// `host`, or `[host]:port` for another port than 22.
    pub(super) full: String,
    host: String,
}

/// What the lines say of a key.
#[derive(Debug)]
pub(super) enum KeyVerdict<'a> {
    /// It is the host's.
    Known,
    /// Nobody may use it.
    Revoked(&'a KnownLine),
    /// The host had another one of this kind.
    Changed(&'a KnownLine),
    /// The host is known, but by keys of other kinds.
    OtherKinds(Vec<&'a KnownLine>),
    /// Nothing.
    New,
}

impl HostName {
    pub(super) fn new(host: &str, port: u16) -> Self {
        let host = host.to_lowercase();
        let full = if port == 22 { host.clone() } else { format!("[{host}]:{port}") };
        Self { full, host }
    }
}

impl Known {
    /// Adds what a file says.
    pub(super) fn add(&mut self, file: &Path, text: &str) {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match KnownLine::parse(file, number, line) {
                Some(line) => self.lines.push(line),
                None => self.broken.push(format!("{}:{number}", file.display())),
            }
        }
    }

    /// The kinds of key that are known of a host, in the order of the lines.
    pub(super) fn kinds<'a>(&'a self, name: &'a HostName) -> Vec<&'a str> {
        let kinds = |name| self.of(name).map(|line| line.kind.as_str()).collect();
        let own: Vec<&str> = kinds(&name.full);
        if own.is_empty() { kinds(&name.host) } else { own }
    }

    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a KnownLine> {
        self.lines.iter().filter(move |line| line.mark == Mark::None && line.names.mean(name))
    }

    /// What is said of a key that a host shows.
    pub(super) fn verdict<'a>(&'a self, name: &'a HostName, key: &[u8]) -> KeyVerdict<'a> {
        let revoked = |line: &&KnownLine| line.mark == Mark::Revoked && line.key == key;
        let meant = |line: &&KnownLine| [&name.full, &name.host].iter().any(|n| line.names.mean(n));
        if let Some(line) = self.lines.iter().filter(revoked).find(meant) {
            return KeyVerdict::Revoked(line);
        }
        let own: Vec<&KnownLine> = self.of(&name.full).collect();
        // Where nothing is said of this port, what is known of the host holds, as with OpenSSH.
        let host = self.of(&name.host).filter(|_| own.is_empty());
        if own.iter().copied().chain(host).any(|line| line.key == key) {
            return KeyVerdict::Known;
        }
        let kind = kind(key).unwrap_or_default();
        if let Some(line) = own.iter().find(|line| line.kind == kind) {
            return KeyVerdict::Changed(line);
        }
        if own.is_empty() { KeyVerdict::New } else { KeyVerdict::OtherKinds(own) }
    }

    /// What was left out and might have meant this host.
    pub(super) fn remarks(&self, name: &HostName) -> Vec<String> {
        let broken = self.broken.iter().map(|place| format!("{place} cannot be read: left out"));
        let authorities = self
            .lines
            .iter()
            .filter(|line| line.mark == Mark::Authority && line.names.mean(&name.full));
        let authorities = authorities
            .map(|l| format!("{}: certificates are not checked here: left out", l.place()));
        broken.chain(authorities).collect()
    }
}

impl KnownLine {
    fn parse(file: &Path, number: usize, line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let mut first = words.next()?;
        let mark = match first.strip_prefix('@') {
            None => Mark::None,
            Some("revoked") => Mark::Revoked,
            Some("cert-authority") => Mark::Authority,
            Some(_) => return None,
        };
        if mark != Mark::None {
            first = words.next()?;
        }
        let names = HostNames::parse(first)?;
        let named = words.next()?;
        let key = STANDARD.decode(words.next()?).ok()?;
        let kind = kind(&key).filter(|kind| *kind == named)?.to_owned();
        Some(Self { file: file.to_owned(), number, mark, names, kind, key })
    }

    /// `file:line`.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.number)
    }

    pub(super) fn fingerprint(&self) -> String {
        fingerprint(&self.key)
    }

    /// Whether `ssh-keygen -R` would find it by that name.
    pub(super) fn names_exactly(&self, name: &HostName) -> bool {
        match &self.names {
            HostNames::Hashed { .. } => true,
            HostNames::Patterns(all) => all.iter().any(|p| p.to_lowercase() == name.full),
        }
    }
}

impl HostNames {
    fn parse(word: &str) -> Option<Self> {
        let Some(hashed) = word.strip_prefix("|1|") else {
            let patterns = word.split(',').filter(|p| !p.is_empty()).map(str::to_lowercase);
            let is_hash = word.starts_with('|');
            return (!is_hash).then(|| Self::Patterns(patterns.collect()));
        };
        let (salt, hash) = hashed.split_once('|')?;
        let (salt, hash) = (STANDARD.decode(salt).ok()?, STANDARD.decode(hash).ok()?);
        Some(Self::Hashed { salt, hash })
    }

    /// Whether they mean this host. One pattern with a `!` that does not is enough for a no.
    fn mean(&self, name: &str) -> bool {
        match self {
            Self::Hashed { salt, hash } => Hmac::<sha1::Sha1>::new_from_slice(salt)
                .is_ok_and(|mac| mac.chain_update(name).verify_slice(hash).is_ok()),
            Self::Patterns(patterns) => {
                let hits = |no: bool| {
                    patterns.iter().any(|pattern| match pattern.strip_prefix('!') {
                        Some(pattern) => no && matches(pattern.as_bytes(), name.as_bytes()),
                        None => !no && matches(pattern.as_bytes(), name.as_bytes()),
                    })
                };
                hits(false) && !hits(true)
            }
        }
    }
}

/// Whether a pattern with `*` and `?` fits a text. Linear but for going back to the last `*`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                (p, t) = (at + 1, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// The kind that a public key says it is.
pub(super) fn kind(key: &[u8]) -> Option<&str> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    std::str::from_utf8(rest.get(..length)?).ok().filter(|kind| !kind.is_empty())
}

/// A key as people compare it.
pub(super) fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(sha2::Sha256::digest(key)))
}

/// The line that makes a key known.
pub(super) fn line(name: &HostName, key: &[u8]) -> String {
    format!("{} {} {}\n", name.full, kind(key).unwrap_or_default(), STANDARD.encode(key))
}

#[cfg(test)]
mod tests;
