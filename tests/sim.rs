//! The simulator.
#[path = "support/world.rs"]
mod world;
use world::*;

#[test]
fn smoke() {
    let mut w = World::new(7, &[("n1", "a"), ("n2", "b"), ("n3", "c"), ("n4", "d")], 3, 8);
    assert_eq!(format!("{:?}", w.put(0, "k", "v").verdict), "Done");
    assert_eq!(format!("{:?}", w.put(1, "k", "w").verdict), "Done");
    assert!(w.settle());
    assert_eq!(w.got(2, "k", strict()), Ok(vec!["w".into()]));
    let o = w.owners("k");
    w.crash(o[0], false);
    assert_eq!(format!("{:?}", w.put(o[1], "k", "x").verdict), "Done");
    w.restart(o[0]);
    w.run_for(5000);
    assert_eq!(w.deliver_all(), 0);
    assert_eq!(w.values(o[0], "k"), ["x"]);
    let (h, m) = w.new_host("n5", "e", 1);
    w.change(0, &[kvs::ring::Change::Join(m)]).unwrap();
    w.advance(0).unwrap();
    assert!(w.settle());
    assert_eq!(w.repair_all().1, 0);
    assert_eq!(w.repair_all(), (0, 0));
    let n = w.replace(0, o[1]).unwrap();
    w.advance(0).unwrap();
    assert!(w.settle());
    assert_eq!(w.got(n, "k", strict()), Ok(vec!["x".into()]));
    w.rot(o[0], "k");
    w.get(o[0], "k", options());
    w.settle();
    assert_eq!(w.repair_all().1, 0);
    assert_eq!(w.values(o[0], "k"), ["x"]);
    assert_eq!(w.wrong, Vec::<String>::new());
    let _ = h;
}
