//! A real browser, where there is one.

use std::path::Path;
use std::process::{Command, Stdio};

use super::common::run_command;

/// Its name, or `None` where none is installed.
pub fn find() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| {
            let version = Command::new(name)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            version.is_ok_and(|status| status.success())
        })
}

/// The document after its script has run. `profile` is a directory that is not there yet.
#[track_caller]
pub fn dom(browser: &str, page: &Path, profile: &Path) -> String {
    let out = run_command(Command::new(browser).args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--virtual-time-budget=10000",
        "--dump-dom",
        &format!("--user-data-dir={}", profile.display()),
        &format!("file://{}", page.display()),
    ]));
    out.expect_code(0).stdout
}
