//! What a process holds.

use std::fs;

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// Resident at most, so far.
    pub peak: u64,
}

impl Memory {
    /// That of this process.
    ///
    /// # Panics
    ///
    /// If there is no such process.
    pub fn of(pid: u32) -> Memory {
        Memory::while_it_lives(pid).expect("a process that lives")
    }

    /// That of this process; `None` if it is dead.
    pub fn while_it_lives(pid: u32) -> Option<Memory> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kib = line.trim().trim_end_matches(" kB").parse::<u64>().ok()?;
            Some(kib << 10)
        };
        Some(Memory { resident: field("VmRSS:")?, peak: field("VmHWM:")? })
    }
}

/// How many descriptors a process has.
///
/// # Panics
///
/// If there is no such process.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("a process").count()
}
