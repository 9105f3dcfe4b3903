//! `regtool edit` in a real terminal.

use hosted as _;
use registry_tests::harness::System;
use registry_tests::harness::terminal::Terminal;

const EDITOR: &str = r"Machine\Software\Editor";

/// A system with a key that has some values.
fn system() -> System {
    let system = System::start();
    system.output(&["set", "-p", EDITOR, "Tabs", "4", "--type", "dword"]);
    system.output(&["set", EDITOR, "Greeting", "Hello"]);
    system.output(&["set", EDITOR, "@", "the default"]);
    system.output(&["set", "-p", &format!(r"{EDITOR}\Recent"), "1", "/etc/hosts"]);
    system
}

fn edit(system: &System, arguments: &[&str]) -> Terminal {
    let mut terminal = Terminal::start(system.regtool(&[&["edit"], arguments].concat()));
    terminal.until_seen("q end");
    terminal
}

const ENTER: &str = "\r";
const DOWN: &str = "\x1b[B";
const RIGHT: &str = "\x1b[C";
const TAB: &str = "\t";
const ESC: &str = "\x1b";
const BACKSPACE: &str = "\x7f";

fn tabs(system: &System) -> String {
    system.output(&["get", EDITOR, "Tabs"])
}

#[test]
fn a_value_is_edited_undone_edited_again_and_written_when_that_is_said() {
    let system = system();
    let mut terminal = edit(&system, &[EDITOR]);
    let text = terminal.until_seen("4 (0x4)");
    assert!(
        text.contains("Editor") && text.contains("Hello") && text.contains("Software"),
        "{text}"
    );
    terminal.write(TAB);
    terminal.write(&DOWN.repeat(2));
    terminal.until_seen("Layers of Tabs");
    terminal.write(ENTER);
    terminal.until_seen("a number, decimal or 0x");
    terminal.write(&format!("{BACKSPACE}8{ENTER}"));
    let text = terminal.until_seen("[1 change is not saved]");
    assert!(text.contains("* Tabs") && text.contains("8 (0x8)"), "{text}");
    terminal.write("u");
    terminal
        .until("the old value", |text| text.contains("4 (0x4)") && !text.contains("not saved]"));
    assert_eq!(tabs(&system), "4\n");
    terminal.write(&format!("{ENTER}{BACKSPACE}0x10{ENTER}"));
    terminal.until_seen("16 (0x10)");
    terminal.write("s");
    terminal.until_seen("Write the change to the layer base? (y/n)");
    assert_eq!(tabs(&system), "4\n");
    terminal.write("y");
    terminal.until_seen("1 change is saved");
    assert_eq!(tabs(&system), "16\n");
    terminal.write("q");
    assert!(terminal.end().0.success());
}

#[test]
fn what_others_change_is_seen_at_once() {
    let system = system();
    let mut terminal = edit(&system, &[EDITOR]);
    terminal.until_seen("Hello");
    system.output(&["set", EDITOR, "Greeting", "Good morning"]);
    terminal.until_seen("Good morning");
    terminal.write(ENTER);
    terminal.until_seen("Recent");
    system.output(&["set", "-p", &format!(r"{EDITOR}\Themes"), "Dark", "as the night"]);
    terminal.until_seen("Themes");
    // The key that is looked at goes, and the one above it is looked at.
    terminal.write(&DOWN.repeat(2));
    terminal.until_seen("as the night");
    system.output(&["delete", &format!(r"{EDITOR}\Themes")]);
    terminal
        .until("the key above", |text| text.contains("Good morning") && !text.contains("Themes"));
    // What is being changed here and was changed there is told.
    terminal.write(&format!("{TAB}{DOWN}{DOWN}{ENTER}{BACKSPACE}8{ENTER}"));
    terminal.until_seen("8 (0x8)");
    system.output(&["set", EDITOR, "Tabs", "2"]);
    terminal.until_seen("Somebody else has written Tabs");
    terminal.until_seen("8 (0x8)");
}

