//! The `kvs` binary: parse, run one command, turn how it ended into an exit code.

mod cli;
mod common;
mod exit;
mod ui;

mod clock;
mod completions;
mod config;
mod delete;
mod demo;
mod diff;
mod digest;
mod dump;
mod edit;
mod explain;
mod get;
mod hints;
mod init;
mod join;
mod leave;
mod load;
mod node;
mod push;
mod put;
mod render;
mod repair;
mod replace;
mod ring;
mod scale;
mod scan;
mod status;
mod transfers;
mod up;
mod verify;
mod wait;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "planted")]
    if let Some(ahead) = std::env::var_os("KVS_PLANTED_CLOCK_MS") {
        kvs::planted::set_clock(ahead.to_str().and_then(|ms| ms.parse().ok()).unwrap_or(0));
    }
    #[cfg(feature = "planted")]
    if let Some(highest) = std::env::var_os("KVS_PLANTED_WIRE") {
        kvs::planted::set_wire(highest.to_str().and_then(|n| n.parse().ok()).unwrap_or(1));
    }
    let args: Vec<_> = std::env::args_os().collect();
    let cli = match common::parse(&args) {
        Ok(cli) => cli,
        Err(told) => return explained(&told).into(),
    };
    let mut ui = ui::Ui::new(&cli.common);
    // A panic is a defect of kvs: it has its own code, and says so in one sentence.
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cli.run(&mut ui)));
    exit::code(&mut ui, ran).into()
}

/// Prints help or what is wrong with the arguments: help that cannot be written is no success.
fn explained(told: &clap::Error) -> exit::Code {
    let printed = told.print().and_then(|()| std::io::stdout().flush());
    match printed {
        _ if told.use_stderr() => exit::Code::Usage,
        Ok(()) => exit::Code::Done,
        Err(error) => exit::lost_output(&mut ui::Ui::plain(), &error),
    }
}
