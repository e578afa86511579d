//! Whether a host is who it says it is.
//!
//! ```text
//! files ──> Known ──> algorithms       kinds that are known first: a server that has several keys
//!             |                        is to show the one that can be compared
//!   key ──> verdict ──> go on | refuse | write it down
//! ```
//!
//! A key that was revoked is always refused; one that has changed too, unless the inventory pins it. So
//! is that of a host which is known by keys of other kinds only: it would have shown one of those. A
//! pin may be of any kind, and does not tell which: the host is met again, without the kinds that it has
//! shown, until it shows the pinned key or has no more. It asks nobody.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::SshAccess;
use super::known::{self, HostName, KeyVerdict, Known, KnownLine};
use crate::error::{Error, Result};
use crate::push::inventory::HostKeys;
use crate::push::watch::{PushEvent, Watch};

/// Hosts are met side by side, and their keys written to the same file.
static WRITING: Mutex<()> = Mutex::new(());

/// How often a host that is pinned is met, and so shows keys: there are ed25519, ECDSA and RSA.
const MEETINGS_MAX: usize = 3;
/// What is preferred of a host that is not known.
const PREFERRED: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// What is known before a host is met, and what it has shown since.
pub(super) struct HostKey<'a> {
    access: &'a SshAccess<'a>,
    name: HostName,
    known: Known,
    /// The only fingerprint that will do.
    pin: Option<&'a str>,
    /// Keys that have another.
    shown: Vec<Vec<u8>>,
}

impl<'a> HostKey<'a> {
    /// Reads the files; one that is missing is empty.
    ///
    /// # Errors
    /// [`Error::Io`] for one that cannot be read.
    pub(super) fn read(access: &'a SshAccess<'a>) -> Result<Self> {
        let mut known = Known::default();
        for file in &access.rules.known_hosts {
            known.add(file, &text(file)?);
        }
        let name = HostName::new(access.address, access.rules.port);
        let pin = match &access.rules.host_keys {
            HostKeys::Pin(pin) => Some(pin.trim_end_matches('=')),
            HostKeys::Strict | HostKeys::AcceptNew => None,
        };
        Ok(Self { access, name, known, pin, shown: Vec::new() })
    }

    /// What to ask the server for: an exclusive list, so that it has everything that will do.
    pub(super) fn algorithms(&self, supported: &[&str]) -> String {
        // What is known says nothing of the kind that is pinned.
        let known = self.pin.map_or_else(|| self.known.kinds(&self.name), |_| Vec::new());
        let shown: Vec<&str> = self.shown.iter().filter_map(|key| known::kind(key)).collect();
        order(&known, &shown, supported).join(",")
    }

    /// Whether it was met before, and has shown another key than the pinned one.
    pub(super) fn was_met(&self) -> bool {
        !self.shown.is_empty()
    }

    /// Decides about the key that was shown. `false` when the host is to be met again, to show
    /// another.
    ///
    /// # Errors
    /// [`Error::Denied`] when it will not do; [`Error::Io`] when it cannot be written down.
    pub(super) fn decide(&mut self, key: &[u8], watch: &dyn Watch) -> Result<bool> {
        if self.pin.is_some_and(|pin| pin != known::fingerprint(key)) {
            self.shown.push(key.to_vec());
            let more = self.shown.len() < MEETINGS_MAX;
            return if more { Ok(false) } else { Err(self.not_pinned()) };
        }
        self.judge(key, watch).map(|()| true)
    }

    /// Judges a key that is the pinned one, if any is.
    fn judge(&self, key: &[u8], watch: &dyn Watch) -> Result<()> {
        let verdict = self.known.verdict(&self.name, key);
        match verdict {
            KeyVerdict::Revoked(line) => return Err(self.revoked(line, key)),
            KeyVerdict::Known => return Ok(()),
            _ if self.pin.is_some() => return Ok(()),
            _ => {}
        }
        for remark in self.known.remarks(&self.name) {
            watch.note(self.access.host, &PushEvent::Warning(remark));
        }
        match verdict {
            KeyVerdict::Changed(line) => Err(self.changed(line, key)),
            KeyVerdict::OtherKinds(lines) => Err(self.of_other_kinds(key, &lines)),
            _ => self.unknown(key, watch),
        }
    }

