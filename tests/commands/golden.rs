//! A transcript can fail: what `support::golden` takes, refuses and rewrites.

use crate::support::golden::{play, run, run_dir, without_ports};

/// Says back what it is told and how often it was called; `two` has an empty line.
fn echo() -> impl FnMut(&str) -> String {
    let mut calls = 0;
    move |command| {
        calls += 1;
        match command {
            "two" => "one\n\nthree\n".to_owned(),
            "quiet" => String::new(),
            _ => format!("{calls} {command}"),
        }
    }
}

#[test]
fn golden_right_answers_pass_and_stay_as_written() {
    for script in [
        "# p\n\na\nb\n----\n1 a\n2 b\n\n# c\nc\n----\n3 c\n",
        "# p\ntwo\n----\n> one\n>\n> three\n\na\n----\n2 a\n",
        "# p\nquiet\n----\n\na\n----\n2 a\n",
        "# p\na\n----\n1 a\n\n# the end\n",
    ] {
        let played = play(script, &mut echo());
        assert_eq!((played.text.as_str(), played.faults.as_slice()), (script, &[][..]));
    }
}

#[test]
fn golden_wrong_answers_fail_and_show_both() {
    let bad = "# p\na\n----\n1 b\n\nb\n----\n2 b\n\nquiet\n----\nloud\n\nend\n";
    let played = play(bad, &mut echo());
    let lines: Vec<_> = played.faults.iter().map(|f| f.split(':').next()).collect();
    assert_eq!(lines, [Some("2"), Some("10"), Some("14")], "{:?}", played.faults);
    assert!(played.faults[0].contains("---- expected\n1 b\n---- actual\n1 a\n"));
    let good = "# p\na\n----\n1 a\n\nb\n----\n2 b\n\nquiet\n----\n\nend\n----\n4 end\n";
    assert_eq!(played.text, good);
    assert!(play(good, &mut echo()).faults.is_empty());
}

#[test]
fn golden_files_are_read_in_order_and_rewritten_when_asked() {
    let dir = std::env::temp_dir().join(format!("kvs-golden-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("1.txt"), "# p\na\n----\n").unwrap();
    std::fs::write(dir.join("2.txt"), "a\n----\n1 a\n").unwrap();
    std::fs::write(dir.join("3.md"), "not a script").unwrap();
    let mut fresh = |text: &str| play(text, &mut echo());
    let before = run_dir(&dir, false, &mut fresh);
    let during = run_dir(&dir, true, &mut fresh);
    let rewritten = std::fs::read_to_string(dir.join("1.txt")).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!((before.len(), during.len()), (2, 1), "{before:?} {during:?}");
    assert!(before[0].contains("1.txt:2: ") && before[1].contains("2.txt:1: "));
    assert_eq!(rewritten, "# p\na\n----\n1 a\n");
}

#[test]
fn golden_ports_are_named_and_other_text_stays() {
    let text = "n1 127.0.0.1:23117, n2 127.0.0.1:7001 at 127.0.0.1:x and 10.0.0.1:80";
    let named = "n1 PORT, n2 127.0.0.1:7001 at 127.0.0.1:x and 10.0.0.1:80";
    assert_eq!(without_ports(text, "PORT"), named);
}

#[test]
#[should_panic(expected = "testdata/no-such-room")]
fn golden_a_room_without_files_is_a_failure() {
    run("no-such-room", echo);
}
