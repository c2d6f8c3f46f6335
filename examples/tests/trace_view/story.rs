//! A trace that was made up so that its numbers can be reckoned by hand: two goroutines on two Ps, with a
//! channel, a sleep, a P that is taken, and a wait that is not over at the end.
//!
//! ```text
//!   time (µs)  0    1        10        20 21      30      40   50  52    60        90     95  100
//!   P0         |....[G1 main  ]..idle...|[G1 main                  ][G2    ]..idle..[G2    ]..|
//!   P1         |idle..[G2 reader at 5.5          ][G2 again  ]..idle..........................|
//!   G1              runs       waits(10)  runs                    ends at 51
//!   G2                   runs                yields, P taken at 40, without P to 50, sleeps 60..90
//! ```

use super::writer::{Arg, Line, Writer};
use Arg::{Address, N, T};
use Line::{G, M, P, Regions, Thread};

/// The channel.
pub const CHANNEL: u64 = 0x7f00_dead_bee0;

/// A goroutine's turn begins on a P and an M.
fn start(
    w: &mut Writer,
    at: u64,
    g: u64,
    name: &str,
    on: (u64, u64),
    flow: Option<(u64, &'static str)>,
) {
    w.begin(
        at,
        P(on.0),
        name,
        "goroutine",
        &[("g", N(g)), ("m", N(on.1))],
        flow,
    );
    w.begin(
        at,
        M(on.1),
        name,
        "goroutine",
        &[("g", N(g)), ("p", N(on.0))],
        None,
    );
}

fn stop(w: &mut Writer, at: u64, on: (u64, u64), why: &[(&'static str, Arg)]) {
    w.end(at, P(on.0), why);
    w.end(at, M(on.1), why);
}

fn idle(w: &mut Writer, p: u64, at: u64) {
    w.begin(at, P(p), "idle", "p", &[], None);
}

/// The trace in both formats. `lost`: with a place where events are missing.
pub fn story(lost: bool) -> (Vec<u8>, Vec<u8>) {
    let mut w = Writer::new();
    let w_ = &mut w;
    tell(w_, lost);
    w.finish()
}

fn tell(w: &mut Writer, lost: bool) {
    let (w0, w1) = ((0, 0), (1, 1));
    w.declare(P(0), "P0");
    w.declare(P(1), "P1");
    w.instant(
        0,
        P(0),
        "runtime starts",
        "runtime",
        &[("name", T("test")), ("procs", N(2))],
        None,
    );
    w.declare(M(0), "M0");
    w.declare(M(1), "M1");
    idle(w, 1, 0);
    w.begin(0, M(1), "asleep", "m", &[], None);
    w.declare(Thread(4711), "thread 4711 (main)");
    let site = ("site", T("src/main.rs:7:9"));
    w.instant(
        500,
        Thread(4711),
        "spawn",
        "spawn",
        &[("g", N(1)), ("parent", N(0)), site],
        Some((1, "spawn")),
    );
    start(w, 1_000, 1, "main.rs:7", w0, Some((1, "spawn")));
    let site = ("site", T("src/main.rs:12:5"));
    w.instant(
        2_000,
        P(0),
        "spawn",
        "spawn",
        &[("g", N(2)), ("parent", N(1)), site],
        Some((2, "spawn")),
    );
    w.declare(G(2), "reader (G2)");
    w.begin(2_000, G(2), "runnable", "state", &[], None);
    w.end(5_000, P(1), &[]);
    w.end(5_000, M(1), &[]);
    start(w, 5_500, 2, "reader", w1, Some((2, "spawn")));
    w.end(5_500, G(2), &[]);
    w.begin(
        5_500,
        G(2),
        "running",
        "state",
        &[("p", N(1)), ("m", N(1))],
        None,
    );
    w.declare(Regions(2), "reader (G2)");
    w.begin(6_000, Regions(2), "parse", "region", &[("g", N(2))], None);
    w.begin(
        7_000,
        Regions(2),
        "</script><b>&line",
        "region",
        &[("g", N(2))],
        None,
    );
    w.instant(
        7_500,
        Regions(2),
        "notes",
        "log",
        &[("message", T("half \"way\" <there>")), ("g", N(2))],
        None,
    );
    w.end(8_000, Regions(2), &[]);
    w.end(9_000, Regions(2), &[]);

    let on = ("object", Address(CHANNEL));
    stop(
        w,
        10_000,
        w0,
        &[("end", T("block")), ("wait", T("chan receive")), on],
    );
    idle(w, 0, 10_500);
    let args = [("g", N(1)), ("by", T("goroutine")), ("waker", N(2))];
    w.instant(20_000, P(1), "unblock", "wake", &args, Some((3, "wake")));
    w.end(20_800, P(0), &[]);
    start(w, 21_000, 1, "main.rs:7", w0, Some((3, "wake")));
    stop(w, 30_000, w1, &[("end", T("yield"))]);
    w.end(30_000, G(2), &[("end", T("yield"))]);
    w.begin(30_000, G(2), "runnable", "state", &[], None);
    start(w, 30_150, 2, "reader", w1, None);
    w.end(30_150, G(2), &[]);
    w.begin(
        30_150,
        G(2),
        "running",
        "state",
        &[("p", N(1)), ("m", N(1))],
        None,
    );

    w.instant(
        40_000,
        P(1),
        "taken",
        "handoff",
        &[("m", N(1)), ("g", N(2))],
        None,
    );
    w.end(40_000, P(1), &[("end", T("taken"))]);
    w.begin(
        40_000,
        M(1),
        "without P",
        "handoff",
        &[("why", T("taken"))],
        None,
    );
    w.end(40_000, G(2), &[("end", T("taken"))]);
    w.begin(
        40_000,
        G(2),
        "without P",
        "state",
        &[("why", T("taken"))],
        None,
    );
    idle(w, 1, 41_000);
    w.end(50_000, M(1), &[]);
    w.end(50_000, M(1), &[("end", T("lost its P"))]);
    w.end(50_000, G(2), &[]);
    w.begin(50_000, G(2), "runnable", "state", &[], None);
    stop(w, 51_000, w0, &[("end", T("finish"))]);
    start(w, 52_000, 2, "reader", w0, None);
    w.end(52_000, G(2), &[]);
    w.begin(
        52_000,
        G(2),
        "running",
        "state",
        &[("p", N(0)), ("m", N(0))],
        None,
    );

    let why = [
        ("end", T("block")),
        ("wait", T("sleep")),
        ("object", Address(0)),
    ];
    stop(w, 60_000, w0, &why);
    w.end(60_000, G(2), &why);
    w.begin(
        60_000,
        G(2),
        "sleep",
        "blocked",
        &[("object", Address(0))],
        None,
    );
    idle(w, 0, 60_500);
    if lost {
        w.instant(
            70_000,
            M(0),
            "lost events",
            "trace",
            &[("count", N(1_234)), ("since", N(5_000_000_065_123))],
            None,
        );
    }
    w.end(89_900, P(0), &[]);
    w.instant(90_000, P(0), "timers", "timer", &[("fired", N(1))], None);
    w.instant(
        90_000,
        P(0),
        "unblock",
        "wake",
        &[("g", N(2)), ("by", T("timer"))],
        Some((4, "wake")),
    );
    w.end(90_000, G(2), &[]);
    w.begin(90_000, G(2), "runnable", "state", &[], None);
    start(w, 90_200, 2, "reader", w0, Some((4, "wake")));
    w.end(90_200, G(2), &[]);
    w.begin(
        90_200,
        G(2),
        "running",
        "state",
        &[("p", N(0)), ("m", N(0))],
        None,
    );
    let why = [("end", T("block")), ("wait", T("chan send")), on];
    stop(w, 95_000, w0, &why);
    w.end(95_000, G(2), &why);
    w.begin(95_000, G(2), "chan send", "blocked", &[on], None);
    idle(w, 0, 95_300);
    w.end(100_000, P(0), &[]);
    w.end(100_000, P(1), &[]);
    w.end(100_000, G(2), &[]);
}
