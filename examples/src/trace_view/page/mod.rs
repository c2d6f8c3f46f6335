//! One HTML page: what was reckoned in Rust as text and tables, so that it can be read without the script,
//! and the events, packed, for the script that draws the timeline.

mod charts;
mod pack;
mod tables;
mod text;

use std::fmt::Write;

use super::goroutines::Goroutines;
use super::model::{Trace, TrackKind};
use super::utilisation::utilisation;

pub use text::duration_text;
use text::{counted, escape, grouped};

/// Parts that the utilisation's charts have: fine enough for a screen, and some KiB of text for each P.
const PARTS: usize = 240;

const STYLE: &str = include_str!("style.css");

/// One script, in order: each file uses those before it.
const SCRIPTS: [&str; 5] = [
    include_str!("data.js"),
    include_str!("draw.js"),
    include_str!("select.js"),
    include_str!("input.js"),
    include_str!("tables.js"),
];

/// The page for a trace. `file` is what to call it.
pub fn page(trace: &Trace, file: &str) -> String {
    let goroutines = Goroutines::of(trace);
    let used = utilisation(trace, PARTS);
    let packed = pack::pack(trace, &goroutines);
    let mut out = String::with_capacity(packed.data.len() + packed.words.len() + (1 << 20));
    let title = trace.process.as_deref().filter(|name| !name.is_empty());
    let title = escape(title.unwrap_or(file));
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{title} – trace</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
    );
    header(&mut out, trace, &goroutines, &title, file);
    timeline(&mut out);
    charts::latencies(&mut out, &goroutines.latencies);
    tables::waits(&mut out, trace, &goroutines);
    tables::goroutines(&mut out, &goroutines);
    charts::utilisation(&mut out, trace, &used);
    out.push_str("</main>\n");
    let _ = write!(
        out,
        "<script type=\"application/json\" id=\"words\">{}</script>\n\
         <script type=\"text/plain\" id=\"data\">{}</script>\n<script>\n(() => {{\n\"use strict\";\n",
        packed.words, packed.data
    );
    for script in SCRIPTS {
        out.push_str(script);
    }
    out.push_str("})();\n</script>\n</body>\n</html>\n");
    out
}

fn header(out: &mut String, trace: &Trace, goroutines: &Goroutines, title: &str, file: &str) {
    let count = |is: fn(&TrackKind) -> bool| {
        trace.tracks.iter().filter(|track| is(&track.kind)).count() as u64
    };
    let ps = count(|kind| matches!(kind, TrackKind::P(_)));
    let ms = count(|kind| matches!(kind, TrackKind::M(_)));
    let _ = write!(
        out,
        "<header>\n<h1>{title}</h1>\n<p class=\"sub\">{} · {}</p>\n<dl class=\"facts\">\n",
        escape(file),
        trace.format.as_str()
    );
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    };
    fact("length", duration_text(trace.duration));
    fact("events", grouped(trace.events));
    fact("lost events", grouped(trace.lost()));
    fact("Ps", grouped(ps));
    fact("Ms", grouped(ms));
    fact("goroutines", grouped(goroutines.all.len() as u64));
    fact(
        "made / finished",
        format!(
            "{} / {}",
            grouped(goroutines.made),
            grouped(goroutines.finished)
        ),
    );
    out.push_str("</dl>\n");
    notes(out, trace);
    out.push_str(
        "<nav aria-label=\"Parts\"><a href=\"#timeline\">Timeline</a> <a href=\"#latency\">Latency</a> \
         <a href=\"#waits\">Waits</a> <a href=\"#goroutines\">Goroutines</a> \
         <a href=\"#utilisation\">Utilisation</a></nav>\n</header>\n<main>\n",
    );
}

/// What a reader must know before he believes the numbers.
fn notes(out: &mut String, trace: &Trace) {
    if let Some(why) = &trace.cut {
        let _ = writeln!(
            out,
            "<p class=\"warn\" id=\"cut\"><strong>The trace is not complete:</strong> {}. \
             What came before is shown; {} without an end stop where it breaks off.</p>",
            escape(why),
            counted(trace.unclosed as u64, "slice", "slices")
        );
    }
    if trace.unopened > 0 {
        let _ = writeln!(
            out,
            "<p class=\"warn\">{} without a begin left out.</p>",
            counted(trace.unopened as u64, "end", "ends")
        );
    }
    let lost = trace.lost();
    if lost == 0 {
        out.push_str("<p class=\"fine\" id=\"lost\">No events were lost.</p>\n");
        return;
    }
    let places = trace.lost.len() as u64;
    let _ = write!(
        out,
        "<div class=\"warn\" id=\"lost\"><strong>{} lost</strong> in {}: \
         what happened there is not known, and the times below lack it.\n<ul>\n",
        counted(lost, "event was", "events were"),
        counted(places, "place", "places")
    );
    // A long list would push all else off the screen.
    const SEEN: usize = 5;
    const MOST: usize = 200;
    for (i, lost) in trace.lost.iter().take(MOST).enumerate() {
        if i == SEEN {
            let more = counted(places - SEEN as u64, "place", "places");
            let _ = write!(out, "</ul><details><summary>{more} more</summary><ul>");
        }
        let when = format!("until {}", duration_text(lost.at));
        let _ = writeln!(
            out,
            "<li>{} on {}: {}</li>",
            counted(lost.count, "event", "events"),
            escape(&trace.tracks[lost.track].name),
            tables::jump(&when, lost.at, lost.at, lost.track)
        );
    }
    if trace.lost.len() > MOST {
        let _ = writeln!(out, "<li>and others</li>");
    }
    if trace.lost.len() > SEEN {
        out.push_str("</ul></details></div>\n");
        return;
    }
    out.push_str("</ul></div>\n");
}

fn timeline(out: &mut String) {
    out.push_str(include_str!("timeline.html"));
}
