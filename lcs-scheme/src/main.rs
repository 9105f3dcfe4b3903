//! The daemon `lcs-scheme`.

use std::process::ExitCode;

use clap::Parser;

/// The registry's authority: serves the schemes reg: and regsrc:
#[derive(Parser)]
#[command(version, about)]
struct Args {
    #[command(flatten)]
    daemon: lcs_daemon::Args,
    /// The group whose members are administrators of the registry
    #[arg(long, value_name = "NAME", default_value = "sudo")]
    admin_group: String,
}

fn main() -> ExitCode {
    let args = Args::parse();
    lcs_daemon::run("lcs-scheme", &args.daemon, || {
        let daemon = lcs_scheme::start::start(&args.admin_group);
        match daemon.and_then(|mut daemon| daemon.serve()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                log::error!("{error}");
                ExitCode::FAILURE
            }
        }
    })
}
