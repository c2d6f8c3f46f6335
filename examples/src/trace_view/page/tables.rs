//! The tables of waits and of goroutines.

use std::collections::HashMap;
use std::fmt::Write;

use super::super::goroutines::{Goroutine, Goroutines};
use super::super::model::Trace;
use super::super::waits::Wait;
use super::text::{counted, duration_text, escape, grouped};

/// Rows of each table of waits; what is further down is short by comparison.
const MOST_WAITS: usize = 50;

/// Of the goroutines those are in the table that are among so many first by any of its columns.
const MOST_GOROUTINES: usize = 250;

/// A button that brings the timeline to a time and a track.
pub(super) fn jump(text: &str, begin: u64, end: u64, track: usize) -> String {
    format!(
        "<button type=\"button\" class=\"jump\" data-jump=\"{begin},{end},{track}\">{}</button>",
        escape(text)
    )
}

fn table(out: &mut String, id: &str, caption: &str, columns: &[(&str, bool)]) {
    let _ = write!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\">\
         <table id=\"{id}\" class=\"sortable\"><caption>{caption}</caption><thead><tr>"
    );
    for (column, number) in columns {
        let class = if *number { " class=\"n\"" } else { "" };
        let _ = write!(out, "<th scope=\"col\"{class}>{column}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
}

fn end_table(out: &mut String) {
    out.push_str("</tbody></table></div>\n");
}

fn text(out: &mut String, text: &str) {
    let _ = write!(out, "<td>{}</td>", escape(text));
}

fn number(out: &mut String, n: u64) {
    let _ = write!(out, "<td class=\"n\" data-v=\"{n}\">{}</td>", grouped(n));
}

fn time(out: &mut String, ns: u64) {
    let _ = write!(
        out,
        "<td class=\"n\" data-v=\"{ns}\">{}</td>",
        duration_text(ns)
    );
}

fn time_jump(out: &mut String, wait: &Wait) {
    let lasted = wait.lasted();
    let mut label = duration_text(lasted);
    if !wait.over {
        label.push_str(", not over");
    }
    let button = jump(&label, wait.begin, wait.end, wait.track);
    let _ = write!(out, "<td class=\"n\" data-v=\"{lasted}\">{button}</td>");
}

/// `reader (G7)`, or `main.rs:12 (G8)`.
fn title(g: &Goroutine) -> String {
    let id = format!("G{}", g.id);
    match g.name == id || g.name.ends_with(&format!("({id})")) {
        true => g.name.clone(),
        false => format!("{} ({id})", g.name),
    }
}

pub(super) fn waits(out: &mut String, trace: &Trace, goroutines: &Goroutines) {
    let names: HashMap<u64, &Goroutine> = goroutines.all.iter().map(|g| (g.id, g)).collect();
    let name = |id: u64| match names.get(&id) {
        Some(g) => title(g),
        None => format!("G{id}"),
    };
    let waits = &goroutines.waits;
    out.push_str("<section id=\"waits\">\n<h2>Waits</h2>\n");
    let by_reason = waits.by_reason();
    if by_reason.is_empty() {
        out.push_str("<p class=\"muted\">No goroutine waited.</p>\n</section>\n");
        return;
    }
    out.push_str(
        "<p class=\"muted\">From the moment a goroutine was off its stack until it was woken. The times of all goroutines \
         are added up, so that a total can exceed the length of the trace.</p>\n",
    );
    table(
        out,
        "reasons",
        "By reason",
        &[
            ("reason", false),
            ("waits", true),
            ("total", true),
            ("mean", true),
            ("longest", true),
            ("of", false),
        ],
    );
    for group in &by_reason {
        out.push_str("<tr>");
        text(out, &group.reason);
        number(out, group.count);
        time(out, group.total);
        time(out, group.total / group.count);
        time_jump(out, &group.longest);
        text(out, &name(group.longest.g));
        out.push_str("</tr>\n");
    }
    end_table(out);

    let by_object = waits.by_object();
    if by_object.is_empty() {
        out.push_str("<p class=\"muted\">The trace does not say on which channels or locks.</p>\n");
    } else {
        table(
            out,
            "objects",
            "By channel, lock or other object",
            &[
                ("object", false),
                ("waited for", false),
                ("waits", true),
                ("goroutines", true),
                ("total", true),
                ("longest", true),
                ("of", false),
            ],
        );
        for group in by_object.iter().take(MOST_WAITS) {
            let reasons: Vec<String> = group
                .reasons
                .iter()
                .map(|(reason, n)| format!("{reason} ×{}", grouped(*n)))
                .collect();
            out.push_str("<tr>");
            let _ = write!(out, "<td><code>{:#x}</code></td>", group.object);
            text(out, &reasons.join(", "));
            number(out, group.count);
            number(out, group.goroutines);
            time(out, group.total);
            time_jump(out, &group.longest);
            text(out, &name(group.longest.g));
            out.push_str("</tr>\n");
        }
        end_table(out);
        more(out, by_object.len(), "object", "objects");
        out.push_str(
            "<p class=\"muted\">An address can have been given to another object after the first was freed.</p>\n",
        );
    }

    let longest = waits.longest(MOST_WAITS);
    table(
        out,
        "longest",
        "The longest waits",
        &[
            ("goroutine", false),
            ("reason", false),
            ("object", false),
            ("lasted", true),
            ("began", true),
            ("ended by", false),
        ],
    );
    for wait in &longest {
        out.push_str("<tr>");
        text(out, &name(wait.g));
        text(out, waits.text(wait.reason));
        match wait.object {
            0 => out.push_str("<td></td>"),
            object => {
                let _ = write!(out, "<td><code>{object:#x}</code></td>");
            }
        }
        time_jump(out, wait);
        time(out, wait.begin);
        match (wait.over, wait.waker) {
            (false, _) if wait.end < trace.duration => text(out, "unknown"),
            (false, _) => text(out, "nobody, the trace ended"),
            (true, 0) => text(out, waits.text(wait.by)),
            (true, waker) => text(out, &name(waker)),
        }
        out.push_str("</tr>\n");
    }
    end_table(out);
    more(out, waits.iter().count(), "wait", "waits");
    out.push_str("</section>\n");
}

fn more(out: &mut String, all: usize, one: &str, many: &str) {
    if all > MOST_WAITS {
        let _ = writeln!(
            out,
            "<p class=\"muted\">The {MOST_WAITS} with the longest of {}.</p>",
            counted(all as u64, one, many)
        );
    }
}

/// Those that are first by any column.
fn notable(all: &[Goroutine]) -> Vec<&Goroutine> {
    if all.len() <= MOST_GOROUTINES {
        let mut all: Vec<&Goroutine> = all.iter().collect();
        all.sort_by_key(|g| (std::cmp::Reverse(g.running), g.id));
        return all;
    }
    let columns: [fn(&Goroutine) -> u64; 6] = [
        |g| g.running,
        |g| g.without_p,
        |g| g.runnable,
        |g| g.blocked,
        |g| g.turns,
        |g| g.longest,
    ];
    let mut picked = vec![false; all.len()];
    let mut order: Vec<usize> = (0..all.len()).collect();
    for column in columns {
        order.sort_by_key(|i| (std::cmp::Reverse(column(&all[*i])), *i));
        for i in order.iter().take(MOST_GOROUTINES) {
            picked[*i] |= column(&all[*i]) > 0;
        }
    }
    let mut notable: Vec<&Goroutine> = all
        .iter()
        .zip(&picked)
        .filter(|(_, picked)| **picked)
        .map(|(g, _)| g)
        .collect();
    notable.sort_by_key(|g| (std::cmp::Reverse(g.running), g.id));
    notable
}

pub(super) fn goroutines(out: &mut String, goroutines: &Goroutines) {
    out.push_str("<section id=\"goroutines\">\n<h2>Goroutines</h2>\n");
    if goroutines.all.is_empty() {
        out.push_str("<p class=\"muted\">No goroutine was seen.</p>\n</section>\n");
        return;
    }
    let groups = goroutines.groups();
    table(
        out,
        "groups",
        "By name, or by where they were made",
        &[
            ("name or place", false),
            ("goroutines", true),
            ("turns", true),
            ("running", true),
            ("without P", true),
            ("runnable", true),
            ("waiting", true),
        ],
    );
    for group in groups.iter().take(MOST_GOROUTINES) {
        out.push_str("<tr>");
        text(out, &group.name);
        number(out, group.count);
        number(out, group.turns);
        time(out, group.running);
        time(out, group.without_p);
        time(out, group.runnable);
        time(out, group.blocked);
        out.push_str("</tr>\n");
    }
    end_table(out);
    let notable = notable(&goroutines.all);
    table(
        out,
        "each",
        "Each goroutine",
        &[
            ("goroutine", false),
            ("turns", true),
            ("running", true),
            ("without P", true),
            ("runnable", true),
            ("waiting", true),
            ("waits", true),
            ("longest wait", true),
            ("at the end", false),
        ],
    );
    for g in &notable {
        out.push_str("<tr>");
        let _ = write!(
            out,
            "<td><button type=\"button\" class=\"jump\" data-goroutine=\"{}\">{}</button></td>",
            g.id,
            escape(&title(g))
        );
        number(out, g.turns);
        time(out, g.running);
        time(out, g.without_p);
        time(out, g.runnable);
        time(out, g.blocked);
        number(out, g.waits);
        time(out, g.longest);
        text(out, g.state.as_str());
        out.push_str("</tr>\n");
    }
    end_table(out);
    if notable.len() < goroutines.all.len() {
        let _ = writeln!(
            out,
            "<p class=\"muted\">Shown are {} of {}: those that are among the first {MOST_GOROUTINES} by any of the columns.</p>",
            grouped(notable.len() as u64),
            counted(goroutines.all.len() as u64, "goroutine", "goroutines")
        );
    }
    out.push_str("</section>\n");
}
