//! The manual page of the inventory, beside what is read.

use super::*;

/// The manual page of the inventory.
const PAGE: &str = include_str!("../../../../man/kvs-fleet.5");

/// The inventory in the section or example of the page with this title.
fn of_page(title: &str) -> String {
    let (_, rest) = PAGE.split_once(&format!("{title}\n.nf\n")).expect(title);
    let (text, _) = rest.split_once("\n.fi").unwrap();
    text.replace("\\-", "-")
}

#[test]
fn the_page_names_every_field_and_no_other() {
    let fields = |text: &str| {
        let said = refused(text);
        let (_, list) = said.split_once("expected one of ").unwrap();
        let (list, _) = list.split_once(" at line").unwrap_or((list, ""));
        let list = list.split(", ").map(|name| name.trim_matches(['`', '.', ' ']).to_owned());
        list.map(|name| name.split('`').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let tops = ["", "defaults: ", "rollout: ", "scale: ", "defaults: {ssh: "];
    let mut all = vec![];
    for top in tops {
        let close = if top.contains('{') { "}" } else { "" };
        let section = if top.is_empty() { "x: 1".into() } else { format!("{top}{{x: 1}}{close}") };
        all.extend(fields(&one(&section, "")));
    }
    all.extend(fields(&one("", ", x: 1")));
    let (_, section) = PAGE.split_once(".SH FIELDS\n").unwrap();
    let (section, _) = section.split_once(".SH SECRETS\n").unwrap();
    let marks = [".TP\n.I ", ".TP\n.IR "];
    let mut named: Vec<_> = marks
        .iter()
        .flat_map(|mark| section.split(mark).skip(1))
        .flat_map(|rest| rest.lines().next().unwrap().split(['"', ',', ' ']))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    // Those that are titles of subsections.
    named.extend(["defaults", "rollout", "scale"].map(str::to_owned));
    for list in [&mut all, &mut named] {
        list.sort();
        list.dedup();
    }
    assert_eq!(all, named);
}

#[test]
fn the_pages_inventories_can_be_read() {
    let any = |name: &str| Ok(vec![name.parse().unwrap_or(IpAddr::from([10, 9, 9, 9]))]);
    let read = |text: &str| {
        let fleet = Fleet::parse(text, "page", Path::new("/inv"), &me(), &any);
        fleet.unwrap_or_else(|e| panic!("{e}\n{text}"))
    };
    assert_eq!(read(&of_page(".SH SYNOPSIS")).spares.len(), 1);
    for title in ["Behind NAT", "Without root, on one machine"] {
        assert_eq!(read(&format!("ring: r\n{}", of_page(title))).hosts.len(), 2);
    }
    let other = read(&format!("ring: r\nhosts:\n{}", of_page("Hosts of another architecture")));
    assert_eq!(other.hosts[0].binary, Some("/inv/build/aarch64/kvs".into()));

    let bare = "ring: prod\nscale: {disk: 80%}\nhosts: [{name: n1, address: 10.0.0.11},
        {name: n2, address: 10.0.0.12}, {name: n3, address: 10.0.0.13}]";
    let [mut said, mut meant] =
        [of_page("All defaults, written out"), bare.into()].map(|t| read(&t));
    for host in said.hosts.iter_mut().chain(&mut meant.hosts) {
        // Only those that are there.
        host.ssh.keys.clear();
    }
    assert_eq!(format!("{said:#?}"), format!("{meant:#?}"));
}