    /// What is to be said of a host that has shown all its keys.
    pub(super) fn not_pinned(&self) -> Error {
        let pin = self.pin.unwrap_or_default();
        let shown: Vec<_> = self.shown.iter().map(|key| described(key)).collect();
        let keys = if shown.len() == 1 { "key" } else { "keys" };
        Error::Denied(format!(
            "{} shows the host {keys} {}, and the inventory pins {pin}: nothing was done there",
            self.who(),
            shown.join(", ")
        ))
        .hint(
            "set host_key of this host to one of them if they are the host's (there: `ssh-keygen -lf` of \
             /etc/ssh/ssh_host_*.pub); if they are not, somebody stands between",
        )
    }

    fn revoked(&self, line: &KnownLine, key: &[u8]) -> Error {
        Error::Denied(format!(
            "{} shows the host key {}, which {} revokes: nothing was done there",
            self.who(),
            described(key),
            line.place()
        ))
        .hint("give the host a new key, and make that known")
    }

    fn changed(&self, line: &KnownLine, key: &[u8]) -> Error {
        let error = Error::Denied(format!(
            "the host key of {} has changed: {} has {}, it shows {}: it was set up anew, or somebody \
             stands between; nothing was done there",
            self.who(),
            line.place(),
            line.fingerprint(),
            described(key)
        ));
        let file = line.file.display();
        if line.names_exactly(&self.name) {
            let name = &self.name.full;
            error.hint(format!("if you know why: ssh-keygen -R '{name}' -f {file}"))
        } else {
            error.hint(format!("if you know why: remove line {} of {file}", line.number))
        }
    }

    /// A key of a host that no line is about.
    fn unknown(&self, key: &[u8], watch: &dyn Watch) -> Result<()> {
        let rules = self.access.rules;
        let file = rules.known_hosts.first();
        if let (HostKeys::AcceptNew, Some(file)) = (&rules.host_keys, file) {
            if write_down(file, &self.name, key)? {
                let (key, file) = (described(key), file.display());
                let what = format!("its host key {key} is new, and was added to {file}");
                watch.note(self.access.host, &PushEvent::Warning(what));
            }
            return Ok(());
        }
        let pin = known::fingerprint(key);
        Err(self.refused(key, "").hint(format!(
            "{}; or set host_keys to accept-new, or host_key of this host to {pin}",
            self.ways()
        )))
    }

    /// One known by other kinds of key would have shown one of those: that is no new host.
    fn of_other_kinds(&self, key: &[u8], lines: &[&KnownLine]) -> Error {
        let pin = known::fingerprint(key);
        self.refused(key, &others(lines))
            .hint(format!("{}; or set host_key of this host to {pin}", self.ways()))
    }

    /// A host whose key cannot be told from a stranger's.
    fn refused(&self, key: &[u8], others: &str) -> Error {
        Error::Denied(format!(
            "the host key of {} is not known: it shows {}{others}; nothing was done there",
            self.who(),
            described(key)
        ))
    }

    /// How a key becomes known, after it was looked at.
    fn ways(&self) -> String {
        let rules = self.access.rules;
        let file = rules.known_hosts.first();
        let file = file.map_or("~/.ssh/known_hosts".into(), |file| file.display().to_string());
        format!(
            "compare it with what `ssh-keygen -lf` says of /etc/ssh/ssh_host_*.pub there, then `ssh-keyscan \
             -p {} {} >> {file}`",
            rules.port, self.access.address
        )
    }

    fn who(&self) -> String {
        format!("{} ({})", self.access.host, self.name.full)
    }
}

/// What else the host is known by.
fn others(lines: &[&KnownLine]) -> String {
    let lines: Vec<_> = lines.iter().map(|l| format!("{} by {}", l.kind, l.place())).collect();
    format!(" (it is known by keys of other kinds only: {})", lines.join(", "))
}

/// A key in words.
fn described(key: &[u8]) -> String {
    format!("{} {}", known::kind(key).unwrap_or("of no kind"), known::fingerprint(key))
}

