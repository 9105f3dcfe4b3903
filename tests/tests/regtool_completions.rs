//! Completion in real shells, in a terminal: what is typed is what a person would type.

use std::path::Path;
use std::process::Command;

use registry_tests::harness::terminal::Terminal;
use registry_tests::harness::{System, binary, skipped};

const TAB: &str = "\t";

/// A system with keys whose names shells would break, or take for something else.
fn system() -> System {
    let system = System::start();
    let key = "Machine/Software/My App: 'one'";
    system.output(&["set", "-p", key, "Tab width", "4", "--type", "dword"]);
    system.output(&["set", key, "Tab$HOME", "literally"]);
    system.output(&["create", "Machine/Software/Other"]);
    system.output(&["layer", "create", "site"]);
    system
}

/// A shell that has read the script, in a terminal.
fn shell(system: &System, name: &str, arguments: &[&str], setup: &str) -> Option<Terminal> {
    let found = Command::new(name).arg("--version").output().is_ok();
    if !found {
        skipped(format_args!("there is no {name}"));
        return None;
    }
    let mut command = Command::new(name);
    let directory = binary("regtool").parent().map(Path::to_owned).expect("a directory");
    let path = std::env::var("PATH").expect("a path");
    command
        .args(arguments)
        .env("PATH", format!("{}:{path}", directory.display()))
        .env("REDOX_HOSTED", system.path())
        .env("HOME", system.path())
        .env_remove("ENV")
        .current_dir(system.path());
    let mut terminal = Terminal::start(command);
    terminal.write(setup);
    terminal.until_seen("ready>");
    Some(terminal)
}

/// Types commands as far as they go, and looks what becomes of them; the shells differ in how they quote, so that
/// what counts is what regtool then does.
fn completes(terminal: &mut Terminal) {
    terminal.write(&format!("regtool stat{TAB}"));
    terminal.until_seen("regtool status ");
    terminal.write("\x15");
    terminal.write(&format!("regtool layer disable si{TAB}"));
    terminal.until_seen("regtool layer disable site ");
    terminal.write("\x15");
    // In small letters; the name goes on with a separator, and no blank.
    terminal.write(&format!("regtool tree machine/soft{TAB}"));
    terminal.until_seen("machine/Software/");
    terminal.write(&format!("O{TAB}"));
    terminal.until_seen("machine/Software/Other/");
    terminal.write("\x15");
    terminal.write(&format!("regtool get machine/Software/My{TAB}"));
    terminal.until_seen("one");
    terminal.write(&format!(" Tab\\ {TAB}"));
    terminal.until_seen("width");
    terminal.write("\r");
    terminal.until("the value", |text| text.lines().any(|line| line.trim() == "4"));
    terminal.write(&format!("regtool get machine/Software/My{TAB} 'Tab${TAB}\r"));
    terminal.until("the value", |text| text.lines().any(|line| line.trim() == "literally"));
    terminal.write(&format!("regman --ke{TAB}"));
    terminal.until_seen("regman --keyword ");
}

#[test]
fn bash_completes_commands_keys_values_and_layers() {
    let system = system();
    let setup = "source <(regtool completions bash); bind 'set enable-bracketed-paste off'; PS1=rea; PS1+='dy> '\r";
    let arguments = ["--norc", "--noprofile", "-i"];
    if let Some(mut terminal) = shell(&system, "bash", &arguments, setup) {
        completes(&mut terminal);
    }
}

#[test]
fn zsh_completes_commands_keys_values_and_layers() {
    let system = system();
    let setup = "autoload -Uz compinit; compinit -u -D; source <(regtool completions zsh); PS1=rea; PS1+='dy> '\r";
    if let Some(mut terminal) = shell(&system, "zsh", &["-f", "-i"], setup) {
        completes(&mut terminal);
    }
}

#[test]
fn fish_completes_commands_keys_values_and_layers() {
    let system = system();
    let setup = "regtool completions fish | source; function fish_prompt; echo -n rea; echo -n 'dy> '; end\r";
    if let Some(mut terminal) = shell(&system, "fish", &["--no-config", "-i"], setup) {
        completes(&mut terminal);
    }
}

#[test]
fn manual_pages_are_there_for_every_command() {
    let system = System::start();
    let directory = system.file("man");
    system.output(&["manpages", directory.to_str().expect("UTF-8")]);
    let page = |name: &str| std::fs::read_to_string(directory.join(name)).expect(name);
    assert!(page("regtool-role.1").contains("regtool\\-role\\-install(1)"));
    let set = page("regtool-set.1");
    for part in [".TH", "SYNOPSIS", "if\\-sequence", "SH EXAMPLES", "\\-\\-type dword"] {
        assert!(set.contains(part), "{part}");
    }
    assert!(page("regman.1").contains("REGMAN_PATH"));
    assert!(page("regtool-role-install.1").contains("web\\-server"));
    // What is not for people to type has no page.
    assert!(!page("regtool-completions.1").contains("words"));
}

#[test]
fn the_shell_has_no_colours_if_none_are_wanted() {
    let system = System::start();
    let coloured = |setting: &str| {
        let mut command = system.regtool(&["shell"]);
        command.env("NO_COLOR", setting).env("REGTOOL_HISTORY", system.file("history"));
        let mut terminal = Terminal::start(command);
        // It asks the terminal where its cursor is.
        terminal.write("\x1b[1;1Rpwd");
        terminal.until_seen("> pwd");
        let screen = terminal.screen();
        let mut cells = (0..80).filter_map(|column| screen.cell(0, column));
        cells.any(|cell| cell.fgcolor() != vt100::Color::Default)
    };
    assert!(coloured(""));
    assert!(!coloured("1"));
}
