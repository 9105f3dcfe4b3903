//! The daemon `lcs-scheme`.

use std::process::ExitCode;

use clap::Parser;

/// The registry's authority: serves the schemes reg: and regsrc:
#[derive(Parser)]
#[command(version, about)]
struct Args {
    #[command(flatten)]
    daemon: lcs_daemon::Args,
}

fn main() -> ExitCode {
    let args = Args::parse();
    lcs_daemon::run("lcs-scheme", &args.daemon, || {
        match lcs_scheme::start::start().and_then(|mut daemon| daemon.serve()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                log::error!("{error}");
                ExitCode::FAILURE
            }
        }
    })
}
