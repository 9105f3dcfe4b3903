//! Programs in C, compiled against the header and linked with the library, in a real system.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use registry_tests::harness::{System, binary, skipped};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn include() -> PathBuf {
    Path::new(ROOT).join("regtool/libreg/capi/include")
}

/// Runs a compiler; `None` if it is not there.
fn compile(compiler: &str, arguments: &[&str]) -> Option<Output> {
    let strict = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-I"];
    let output = Command::new(compiler).args(strict).arg(include()).args(arguments).output();
    match output {
        Ok(output) => Some(output),
        Err(error) => {
            skipped(format_args!("{compiler}: {error}"));
            None
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Compiles a program, links it with the library that was built beside the daemons, and runs it.
fn run(system: &System, source: &str) -> Option<Output> {
    let program = system.file("program");
    let library = binary("regtool").parent().map(Path::to_owned).expect("a directory");
    let (library, path) = (library.to_str().expect("UTF-8"), Path::new(ROOT).join(source));
    let arguments = [
        "-std=c11",
        path.to_str().expect("UTF-8"),
        "-L",
        library,
        &format!("-Wl,-rpath,{library}"),
        "-lreg",
        "-o",
        program.to_str().expect("UTF-8"),
    ];
    let compiled = compile("cc", &arguments)?;
    assert!(compiled.status.success(), "{}", text(&compiled.stderr));
    let output = Command::new(&program).env("REDOX_HOSTED", system.path()).output();
    Some(output.expect("the program"))
}

#[test]
fn every_function_does_in_c_what_the_header_says() {
    let system = System::start();
    let Some(output) = run(&system, "tests/c/everything.c") else { return };
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{printed}{}", text(&output.stderr));
    assert!(printed.ends_with(" checks, 0 failures\n"), "{printed}");
    assert_eq!(system.output(&["get", "HKCU/Sample", "left"]), "by C\n");
}

#[test]
fn the_example_of_the_documentation_runs() {
    let system = System::start();
    let Some(output) = run(&system, "regtool/libreg/capi/examples/tabs.c") else { return };
    assert_eq!(text(&output.stdout), "Tabs = 4\nGreeting = Hello, Redox, 13 bytes\n");
    assert!(output.status.success());
    assert_eq!(system.output(&["get", "HKCU/Software/Editor", "Tabs"]), "4\n");
}

#[test]
fn the_header_is_for_old_c_and_for_cpp() {
    let system = System::start();
    let source = system.file("header.c");
    std::fs::write(
        &source,
        "#include <winreg.h>\nint main(void) { return RegFlushKey(HKEY_USERS); }\n",
    )
    .expect("a file");
    let source = source.to_str().expect("UTF-8");
    for (compiler, standard) in [
        ("cc", "-std=c89"),
        ("cc", "-std=c99"),
        ("cc", "-DUNICODE"),
        ("c++", "-std=c++98"),
        ("c++", "-std=c++17"),
    ] {
        let language = if compiler == "c++" { "c++" } else { "c" };
        let arguments = [standard, "-fsyntax-only", "-x", language, source];
        if let Some(compiled) = compile(compiler, &arguments) {
            assert!(compiled.status.success(), "{standard}: {}", text(&compiled.stderr));
        }
    }
}

#[test]
fn the_library_has_the_functions_of_the_header_and_no_others() {
    let library = binary("libreg.so");
    let Ok(output) = Command::new("nm").args(["-D", "--defined-only"]).arg(&library).output()
    else {
        return skipped("there is no nm");
    };
    let header = std::fs::read_to_string(include().join("winreg.h")).expect("the header");
    let symbols = text(&output.stdout);
    let functions: Vec<_> =
        symbols.lines().filter_map(|line| line.split_once(" T ")).map(|(_, name)| name).collect();
    let ours = functions.iter().filter(|name| name.starts_with("Reg"));
    assert_eq!(ours.clone().count(), header.matches("LSTATUS Reg").count(), "{functions:?}");
    for name in ours {
        assert!(header.contains(&format!("LSTATUS {name}(")), "{name} is not in the header");
    }
}
