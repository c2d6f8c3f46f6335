//! The viewer of traces: both formats give the same model, the numbers are those that were reckoned by
//! hand, broken files are told, and a browser runs the page.

#[path = "trace_view/browser.rs"]
mod browser;
mod common;
#[path = "trace_view/story.rs"]
mod story;
#[path = "trace_view/writer.rs"]
mod writer;

use std::fs;

use common::{TempTree, run};
use examples::trace_view::{
    self, BOUNDS, Format, Goroutine, Goroutines, ReadError, Share, Since, State, Trace, TrackKind,
    utilisation,
};
use story::{CHANNEL, story};
use writer::{Line, Writer};

const VIEWER: &str = env!("CARGO_BIN_EXE_trace-view");

#[track_caller]
fn both(files: &(Vec<u8>, Vec<u8>)) -> (Trace, Trace) {
    let perfetto = trace_view::read(&files.0).expect("a trace");
    let chrome = trace_view::read(&files.1).expect("a trace");
    assert_eq!(
        (perfetto.format, chrome.format),
        (Format::Perfetto, Format::Chrome)
    );
    (perfetto, chrome)
}

#[test]
fn both_formats_give_the_same_model() {
    for lost in [false, true] {
        let (perfetto, mut chrome) = both(&story(lost));
        assert_eq!(perfetto.process.as_deref(), Some("prog"));
        // All that only one of them says.
        chrome.format = Format::Perfetto;
        chrome.process.clone_from(&perfetto.process);
        assert_eq!(perfetto, chrome);
        assert_eq!((perfetto.cut, perfetto.unopened), (None, 0));
        assert_eq!(
            perfetto.lost.iter().map(|lost| lost.count).sum::<u64>(),
            1_234 * u64::from(lost)
        );
    }
}

#[test]
fn tracks_and_arrows_are_where_they_belong() {
    let (trace, _) = both(&story(false));
    assert_eq!(trace.duration, 100_000);
    assert_eq!(trace.runtimes[0].name, "weft \"test\"");
    let kinds: Vec<TrackKind> = trace.tracks.iter().map(|track| track.kind).collect();
    use TrackKind::{Goroutine, M, P, Regions, Thread};
    assert_eq!(
        kinds,
        [
            P(0),
            P(1),
            M(0),
            M(1),
            Thread(4711),
            Goroutine(2),
            Regions(2)
        ]
    );
    assert_eq!(trace.tracks[6].name, "reader (G2)");
    assert_eq!(trace.tracks[6].slices[1].depth, 1);
    let arrows: Vec<(usize, u64, usize, u64)> = trace
        .arrows
        .iter()
        .map(|arrow| {
            let from = &trace.tracks[arrow.from.0].instants[arrow.from.1];
            let to = &trace.tracks[arrow.to.0].slices[arrow.to.1];
            (arrow.from.0, from.at, arrow.to.0, to.begin)
        })
        .collect();
    let expected = [
        (4, 500, 0, 1_000),
        (0, 2_000, 1, 5_500),
        (1, 20_000, 0, 21_000),
        (0, 90_000, 0, 90_200),
    ];
    assert_eq!(arrows, expected);
}

/// Running, without P, runnable, waiting.
fn times(g: &Goroutine) -> [u64; 4] {
    [g.running, g.without_p, g.runnable, g.blocked]
}

#[test]
fn a_goroutines_times_are_those_reckoned_by_hand() {
    let (trace, _) = both(&story(false));
    let gs = Goroutines::of(&trace);
    let [main, reader] = &gs.all[..] else {
        panic!("{:?}", gs.all);
    };
    assert_eq!(
        (main.name.as_str(), reader.name.as_str()),
        ("main.rs:7", "reader")
    );
    assert_eq!(times(main), [39_000, 0, 1_500, 10_000]);
    assert_eq!(
        (main.turns, main.waits, main.state),
        (2, 1, State::Finished)
    );
    assert_eq!(times(reader), [47_150, 10_000, 5_850, 35_000]);
    assert_eq!((reader.turns, reader.waits, reader.longest), (4, 2, 30_000));
    assert!(matches!(reader.state, State::Waiting(_)));
    assert_eq!((gs.made, gs.finished), (2, 1));
    // From when it was made to the end there is no gap.
    assert_eq!(times(reader).iter().sum::<u64>(), 98_000);
    assert_eq!(times(main).iter().sum::<u64>(), 50_500);
}

