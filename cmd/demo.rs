//! `kvs demo`: a session on the user's own screen. Each line shown is the line that is run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args as ClapArgs, Parser};
use kvs::clock::token;
use kvs::cluster::{Access, Cluster, Opening};
use kvs::error::{Error, word};
use kvs::key::Key;
use kvs::quorum::Options;

use crate::cli::Cli;
use crate::common::Common;
use crate::exit::{self, Done, Fail, Outcome};
use crate::render::record;
use crate::ui::Ui;

/// Show a ring at work, from a first write to a repaired conflict
///
/// Makes a ring of three nodes in a temporary directory and runs real commands on it: a quorum, a
/// node that is cut off, two concurrent writers, their clocks, digests that differ, the repair. It
/// takes about a second and leaves nothing behind, unless --keep names a directory. Lines after a $
/// are the commands that are run; to type your own, keep the ring.
///
/// Example: kvs demo --keep /tmp/kvs-demo
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Work in this new directory and keep it
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// One step of the session.
enum Scene {
    /// What is going on.
    Say(&'static str),
    /// The words of a command, and the code it is to end with; CONTEXT stands for what was read.
    Run(u8, &'static str),
    /// Takes the context of `cart` that the line before printed.
    Read,
}

use Scene::{Read, Run, Say};

/// The session. A word in quotes is one word, as in a shell.
const SESSION: &[Scene] = &[
    Say("A ring of three nodes. A node is a directory; no server is running."),
    Run(0, "init r --partitions 64"),
    Say("Every key has three copies. A write waits for two of them, and so does a read."),
    Run(0, "--ring r put cart apples"),
    Run(0, "--ring r get cart"),
    Say("Two people read the cart. Its context records what they have seen."),
    Run(0, "--ring r get cart --show-context"),
    Read,
    Say("Now n3 is cut off. The first person can reach n1 and n2: two of three copies."),
    Run(0, "--ring r --down n3 put cart 'apples, pears' --context CONTEXT"),
    Say("The second can reach only n3, and lowers W: one copy is enough."),
    Run(0, "--ring r --down n1,n2 put cart 'apples, milk' -w 1 --context CONTEXT"),
    Say("The cut is over. Neither write included the other: their clocks are concurrent."),
    Run(1, "--ring r clock cart"),
    Say("The digests of n1 and n3 differ; diff names the keys, and how they differ."),
    Run(0, "digest r/n1 r/n3"),
    Run(1, "diff r/n1 r/n3"),
    Say("A repair makes all copies equal. It discards no value."),
    Run(0, "--ring r repair"),
    Run(0, "digest r/n1 r/n3"),
    Say("Two values conflict: exit code 3. No wall clock picks a winner."),
    Run(3, "--ring r get cart"),
    Run(0, "--ring r get cart --all"),
    Say("A person decides (kvs edit cart), and writes with the context of both values."),
    Run(0, "--ring r get cart --show-context"),
    Read,
    Run(0, "--ring r put cart 'apples, pears, milk' --context CONTEXT"),
    Run(0, "--ring r get cart"),
];

pub(crate) fn run(ui: &mut Ui, _common: &Common, args: &Args) -> Outcome {
    let temporary = match &args.keep {
        Some(dir) => {
            std::fs::create_dir(dir).map_err(Error::io("make", dir))?;
            None
        }
        None => {
            let made = tempfile::Builder::new().prefix("kvs-demo-").tempdir();
            Some(made.map_err(nowhere)?)
        }
    };
    let dir = match (&temporary, &args.keep) {
        (Some(temporary), _) => temporary.path(),
        (None, keep) => keep.as_deref().unwrap_or(Path::new(".")),
    };
    let home = std::env::current_dir().map_err(Error::io("find", Path::new(".")))?;
    enter(dir)?;
    let played = play(ui, dir);
    enter(&home)?;
    played?;
    let dir = dir.display();
    match temporary {
        None => ui.line(&format!(
            "\n# The files are in {dir}/r: kvs --ring {}/r status",
            word(dir.to_string())
        ))?,
        Some(_) => ui.line(&format!(
            "\n# The files in {dir}/r were removed; to keep them: kvs demo --keep DIR"
        ))?,
    }
    Ok(Done::Yes)
}

/// There can be no directory where temporary ones are.
fn nowhere(error: std::io::Error) -> Error {
    Error::io("make a directory in", &std::env::temp_dir())(error).hint(
        "name a directory for temporary files: TMPDIR=/tmp kvs demo; or a new one: kvs demo \
         --keep DIR",
    )
}

fn enter(dir: &Path) -> Result<(), Error> {
    std::env::set_current_dir(dir).map_err(Error::io("enter", dir))
}

fn play(ui: &mut Ui, dir: &Path) -> Result<(), Fail> {
    ui.line(&format!("$ cd {}", dir.display()))?;
    let mut context = String::new();
    for scene in SESSION {
        match scene {
            Say(text) => ui.line(&format!("\n# {text}"))?,
            Read => context = read_context()?,
            Run(code, line) => command(ui, *code, &line.replace("CONTEXT", &context))?,
        }
    }
    Ok(())
}

/// Shows one command line and runs it.
fn command(ui: &mut Ui, expected: u8, line: &str) -> Result<(), Fail> {
    ui.line(&format!("$ kvs {line}"))?;
    ui.flush()?;
    let parsed = Cli::try_parse_from(words(line));
    let cli = parsed.map_err(|e| Error::Usage(format!("The demo has a broken line: {e}")))?;
    let mut inner = Ui::new(&cli.common);
    let ran = cli.run(&mut inner);
    let code = exit::code(&mut inner, Ok(ran));
    if expected != 0 {
        ui.line(&format!("[exit code {expected}]"))?;
    }
    if code.number() != expected {
        let text = format!(
            "`kvs {line}` ended with another exit code than expected; the demo stops here."
        );
        return Err(Error::Partial(text).into());
    }
    Ok(())
}

/// The words of a line, as a shell finds them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec!["kvs".to_owned()];
    for (i, part) in line.split('\'').enumerate() {
        match i % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// What the `get --show-context` before has printed.
fn read_context() -> Result<String, Error> {
    let mut cluster = Cluster::open(&Opening {
        specs: vec!["r".into()],
        access: Access::Read,
        timeout: Duration::from_secs(5),
        down: Vec::new(),
        lost: None,
        key_file: None,
        mixed: false,
        zone: None,
        purpose: "kvs-demo".into(),
    })?;
    let key = Key::new("cart")?;
    let record = record(&key, &cluster.get(&key, &Options::default())?)?;
    Ok(token(cluster.doc().id.0, &key, &record.clock))
}
