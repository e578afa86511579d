//! What a push takes from the environment: who reads the inventory, where its audit goes.

use std::env;
use std::path::{Path, PathBuf};

use kvs::error::Error;
use kvs::push::{Audit, Me};

use crate::ui::Ui;

/// Who runs this.
pub(crate) fn me() -> Me {
    let word = |name| env::var_os(name)?.into_string().ok().filter(|word| !word.is_empty());
    Me { user: word("USER").or_else(|| word("LOGNAME")), home: place("HOME") }
}

/// This program as it was typed.
pub(crate) fn typed() -> String {
    let typed = env::args_os().next().map(|word| word.to_string_lossy().into_owned());
    typed.unwrap_or_else(|| "kvs".into())
}

/// This program, which is what hosts get unless the inventory names another.
pub(crate) fn program() -> Result<PathBuf, Error> {
    let path = env::current_exe().map_err(Error::io("find", Path::new("this program")))?;
    // One that was replaced meanwhile is still there by this name.
    Ok(if path.exists() { path } else { "/proc/self/exe".into() })
}

/// Who works on a host, for whoever meets the lock.
pub(crate) fn name(me: &Me) -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let user = me.user.as_deref().unwrap_or("somebody");
    format!("{user}@{} (process {})", machine.trim(), std::process::id())
}

/// Begins the audit of a run. Without one the run goes on, and that is said.
pub(crate) fn audit(ui: &mut Ui, me: &Me, ring: &str, command: &str) -> Option<Audit> {
    let Some(state) = state(me) else {
        ui.warn("no audit is kept: neither XDG_STATE_HOME nor HOME is set");
        return None;
    };
    let by = me.user.as_deref().unwrap_or("somebody");
    match Audit::begin(&state, ring, &format!("{command}, by {by}")) {
        Ok(audit) => Some(audit),
        Err(error) => {
            ui.warn(&format!("no audit is kept: {error}"));
            None
        }
    }
}

/// Where a run leaves what the next one, or a person, wants to know.
pub(crate) fn state(me: &Me) -> Option<PathBuf> {
    let own = me.home.as_ref().map(|home| home.join(".local/state"));
    Some(place("XDG_STATE_HOME").or(own)?.join("kvs"))
}

/// An absolute path of the environment.
fn place(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}
