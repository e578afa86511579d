//! Clients in a host: started, stopped, and what they were told.
//!
//! ```text
//! Load::start(net, 7, plan) ── asks and logs ── stop() ──> every operation
//! last(net, 7, plan)        ── reads every key, strictly ──> what each shows
//! ```
//!
//! They are processes beside the test (see `task`) and end with it.

use std::collections::BTreeMap;
use std::fs;
use std::process::Child;
use std::time::Duration;

use super::load::Plan;
use super::log::{self, Op};
use super::net::Net;
use super::shell::ended;
use super::task::{self, Task};

/// They end by then when they are told to.
const ENDS: Duration = Duration::from_secs(120);

/// Clients at work.
pub(crate) struct Load {
    child: Option<Child>,
    plan: Plan,
}

impl Load {
    pub(crate) fn start(net: &Net, host: usize, plan: Plan) -> Self {
        let child = task::start(net, host, &Task::Load(plan.clone()));
        Self { child: Some(child), plan }
    }

    /// Whether they have begun: their log has something in it.
    pub(crate) fn has_begun(&self) -> Result<(), String> {
        let size = fs::metadata(&self.plan.log).map_or(0, |m| m.len());
        if size > 0 { Ok(()) } else { Err("nothing in their log".into()) }
    }

    /// Has them end what they are at; all they were told.
    pub(crate) fn stop(mut self) -> Vec<Op> {
        let mut child = self.child.take().expect("it is stopped once");
        drop(child.stdin.take());
        let told = ended("the clients".into(), child, ENDS);
        assert_eq!(told.code, 0, "{}\n{}", told.text(), told.err);
        log::read(&self.plan.log)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// What every key of a plan shows now, to a strict read.
pub(crate) fn last(net: &Net, host: usize, plan: &Plan) -> Vec<Op> {
    let child = task::start(net, host, &Task::Last(plan.clone()));
    let told = ended("the last reads".into(), child, ENDS);
    assert_eq!(told.code, 0, "{}\n{}", told.text(), told.err);
    let mut last: BTreeMap<String, Op> = BTreeMap::new();
    // A read that was refused is asked again: what came last counts.
    last.extend(log::read(&plan.log).into_iter().map(|op| (op.key.clone(), op)));
    last.into_values().collect()
}
