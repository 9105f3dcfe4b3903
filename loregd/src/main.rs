//! The daemon `loregd`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use loregd::Error;
use loregd::arguments::{self, hive};
use loregd::connection::Connection;
use loregd::directory::Directory;
use loregd::server::Server;

/// A source of the registry: keeps hives in databases
#[derive(Parser)]
#[command(version, about)]
struct Args {
    /// Where the hives are
    #[arg(long, value_name = "DIR", default_value_os_t = arguments::default_data())]
    data: PathBuf,
    /// A hive to serve, with the scope's GUID if it is private [default: Machine and Users]
    #[arg(long = "hive", value_name = "NAME[=SCOPE]", value_parser = hive)]
    hives: Vec<lcs_abi::rsi::ClaimedHive>,
    #[command(flatten)]
    daemon: lcs_daemon::Args,
}

fn main() -> ExitCode {
    let args = Args::parse();
    lcs_daemon::run("loregd", &args.daemon, || {
        let Err(error) = serve(&args);
        log::error!("{error}");
        // Also when it does not serve: init waits for this, and would for ever.
        lcs_daemon::ready();
        // Never success: the supervisor is to start the next one.
        if error.is_usage() { lcs_daemon::EXIT_USAGE.into() } else { ExitCode::FAILURE }
    })
}

fn serve(args: &Args) -> Result<Infallible, Error> {
    let claim = arguments::claim(&args.hives);
    let mut connection = Connection::open(lcs_daemon::ready)?;
    lcs_daemon::namespace::enter_file_only()?;
    connection.claim(&claim)?;
    let directory = Directory::open(&args.data)?;
    let hives = claim.iter().map(|hive| directory.open_hive(hive)).collect::<Result<_, Error>>()?;
    let server = Server::start(connection, &claim, hives)?;
    server.serve(|| {
        log::info!("serving {} hives in {}", claim.len(), args.data.display());
        lcs_daemon::ready();
    })
}
