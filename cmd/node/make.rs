//! `kvs node make`: a node's directory on its own host, for whoever sets nodes up from elsewhere.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use kvs::error::{Error, operand};
use kvs::node_dir::{Made, Provision, create_node_dir, identity};
use kvs::ring::NodeId;
use serde_json::json;

use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::ui::Ui;

/// The longest text of a provision; that of the largest ring is a small part of it.
const BIRTH_BYTES_MAX: u64 = 16 << 20;

/// Make a node's directory from a description on stdin
///
/// For `kvs push` and other deployment tools; to set up a ring by hand use `kvs init` and `kvs
/// join`. With --identity it prints the public key of the future node; the secret key is made
/// beside DIR and never leaves its host. Without it, DIR appears whole or not at all. Both can be
/// repeated; a DIR that belongs to anything else is refused (10) and left as it is.
///
/// Example: ssh host kvs node make /var/lib/kvs/n1 --identity
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Print the node's public key, and make the key if there is none
    #[arg(long)]
    identity: bool,
}

pub(crate) fn run(ui: &mut Ui, _common: &Common, args: &Args) -> Outcome {
    let shown = args.dir.display();
    if args.identity {
        return tell(ui, &identity(&args.dir)?);
    }
    match create_node_dir(&args.dir, &Provision::parse(&read_provision()?)?)? {
        Made::New => {
            ui.note(&format!("made {shown}; next: kvs node run {}", operand(&args.dir)));
        }
        Made::Already => ui.note(&format!("{shown} already is this node; nothing was changed")),
    }
    Ok(Done::Yes)
}

fn tell(ui: &mut Ui, public: &[u8; 32]) -> Outcome {
    let key: String = public.iter().map(|byte| format!("{byte:02x}")).collect();
    if ui.is_json() {
        let id = NodeId::of_key(public).to_string();
        ui.json(&json!({"schema": "kvs.identity/1", "public_key": key, "id": id}))?;
    } else {
        ui.line(&key)?;
    }
    Ok(Done::Yes)
}

fn read_provision() -> Result<String, Error> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return Err(Error::Usage(
            "The node's description is read from stdin, not typed; nothing was made.".into(),
        )
        .hint("kvs init makes a ring, kvs join a member; kvs push makes both on other hosts"));
    }
    let mut text = String::new();
    let read = input.lock().take(BIRTH_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(Error::io("read", Path::new("stdin")))?;
    if text.len() as u64 > BIRTH_BYTES_MAX {
        return Err(Error::Usage(
            "The node's description is over 16 MiB; nothing was made.".into(),
        ));
    }
    Ok(text)
}
