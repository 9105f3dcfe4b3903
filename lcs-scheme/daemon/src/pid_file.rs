//! `run/NAME.pid` and `run/NAME.supervisor.pid` under the root of a hosted system (INTERFACES §6).

/// Whose process id a file holds.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    /// `NAME.pid`
    Daemon,
    /// `NAME.supervisor.pid`
    Supervisor,
}

/// Writes a pid file, replacing the former as a whole: a reader sees the old or the new one.
///
/// Redox has no such files, and without `REDOX_HOSTED` there is no place for them. They serve people and
/// tests; so a failure is told and no reason to stop.
#[cfg(not(target_os = "redox"))]
pub(crate) fn write(name: &str, role: Role, pid: u32) {
    use std::fs;
    use std::path::PathBuf;

    let Some(root) = std::env::var_os("REDOX_HOSTED") else {
        return;
    };
    let suffix = match role {
        Role::Daemon => "pid",
        Role::Supervisor => "supervisor.pid",
    };
    let path = PathBuf::from(root).join("run").join(format!("{name}.{suffix}"));
    let draft = path.with_extension(format!("pid.{}", std::process::id()));
    let outcome = fs::write(&draft, format!("{pid}\n")).and_then(|()| fs::rename(&draft, &path));
    if let Err(error) = outcome {
        eprintln!("{name}: cannot write {}: {error}", path.display());
    }
}

#[cfg(target_os = "redox")]
pub(crate) fn write(_name: &str, _role: Role, _pid: u32) {}
