//! Requests by HTTP, which `wrk` makes: a program that everybody knows.

use std::io;
use std::process::{Command, Stdio};

use crate::peers::service::Address;
use crate::peers::{Measurement, Unit};

/// What to do without it.
pub const HOW_TO_GET_WRK: &str = "rows of HTTP are left out: no `wrk` found; get it by \
                                  `apt-get install wrk`";

/// Whether there is one.
pub fn is_there() -> bool {
    let mut command = Command::new("wrk");
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok()
}

/// Requests from `connections` connections for so many seconds.
pub(super) fn measure(
    address: &Address,
    connections: usize,
    seconds: usize,
) -> io::Result<Measurement> {
    let mut command = Command::new("wrk");
    command.args(["--latency", "--threads", "1"]);
    command.args(["--connections", &connections.to_string()]);
    command.args(["--duration", &format!("{seconds}s")]);
    command.arg(format!("http://{address}/plaintext"));
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    match parse(&text) {
        Some(measurement) if output.status.success() => Ok(measurement),
        _ => {
            let error = String::from_utf8_lossy(&output.stderr);
            let what = text.lines().chain(error.lines()).last().unwrap_or_default();
            Err(io::Error::other(format!("wrk: {}", what.trim())))
        }
    }
}

/// What `wrk` has found; `None` if a request failed, or was answered by an error.
fn parse(text: &str) -> Option<Measurement> {
    let failed = |line: &str| line.contains("Socket errors:") || line.contains("Non-2xx");
    if text.lines().any(failed) {
        return None;
    }
    let after = |start: &str| {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(start));
        line.map(str::trim)
    };
    let rate: f64 = after("Requests/sec:")?.parse().ok()?;
    let requests = text.lines().find_map(|line| {
        let (number, _) = line.split_once(" requests in ")?;
        number.trim().parse().ok()
    })?;
    Some(Measurement {
        unit: Unit::NsPerOp,
        value: 1e9 / rate,
        p50: Some(nanoseconds(after("50%")?)?),
        p99: Some(nanoseconds(after("99%")?)?),
        ops: requests,
    })
}

fn nanoseconds(text: &str) -> Option<f64> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
    let factor = match unit {
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        _ => return None,
    };
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::{nanoseconds, parse};

    const OUTPUT: &str = "Running 1s test @ http://127.0.0.1:1/plaintext
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   635.91us    0.89ms  12.92ms   93.69%
    Req/Sec    56.20k     8.07k   62.00k    86.67%
  Latency Distribution
     50%  514.50us
     75%  620.00us
     90%    0.95ms
     99%    1.25ms
  56123 requests in 1.00s, 7.22MB read
Requests/sec:  50000.00
Transfer/sec:      6.85MB
";

    #[test]
    fn what_wrk_prints_is_understood() {
        let measured = parse(OUTPUT).unwrap();
        assert_eq!(measured.value, 20_000.0);
        assert_eq!(measured.p50, Some(514_500.0));
        assert_eq!(measured.p99, Some(1_250_000.0));
        assert_eq!(measured.ops, 56_123);
        assert_eq!(nanoseconds("2.00m"), Some(120e9));
        assert_eq!(nanoseconds("fast"), None);
    }

    #[test]
    fn errors_are_no_measurement() {
        for line in [
            "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
            "  Non-2xx or 3xx responses: 4\n",
        ] {
            assert_eq!(parse(&format!("{OUTPUT}{line}")), None);
        }
        assert_eq!(parse(""), None);
    }
}
