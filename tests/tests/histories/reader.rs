//! Readers in processes of their own, who give again what they were told as long as they may.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use registry_tests::harness::{Process, binary};

use super::history::{Event, Recorder};
use super::spec::{Operation, Written};

/// How often a reader reads in a history: at so many moments, and up to four times at each.
const MOMENTS: usize = 3;

/// A process that reads.
pub struct Reader {
    /// As a client of its history.
    number: usize,
    tasks: ChildStdin,
    answers: BufReader<ChildStdout>,
    _process: Process,
}

impl Reader {
    /// Starts one.
    pub fn start(number: usize) -> Reader {
        let mut command = Command::new(binary("value-reader"));
        command.arg("histories").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command);
        let (tasks, answers) = (process.input(), BufReader::new(process.output()));
        Reader { number, tasks, answers, _process: process }
    }

    /// Has it read in these keys.
    pub fn begin(&mut self, seed: u64, paths: &[String]) {
        let paths = paths.join(" ");
        writeln!(self.tasks, "{seed} {MOMENTS} {paths}").expect("a reader that lives");
    }

    /// Waits until it has read, and writes down what it saw. Gives how often it was told something.
    pub fn finish(&mut self, recorder: &Recorder) -> u64 {
        for (reads, line) in (0..).zip((&mut self.answers).lines()) {
            let line = line.expect("a reader that lives");
            if line == "end" {
                return reads;
            }
            let numbers: Vec<u64> =
                line.split(' ').map(|word| word.parse().expect("a number")).collect();
            let [called, returned, register, value, sequence] = numbers[..] else {
                panic!("{line}: not a read")
            };
            let value = (sequence != 0).then_some(Written(value));
            if let Some(value) = value {
                recorder.saw(value, sequence);
            }
            let register = usize::try_from(register).expect("a register");
            let operation = Operation::Read(register, value);
            recorder.record(Event {
                client: self.number,
                called,
                returned: Some(returned),
                operation,
            });
        }
        panic!("a reader died");
    }
}
