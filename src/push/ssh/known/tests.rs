//! Lines as `ssh-keygen` and people write them.

use super::*;

/// A key of a kind, with something in it.
fn key(kind: &str, rest: &[u8]) -> Vec<u8> {
    let length = u32::try_from(kind.len()).expect("short").to_be_bytes();
    [&length, kind.as_bytes(), rest].concat()
}

fn ed25519(rest: &[u8]) -> Vec<u8> {
    key("ssh-ed25519", rest)
}

/// The text after the names.
fn tail(key: &[u8]) -> String {
    line(&HostName::new("x", 22), key).split_once(' ').expect("names").1.to_owned()
}

fn known(text: &str) -> Known {
    let mut known = Known::default();
    known.add(Path::new("/k"), text);
    known
}

/// The verdict in a word.
fn said(known: &Known, host: &str, port: u16, key: &[u8]) -> String {
    match known.verdict(&HostName::new(host, port), key) {
        KeyVerdict::Known => "known".into(),
        KeyVerdict::New => "new".into(),
        KeyVerdict::Revoked(line) => format!("revoked {}", line.place()),
        KeyVerdict::Changed(line) => format!("changed {}", line.place()),
        KeyVerdict::OtherKinds(lines) => format!("other {}", lines[0].place()),
    }
}

#[test]
fn names_ports_patterns_and_what_they_do_not_mean() {
    let (one, two) = (ed25519(b"1"), ed25519(b"2"));
    let text = format!(
        "# comment\n\nn1,N2.Example,10.0.0.1 {one}[n3]:2222 {one}*.web,!old.web {one}h?st {one}",
        one = tail(&one)
    );
    let known = known(&text);
    for (host, port, expected) in [
        ("n1", 22, "known"),
        ("n2.example", 22, "known"),
        ("N1", 22, "known"),
        ("10.0.0.1", 22, "known"),
        ("n1", 2200, "known"), // without a line for the port, that of the host holds
        ("n3", 2222, "known"),
        ("n3", 22, "new"),
        ("n3", 2223, "new"),
        ("a.web", 22, "known"),
        ("old.web", 22, "new"),
        ("web", 22, "new"),
        ("host", 22, "known"),
        ("hoost", 22, "new"),
        ("n", 22, "new"),
    ] {
        assert_eq!(said(&known, host, port, &one), expected, "{host}:{port}");
    }
    assert_eq!(said(&known, "n1", 22, &two), "changed /k:3");
    assert_eq!(said(&known, "n3", 2222, &two), "changed /k:4");
    assert_eq!(said(&known, "n1", 2200, &two), "new");
    assert!(known.remarks(&HostName::new("n1", 22)).is_empty());
}

/// As `ssh-keygen -H` writes them.
#[test]
fn hashed_names() {
    let key = ed25519(b"1");
    let hashed = |name: &str| {
        let mac = Hmac::<sha1::Sha1>::new_from_slice(b"salt of twenty bytes").expect("any length");
        let hash = mac.chain_update(name).finalize().into_bytes();
        format!("|1|{}|{} ", STANDARD.encode(b"salt of twenty bytes"), STANDARD.encode(hash))
    };
    let text = hashed("n1") + &tail(&key) + &hashed("[n2]:2222") + &tail(&key);
    let known = known(&text);
    assert_eq!(said(&known, "n1", 22, &key), "known");
    assert_eq!(said(&known, "n2", 2222, &key), "known");
    assert_eq!(said(&known, "n2", 22, &key), "new");
    assert_eq!(said(&known, "n1", 22, &ed25519(b"2")), "changed /k:1");
}

#[test]
fn other_kinds_are_no_change_and_one_right_line_is_enough() {
    let (ed, rsa) = (ed25519(b"1"), key("ssh-rsa", b"1"));
    let text = format!("n1 {}n1 {}n2 {}", tail(&ed25519(b"old")), tail(&ed), tail(&rsa));
    let known = known(&text);
    assert_eq!(said(&known, "n1", 22, &ed), "known");
    assert_eq!(said(&known, "n1", 22, &rsa), "other /k:1");
    assert_eq!(said(&known, "n2", 22, &ed), "other /k:3");
    assert_eq!(known.kinds(&HostName::new("n2", 22)), ["ssh-rsa"]);
    assert_eq!(known.kinds(&HostName::new("n2", 2222)), ["ssh-rsa"]);
    assert!(known.kinds(&HostName::new("n3", 22)).is_empty());
}

#[test]
fn a_revoked_key_is_revoked_even_where_it_is_known() {
    let (one, two) = (ed25519(b"1"), ed25519(b"2"));
    let known =
        known(&format!("n1 {one}@revoked * {one}n1 {two}", one = tail(&one), two = tail(&two)));
    assert_eq!(said(&known, "n1", 22, &one), "revoked /k:2");
    assert_eq!(said(&known, "n7", 2222, &one), "revoked /k:2");
    assert_eq!(said(&known, "n1", 22, &two), "known");
}

#[test]
fn what_cannot_be_read_is_left_out_and_remarked() {
    let key = ed25519(b"1");
    let text = format!(
        "n1\nn1 ssh-ed25519\nn1 ssh-rsa {base}\nn1 ssh-ed25519 ***\n|1|x ssh-ed25519 {base}\n\
         |2|a|b ssh-ed25519 {base}\n@what n1 ssh-ed25519 {base}\n@cert-authority n1 {tail}n9 {tail}",
        base = STANDARD.encode(&key),
        tail = tail(&key)
    );
    let known = known(&text);
    assert_eq!(said(&known, "n1", 22, &key), "new");
    assert_eq!(said(&known, "n9", 22, &key), "known");
    let remarks = known.remarks(&HostName::new("n1", 22));
    assert_eq!(remarks.len(), 8, "{remarks:?}");
    assert!(remarks[7].starts_with("/k:8: certificates"), "{remarks:?}");
    assert_eq!(known.remarks(&HostName::new("n2", 22)).len(), 7);
}

#[test]
fn patterns() {
    for (pattern, text, fits) in [
        ("*", "", true),
        ("a*b*c", "aXXbYYc", true),
        ("a*b*c", "aXXbYY", false),
        ("*.*.*", "a.b", false),
        ("?", "", false),
        ("**a", "bba", true),
        ("", "a", false),
    ] {
        assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
    }
    // No exponential time.
    assert!(!matches("*a".repeat(30).as_bytes(), "a".repeat(29).as_bytes()));
}

/// What `ssh-keygen -l` says of the same key.
#[test]
fn fingerprints() {
    let line = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    let key = STANDARD.decode(line).expect("base64");
    assert_eq!(kind(&key), Some("ssh-ed25519"));
    assert_eq!(fingerprint(&key), "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
}