/// All that is supported but the kinds that were shown, known kinds first. No certificates: nobody here
/// could check them.
fn order<'a>(kinds: &[&str], shown: &[&str], supported: &[&'a str]) -> Vec<&'a str> {
    let of_kind = |kind: &str, algorithm: &str| {
        algorithm == kind || (kind == "ssh-rsa" && algorithm.starts_with("rsa-sha2-"))
    };
    let usable = || {
        let fresh = |a: &&&str| !shown.iter().any(|kind| of_kind(kind, a));
        supported.iter().filter(|a| !a.contains("-cert-")).filter(fresh)
    };
    let known = kinds.iter().flat_map(|kind| usable().filter(move |a| of_kind(kind, a)));
    let preferred = PREFERRED.iter().flat_map(|name| usable().filter(move |a| *a == name));
    let mut all: Vec<&str> = Vec::new();
    for algorithm in known.chain(preferred).chain(usable()) {
        if !all.contains(algorithm) {
            all.push(algorithm);
        }
    }
    all
}

fn text(file: &Path) -> Result<String> {
    match fs::read(file) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(e) => Err(Error::io("read", file)(e)),
    }
}

/// Adds a line, unless somebody did in between; whether it was added.
fn write_down(file: &Path, name: &HostName, key: &[u8]) -> Result<bool> {
    let _one = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut known = Known::default();
    known.add(file, &text(file)?);
    if let KeyVerdict::Known = known.verdict(name, key) {
        return Ok(false);
    }
    if let Some(parent) = file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(parent);
        made.map_err(Error::io("create", parent))?;
    }
    let mut options = OpenOptions::new();
    let open = options.read(true).append(true).create(true).mode(0o600).open(file);
    let mut open = open.map_err(Error::io("write", file))?;
    let line = known::line(name, key);
    let line = if ends_a_line(&mut open).map_err(Error::io("read", file))? {
        line
    } else {
        format!("\n{line}")
    };
    // One write, so that another program's line is never in the middle of ours.
    let written = open.write_all(line.as_bytes()).and_then(|()| open.sync_all());
    written.map_err(Error::io("write", file))?;
    Ok(true)
}

fn ends_a_line(file: &mut File) -> std::io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key with something in it.
    fn key(rest: u8) -> Vec<u8> {
        [&[0, 0, 0, 11][..], b"ssh-ed25519", &[0, 0, 0, 1, rest]].concat()
    }

    #[test]
    fn known_kinds_are_asked_for_first_and_nothing_is_lost() {
        let supported = ["ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-256", "ecdsa-sha2-nistp256"];
        let supported = [&supported[..], &["ssh-ed25519", "rsa-sha2-512", "new-one"]].concat();
        let rsa_first = order(&["ssh-rsa", "no-such-kind"], &[], &supported);
        assert_eq!(rsa_first[..3], ["rsa-sha2-256", "rsa-sha2-512", "ssh-ed25519"]);
        assert_eq!(rsa_first.len(), 5);
        assert_eq!(order(&[], &[], &supported)[..2], ["ssh-ed25519", "ecdsa-sha2-nistp256"]);
        assert_eq!(order(&["ecdsa-sha2-nistp256"], &[], &supported)[0], "ecdsa-sha2-nistp256");
        let others = order(&[], &["ssh-ed25519", "ssh-rsa"], &supported);
        assert_eq!(others, ["ecdsa-sha2-nistp256", "new-one"]);
    }

    #[test]
    fn lines_are_added_whole_and_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("new/known_hosts");
        let name = HostName::new("n1", 2222);
        assert!(write_down(&file, &name, &key(1)).expect("a line"));
        assert!(!write_down(&file, &name, &key(1)).expect("nothing to do"));
        let one = fs::read_to_string(&file).expect("a file");
        assert_eq!(one, known::line(&name, &key(1)));
        // Somebody's editor left no newline.
        fs::write(&file, one.trim_end()).expect("a file");
        std::thread::scope(|scope| {
            for port in 0..8 {
                let (name, file) = (HostName::new("n2", 3000 + port), &file);
                scope.spawn(move || write_down(file, &name, &key(2)).expect("a line"));
            }
        });
        let all = fs::read_to_string(&file).expect("a file");
        assert!(all.starts_with(&one), "{all}");
        assert_eq!(all.lines().count(), 9, "{all}");
        let mode = |path: &Path| {
            use std::os::unix::fs::MetadataExt as _;
            fs::metadata(path).expect("it is there").mode() & 0o777
        };
        assert_eq!((mode(&file), mode(file.parent().expect("a directory"))), (0o600, 0o700));
    }
}
