//! `kvs completions`: completions for shells, and the man pages, from the flags themselves.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use kvs::error::Error;
use kvs::os;

use crate::cli::Cli;
use crate::common::Common;
use crate::exit::{Code, Done, Outcome};
use crate::ui::Ui;

/// Print completions for a shell
///
/// They match the options of this build.
///
/// Example: d=~/.local/share/bash-completion/completions; mkdir -p $d && kvs completions bash > $d/kvs
#[derive(Debug, ClapArgs)]
#[command(override_usage = "kvs completions [OPTIONS] <SHELL>")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_name = "SHELL", required_unless_present = "man")]
    shell: Option<Shell>,
    /// Write the man pages into this directory instead
    #[arg(long, value_name = "DIR", hide = true, conflicts_with = "shell")]
    man: Option<PathBuf>,
}

/// What kvs reads from the environment, for kvs(1).
const ENVIRONMENT: &[(&str, &str)] = &[
    ("KVS_RING", "The ring, unless --ring is given."),
    ("KVS_KEY_FILE", "The ring's key file, unless --key-file is given."),
    ("KVS_LOG", "What kvs node run and kvs up log, unless --log is given."),
    (
        "TMPDIR",
        "The directory for temporary files: the ring of demo, the editor's file of edit, the \
         sorted \
         lines of load. Default: /tmp.",
    ),
    ("VISUAL, EDITOR", "The editor of kvs edit: the first of them that is set, otherwise vi."),
    ("NO_COLOR", "When set, no colour unless --color asks for it."),
    (
        "XDG_STATE_HOME, HOME",
        "Where push keeps its logs, and scale its last decision. Default: ~/.local/state. SSH \
         looks \
         for keys and known hosts in ~/.ssh.",
    ),
    ("USER, LOGNAME", "The login name on hosts for which the inventory sets no user."),
];

/// A first session, for kvs(1).
const EXAMPLES: &[(&str, &str)] = &[
    ("kvs demo", "Shows a ring of three nodes, a conflict and its repair."),
    ("kvs init r", "Makes a ring of three node directories."),
    ("kvs --ring r put cart '3 apples'", "Writes a value to a majority of its owners."),
    ("kvs --ring r get cart", "Reads it from a majority."),
    ("kvs --ring r edit cart -- sort -u", "Reads, changes and writes the value; merges siblings."),
    ("kvs diff r/n1 r/n2", "Compares two nodes' files, with a causal verdict for each key."),
    ("kvs --ring r repair", "Brings all copies to the same state."),
];

pub(crate) fn run(ui: &mut Ui, _common: &Common, args: &Args) -> Outcome {
    let mut command = Cli::command();
    if let Some(shell) = args.shell {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, "kvs", &mut script);
        ui.bytes(&script)?;
        return Ok(Done::Yes);
    }
    if let Some(dir) = &args.man {
        std::fs::create_dir_all(dir).map_err(Error::io("make", dir))?;
        let mut command = command.disable_help_subcommand(true);
        command.build();
        pages(&command, "kvs", dir)?;
    }
    Ok(Done::Yes)
}

/// Writes the page of a command and of each below it.
fn pages(command: &Command, name: &str, dir: &Path) -> Result<(), Error> {
    let path = dir.join(format!("{name}.1"));
    let mut page = Vec::new();
    let rendered = Man::new(command.clone()).manual("kvs").render(&mut page);
    rendered.map_err(Error::io("write", &path))?;
    if name == "kvs" {
        let codes = Code::ALL.map(|code| (code.number().to_string(), code.meaning()));
        let sections = [
            section("EXIT STATUS", &codes),
            section("ENVIRONMENT", ENVIRONMENT),
            section("EXAMPLES", EXAMPLES),
        ];
        sections.iter().for_each(|s| page.extend(s.to_roff().into_bytes()));
    }
    os::replace_file(&path, &page, os::EntryKind::Named)?;
    for sub in command.get_subcommands().filter(|s| !s.is_hide_set()) {
        pages(sub, &format!("{name}-{}", sub.get_name()), dir)?;
    }
    Ok(())
}

/// A section of terms and their meanings.
fn section(title: &str, rows: &[(impl AsRef<str>, &str)]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    for (term, meaning) in rows {
        roff.control("TP", []);
        roff.text([bold(term.as_ref())]);
        roff.text([roman(*meaning)]);
    }
    roff
}
