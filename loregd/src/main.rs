//! The daemon `loregd`.

use std::convert::Infallible;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use loregd::Error;
use loregd::arguments::{self, hive};
use loregd::check::check;
use loregd::connection::Connection;
use loregd::directory::Directory;
use loregd::restore::restore;
use loregd::server::Server;

/// The exit code of a check that found problems, or a restore that found no good copy; and of one that could
/// not be made.
const EXIT_PROBLEMS: u8 = 1;
const EXIT_NOT_DONE: u8 = 3;

/// A source of the registry: keeps hives in databases
#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where the hives are
    #[arg(long, value_name = "DIR", default_value_os_t = arguments::default_data())]
    data: PathBuf,
    /// A hive to serve, with the scope's GUID if it is private [default: Machine and Users]
    #[arg(long = "hive", value_name = "NAME[=SCOPE]", value_parser = hive)]
    hives: Vec<lcs_abi::rsi::ClaimedHive>,
    /// How many daily and requested copies of each hive to keep, in DIR/backup
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    keep_backups: u32,
    #[command(flatten)]
    daemon: lcs_daemon::Args,
}

#[derive(Subcommand)]
enum Command {
    /// Check the hives in a directory on which no loregd works
    ///
    /// Reads every file whole and changes none, and the copies too. Prints a line per problem, or, for a hive or
    /// a copy without one, how many keys, values and orphans it has; orphans are keys that no name leads to, and
    /// the next start of loregd drops them.
    ///
    /// Exit codes: 0 no problem, 1 problems, 2 usage, 3 not checked (a loregd works on the directory, or
    /// there is nothing that can be read).
    Check {
        /// Where the hives are
        #[arg(default_value_os_t = arguments::default_data())]
        directory: PathBuf,
    },
    /// Put a copy in the place of a hive, in a directory on which no loregd works
    ///
    /// The copy is checked first. What is there is set aside under a dated name, and never deleted.
    ///
    /// Exit codes: 0 done, 1 there is no such copy, or it is damaged, 2 usage, 3 not done (a loregd works on
    /// the directory, there is no such hive, or something can't be read or written).
    Restore {
        /// Where the hives are; copies are in DIRECTORY/backup
        directory: PathBuf,
        /// The hive's name, or that of its files
        hive: String,
        /// The copy's number, as `loregd check` shows it [default: the newest that is whole]
        copy: Option<u32>,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(command) = &args.command {
        let out = &mut BufWriter::new(io::stdout().lock());
        let done = match command {
            Command::Check { directory } => check(directory, out),
            Command::Restore { directory, hive, copy } => restore(directory, hive, *copy, out),
        };
        return match done {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => EXIT_PROBLEMS.into(),
            Err(error) => {
                eprintln!("loregd: {error}");
                EXIT_NOT_DONE.into()
            }
        };
    }
    lcs_daemon::run("loregd", &args.daemon, || {
        let Err(error) = serve(&args);
        if let Error::ToldToEnd = error {
            log::info!("{error}");
            return ExitCode::SUCCESS;
        }
        log::error!("{error}");
        // Also when it does not serve: init waits for this, and would for ever.
        lcs_daemon::ready();
        // No success: the supervisor is to start the next one.
        if error.is_usage() { lcs_daemon::EXIT_USAGE.into() } else { ExitCode::FAILURE }
    })
}

fn serve(args: &Args) -> Result<Infallible, Error> {
    survive_file_limits()?;
    let claim = arguments::claim(&args.hives);
    let mut connection = Connection::open(lcs_daemon::ready)?;
    lcs_daemon::supervise::when_told_to_end(connection.ender())?;
    lcs_daemon::namespace::enter_file_only()?;
    connection.claim(&claim)?;
    let directory = Directory::open(&args.data)?;
    let hives = claim.iter().map(|hive| directory.open_hive(hive)).collect::<Result<_, Error>>()?;
    let server = Server::start(connection, &claim, hives, args.keep_backups as usize)?;
    server.serve(|| {
        log::info!("serving {} hives in {}", claim.len(), args.data.display());
        lcs_daemon::ready();
    })
}

/// Makes a write beyond the limit for the size of files (RLIMIT_FSIZE) an error like that of a full disk, and
/// not the end of this process.
#[cfg(not(target_os = "redox"))]
fn survive_file_limits() -> Result<(), Error> {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    // That the signal comes is of no interest; only that it does not do what it does by default.
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false)))
        .map(drop)
        .map_err(|error| Error::System { what: "handler of SIGXFSZ", error })
}

/// Redox has no such limit.
#[cfg(target_os = "redox")]
fn survive_file_limits() -> Result<(), Error> {
    Ok(())
}