#[test]
fn keys_and_values_are_made_and_deleted_in_one_transaction() {
    let system = system();
    let mut terminal = edit(&system, &[EDITOR]);
    terminal.until_seen("Hello");
    terminal.write("n");
    terminal.until_seen("Name of the new key");
    terminal.write(&format!("Themes{ENTER}"));
    terminal.until_seen("+      > Themes");
    terminal.write(&format!("{TAB}n"));
    terminal.until_seen("New value");
    terminal.write(&format!("Colours{TAB}{RIGHT}{RIGHT}{TAB}red{ENTER}green\x13"));
    let text = terminal.until_seen("[2 changes are not saved]");
    assert!(text.contains(r#""red", "green""#), "{text}");
    assert!(system.run(&["check", &format!(r"{EDITOR}\Themes")]).status.code() == Some(1));
    // Back to the key above, whose greeting goes.
    terminal.write(&format!("{TAB}h{TAB}{DOWN}d"));
    terminal.until_seen("- Greeting");
    terminal.write("s");
    terminal.until_seen("Write 3 changes");
    terminal.write("y");
    terminal.until_seen("3 changes are saved");
    let colours = system.output(&["get", &format!(r"{EDITOR}\Themes"), "Colours"]);
    assert_eq!(colours, "red\ngreen\n");
    assert_eq!(system.run(&["get", EDITOR, "Greeting"]).status.code(), Some(1));
}

#[test]
fn who_ends_with_changes_is_asked_and_nothing_is_written() {
    let system = system();
    let mut terminal = edit(&system, &[EDITOR]);
    terminal.until_seen("Hello");
    terminal.write("d");
    terminal.until_seen("-    > Editor");
    terminal.write("q");
    terminal.until_seen("1 change is not saved: end all the same? (y/n)");
    terminal.write("n");
    terminal.until_seen("As it was");
    terminal.write("qy");
    assert!(terminal.end().0.success());
    assert_eq!(tabs(&system), "4\n");
}

#[test]
fn what_is_searched_is_found_in_names_and_data_one_after_the_other() {
    let system = system();
    system.output(&["set", "-p", r"Machine\Software\Zoo\Cage", "Animal", "A needle in hay"]);
    system.output(&["create", r"Machine\Software\Zoo\Cage\Needles"]);
    let mut terminal = edit(&system, &["Machine"]);
    terminal.write("/");
    terminal.until_seen("Search");
    terminal.write(&format!("needle{ENTER}"));
    terminal.until("the value", |text| {
        text.starts_with(r"Machine\Software\Zoo\Cage") && text.contains("Layers of Animal")
    });
    terminal.write("f");
    terminal.until("the key", |text| text.starts_with(r"Machine\Software\Zoo\Cage\Needles"));
    terminal.write(&format!("/{}nothing like it{ENTER}", BACKSPACE.repeat(6)));
    terminal.until_seen("nothing like it is nowhere");
}

#[test]
fn the_screen_is_drawn_anew_in_another_size_and_colours_can_be_off() {
    let system = system();
    let mut command = system.regtool(&["edit", EDITOR]);
    command.env("NO_COLOR", "1");
    let mut terminal = Terminal::start(command);
    terminal.until_seen("Hello");
    terminal.write("d");
    terminal.until_seen("-    > Editor");
    let screen = terminal.screen();
    let cells = (0..24).flat_map(|row| (0..80).filter_map(move |column| screen.cell(row, column)));
    assert!(cells.into_iter().all(|cell| cell.fgcolor() == vt100::Color::Default));
    terminal.resize(50, 10);
    terminal.until_seen("The terminal is too small");
    terminal.resize(100, 30);
    terminal.until_seen("q end");
    terminal.write("?");
    terminal.until_seen("Nothing is written before you save");
    terminal.write(ESC);
    terminal.until("the help goes", |text| !text.contains("Nothing is written"));
    terminal.write("\x03y");
    assert!(terminal.end().0.success());
}

#[test]
fn what_cannot_be_edited_is_told_without_taking_the_screen() {
    let system = system();
    let output = system.run(&["edit"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "regtool: edit: takes a terminal\n");
    let terminal = Terminal::start(system.regtool(&["edit", r"Machine\Nowhere"]));
    let (status, text) = terminal.end();
    assert_eq!(status.code(), Some(1));
    assert_eq!(text.trim_end(), r"regtool: Machine\Nowhere: no such key");
}

#[test]
fn the_manual_says_what_the_selected_value_means_and_what_is_wrong_with_data() {
    let system = System::start();
    let settings = r"Machine\System\Registry";
    system.output(&["set", settings, "SymlinkDepthLimit", "16", "--type", "dword"]);
    let mut terminal = edit(&system, &[settings]);
    terminal.write(TAB);
    let text = terminal.until_seen("How many links one path is followed through");
    assert!(text.contains("Default 16  Valid 1 to 64"), "{text}");
    terminal.write("m");
    let text = terminal.until_seen("A path that leads through more fails with ELOOP.");
    assert!(text.contains("Read by  lcs-scheme"), "{text}");
    terminal.write("x");
    terminal.until("the card goes", |text| !text.contains("ELOOP"));
    terminal.write(&format!("{ENTER}{BACKSPACE}{BACKSPACE}65{ENTER}"));
    let text = terminal.until_seen("By the manual, ");
    assert!(text.contains("65 (0x41)"), "{text}");
    // It is written all the same, if that is said.
    terminal.write("sy");
    terminal.until_seen("1 change is saved");
    assert_eq!(system.output(&["get", settings, "SymlinkDepthLimit"]), "65\n");
    assert_eq!(system.run(&["doctor", settings]).status.code(), Some(5));
}
