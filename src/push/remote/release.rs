//! A binary that is to be brought, looked at here: its checksum, and what it runs on.
//!
//! ```text
//! 7f 45 4c 46  class  order …  machine …    the head of an ELF file
//! program headers: one of type INTERP       it needs a loader, and so the libc, of the host
//! ```
//!
//! It does not run the binary. Caveat: what the host's processor lacks is only found there.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::Release;
use crate::error::{Error, Result};

/// So many digits of the checksum are a release's name.
const ID_DIGITS: usize = 16;
/// The type of a program header that names a loader.
const INTERP: u64 = 3;
/// Kinds of ELF files that can be run: fixed and position-independent.
const RUNNABLE: [u64; 2] = [2, 3];

pub(super) fn read(file: &Path) -> Result<Release> {
    let bytes = fs::read(file).map_err(Error::io("read", file))?;
    let (machine, dynamic) = elf(&bytes).ok_or_else(|| {
        let shown = file.display();
        Error::Usage(format!("{shown} is no program of Linux; nothing was brought to any host."))
            .hint("build one: cargo build --release, or name another with `binary:`")
    })?;
    let sha256 = hex(&Sha256::digest(&bytes));
    let (id, bytes) = (sha256[..ID_DIGITS].to_owned(), bytes.len() as u64);
    Ok(Release { id, sha256, file: file.to_path_buf(), bytes, machine, dynamic })
}

/// Whether a program of this machine runs on that one, by their names.
pub(super) fn runs_on(program: &str, host: &str) -> bool {
    usual(program) == usual(host)
}

/// One name for machines that have several.
fn usual(name: &str) -> &str {
    match name {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "i386" | "i486" | "i586" => "i686",
        arm if arm.starts_with("armv") => "arm",
        other => other,
    }
}

/// The machine of an ELF program and whether it is loaded by another; `None` when it is none.
fn elf(bytes: &[u8]) -> Option<(String, bool)> {
    let ident = bytes.get(..16)?;
    let (true, wide, little) = (ident.starts_with(b"\x7fELF"), ident[4] == 2, ident[5] == 1) else {
        return None;
    };
    let head = BinaryHead { bytes, little };
    if !RUNNABLE.contains(&head.number(16, 2)?) {
        return None;
    }
    let machine = match head.number(18, 2)? {
        3 => "i686",
        20 | 21 => "ppc64le",
        22 => "s390x",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        258 => "loongarch64",
        _ => "unknown",
    };
    let (table, size, count) = if wide { (32, 54, 56) } else { (28, 42, 44) };
    let table = head.number(table, if wide { 8 } else { 4 })?;
    let (size, count) = (head.number(size, 2)?, head.number(count, 2)?);
    let mut dynamic = false;
    for i in 0..count {
        let at = table.checked_add(i * size)?;
        dynamic |= head.number(usize::try_from(at).ok()?, 4)? == INTERP;
    }
    Some((machine.into(), dynamic))
}

struct BinaryHead<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl BinaryHead<'_> {
    /// The number of so many bytes at a place.
    fn number(&self, at: usize, size: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if self.little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_is_one_of_this_machine() {
        let file = std::env::current_exe().expect("a path");
        let release = Release::read(&file).expect("a program");
        assert_eq!(release.machine, std::env::consts::ARCH);
        assert_eq!(release.dynamic, !cfg!(target_feature = "crt-static"));
        assert_eq!(release.bytes, fs::metadata(&file).expect("a file").len());
        let said = std::process::Command::new("sha256sum").arg(&file).output().expect("a sum");
        assert!(said.stdout.starts_with(release.sha256.as_bytes()));
        assert!(release.id.len() == 16 && release.sha256.starts_with(&release.id));
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("kvs");
        let program = fs::read(std::env::current_exe().expect("a path")).expect("a program");
        let mut object = program[..4096].to_vec();
        object[16] = 1; // to be linked
        for bytes in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", &program[..40], &object] {
            fs::write(&file, bytes).expect("a file");
            let error = Release::read(&file).expect_err("no program");
            assert!(matches!(error.root(), Error::Usage(_)), "{error}");
        }
        assert!(matches!(Release::read(&dir.path().join("no")), Err(Error::Io { .. })));
    }

    #[test]
    fn machines_have_more_than_one_name() {
        assert!(runs_on("x86_64", "amd64") && runs_on("aarch64", "arm64"));
        assert!(runs_on("arm", "armv7l") && runs_on("i686", "i586"));
        assert!(!runs_on("x86_64", "aarch64") && !runs_on("unknown", "x86_64"));
    }
}
