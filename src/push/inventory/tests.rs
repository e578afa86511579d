//! Inventories, with names that no resolver is asked for.
//!
//! ```text
//! read     what is written, and what is meant     refuse   in which words
//! drafts   what `init` prints                     page     what kvs-fleet(5) says
//! ```

mod drafts;
mod page;
mod read;
mod refuse;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

fn me() -> Me {
    Me { user: Some("ann".into()), home: Some("/nonexistent/ann".into()) }
}

/// Names of these tests: no resolver is asked.
fn lookup(name: &str) -> io::Result<Vec<IpAddr>> {
    let known = match name {
        "n2.example" => "10.0.0.12 fd00::12",
        "six.example" => "fd00::66",
        "near.example" => "127.0.1.1",
        "empty.example" => "",
        name if name.parse::<IpAddr>().is_ok() => name,
        _ => return Err(io::Error::other("no such name")),
    };
    Ok(known.split_whitespace().map(|ip| ip.parse().unwrap()).collect())
}

fn parse(text: &str) -> Result<Fleet> {
    Fleet::parse(text, "fleet.yaml", Path::new("/inv"), &me(), &lookup)
}

fn fleet(text: &str) -> Fleet {
    parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// What is said of an inventory that is refused.
fn refused(text: &str) -> String {
    match parse(text) {
        Err(error) if matches!(error.root(), Error::Usage(_)) => error.to_string(),
        other => panic!("{other:?} for\n{text}"),
    }
}

/// An inventory of one host `a`, with more lines at the top and more fields of the host.
fn one(top: &str, host: &str) -> String {
    format!("ring: r\n{top}\nhosts:\n  - {{name: a, address: 10.0.0.1{host}}}\n")
}

/// An inventory of two hosts of one sshd, with more fields each.
fn two(a: &str, b: &str) -> String {
    let at = "address: 10.0.0.1";
    format!("ring: r\nhosts:\n  - {{name: a, {at}{a}}}\n  - {{name: b, {at}{b}}}\n")
}

fn says(cases: &[(String, &str)]) {
    for (text, want) in cases {
        let said = refused(text);
        let core =
            said.strip_prefix("fleet.yaml: ").and_then(|s| s.strip_suffix("; nothing was done."));
        assert_eq!(core, Some(*want), "{said}\n{text}");
    }
}
