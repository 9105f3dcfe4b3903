//! The manual that the packages install, for regman and regtool in the hosted system.

use std::path::Path;
use std::{fs, io};

/// The manual files, by name.
const OURS: [(&str, &str); 3] = [
    ("lcs.toml", include_str!("../../../../lcs-scheme/manual/lcs.toml")),
    ("layers.toml", include_str!("../../../../lcs-scheme/manual/layers.toml")),
    ("loregd.toml", include_str!("../../../../loregd/manual/loregd.toml")),
];

/// Writes the files that belong to these programs. Unlike units they are nobody's to change: a root that
/// older programs have used must not keep what they said.
pub fn install(folder: &Path) -> io::Result<()> {
    for (name, text) in OURS {
        let path = folder.join(name);
        if fs::read(&path).is_ok_and(|found| found == text.as_bytes()) {
            continue;
        }
        // Somebody may be reading it.
        let part = folder.join(format!(".{name}.part"));
        fs::write(&part, text)?;
        fs::rename(&part, &path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_of_older_programs_is_replaced_and_what_others_added_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let (name, text) = OURS[0];
        fs::write(folder.path().join(name), "older").expect("a file");
        fs::write(folder.path().join("editor.toml"), "theirs").expect("a file");
        install(folder.path()).expect("installed");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("text");
        assert_eq!(read(name), text);
        assert_eq!(read("editor.toml"), "theirs");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), OURS.len() + 1);
    }
}
