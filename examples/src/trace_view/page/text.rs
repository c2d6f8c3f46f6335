//! Words and numbers for the page.

/// Text for HTML, also within quotes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// `1 234 567`, with thin spaces that do not break.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// `1 event`, `2 events`.
pub(super) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(n), if n == 1 { one } else { many })
}

/// Nanoseconds for people: three digits and a unit.
///
/// # Examples
///
/// ```
/// use examples::trace_view::duration_text;
/// assert_eq!(duration_text(0), "0 ns");
/// assert_eq!(duration_text(1_234), "1.23 µs");
/// assert_eq!(duration_text(999_999), "1.00 ms");
/// assert_eq!(duration_text(61_500_000_000), "61.5 s");
/// ```
pub fn duration_text(ns: u64) -> String {
    if ns < 1000 {
        return format!("{ns} ns");
    }
    let mut value = ns as f64 / 1000.0;
    let mut units = ["µs", "ms", "s"].iter().peekable();
    let mut unit = units.next().expect("there are three");
    // What three digits round up to a thousand is one of the next.
    while value >= 999.5 && units.peek().is_some() {
        value /= 1000.0;
        unit = units.next().expect("peeked");
    }
    match value {
        v if v < 9.995 => format!("{v:.2} {unit}"),
        v if v < 99.95 => format!("{v:.1} {unit}"),
        v => format!("{v:.0} {unit}"),
    }
}
