//! Child processes: the line by which a child hands back its measurement, and a time limit after
//! which it is killed. Whatever a child does, the comparison goes on.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::peers::{Measurement, Unit};

/// Marks the line with the result among whatever else a child prints.
const MARK: &str = "measured";

/// How often the end of a child that has closed its output is looked for.
const POLL: Duration = Duration::from_millis(2);

/// How much of a child's output, and of one line of its errors, is kept.
const OUTPUT_LIMIT: u64 = 1 << 20;
const ERROR_LINE_LIMIT: usize = 300;

/// What came of one measurement.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// A number.
    Measured(Measurement),
    /// The child was killed at its time limit.
    Timeout,
    /// The child ended without a result; this is the last line of its errors.
    Failed(String),
}

/// The line that [`parse_result`] reads: `measured ns_per_op=12.5 ops=1000`.
pub fn format_result(measurement: &Measurement) -> String {
    let key = match measurement.unit {
        Unit::NsPerOp => "ns_per_op",
        Unit::BytesPerGoroutine => "bytes_per_goroutine",
        Unit::MedianNs => "median_ns",
        Unit::P99Ns => "row_p99_ns",
    };
    let percentile = |key: &str, value: Option<f64>| match value {
        Some(value) => format!(" {key}={value:.4}"),
        None => String::new(),
    };
    format!(
        "{MARK} {key}={:.4}{}{} ops={}",
        measurement.value,
        percentile("p50_ns", measurement.p50),
        percentile("p99_ns", measurement.p99),
        measurement.ops
    )
}

/// Finds the result in what a child printed; `None` if there is none or it makes no sense.
pub fn parse_result(output: &str) -> Option<Measurement> {
    output.lines().find_map(parse_line)
}

fn parse_line(line: &str) -> Option<Measurement> {
    let mut words = line.split_whitespace();
    if words.next() != Some(MARK) {
        return None;
    }
    let (mut value, mut p50, mut p99, mut ops) = (None, None, None, None);
    for word in words {
        match word.split_once('=')? {
            ("ns_per_op", number) => value = Some((Unit::NsPerOp, number.parse().ok()?)),
            ("bytes_per_goroutine", number) => {
                value = Some((Unit::BytesPerGoroutine, number.parse().ok()?));
            }
            ("median_ns", number) => value = Some((Unit::MedianNs, number.parse().ok()?)),
            ("row_p99_ns", number) => value = Some((Unit::P99Ns, number.parse().ok()?)),
            ("p50_ns", number) => p50 = Some(number.parse().ok()?),
            ("p99_ns", number) => p99 = Some(number.parse().ok()?),
            ("ops", number) => ops = Some(number.parse().ok()?),
            _ => {}
        }
    }
    let (unit, value): (Unit, f64) = value?;
    let is_sane = |number: f64| number.is_finite() && number >= 0.0;
    if !is_sane(value) || ![p50, p99].into_iter().flatten().all(is_sane) {
        return None;
    }
    Some(Measurement {
        unit,
        value,
        p50,
        p99,
        ops: ops?,
    })
}

/// Runs `command` as a child and reads its result.
pub fn measure(command: Command, limit: Duration) -> Sample {
    match supervise(command, limit) {
        Ending::TimedOut => Sample::Timeout,
        Ending::NotStarted(error) => Sample::Failed(error),
        Ending::Ended {
            status,
            output,
            last_error,
        } => match parse_result(&output) {
            Some(measurement) if status.success() => Sample::Measured(measurement),
            _ if last_error.is_empty() => Sample::Failed(status.to_string()),
            _ => Sample::Failed(last_error),
        },
    }
}

/// How a child ended.
#[derive(Debug)]
pub enum Ending {
    /// It could not be started at all.
    NotStarted(String),
    /// It was killed at its limit.
    TimedOut,
    /// It ended by itself.
    Ended {
        /// Its exit status.
        status: ExitStatus,
        /// What it printed.
        output: String,
        /// The last line it wrote to its standard error.
        last_error: String,
    },
}

/// Runs `command` with its output and errors captured, and kills it after `limit`.
pub fn supervise(mut command: Command, limit: Duration) -> Ending {
    let deadline = Instant::now() + limit;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let program = command.get_program().to_string_lossy();
            return Ending::NotStarted(format!("cannot start {program}: {error}"));
        }
    };
    let output = read_on_a_thread(child.stdout.take(), all_output);
    let errors = read_on_a_thread(child.stderr.take(), last_line);

    // The pipes end when the child does. A child that closes them early is polled; the readers of
    // one that leaves a grandchild behind with the pipes open are left behind as well.
    let output = receive(&output, deadline);
    let last_error = receive(&errors, deadline);
    match (wait(&mut child, deadline), output, last_error) {
        (Some(status), Some(output), Some(last_error)) => Ending::Ended {
            status,
            output,
            last_error,
        },
        _ => {
            // An error here means that it has ended in this very moment.
            let _ = child.kill();
            let _ = child.wait();
            Ending::TimedOut
        }
    }
}

