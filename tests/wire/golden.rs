//! The bytes of everything that travels, pinned: nodes of two builds meet in every upgrade.
//!
//! A file has one line per sample, `name hex`. What a name says stays so for ever; a new variant gets
//! a new line at the end of what it is a variant of.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use kvs::channel::{Frame, RequestId};
use kvs::protocol::{Message, WIRE, WIRE_LOWEST};

use super::samples;

/// Compares a file's lines with the bytes of the samples; says each that differs.
fn compare(file: &str, samples: &[(String, Vec<u8>)]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/wire").join(file);
    let text = fs::read_to_string(&path).unwrap_or_default();
    let mut lines: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once(' ')).collect();
    let (mut faults, mut new) = (Vec::new(), String::new());
    for (name, bytes) in samples {
        let bytes = hex(bytes);
        match lines.remove(name.as_str()) {
            Some(golden) if golden == bytes => {}
            Some(golden) => faults.push(format!("{name}: {bytes}, not {golden}")),
            None => new.push_str(&format!("{name} {bytes}\n")),
        }
    }
    faults.extend(lines.keys().map(|name| format!("{name}: no sample of it any more")));
    if std::env::var_os("UPDATE").is_some_and(|v| v == "1") {
        fs::write(&path, format!("{text}{new}")).unwrap();
    } else if !new.is_empty() {
        faults.push(format!("missing (UPDATE=1 adds them):\n{new}"));
    }
    assert!(faults.is_empty(), "{}: {}", path.display(), faults.join("\n"));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn frames() -> Vec<(String, Frame)> {
    let asks = samples::asks()
        .into_iter()
        .map(|(name, ask)| (format!("Ask/{name}"), Frame::Request(RequestId(300), Box::new(ask))));
    let tolds = samples::tolds().into_iter().map(|(name, told)| {
        (format!("Told/{name}"), Frame::Response(RequestId(300), Box::new(told)))
    });
    samples::frames().into_iter().chain(asks).chain(tolds).collect()
}

/// Samples that a peer of this wire version can be told; of a later one there are none in its file.
fn messages(wire: u8) -> Vec<(String, Message, Vec<u8>)> {
    let all = samples::bodies().into_iter().map(|(name, body)| (name, samples::message(body)));
    let told = all.filter_map(|(name, message)| {
        let bytes = message.encode(wire)?;
        Some((name, message, bytes))
    });
    told.collect()
}

#[test]
fn messages_keep_their_bytes() {
    for wire in WIRE_LOWEST..=WIRE {
        let messages = messages(wire);
        let bytes: Vec<_> = messages.iter().map(|(n, _, b)| (n.clone(), b.clone())).collect();
        compare(&format!("v{wire}/messages.txt"), &bytes);
        for (name, message, bytes) in messages {
            let heard = Message::decode(&bytes).unwrap();
            assert!(heard == message || message.body.since() > wire, "{name}");
        }
    }
}

/// A peer that speaks version 1 is told nothing that it has no word for, and believed nothing.
#[test]
fn an_older_build_hears_only_its_own_words() {
    for (name, body) in samples::bodies() {
        let (since, message) = (body.since(), samples::message(body));
        if let Some(bytes) = message.encode(WIRE_LOWEST) {
            let heard = Message::decode(&bytes).unwrap();
            assert_eq!(heard.body.since(), WIRE_LOWEST, "{name}");
            assert_eq!(heard == message, since == WIRE_LOWEST, "{name}");
        }
        let mut bytes = message.encode(WIRE).unwrap();
        bytes[0] = WIRE_LOWEST;
        assert_eq!(Message::decode(&bytes).is_ok(), since == WIRE_LOWEST, "{name}");
    }
    let told: Vec<_> = messages(WIRE_LOWEST).into_iter().map(|(name, ..)| name).collect();
    for (name, is_told) in
        [("Replicate", true), ("Greet", true), ("Copies", true), ("Met", false), ("Put-2", false)]
    {
        assert_eq!(told.contains(&name.to_owned()), is_told, "{name}");
    }
}

#[test]
fn parcels_keep_their_bytes() {
    for wire in WIRE_LOWEST..=WIRE {
        let encode = |(name, frame): (String, Frame)| {
            let bytes = frame.encode_for(wire)?;
            Some((name, frame, bytes))
        };
        let frames: Vec<_> = frames().into_iter().filter_map(encode).collect();
        let bytes: Vec<_> = frames.iter().map(|(n, _, b)| (n.clone(), b.clone())).collect();
        compare(&format!("v{wire}/parcels.txt"), &bytes);
        for (name, frame, bytes) in frames {
            assert_eq!(Frame::decode(&bytes).unwrap(), frame, "{name}");
        }
    }
}
