//! Files that are replaced, read and refused, as they lie in a directory.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::*;
use crate::error::Error;

#[test]
fn a_file_keeps_its_mode_and_a_link_stays_one() {
    let place = tempfile::tempdir().unwrap();
    let (file, link) = (place.path().join("file"), place.path().join("link"));
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    symlink("file", &link).unwrap();
    replace_file(&link, b"new", EntryKind::Named).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"new");
    assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o640);
    assert!(link.is_symlink());
    replace_file(&link, b"own", EntryKind::Own(0o600)).unwrap();
    assert!(link.is_symlink());
    assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
    fs::remove_file(&file).unwrap();
    replace_file(&link, b"made", EntryKind::Named).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"made");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
}

#[test]
fn in_a_directory_of_a_node_a_link_is_replaced_and_what_it_names_is_not() {
    let place = tempfile::tempdir().unwrap();
    let (file, link) = (place.path().join("file"), place.path().join("link"));
    fs::write(&file, "old").unwrap();
    for to in ["file", "nowhere"] {
        symlink(to, &link).unwrap();
        replace_file(&link, b"new", EntryKind::OfNode(0o644)).unwrap();
        assert!(!link.is_symlink() && fs::read(&link).unwrap() == b"new");
        fs::remove_file(&link).unwrap();
    }
    assert_eq!(fs::read(&file).unwrap(), b"old");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn a_small_file_is_a_file_and_small() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::write(at("file"), "1234").unwrap();
    fs::create_dir(at("dir")).unwrap();
    symlink("file", at("link")).unwrap();
    symlink("gone", at("loose")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), rustix::fs::Mode::RUSR).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    assert_eq!(read_small(&at("link"), 4).unwrap(), b"1234");
    let refused = |path: &Path| read_small(path, 3).unwrap_err().to_string();
    assert!(refused(&at("file")).contains("longer than 3 bytes"));
    for (name, what) in [("dir", "a directory"), ("fifo", "a FIFO"), ("socket", "a socket")] {
        assert!(refused(&at(name)).contains(what), "{}", refused(&at(name)));
    }
    assert!(refused(&at("loose")).contains("leads nowhere"), "{}", refused(&at("loose")));
    assert!(refused(Path::new("/dev/zero")).contains("a device"));
    assert!(matches!(read_small(&at("none"), 3), Err(Error::Io { .. })));
}

#[test]
fn what_cannot_be_replaced_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let (there, link) = (place.path().join("there"), place.path().join("loop"));
    fs::write(&there, "old").unwrap();
    let mut new = NewFile::begin(&there, EntryKind::Own(0o600)).unwrap();
    new.write_all(b"new").unwrap();
    assert!(matches!(new.keep_new(), Err(Error::Denied(_))));
    assert_eq!(fs::read(&there).unwrap(), b"old");
    symlink("loop", &link).unwrap();
    for path in [place.path(), &link, &there.join("below"), &place.path().join("no/file")] {
        assert!(matches!(replace_file(path, b"", EntryKind::Named), Err(Error::Io { .. })));
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
}

#[test]
fn a_device_is_written_into() {
    let mut null = OutputFile::open(Path::new("/dev/null")).unwrap();
    null.write_all(b"gone").unwrap();
    assert!(matches!(null, OutputFile::Direct(_)));
    null.finish().unwrap();
    assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
}