#[test]
fn the_histogram_is_the_one_reckoned_by_hand() {
    let (trace, _) = both(&story(false));
    let latencies = Goroutines::of(&trace).latencies;
    assert_eq!(latencies.sorted(Some(Since::Woken)), [200, 1_000]);
    assert_eq!(latencies.sorted(Some(Since::Made)), [500, 3_500]);
    assert_eq!(latencies.sorted(Some(Since::Yielded)), [150, 2_000]);
    let histogram = latencies.histogram();
    assert_eq!(histogram.occupied(), 1..6);
    // woken, made, yielded: [100, 200), [200, 500), [500, 1000), [1000, 2000), [2000, 5000)
    let expected = [[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 1]];
    assert_eq!(histogram.counts[1..6], expected);
    assert_eq!(BOUNDS[4], 2_000);
}

#[test]
fn waits_are_counted_by_reason_and_by_object() {
    let (trace, _) = both(&story(false));
    let waits = Goroutines::of(&trace).waits;
    let by_reason: Vec<(String, u64, u64, bool)> = waits
        .by_reason()
        .into_iter()
        .map(|r| (r.reason, r.count, r.total, r.longest.over))
        .collect();
    let expected = [
        ("sleep".to_owned(), 1, 30_000, true),
        ("chan receive".to_owned(), 1, 10_000, true),
        ("chan send".to_owned(), 1, 5_000, false),
    ];
    assert_eq!(by_reason, expected);
    let by_object = waits.by_object();
    assert_eq!(by_object.len(), 1, "a sleep is on nothing");
    let channel = &by_object[0];
    assert_eq!(
        (
            channel.object,
            channel.count,
            channel.goroutines,
            channel.total
        ),
        (CHANNEL, 2, 2, 15_000)
    );
    assert_eq!(channel.longest.g, 1);
    let longest = waits.longest(2);
    assert_eq!(
        (longest[0].begin, longest[0].end, waits.text(longest[0].by)),
        (60_000, 90_000, "timer")
    );
    assert_eq!((longest[1].waker, longest[1].lasted()), (2, 10_000));
}

#[test]
fn utilisation_is_the_one_reckoned_by_hand() {
    let (trace, _) = both(&story(false));
    for parts in [1, 7, 10, 240] {
        let used = utilisation(&trace, parts);
        let share = |running, idle, scheduler| Share {
            running,
            idle,
            scheduler,
        };
        assert_eq!(used[0].whole, share(51_800, 44_400, 3_800), "{parts} parts");
        assert_eq!(used[1].whole, share(34_350, 64_000, 1_650), "{parts} parts");
        assert!(
            used.iter()
                .all(|p| p.parts.iter().map(Share::total).sum::<u64>() == 100_000)
        );
    }
    let tenths = &utilisation(&trace, 10)[0].parts;
    assert_eq!(
        tenths[0],
        Share {
            running: 9_000,
            idle: 0,
            scheduler: 1_000
        }
    );
    assert_eq!(
        tenths[1],
        Share {
            running: 0,
            idle: 9_500,
            scheduler: 500
        }
    );
    assert_eq!(
        tenths[5],
        Share {
            running: 9_000,
            idle: 0,
            scheduler: 1_000
        }
    );
}

