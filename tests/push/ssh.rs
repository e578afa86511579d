//! One connection to a real sshd.
//!
//! ```text
//! known    is it the host?               login   who is let in
//! work     scripts, and what is held     files   uploads; hosts that stand still, links that are cut
//! ```

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kvs::error::{Error, Result};
use kvs::push::{Become, Output, PushEvent, Script, Shell, Ssh, SshAccess, SshRules, Watch};

use crate::support::sshd::Sshd;

mod files;
mod known;
pub(crate) mod login;
mod work;

const PATIENCE: Duration = Duration::from_secs(20);

/// Hears everything.
#[derive(Default)]
struct Ear {
    heard: Mutex<Vec<PushEvent>>,
    stops: AtomicBool,
}

impl Watch for Ear {
    fn note(&self, _: &str, event: &PushEvent) {
        self.heard.lock().expect("nobody panics with it").push(event.clone());
    }
    fn stops(&self) -> bool {
        self.stops.load(Ordering::Relaxed)
    }
}

impl Ear {
    fn warnings(&self) -> Vec<String> {
        let heard = self.heard.lock().expect("nobody panics with it");
        let warning = |event: &PushEvent| match event {
            PushEvent::Warning(what) => Some(what.clone()),
            _ => None,
        };
        heard.iter().filter_map(warning).collect()
    }

    fn bytes(&self) -> Vec<(u64, u64)> {
        let heard = self.heard.lock().expect("nobody panics with it");
        let bytes = |event: &PushEvent| match event {
            PushEvent::Bytes(done, all) => Some((*done, *all)),
            _ => None,
        };
        heard.iter().filter_map(bytes).collect()
    }
}

fn connect_by(sshd: &Sshd, rules: &SshRules, become_root: Become, ear: &Ear) -> Result<Ssh> {
    let address = sshd.at.ip().to_string();
    Ssh::connect(&SshAccess { host: "n1", address: &address, rules, become_root }, ear)
}

fn connect(sshd: &Sshd, rules: &SshRules) -> Result<Ssh> {
    connect_by(sshd, rules, Become::None, &Ear::default())
}

/// A host that is known, and a connection to it.
fn connected() -> Option<(Sshd, Ssh)> {
    let sshd = Sshd::local()?;
    sshd.be_known();
    let ssh = connect(&sshd, &sshd.rules()).unwrap_or_else(|e| panic!("{e}\n{}", sshd.log()));
    Some((sshd, ssh))
}

fn script(body: &str, args: &[&str]) -> Script {
    Script { body: body.into(), args: args.iter().map(|&arg| arg.into()).collect() }
}

fn run(ssh: &mut Ssh, body: &str) -> Output {
    ssh.run(&script(body, &[]), PATIENCE).unwrap_or_else(|e| panic!("{body}: {e}"))
}

/// The words of a refusal, which names the host.
#[track_caller]
fn denied<T>(result: Result<T>) -> String {
    let error = result.err().expect("a refusal");
    assert!(matches!(error.root(), Error::Denied(_)), "{error:?}");
    said(&error)
}

#[track_caller]
fn said(error: &Error) -> String {
    let text = match error {
        Error::Hinted { error, hint } => format!("{error} -> {hint}"),
        error => error.to_string(),
    };
    assert!(text.contains("n1"), "{text}");
    text
}

#[track_caller]
fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}
