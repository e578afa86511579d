//! Private key files, as far as they can be looked at without their passphrase.
//!
//! ```text
//! id_ed25519       openssh-key-v1, cipher, …, public key, sealed part     or PEM, older
//! id_ed25519.pub   ssh-ed25519 AAAA… comment
//! ```
//!
//! It tells an encrypted key from a plain one before libssh2 is given it, which would call it a bad
//! key, and which public key a file is about, so that the agent's identity of it comes first. It
//! never decrypts, and keeps no secret.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How a key file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyFileState {
    /// It can be used.
    Plain,
    /// It takes a passphrase.
    Encrypted,
    /// There is no such file.
    Missing,
    /// It is there and cannot be read.
    Unreadable(ErrorKind),
}

/// A key file.
#[derive(Clone, Debug)]
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    pub(super) state: KeyFileState,
    /// The public key, where it can be seen.
    pub(super) public: Option<Vec<u8>>,
}

impl KeyFile {
    pub(super) fn look(path: &Path) -> Self {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".pub");
        let public = std::fs::read_to_string(beside).ok().and_then(|text| public(&text));
        let (state, own) = match std::fs::read(path) {
            Ok(bytes) => state(&String::from_utf8_lossy(&bytes)),
            Err(e) if e.kind() == ErrorKind::NotFound => (KeyFileState::Missing, None),
            Err(e) => (KeyFileState::Unreadable(e.kind()), None),
        };
        Self { path: path.to_owned(), state, public: own.or(public) }
    }
}

/// The key of a `.pub` file.
fn public(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.split_whitespace().nth(1)?).ok()
}

fn state(text: &str) -> (KeyFileState, Option<Vec<u8>>) {
    if let Some((is_plain, public)) = openssh(text) {
        return (
            if is_plain { KeyFileState::Plain } else { KeyFileState::Encrypted },
            Some(public),
        );
    }
    let is_sealed = text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains(",ENCRYPTED");
    (if is_sealed { KeyFileState::Encrypted } else { KeyFileState::Plain }, None)
}

/// Whether OpenSSH's own form is plain, and its public key.
fn openssh(text: &str) -> Option<(bool, Vec<u8>)> {
    let body = text.split("-----BEGIN OPENSSH PRIVATE KEY-----").nth(1)?;
    let body: String = body.split("-----END").next()?.split_whitespace().collect();
    let bytes = STANDARD.decode(body).ok()?;
    let mut rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    let cipher = string(&mut rest)?;
    let (_kdf, _options) = (string(&mut rest)?, string(&mut rest)?);
    rest = rest.get(4..)?; // how many keys: always one
    Some((cipher == b"none", string(&mut rest)?.to_vec()))
}

/// Takes one string in the way of SSH: four bytes of length, then the bytes.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let taken = after.get(..length)?;
    *rest = &after[length..];
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(cipher: &str) -> String {
        let string = |bytes: &[u8]| {
            let length = u32::try_from(bytes.len()).expect("short").to_be_bytes();
            [&length, bytes].concat()
        };
        let parts = [string(cipher.as_bytes()), string(b"bcrypt"), string(b"options")];
        let bytes =
            [&b"openssh-key-v1\0"[..], &parts.concat(), &[0, 0, 0, 1], &string(b"public")].concat();
        let text = STANDARD.encode(bytes);
        let (begin, end) =
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----");
        format!("{begin}\n{}\n{}\n{end}\n", &text[..20], &text[20..])
    }

    #[test]
    fn forms_and_what_they_tell() {
        assert_eq!(state(&sealed("none")), (KeyFileState::Plain, Some(b"public".to_vec())));
        assert_eq!(
            state(&sealed("aes256-ctr")),
            (KeyFileState::Encrypted, Some(b"public".to_vec()))
        );
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
        assert_eq!(state(old), (KeyFileState::Encrypted, None));
        assert_eq!(state("-----BEGIN ENCRYPTED PRIVATE KEY-----"), (KeyFileState::Encrypted, None));
        assert_eq!(state("-----BEGIN RSA PRIVATE KEY-----\nMII"), (KeyFileState::Plain, None));
        let cut = sealed("none").replace("-----END OPENSSH PRIVATE KEY-----", "");
        assert_eq!(openssh(&cut[..60]), None);
        let missing = KeyFile::look(Path::new("/no/such/key"));
        assert_eq!((missing.state, missing.public), (KeyFileState::Missing, None));
    }
}
