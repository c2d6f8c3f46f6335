//! The small programs: what they print, to the letter, and that they end.

mod common;

use common::{PROCS, run};

/// The values in the lines `label: value` of an output.
#[track_caller]
fn value<'a>(output: &'a str, label: &str) -> &'a str {
    let line = output
        .lines()
        .find_map(|line| line.strip_prefix(label)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no line {label:?} in {output:?}"))
        .trim()
}

#[test]
fn hello_channel_prints_its_three_lines_in_order() {
    for procs in PROCS {
        for _ in 0..10 {
            let out = run(
                env!("CARGO_BIN_EXE_hello_channel"),
                ["--procs", &procs.to_string()],
            )
            .expect_code(0);
            assert_eq!(
                out.stdout,
                "Main started...\nData in channel is:  10\nMain ended...\n"
            );
            assert_eq!(out.stderr, "");
        }
    }
}

#[test]
fn copy_semantics_shows_what_was_sent() {
    let expected = "\
Main started...
Value of b before putting into channel 10
Updated value of a: 20
Updated value of b: 20
Data in channel is:  10
Main ended...

A String is moved:
Value of name before putting into channel ten
New value of name: twenty
Data in channel is:  ten
Same buffer, not copied: true

An Arc is shared:
Value of counter before putting into channel 10
Updated value of counter: 20
Data in channel is:  20
";
    for procs in PROCS {
        let out = run(
            env!("CARGO_BIN_EXE_copy_semantics"),
            ["--procs", &procs.to_string()],
        )
        .expect_code(0);
        assert_eq!(out.stdout, expected);
        assert_eq!(out.stderr, "");
    }
}

#[test]
fn skynet_adds_up_a_million_leaves() {
    let out = run(env!("CARGO_BIN_EXE_skynet"), [""; 0]).expect_code(0);
    assert_eq!(value(&out.stdout, "goroutines"), "1111111");
    assert_eq!(value(&out.stdout, "answer"), "499999500000");
    let seconds = value(&out.stdout, "time")
        .strip_suffix(" s")
        .expect("a time in seconds");
    assert!(seconds.parse::<f64>().is_ok_and(|s| s > 0.0), "{seconds:?}");
    assert_eq!(out.stderr, "");
}

#[test]
fn skynet_of_any_power_of_ten_is_right_with_any_number_of_ps() {
    for procs in PROCS {
        for (leaves, goroutines, answer) in [
            ("1", "1", "0"),
            ("10", "11", "45"),
            ("1000", "1111", "499500"),
            ("10000", "11111", "49995000"),
        ] {
            let procs = procs.to_string();
            let out = run(
                env!("CARGO_BIN_EXE_skynet"),
                ["--leaves", leaves, "--procs", &procs],
            )
            .expect_code(0);
            assert_eq!(value(&out.stdout, "goroutines"), goroutines);
            assert_eq!(value(&out.stdout, "answer"), answer);
        }
    }
}

#[test]
fn skynet_refuses_a_tree_that_is_not_full() {
    for leaves in ["0", "12", "10000000000", "ten", "99999999999999999999"] {
        let out = run(env!("CARGO_BIN_EXE_skynet"), ["--leaves", leaves]).expect_code(2);
        assert!(out.stderr.contains("--leaves"), "{}", out.stderr);
        assert_eq!(out.stdout, "");
    }
}

#[test]
fn prime_sieve_finds_a_thousand_primes_and_ends_every_goroutine() {
    let out = run(env!("CARGO_BIN_EXE_prime_sieve"), [""; 0]).expect_code(0);
    assert_eq!(
        out.stdout,
        "primes found:     1000\nlast prime:       7919\ngoroutines ended: 1001\n"
    );
    assert_eq!(out.stderr, "");
}

#[test]
fn prime_sieve_lists_primes_with_any_number_of_ps() {
    for procs in PROCS {
        let out = run(
            env!("CARGO_BIN_EXE_prime_sieve"),
            ["--count", "6", "--list", "--procs", &procs.to_string()],
        )
        .expect_code(0);
        assert_eq!(
            out.stdout,
            "2\n3\n5\n7\n11\n13\n\
             primes found:     6\nlast prime:       13\ngoroutines ended: 7\n"
        );
    }
}

#[test]
fn prime_sieve_of_no_primes_ends() {
    let out = run(env!("CARGO_BIN_EXE_prime_sieve"), ["--count", "0"]).expect_code(0);
    assert_eq!(
        out.stdout,
        "primes found:     0\nlast prime:       none\ngoroutines ended: 1\n"
    );
}

#[test]
fn pipeline_is_complete_and_in_order() {
    let expected = "\
unordered: 100000 squares, sum 333338333350000
ordered:   100000 squares in their place, sum 333338333350000
both are right
";
    for procs in PROCS {
        let out = run(
            env!("CARGO_BIN_EXE_pipeline"),
            ["--procs", &procs.to_string()],
        )
        .expect_code(0);
        assert_eq!(out.stdout, expected);
        assert_eq!(out.stderr, "");
    }
}

#[test]
fn pipeline_of_any_shape_is_right() {
    for (numbers, workers, window) in [("0", "3", "1"), ("1", "1", "1"), ("999", "64", "2")] {
        let out = run(
            env!("CARGO_BIN_EXE_pipeline"),
            [
                "--numbers",
                numbers,
                "--workers",
                workers,
                "--window",
                window,
            ],
        )
        .expect_code(0);
        assert!(out.stdout.ends_with("both are right\n"), "{}", out.stdout);
    }
}

#[test]
fn every_program_explains_itself() {
    for program in [
        env!("CARGO_BIN_EXE_hello_channel"),
        env!("CARGO_BIN_EXE_copy_semantics"),
        env!("CARGO_BIN_EXE_go_tour"),
        env!("CARGO_BIN_EXE_pipeline"),
        env!("CARGO_BIN_EXE_prime_sieve"),
        env!("CARGO_BIN_EXE_skynet"),
        env!("CARGO_BIN_EXE_wordcount"),
        env!("CARGO_BIN_EXE_asyncio_tour"),
        env!("CARGO_BIN_EXE_fetch"),
    ] {
        let out = run(program, ["--help"]).expect_code(0);
        assert!(out.stdout.contains("--procs"), "{}", out.stdout);
        let out = run(program, ["--no-such-option"]).expect_code(2);
        assert_eq!(out.stdout, "");
    }
}
