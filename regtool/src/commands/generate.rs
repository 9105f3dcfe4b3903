//! `completions` and `manpages`: both from the definitions in [`crate::cli`].

use std::fs;
use std::io;
use std::path::Path as FilePath;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::cli::{Cli, Completions, Manpages};
use crate::complete::shells::{answer, script};
use crate::exit::Failure;
use crate::output::Out;

pub fn completions(options: &Completions) -> Result<(), Failure> {
    let mut out = Out::stdout();
    match options.words.as_slice() {
        [] => out.text(script(options.shell))?,
        words => out.text(&answer(options.shell, words))?,
    }
    out.finish()
}

pub fn manpages(options: &Manpages) -> Result<(), Failure> {
    let directory = &options.directory;
    let pages = |mut command: clap::Command| {
        // Only then it knows the names of its subcommands.
        command.build();
        write_pages(&command, directory)
    };
    fs::create_dir_all(directory)
        .and_then(|()| pages(Cli::command()))
        .and_then(|()| pages(regman::command()))
        .map_err(|error| Failure::File { name: directory.display().to_string(), error })
}

fn write_pages(command: &clap::Command, directory: &FilePath) -> io::Result<()> {
    for subcommand in command.get_subcommands() {
        write_pages(subcommand, directory)?;
    }
    let man = Man::new(command.clone()).source(concat!("registry ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render(&mut page)?;
    fs::write(directory.join(man.get_filename()), with_usual_headings(page))
}

/// What follows the options in the help stands under "EXTRA", a heading that no manual page has.
fn with_usual_headings(page: Vec<u8>) -> Vec<u8> {
    let page = String::from_utf8_lossy(&page);
    let page = page.replacen(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n.nf\n", 1);
    page.replacen(".SH EXTRA\n", ".SH NOTES\n.nf\n", 1).into_bytes()
}
