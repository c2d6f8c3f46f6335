//! The histogram of latencies and the charts of the Ps' time.

use std::fmt::Write;

use super::super::latency::{BOUNDS, Latencies, Since, quantile};
use super::super::model::Trace;
use super::super::utilisation::{Share, Utilisation};
use super::text::{duration_text, escape, grouped};

pub(super) fn latencies(out: &mut String, latencies: &Latencies) {
    out.push_str("<section id=\"latency\">\n<h2>Scheduling latency</h2>\n");
    let all = latencies.sorted(None);
    if all.is_empty() {
        out.push_str("<p class=\"muted\">No goroutine was seen to become runnable and then to run.</p>\n</section>\n");
        return;
    }
    out.push_str(
        "<p class=\"muted\">How long goroutines that could run waited until they did.</p>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Latencies\"><table id=\"latencies\">\
         <thead><tr><th scope=\"col\">since it was</th><th scope=\"col\" class=\"n\">count</th>\
         <th scope=\"col\" class=\"n\">median</th><th scope=\"col\" class=\"n\">90 %</th>\
         <th scope=\"col\" class=\"n\">99 %</th><th scope=\"col\" class=\"n\">99.9 %</th><th scope=\"col\" class=\"n\">longest</th></tr></thead>\n<tbody>\n",
    );
    let mut row = |name: &str, class: &str, sorted: &[u64]| {
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{class}{name}</th><td class=\"n\">{}</td>",
            grouped(sorted.len() as u64)
        );
        for share in [0.5, 0.9, 0.99, 0.999, 1.0] {
            let cell = match sorted.is_empty() {
                true => String::new(),
                false => duration_text(quantile(sorted, share)),
            };
            let _ = write!(out, "<td class=\"n\">{cell}</td>");
        }
        out.push_str("</tr>\n");
    };
    for since in Since::ALL {
        let swatch = format!("<i class=\"swatch {}\"></i>", since.as_str());
        row(since.as_str(), &swatch, &latencies.sorted(Some(since)));
    }
    row("any of these", "", &all);
    out.push_str("</tbody></table></div>\n");

    let histogram = latencies.histogram();
    let occupied = histogram.occupied();
    let largest = histogram
        .counts
        .iter()
        .map(|counts| counts.iter().sum::<u64>())
        .max();
    let largest = largest.unwrap_or(1).max(1) as f64;
    out.push_str("<table id=\"histogram\"><caption>Histogram</caption>\n<tbody>\n");
    for class in occupied {
        let label = match class {
            0 => format!("below {}", short(BOUNDS[0])),
            class if class == BOUNDS.len() => format!("{} and more", short(BOUNDS[class - 1])),
            class => format!("{} – {}", short(BOUNDS[class - 1]), short(BOUNDS[class])),
        };
        let counts = histogram.counts[class];
        let sum: u64 = counts.iter().sum();
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{label}</th><td><div class=\"bars\">"
        );
        for (since, count) in Since::ALL
            .iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
        {
            let _ = write!(
                out,
                "<span class=\"{0}\" style=\"width:{1:.3}%\" title=\"{0}: {2}\"></span>",
                since.as_str(),
                count as f64 / largest * 100.0,
                grouped(count)
            );
        }
        let _ = writeln!(
            out,
            "</div></td><td class=\"n\">{}</td><td class=\"n share\">{:.1} %</td></tr>",
            grouped(sum),
            sum as f64 / all.len() as f64 * 100.0
        );
    }
    out.push_str("</tbody></table>\n</section>\n");
}

/// A bound, which has one digit.
fn short(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} µs", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        _ => format!("{} s", ns / 1_000_000_000),
    }
}

fn percent(part: u64, share: &Share) -> String {
    format!("{:.1} %", part as f64 / share.total().max(1) as f64 * 100.0)
}

pub(super) fn utilisation(out: &mut String, trace: &Trace, used: &[Utilisation]) {
    out.push_str("<section id=\"utilisation\">\n<h2>Utilisation of the Ps</h2>\n");
    if used.is_empty() {
        out.push_str("<p class=\"muted\">The trace has no Ps.</p>\n</section>\n");
        return;
    }
    out.push_str(
        "<p class=\"muted\">While its runtime was there. The rest, beside goroutines and idleness, is the scheduler, threads \
         that are being woken, and what is missing in the trace.</p>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Utilisation\"><table id=\"ps\"><thead><tr><th scope=\"col\">P</th>\
         <th scope=\"col\" class=\"n\"><i class=\"swatch running\"></i>goroutines</th>\
         <th scope=\"col\" class=\"n\"><i class=\"swatch rest\"></i>scheduler</th>\
         <th scope=\"col\" class=\"n\"><i class=\"swatch idle\"></i>idle</th><th scope=\"col\" class=\"n\">of</th></tr></thead>\n<tbody>\n",
    );
    let many = trace.runtimes.len() > 1;
    let name = |p: &Utilisation| {
        let track = &trace.tracks[p.track];
        match track.runtime {
            Some(runtime) if many => {
                format!(
                    "{} of {}",
                    escape(&track.name),
                    escape(&trace.runtimes[runtime].name)
                )
            }
            _ => escape(&track.name),
        }
    };
    for p in used {
        let whole = &p.whole;
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td></tr>",
            name(p),
            percent(whole.running, whole),
            percent(whole.scheduler, whole),
            percent(whole.idle, whole),
            duration_text(whole.total())
        );
    }
    out.push_str("</tbody></table></div>\n<div id=\"charts\">\n");
    for p in used {
        let _ = writeln!(out, "<figure><figcaption>{}</figcaption>", name(p));
        chart(out, trace, p);
        let _ = writeln!(
            out,
            "<div class=\"axis\"><span>0</span><span>{}</span></div></figure>",
            duration_text(trace.duration)
        );
    }
    out.push_str("</div>\n</section>\n");
}

/// Two areas on top of each other: goroutines, and the scheduler above. What is free is idle.
fn chart(out: &mut String, trace: &Trace, p: &Utilisation) {
    let parts = p.parts.len();
    let part_span = (trace.duration.max(1) as f64 / parts as f64).max(1.0);
    let height = |ns: u64| (ns as f64 / part_span).min(1.0) * 100.0;
    let _ = write!(
        out,
        "<svg viewBox=\"0 0 {parts} 100\" preserveAspectRatio=\"none\" role=\"img\" data-span=\"{}\" aria-label=\"{} of the time goroutines ran\">",
        trace.duration,
        percent(p.whole.running, &p.whole)
    );
    let area = |class: &str, height: &dyn Fn(&Share) -> f64| {
        let mut path = String::from("M0 100");
        for (i, part) in p.parts.iter().enumerate() {
            let y = 100.0 - height(part);
            let _ = write!(path, "L{i} {y:.1}L{} {y:.1}", i + 1);
        }
        let _ = write!(path, "L{parts} 100Z");
        format!("<path class=\"{class}\" d=\"{path}\"/>")
    };
    out.push_str(&area("rest", &|part| height(part.running + part.scheduler)));
    out.push_str(&area("running", &|part| height(part.running)));
    out.push_str("</svg>");
}
