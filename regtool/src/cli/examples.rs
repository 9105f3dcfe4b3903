//! The examples at the end of each command's help, where they do not stand beside its options. A test reads them
//! all as command lines.

macro_rules! examples {
    ($($name:ident: $($line:literal)+;)+) => {
        $(pub(super) const $name: &str = concat!("Examples:", $("\n  ", $line),+);)+
    };
}

examples! {
    GET: "regtool get HKCU/Software/Editor Tabs"
        "regtool get HKCU/Software/Editor @ --json";
    SET: "regtool set HKCU/Software/Editor Greeting 'Hello, Redox'"
        "regtool set -p HKCU/Software/Editor Tabs 4 --type dword"
        "regtool set HKLM/Software/Web Modules gzip tls --type multi_sz --layer site"
        "regtool set HKLM/Software/Web Port 8080 --if-sequence 31";
    UNSET: "regtool unset HKCU/Software/Editor Tabs"
        "regtool unset HKLM/Software/Web Port --layer site";
    UNMASK: "regtool unmask HKLM/Software/Editor Tabs --layer policy"
        "regtool unmask HKLM/Software/Editor --all --layer policy";
    CREATE: "regtool create -p HKCU/Software/Editor/Recent"
        "regtool create HKLM/Software/Session --volatile"
        "regtool create HKLM/Software/Current --link HKLM/Software/Web";
    DELETE: "regtool delete HKCU/Software/Editor/Recent"
        "regtool delete HKCU/Software/Editor -r";
    HIDE: "regtool hide HKLM/Software/Games --layer policy";
    UNHIDE: "regtool unhide HKLM/Software/Games --layer policy";
    LIST: "regtool list"
        "regtool list HKCU/Software/Editor --json";
    TREE: "regtool tree HKLM/System --depth 2"
        "regtool tree HKCU --values";
    FIND: "regtool find editor"
        "regtool find '*.conf' HKLM/Software";
    INFO: "regtool info HKLM/Software";
    CHECK: "regtool check HKCU/Software/Editor Tabs && echo there";
    ACL_GET: "regtool acl get HKLM/Software"
        "regtool acl get HKLM/Software --json";
    ACL_CHECK: "regtool acl check HKLM/Software SET_VALUE,CREATE_SUB_KEY"
        "regtool acl check HKLM/Software write && echo yes";
    IMPORT: "regtool import editor.reg"
        "regtool import software.reg --under HKLM/Old --layer site --dry-run"
        "regtool import Machine/Registry.pol --under HKLM"
        "regtool import NTUSER.DAT --under HKCU/Imported"
        "regtool import settings.toml";
    EXPORT: "regtool export HKCU/Software/Editor -o editor.reg"
        "regtool export HKLM/Software --format toml -o software.toml"
        "regtool export HKLM/Software --format json > software.json";
    STATUS: "regtool status"
        "regtool status --json";
    SHELL: "regtool shell"
        "regtool shell < commands";
    LAYER_LIST: "regtool layer list";
    LAYER_CREATE: "regtool layer create site"
        "regtool layer create policy --precedence 10 --disabled";
    LAYER_DELETE: "regtool layer delete site";
    LAYER_ENABLE: "regtool layer enable policy";
    LAYER_DISABLE: "regtool layer disable policy";
    LAYER_PRECEDENCE: "regtool layer precedence policy 20";
    SCOPE_CREATE: "regtool scope create"
        "regtool scope create 0f8fad5b-d9cb-469f-a165-70867728950e";
    SCOPE_LIST: "regtool scope list --json";
    SCOPE_DELETE: "regtool scope delete 0f8fad5b-d9cb-469f-a165-70867728950e";
    ROLE_REMOVE: "regtool role remove web-server";
    ROLE_LIST: "regtool role list";
    COMPLETIONS: "source <(regtool completions bash)"
        "regtool completions zsh > ~/.zfunc/_regtool"
        "regtool completions fish > ~/.config/fish/completions/regtool.fish";
    MANPAGES: "regtool manpages ~/.local/share/man/man1";
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use crate::complete::quoting;
    use clap::{Command, CommandFactory, Parser};

    /// Each command that can be typed, with what leads to it.
    fn leaves(command: &Command, above: &str) -> Vec<(String, Command)> {
        let name = format!("{above} {}", command.get_name());
        if command.has_subcommands() {
            command.get_subcommands().flat_map(|inner| leaves(inner, &name)).collect()
        } else {
            vec![(name, command.clone())]
        }
    }

    #[test]
    fn every_command_has_examples_and_they_are_command_lines() {
        for (name, mut command) in leaves(&Cli::command(), "") {
            let help = command.render_long_help().to_string();
            let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
            let mut count = 0;
            for line in lines {
                let Some((_, line)) = line.split_once("regtool ") else { continue };
                let words = quoting::words(line.trim_end_matches(')'));
                // What another program is to do with it is not ours.
                let is_ours = |word: &&String| !["|", "<", ">", "&&"].contains(&word.as_str());
                let ours = words.iter().take_while(is_ours).map(String::as_str);
                Cli::try_parse_from(["regtool"].into_iter().chain(ours))
                    .unwrap_or_else(|error| panic!("{name}: {line}: {error}"));
                count += 1;
            }
            assert!(count > 0, "{name} has no examples");
        }
    }
}
