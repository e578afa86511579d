//! The YAML files of a ring, as plain types.
//!
//! ```text
//! r/ring.key        the ring's key, 32 bytes as hex, mode 0600   [`read_keys`]
//! r/n1/node.yaml    name, addresses, quota                       [`NodeConfig`]
//! r/n1/node.key     its static key, 32 bytes as hex, 0600        [`read_key`]
//! r/n1/peers.yaml   last known addresses                         [`Peers`]
//! ```
//!
//! Times, sizes and addresses are read here too ([`duration`], [`size`], [`share`], [`address`]).
//!
//! This room alone names the YAML crate. Unknown fields are errors with line and column. It does
//! not know what the values mean. A text is bounded before the YAML crate sees it, in length and in how
//! deep it nests: that takes time as the square of the depth. Caveats: a file is replaced as a whole,
//! comments in it are lost; brackets within words count as if they nested.

mod keys;
mod values;

use std::path::Path;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::keys::{
    Secret, create_key, fingerprint, fresh_key, key_text, keys_in, read_key, read_keys, write_key,
};
pub use self::values::{address, duration, share, size};
use crate::error::{Error, Result};
use crate::os::read_small;

/// The file that makes a directory a node directory.
pub const NODE_FILE: &str = "node.yaml";
/// The file of last known addresses.
pub const PEERS_FILE: &str = "peers.yaml";

/// The longest text that is read, in bytes.
const TEXT_BYTES_MAX: u64 = 1 << 20;
/// A text nests no deeper; what is written here nests six deep.
const DEPTH_MAX: usize = 64;

/// `node.yaml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The member's name.
    pub name: String,
    /// Where it will listen when it runs, `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Where others reach it, `host:port`, when that is not where it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
    /// Where its figures can be read, `host:port`, or `off`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
    /// Bytes its file may use; writes are refused beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
}

/// `peers.yaml`: name and address of each member, as last heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// In the order of the ring document.
    pub peers: Vec<Peer>,
}

/// One row of `peers.yaml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// The member's identity, hexadecimal.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its address, if it was ever known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Reads a YAML file.
///
/// # Errors
/// [`Error::Io`], or [`Error::Usage`] naming file, line and column, or what it is if no regular file.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = String::from_utf8(read_small(path, TEXT_BYTES_MAX)?);
    let no_text = |_| std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not text");
    let text = text.map_err(no_text).map_err(Error::io("read", path))?;
    parse(&text, &path.display().to_string())
}

/// Reads YAML text that came from `source`.
///
/// # Errors
/// [`Error::Usage`] naming source, line and column.
pub fn parse<T: DeserializeOwned>(text: &str, source: &str) -> Result<T> {
    within_bounds(text, source)?;
    let value = serde_yaml::Deserializer::from_str(text);
    serde_yaml::with::singleton_map_recursive::deserialize(value)
        .map_err(|e| Error::Usage(format!("{source} is invalid: {e}. Nothing was changed.")))
}

/// Whether a text is short and flat enough to be read.
fn within_bounds(text: &str, source: &str) -> Result<()> {
    let wrong = |what| Err(Error::Usage(format!("{source} {what}. Nothing was changed.")));
    if text.len() as u64 > TEXT_BYTES_MAX {
        return wrong("is longer than 1 MiB".into());
    }
    let (mut open, mut deepest) = (0_usize, 0);
    for (number, line) in (1..).zip(text.lines()) {
        let words = line.split(' ').filter(|word| !word.is_empty());
        let marks = words.take_while(|word| matches!(*word, "-" | "?" | ":")).count();
        for c in line.chars().take_while(|c| *c != '#') {
            match c {
                '[' | '{' => open += 1,
                ']' | '}' => open = open.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(open);
        }
        if deepest.max(marks) > DEPTH_MAX {
            return wrong(format!("nests more than {DEPTH_MAX} deep at line {number}"));
        }
    }
    Ok(())
}

/// The member whose directory it is: as its configuration says, or else by its own name.
#[must_use]
pub fn name_of(dir: &Path) -> String {
    let of_dir = |_| dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    read::<NodeConfig>(&dir.join(NODE_FILE)).map_or_else(of_dir, |config| config.name)
}

/// The YAML text of a value.
///
/// # Errors
/// [`Error::Usage`] for a value that YAML cannot hold.
pub fn text<T: Serialize>(value: &T) -> Result<String> {
    let mut out = Vec::new();
    let mut writer = serde_yaml::Serializer::new(&mut out);
    serde_yaml::with::singleton_map_recursive::serialize(value, &mut writer)
        .map_err(|e| Error::Usage(format!("The value cannot be written as YAML: {e}.")))?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_no_struct() {
        for text in ["[[]]", "peers: [['1', n1, null]]", "- peers"] {
            let told = parse::<Peers>(text, "x").expect_err("no peers").to_string();
            assert!(told.contains("sequence"), "{text}: {told}");
        }
        assert!(parse::<Peers>("peers: [{id: '1', name: n1, address: null}]", "x").is_ok());
    }

    #[test]
    fn what_nests_without_end_is_refused_before_it_is_read() {
        let read = |text: &str| parse::<Peers>(text, "x").expect_err("no peers").to_string();
        for one in ["[", "{", "- ", "? ", "{a: ", "[[]", "[\n", "- [", " - ", "\u{a0}["] {
            let text = one.repeat(200_000 / one.len());
            assert!(read(&text).contains("nests more than 64 deep"), "{one:?}: {}", read(&text));
        }
        assert!(read(&"a".repeat(2 << 20)).contains("longer than 1 MiB"));
        assert!(parse::<Peers>("# [[[[\npeers: [{id: '1', name: n1}]\n", "x").is_ok());
    }
}