fn read_on_a_thread<R>(pipe: Option<R>, read: fn(R) -> String) -> Receiver<String>
where
    R: Read + Send + 'static,
{
    let (sender, receiver) = channel();
    if let Some(pipe) = pipe {
        thread::spawn(move || sender.send(read(pipe)));
    }
    receiver
}

fn all_output(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    // What was read before an error counts.
    let _ = pipe.by_ref().take(OUTPUT_LIMIT).read_to_end(&mut bytes);
    // The child must not get stuck (or a broken pipe) on what is too much.
    let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last line that says something, of a stream that may be thousands of panics long.
fn last_line(pipe: impl Read) -> String {
    let mut reader = BufReader::new(pipe);
    let mut last = String::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if !text.is_empty() && !text.starts_with("note: run with `RUST_BACKTRACE") {
            last = text.chars().take(ERROR_LINE_LIMIT).collect();
        }
    }
    last
}

fn receive(receiver: &Receiver<String>, deadline: Instant) -> Option<String> {
    match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(text) => Some(text),
        Err(RecvTimeoutError::Disconnected) => Some(String::new()),
        Err(RecvTimeoutError::Timeout) => None,
    }
}

fn wait(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::{Ending, Sample, format_result, measure, parse_result, supervise};
    use crate::peers::{Measurement, Unit};
    use std::process::Command;
    use std::time::{Duration, Instant};

    const LONG: Duration = Duration::from_secs(30);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_result_survives_the_line_it_travels_in() {
        for unit in [
            Unit::NsPerOp,
            Unit::BytesPerGoroutine,
            Unit::MedianNs,
            Unit::P99Ns,
        ] {
            for (p50, p99) in [(None, None), (None, Some(80.25)), (Some(9.5), Some(80.25))] {
                let sent = Measurement {
                    unit,
                    value: 12.5,
                    p50,
                    p99,
                    ops: 2_000_000,
                };
                assert_eq!(parse_result(&format_result(&sent)), Some(sent));
            }
        }
    }

    #[test]
    fn the_result_is_found_among_other_lines() {
        let output = "starting\nmeasured ns_per_op=61.25 ops=10 and=more\nbye\n";
        let expected = Measurement {
            unit: Unit::NsPerOp,
            value: 61.25,
            p50: None,
            p99: None,
            ops: 10,
        };
        assert_eq!(parse_result(output), Some(expected));
    }

    #[test]
    fn nonsense_is_no_result() {
        for output in [
            "",
            "ns_per_op=1 ops=1",
            "measured",
            "measured ns_per_op=1",
            "measured ops=1",
            "measured ns_per_op=fast ops=1",
            "measured ns_per_op=NaN ops=1",
            "measured ns_per_op=-1 ops=1",
            "measured ns_per_op=1 ops=-1",
            "measured median_ns=1 p99_ns=NaN ops=1",
            "measured ns_per_op 1 ops 1",
        ] {
            assert_eq!(parse_result(output), None, "{output:?}");
        }
    }

    #[test]
    fn a_child_with_a_result_is_a_sample() {
        let sample = measure(shell("echo measured ns_per_op=5 ops=7"), LONG);
        let expected = Measurement {
            unit: Unit::NsPerOp,
            value: 5.0,
            p50: None,
            p99: None,
            ops: 7,
        };
        assert_eq!(sample, Sample::Measured(expected));
    }

    #[test]
    fn a_child_that_does_not_end_is_killed_at_its_limit() {
        let mut command = Command::new("sleep");
        command.arg("600");
        let start = Instant::now();
        assert_eq!(
            measure(command, Duration::from_millis(100)),
            Sample::Timeout
        );
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_child_that_closes_its_output_and_goes_on_is_killed_too() {
        let command = shell("exec sleep 600 >&- 2>&-");
        assert!(matches!(
            supervise(command, Duration::from_millis(200)),
            Ending::TimedOut
        ));
    }

    #[test]
    fn a_crash_is_reported_by_its_last_line_even_after_a_flood() {
        let flood = "i=0; while [ $i -lt 3000 ]; do echo panic $i >&2; i=$((i+1)); done; \
                     echo the reason >&2; echo 'note: run with `RUST_BACKTRACE=1`' >&2; exit 3";
        assert_eq!(
            measure(shell(flood), LONG),
            Sample::Failed("the reason".to_owned())
        );
    }

    #[test]
    fn a_result_before_a_crash_does_not_count() {
        let sample = measure(shell("echo measured ns_per_op=5 ops=7; exit 1"), LONG);
        assert_eq!(sample, Sample::Failed("exit status: 1".to_owned()));
    }

    #[test]
    fn a_child_killed_by_a_signal_has_failed() {
        assert!(matches!(
            measure(shell("kill -9 $$"), LONG),
            Sample::Failed(_)
        ));
    }

    #[test]
    fn a_program_that_does_not_exist_has_failed() {
        let sample = measure(Command::new("/no/such/program"), LONG);
        assert!(matches!(sample, Sample::Failed(text) if text.starts_with("cannot start")));
    }
}
