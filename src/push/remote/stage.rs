//! Bringing a release: asked for first, then sent, checked, tried and put in its place.
//!
//! ```text
//! there, whole, same checksum     only asked for its version
//! another machine, disk too full  refused before a byte is sent
//! ROOT/releases/.ID.TOKEN.tmp     what is sent; checked and tried there
//! ROOT/releases/ID/               appears whole, by one rename
//! ```
//!
//! Whatever fails, nothing of it stays, and nothing that runs is touched. What a push that died has
//! left is removed by the next one, an hour later.

use super::{LONG, Release, RemoteHost, release, scripts};
use crate::error::{Error, Result};
use crate::push::shell::Output;
use crate::push::watch::Watch;

/// What is to stay free on the disk.
const SPARE_BYTES: u64 = 64 << 20;

pub(super) fn stage(
    remote: &mut RemoteHost<'_>,
    release: &Release,
    watch: &dyn Watch,
) -> Result<String> {
    let ids = [&*release.id, &*release.sha256];
    let found = remote.tell(scripts::STAGED, &ids, LONG)?;
    let said = |key: &str| {
        let value = |line: &str| Some(line.strip_prefix(key)?.strip_prefix(' ')?.to_owned());
        found.out.lines().find_map(value)
    };
    let output = if said("whole").is_some() {
        remote.tell(scripts::ASK, &ids[..1], LONG)?
    } else {
        let nonsense = || scripts::STAGED.nonsense(remote.shell.host(), &found.out);
        let machine = said("machine").ok_or_else(nonsense)?;
        let root = said("root").ok_or_else(nonsense)?;
        let free = said("free").and_then(|bytes| bytes.parse().ok()).ok_or_else(nonsense)?;
        check(remote.shell.host(), release, &machine, free)?;
        bring(remote, release, &root, watch)?
    };
    let version = output.out.lines().find_map(|line| line.strip_prefix("version "));
    let told = version.map(scripts::plain);
    told.ok_or_else(|| scripts::STAGE.nonsense(remote.shell.host(), &output.out))
}

/// Refuses what could not work, before a byte is sent.
fn check(host: &str, release: &Release, machine: &str, free: u64) -> Result<()> {
    let shown = release.file.display();
    if !release::runs_on(&release.machine, machine) {
        let made = &release.machine;
        return Err(Error::Denied(format!(
            "{host} is {machine}, and {shown} is made for {made}; nothing was sent."
        ))
        .hint("build one for it, and name it with `binary:` of the host"));
    }
    let needed = release.bytes * 2 + SPARE_BYTES;
    if free < needed {
        return Err(Error::Denied(format!(
            "{host} has {} MiB free where releases are, and {} MiB are needed; nothing was sent.",
            free >> 20,
            needed.div_ceil(1 << 20)
        ))
        .hint("make room there, or name another `root:`"));
    }
    Ok(())
}

fn bring(
    remote: &mut RemoteHost<'_>,
    release: &Release,
    root: &str,
    watch: &dyn Watch,
) -> Result<Output> {
    let token = remote.token.as_deref().unwrap_or_default();
    let to = format!("{root}/releases/.{}.{token}.tmp", release.id);
    remote.shell.send(&release.file, &to, watch)?;
    let output = remote.tell(scripts::STAGE, &[&release.id, &release.sha256], LONG);
    output.map_err(|error| match error {
        Error::Denied(_) if release.dynamic => {
            error.hint("it needs a libc there: bring a static one")
        }
        other => other,
    })
}
