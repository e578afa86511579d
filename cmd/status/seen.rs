//! Who is up, as the running nodes see each other.
//!
//! ```text
//! n1 answers: n2 up, n3 down       n2 answers: n1 up, n3 up      ->  n3 is up for n2, not for n1
//! ```
//!
//! Of directories nobody sees anybody. A node's view of itself does not count.

use std::collections::BTreeMap;

use kvs::cluster::{Cluster, View};
use kvs::ring::NodeId;

/// Names of those that see a member up, and of those that see it down.
type Views = (Vec<String>, Vec<String>);

/// How the nodes see each other.
#[derive(Default)]
pub(crate) struct Seen(BTreeMap<NodeId, Views>);

impl Seen {
    /// Asks every node that answers.
    pub(crate) fn by_nodes(cluster: &mut Cluster) -> Self {
        let mut seen = Self::default();
        if !cluster.is_live() {
            return seen;
        }
        let doc = cluster.doc();
        for viewer in cluster.nodes() {
            // One that has just gone sees nobody.
            let news = cluster.news(viewer).unwrap_or_default();
            for one in news.into_iter().filter(|one| one.row.id != viewer) {
                let (up, down) = seen.0.entry(one.row.id).or_default();
                let list = if one.up { up } else { down };
                list.push(doc.name(viewer));
            }
        }
        seen
    }

    /// Who sees a member up, and who down.
    pub(crate) fn of(&self, id: NodeId) -> Views {
        self.0.get(&id).cloned().unwrap_or_default()
    }

    /// `up`, `down`, or `up?` where the nodes do not agree.
    pub(crate) fn word(&self, view: &View) -> &'static str {
        match (view.status.is_some(), self.disagreement(view).is_some()) {
            (_, true) => "up?",
            (true, false) => "up",
            (false, false) => "down",
        }
    }

    /// Who sees it otherwise than it was found, in a sentence.
    pub(crate) fn disagreement(&self, view: &View) -> Option<String> {
        let (up, down) = self.of(view.member.id);
        match &view.status {
            Some(_) if !down.is_empty() => {
                Some(format!("it answers here, but is down for {}", down.join(", ")))
            }
            None if !up.is_empty() && down.is_empty() => {
                Some(format!("it does not answer here, but is up for {}", up.join(", ")))
            }
            None if !up.is_empty() => {
                Some(format!("it is up for {} and down for {}", up.join(", "), down.join(", ")))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use kvs::node::Status;
    use kvs::ring::{Member, MemberState};
    use kvs::store::HintStats;

    use super::*;

    /// A member as it was found: answering, or not.
    pub(in crate::status) fn view(name: &str, answers: bool) -> View {
        let member = Member {
            id: NodeId(7),
            name: name.into(),
            zone: "default".into(),
            weight: 1,
            state: MemberState::Normal,
            public_key: [0; 32],
        };
        View {
            member,
            dir: None,
            address: None,
            status: answers.then(Status::default),
            bytes: 0,
            hints: HintStats::default(),
            lost: 0,
            info: None,
        }
    }

    fn seen(up: &[&str], down: &[&str]) -> Seen {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        Seen(BTreeMap::from([(NodeId(7), (names(up), names(down)))]))
    }

    #[test]
    fn who_disagrees_is_named() {
        let cases = [
            (true, seen(&["n1", "n2"], &[]), "up", None),
            (true, seen(&["n1"], &["n2"]), "up?", Some("it answers here, but is down for n2")),
            (false, seen(&[], &["n1", "n2"]), "down", None),
            (false, seen(&["n1"], &[]), "up?", Some("it does not answer here, but is up for n1")),
            (false, seen(&["n1"], &["n2"]), "up?", Some("it is up for n1 and down for n2")),
            (true, Seen::default(), "up", None),
            (false, Seen::default(), "down", None),
        ];
        for (answers, seen, word, told) in cases {
            let view = view("n3", answers);
            assert_eq!(seen.word(&view), word);
            assert_eq!(seen.disagreement(&view).as_deref(), told);
        }
    }
}
