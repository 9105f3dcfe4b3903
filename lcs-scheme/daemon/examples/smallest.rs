//! The smallest daemon: it says its process id on standard output when it serves, and serves nothing.
//!
//! The tests of supervision run it; it also shows how a daemon's `main` looks.

use std::process::ExitCode;
use std::thread;

use clap::Parser;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    daemon: lcs_daemon::Args,
    /// End with this code at once instead of serving
    #[arg(long, value_name = "CODE")]
    exit: Option<u8>,
    /// Panic instead of serving
    #[arg(long)]
    panic: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    lcs_daemon::run("smallest", &args.daemon, || serve(&args))
}

fn serve(args: &Args) -> ExitCode {
    if let Err(error) = lcs_daemon::namespace::enter_file_only() {
        log::error!("{error}");
        return ExitCode::FAILURE;
    }
    log::info!("started");
    log::debug!("with details");
    log::info!(target: lcs_daemon::logging::AUDIT, r#"{{"event":"started"}}"#);
    assert!(!args.panic, "asked to panic");
    lcs_daemon::ready();
    println!("{}", std::process::id());
    match args.exit {
        Some(code) => ExitCode::from(code),
        None => loop {
            thread::park();
        },
    }
}