#[test]
fn a_file_that_breaks_off_is_shown_up_to_there() {
    let files = story(false);
    let whole = both(&files).0;
    for (format, bytes) in [(Format::Perfetto, &files.0), (Format::Chrome, &files.1)] {
        let mut shown = 0;
        // Without its last newline, Chrome's is whole.
        for len in 1..bytes.len() - 1 {
            match trace_view::read(&bytes[..len]) {
                Ok(trace) => {
                    assert!(trace.events <= whole.events && trace.duration <= whole.duration);
                    // Perfetto's can break off between two packets, of which nobody can tell.
                    assert!(
                        trace.cut.is_some() || format == Format::Perfetto,
                        "{len} bytes"
                    );
                    assert!(
                        trace
                            .tracks
                            .iter()
                            .all(|t| t.slices.iter().all(|s| s.end <= trace.duration))
                    );
                    shown += 1;
                }
                Err(ReadError::NoEvents(f, _)) => {
                    assert_eq!((f, shown), (format, 0), "{len} bytes")
                }
                Err(ReadError::Foreign(_) | ReadError::Unknown) => {
                    assert_eq!(shown, 0, "{len} bytes")
                }
                Err(ReadError::Empty) => panic!("{len} bytes"),
            }
        }
        assert!(shown > bytes.len() / 2);
    }
    // A killed program's Chrome file lacks the end only.
    let end = files
        .1
        .windows(2)
        .rposition(|two| two == b"\n]")
        .expect("an end");
    let trace = trace_view::read(&files.1[..end]).expect("a trace");
    assert_eq!((trace.events, trace.unclosed), (whole.events, 0));
    assert!(
        trace
            .cut
            .expect("it is cut")
            .starts_with("the file breaks off")
    );
}

#[test]
fn garbage_in_the_middle_is_told_and_never_panics() {
    let files = story(true);
    for bytes in [&files.0, &files.1] {
        let mut told = 0;
        // Odd, so that it meets all bytes of words.
        for at in (0..bytes.len()).step_by(11) {
            let mut broken = bytes.clone();
            broken[at] ^= 0x55;
            if let Ok(trace) = trace_view::read(&broken) {
                told += u32::from(trace.cut.is_some());
                let gs = Goroutines::of(&trace);
                let _ = (utilisation(&trace, 10), gs.waits.by_object(), gs.groups());
            }
        }
        assert!(told > 20, "{told}");
    }
}

#[test]
fn what_is_no_trace_is_told() {
    let dir = TempTree::new();
    let (no_events, _) = {
        let mut w = Writer::new();
        w.declare(Line::P(0), "P0");
        w.finish()
    };
    let cases: [(&str, &[u8], &str); 8] = [
        ("empty", b"", "the file is empty"),
        (
            "text",
            b"Hello, this is no trace\n",
            "neither Perfetto's protobuf nor Chrome's JSON",
        ),
        ("blank", b"\n\n{}\n", "not a trace of the runtime's"),
        ("elf", b"\x7fELF\x02\x01\x01\0\0\0", "neither"),
        (
            "json",
            b"{\"traceEvents\":[]}",
            "Chrome JSON, but not a trace of the runtime's",
        ),
        (
            "foreign",
            b"[{\"ph\":\"B\",\"pid\":1,\"tid\":1,\"ts\":0,\"name\":\"x\"}]",
            "not a trace of the runtime's",
        ),
        ("broken", b"{\"traceEvents\":[}", "neither"),
        ("nothing", &no_events, "the trace has no events"),
    ];
    for (name, bytes, error) in cases {
        let path = dir.file(name, bytes);
        let out = run(VIEWER, [&path]).expect_code(1);
        assert!(
            out.stderr.starts_with("trace-view: ") && out.stderr.contains(error),
            "{name}: {}",
            out.stderr
        );
        assert!(!dir.join(format!("{name}.html")).exists());
    }
    let out = run(VIEWER, [dir.join("missing")]).expect_code(1);
    assert!(out.stderr.contains("cannot read"), "{}", out.stderr);
}

#[test]
fn the_program_writes_one_page_that_needs_nothing_else() {
    let dir = TempTree::new();
    let (perfetto, chrome) = story(true);
    let file = dir.file("a.pftrace", &perfetto);
    let out = run(VIEWER, [&file]).expect_code(0);
    assert!(
        out.stderr.contains("1234 events were lost"),
        "{}",
        out.stderr
    );
    let page = fs::read_to_string(dir.join("a.pftrace.html")).expect("the page");
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    // Names are data, also those that look like the page's own text.
    assert_eq!(page.matches("</script>").count(), 3);
    assert!(page.contains("1\u{202f}234 events were lost"));

    let cut = dir.file("cut.json", &chrome[..chrome.len() / 2]);
    let to = dir.join("elsewhere.html");
    let out = run(VIEWER, [cut.as_os_str(), "-o".as_ref(), to.as_os_str()]).expect_code(0);
    assert!(
        out.stderr.contains("is not complete: the file breaks off"),
        "{}",
        out.stderr
    );
    assert!(
        fs::read_to_string(&to)
            .expect("the page")
            .contains("The trace is not complete")
    );

    let out = run(VIEWER, [file.as_os_str(), "-o".as_ref(), file.as_os_str()]).expect_code(1);
    assert!(out.stderr.contains("would overwrite"), "{}", out.stderr);
    assert_eq!(fs::read(&file).expect("still there"), perfetto);
    let out = run(VIEWER, [file.as_os_str(), "-o".as_ref(), "-".as_ref()]).expect_code(0);
    assert!(out.stdout.starts_with("<!doctype html>"));
}

