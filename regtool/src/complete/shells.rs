//! Completion in the shells of the system. `regtool completions SHELL` prints a script that the shell reads; when
//! something is to be completed the script asks regtool again, with the words after `--`.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use clap::{CommandFactory, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use super::{Candidate, Names, candidates, keys, quoting, value_names};
use crate::cli::Cli;
use crate::commands::Session;

/// A shell that completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash, from 4 on
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// `$1` is the command as it was written, `$2` what is to be replaced: a part of the word, if there are characters
/// in it (like `:`) at which bash breaks words. The first line of the answer has options of `compopt`.
const BASH: &str = r#"# Completion of regtool and regman for bash.
_regtool() {
    local regtool=$1 reply option
    [[ $regtool == *regman ]] && regtool=${regtool%regman}regtool
    mapfile -t reply < <("$regtool" completions bash -- "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
    COMPREPLY=("${reply[@]:1}")
    for option in ${reply[0]-}; do
        compopt -o "$option"
    done
}
complete -F _regtool regtool regman
"#;

/// `-U`: regtool has already looked what fits, and to it upper and lower case are the same.
const ZSH: &str = r#"#compdef regtool regman
# Completion of regtool and regman for zsh.
_regtool() {
    local regtool=$words[1] line
    local -a open whole
    [[ $regtool == *regman ]] && regtool=${regtool%regman}regtool
    for line in "${(@f)$("$regtool" completions zsh -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        case $line in
            '') ;;
            *[/\\]) open+=("$line") ;;
            *) whole+=("$line") ;;
        esac
    done
    (( $#open )) && compadd -U -S '' -a open
    (( $#whole )) && compadd -U -a whole
}
if [[ $funcstack[1] == _regtool ]]; then
    _regtool "$@"
else
    compdef _regtool regtool regman
fi
"#;

const FISH: &str = r#"# Completion of regtool and regman for fish.
function __regtool_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l regtool (string replace --regex 'regman$' regtool -- $words[1])
    $regtool completions fish -- $words (commandline --current-token --cut-at-cursor) 2>/dev/null
end
complete --command regtool --no-files --keep-order --arguments '(__regtool_complete)'
complete --command regman --no-files --keep-order --arguments '(__regtool_complete)'
"#;

/// The script for a shell.
pub fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    }
}

/// What the script reads: how the words go on with which it asks.
pub fn answer(shell: Shell, asked: &[String]) -> String {
    match (shell, asked) {
        (Shell::Bash, [line, part]) => {
            let words = quoting::words(line);
            let word = words.last().cloned().unwrap_or_default();
            for_bash(&of_words(&words), &word, part)
        }
        (Shell::Bash, _) => String::new(),
        (Shell::Zsh, words) => {
            let found = of_words(words);
            found.iter().map(|candidate| format!("{}\n", candidate.text)).collect()
        }
        (Shell::Fish, words) => {
            let mut words = words.to_vec();
            if let Some(last) = words.last_mut() {
                *last = quoting::words(last).pop().unwrap_or_default();
            }
            of_words(&words).iter().map(for_fish).collect()
        }
    }
}

/// The candidates for the last of the words of a command line.
fn of_words(words: &[String]) -> Vec<Candidate> {
    let name = words.first().map_or("", |command| command.rsplit('/').next().unwrap_or_default());
    let mut command = match name {
        "regman" => regman::command()
            .mut_arg("path", |arg| arg.add(ArgValueCompleter::new(keys)))
            .mut_arg("list", |arg| arg.add(ArgValueCompleter::new(keys)))
            .mut_arg("name", |arg| arg.add(ArgValueCompleter::new(value_names))),
        _ => Cli::command(),
    };
    let session = Arc::new(Mutex::new(Session::new()));
    candidates(&mut command, Names { session, separator: '/' }, words)
}

/// The part of the candidates that takes the place of `part`, which the word ends in.
fn for_bash(candidates: &[Candidate], word: &str, part: &str) -> String {
    let plain = quoting::words(part).pop().unwrap_or_default();
    let before = [part, &plain].into_iter().find_map(|part| word.strip_suffix(part)).unwrap_or("");
    let rest = |candidate: &Candidate| {
        let (same, rest) = candidate.text.split_at_checked(before.len())?;
        (libreg::fold(same) == libreg::fold(before)).then(|| format!("{rest}\n"))
    };
    let rests: Vec<_> = candidates.iter().filter_map(rest).collect();
    // Names are quoted as names of files are, and of a path only the last name is shown.
    let is_name =
        |rest: &String| rest.contains(|c: char| !c.is_ascii_alphanumeric() && !"-_\n".contains(c));
    let mut answer = String::new();
    if rests.iter().any(is_name) {
        answer.push_str("filenames ");
    }
    if candidates.iter().any(|candidate| !candidate.ends_word) {
        answer.push_str("nospace");
    }
    answer.push('\n');
    answer.extend(rests);
    answer
}

fn for_fish(candidate: &Candidate) -> String {
    let mut line = candidate.text.clone();
    if let Some(help) = &candidate.help {
        // Writing to a String cannot fail.
        let _ = write!(line, "\t{help}");
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(text: &str) -> Candidate {
        let ends_word = !text.ends_with('/');
        Candidate { text: text.to_owned(), help: None, ends_word }
    }

    #[test]
    fn bash_gets_what_takes_the_place_of_its_part_of_the_word() {
        let key = [candidate("HKLM/My App/")];
        assert_eq!(for_bash(&key, "HKLM/My A", "HKLM/My\\ A"), "filenames nospace\nHKLM/My App/\n");
        let colon = [candidate("HKLM/a:bc/"), candidate("HKLM/A:bd/")];
        assert_eq!(for_bash(&colon, "HKLM/a:b", "b"), "filenames nospace\nbc/\nbd/\n");
        assert_eq!(for_bash(&[candidate("get")], "g", "g"), "\nget\n");
        assert_eq!(for_bash(&[], "x", "x"), "\n");
        assert_eq!(answer(Shell::Bash, &["regtool expl".into(), "expl".into()]), "\nexplain\n");
    }

    #[test]
    fn fish_and_zsh_get_words() {
        let words =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(answer(Shell::Zsh, &words(&["x/regtool", "acl", "c"])), "check\n");
        let fish = answer(Shell::Fish, &words(&["regtool", "acl", "\"c"]));
        assert_eq!(fish, "check\tTell whether you may do something with a key\n");
        assert_eq!(answer(Shell::Zsh, &words(&["regman", "--ke"])), "--keyword\n");
        assert_eq!(answer(Shell::Zsh, &[]), "");
    }
}
