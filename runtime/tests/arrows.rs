//! The import arrows: which room of the runtime may name which, and who alone may name what.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the ground up: each may name itself and those before it.
const ROOMS: [&str; 13] = [
    "atomics", "stack", "fiber", "g", "m", "timer", "netpoll", "p", "inspect", "trace", "sched",
    "park", "api",
];

/// What `lib.rs` re-exports at the root, which doc examples and macros may name.
const FACADE: &str = "lib";

/// Models of the protocols: tests, which may name all, and are compiled for loom only.
const MODELS: &str = "models";

/// A source file of the runtime: its room, its path below src, its code.
struct Source {
    room: String,
    path: String,
    code: String,
    /// With its comments and tests.
    text: String,
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
    found.sort();
    assert!(found.len() > 20, "{found:?}");
    found
        .iter()
        .map(|file| (file, file.strip_prefix(&src).unwrap()))
        .filter(|(_, path)| !path.starts_with(MODELS))
        .map(|(file, path)| {
            let first = path.components().next().unwrap().as_os_str();
            let text = fs::read_to_string(file).unwrap();
            Source {
                room: Path::new(first)
                    .file_stem()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned(),
                path: path.to_str().unwrap().to_owned(),
                code: without_tests(&without_comments(&text)),
                text,
            }
        })
        .collect()
}

/// The code without comments; strings and characters are emptied, so that nothing in them is
/// taken for code.
fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if rest.starts_with("/*") {
            rest = &rest[rest.find("*/").unwrap() + 2..];
        } else if rest.starts_with("'\"'") || rest.starts_with("b'\"'") {
            rest = &rest[rest.find("\"'").unwrap() + 2..];
        } else if c == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let end = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                end
            });
            out.push_str("\"\"");
            rest = &rest[1 + end.unwrap() + 1..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// The code up to its module of unit tests, which is last in its file.
fn without_tests(code: &str) -> String {
    match code.find("#[cfg(test)]\nmod tests") {
        Some(at) => code[..at].to_owned(),
        None => code.to_owned(),
    }
}

/// The first names of all paths that begin with `crate::`, those in braces included.
fn crate_paths(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        if code[..at].ends_with('$') {
            names.push(FACADE.to_owned()); // a macro, which is expanded outside
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let name = |s: &str| {
            s.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect::<String>()
        };
        if let Some(list) = rest.strip_prefix('{') {
            // use crate::{a::b, c::{d, e}}
            let mut depth = 0;
            let mut start = true;
            for (i, c) in list.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if start && !c.is_whitespace() => {
                        names.push(name(&list[i..]));
                        start = false;
                    }
                    _ => (),
                }
            }
        } else {
            names.push(name(rest));
        }
    }
    names
}

fn height(room: &str) -> Option<usize> {
    ROOMS.iter().position(|r| *r == room)
}

#[test]
fn every_room_is_known() {
    for s in sources() {
        let known = height(&s.room).is_some() || s.room == FACADE;
        assert!(
            known,
            "{}: the room {} has no place in the order",
            s.path, s.room
        );
    }
    for room in ROOMS {
        assert!(
            sources().iter().any(|s| s.room == room),
            "there is no room {room}"
        );
    }
}

#[test]
fn models_are_tests() {
    let lib = sources().into_iter().find(|s| s.room == FACADE).unwrap();
    if let Some(at) = lib.text.find("mod models;") {
        let line_before = lib.text[..at].trim_end().lines().last().unwrap();
        assert_eq!(line_before, "#[cfg(all(loom, test))]");
    }
}

#[test]
fn no_arrow_points_up() {
    let mut wrong = Vec::new();
    let mut arrows = 0;
    for s in sources() {
        let Some(own) = height(&s.room) else {
            continue; // the facade may name all
        };
        for name in crate_paths(&s.code) {
            arrows += 1;
            let fine = match height(&name) {
                Some(there) => there <= own,
                None => name == FACADE && s.room == "api",
            };
            if !fine {
                wrong.push(format!("{} names crate::{name}", s.path));
            }
        }
    }
    assert!(
        arrows > 100,
        "only {arrows} paths were found: is the parser right?"
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Names of files whose code contains `what`.
fn users(what: &str) -> Vec<String> {
    sources()
        .into_iter()
        .filter(|s| s.code.contains(what))
        .map(|s| s.path)
        .collect()
}

#[test]
fn only_the_fiber_names_corosensei() {
    assert_eq!(users("corosensei"), ["fiber.rs"]);
}

#[test]
fn thread_locals_are_in_two_files() {
    assert_eq!(users("thread_local!"), ["m/current.rs", "m/thread.rs"]);
}

#[test]
fn atomics_come_from_one_room() {
    let mut wrong = Vec::new();
    for s in sources().iter().filter(|s| s.path != "atomics.rs") {
        for (n, line) in s.text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            if !code.contains("std::sync::atomic") && !code.contains("core::sync::atomic") {
                continue;
            }
            if !s.code.contains(code.trim()) {
                continue; // in its tests
            }
            // A comment on the line, or in the block above it, must say why.
            let above = s.text.lines().take(n).collect::<Vec<_>>();
            let block = above
                .iter()
                .rev()
                .take_while(|l| l.trim_start().starts_with("//"));
            let why = line.contains("loom") || block.into_iter().any(|l| l.contains("loom"));
            if !why {
                wrong.push(format!("{}:{}: {}", s.path, n + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "why not crate::atomics? {wrong:#?}");
}

#[test]
fn every_file_says_what_it_owns_and_is_short() {
    for s in sources() {
        assert!(s.text.starts_with("//! "), "{}", s.path);
        let lines = s.text.lines().count();
        assert!(lines <= 500, "{}: {lines} lines", s.path);
    }
}

#[test]
fn the_parser_sees_what_it_should() {
    let code = without_comments(
        "use crate::a::X; // crate::no\nuse crate::{b::{c, d}, e};\n/* crate::no */\
         fn f() { crate::g::h(\"crate::no \\\" crate::no\"); $crate::i!() }\n\
         #[cfg(test)]\nmod tests { use crate::no; }",
    );
    let paths = crate_paths(&without_tests(&code));
    assert_eq!(paths, ["a", "b", "e", "g", FACADE]);
}