#[test]
fn a_browser_runs_the_page() {
    let Some(browser) = browser::find() else {
        common::skipped("chromium is not installed");
        return;
    };
    let dir = TempTree::new();
    for (name, bytes) in [("a.pftrace", story(true).0), ("b.json", story(true).1)] {
        let trace = trace_view::read(&bytes).expect("a trace");
        let page = dir.file(format!("{name}.html"), trace_view::page(&trace, name));
        let dom = browser::dom(browser, &page, &dir.join(format!("profile-{name}")));
        // What the script says of itself when it has drawn.
        let things: usize = trace
            .tracks
            .iter()
            .map(|t| t.slices.len() + t.instants.len())
            .sum();
        assert!(!dom.contains("data-error"), "{dom}");
        assert!(dom.contains(&format!("data-ready=\"{things}\"")), "{dom}");
        assert!(dom.contains("data-arrows=\"4\""), "{dom}");
        // The view is the whole trace, and the numbers are there.
        for text in [
            "0 ns – 100 µs",
            "51.8 %",
            "34.4 %",
            "39.0 µs",
            "30.0 µs",
            "0x7f00deadbee0",
            "1\u{202f}234 events were lost",
        ] {
            assert!(dom.contains(text), "{text} is not in\n{dom}");
        }
        assert!(dom.contains("aria-sort"), "the tables can be sorted");
    }
}

/// What a user does, and after each step the first words of what the page says of the chosen slice.
const STEPS: &str = r##"<script>
(async () => {
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  const canvas = document.getElementById("canvas"), said = [];
  while (!document.documentElement.dataset.ready) await sleep(20);
  const say = () => said.push(document.getElementById("details").textContent.slice(0, 28));
  const key = (key) => {
    canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    say();
  };
  canvas.setPointerCapture = () => {}; // there is no such pointer
  const click = (time, y) => {
    const box = canvas.getBoundingClientRect();
    const at = { clientX: box.left + 170 + (canvas.clientWidth - 170) * time / 100000, clientY: box.top + y, pointerId: 1, bubbles: true };
    for (const type of ["pointermove", "pointerdown", "pointerup"]) canvas.dispatchEvent(new PointerEvent(type, at));
    say();
  };
  key("."); key(","); key("b"); key("g"); key("0");
  await sleep(100);
  click(20000, 71); click(25000, 55);
  key("Enter");
  await sleep(100);
  said.push(document.getElementById("range").textContent);
  document.querySelector("#longest .jump").click();
  say();
  document.documentElement.dataset.said = said.join("|");
})();
</script></body>"##;

#[test]
fn keys_and_clicks_follow_arrows() {
    let Some(browser) = browser::find() else {
        common::skipped("chromium is not installed");
        return;
    };
    let dir = TempTree::new();
    let trace = trace_view::read(&story(false).0).expect("a trace");
    let page = trace_view::page(&trace, "a").replace("</body>", STEPS);
    let page = dir.file("a.html", page);
    let dom = browser::dom(browser, &page, &dir.join("profile"));
    let said = dom
        .split("data-said=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let said: Vec<&str> = said.unwrap_or_else(|| panic!("{dom}")).split('|').collect();
    let main = "main.rs:7 · P0lasts 30 µsfro";
    let expected = [
        "reader · P0lasts 8 µsfrom 52",
        main,
        "unblock · P1at 20 µscategory",
        main,
        main,
        // A click on the mark goes along its arrow; one on the slice chooses it.
        main,
        main,
        // Enter zooms to it.
        main,
        "12 µs – 60 µs (48 µs)",
        "sleep · reader (G2)lasts 30 ",
    ];
    assert_eq!(said, expected);
}
