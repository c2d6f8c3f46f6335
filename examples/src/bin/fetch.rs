//! Fetches URLs with goroutines; without any, measures what goroutines are worth for that.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use examples::fetch::client::{Client, STACK_SIZE, Settings};
use examples::fetch::experiment::{self, ROWS, Server, Way};
use examples::fetch::{many, plot, table};
use indicatif::{ProgressBar, ProgressStyle};
use runtime::Runtime;
use ureq::tls::{PemItem, parse_pem};

/// Fetch URLs, each on a goroutine of its own.
///
/// With URLs, or a file of them, it fetches those: one that fails stops no other, and all that
/// failed are listed at the end. The exit code is 1 if any did.
///
/// Without URLs it repeats an experiment: a server on this machine answers each request after
/// some latency, and 1, 10, 50, 100 and 500 URLs are fetched by a pool with a thread for each
/// CPU, by a thread for each URL, and by goroutines. It prints a table of the times and draws
/// them in fetch.svg and fetch.png. (The pool takes its time: half a minute.)
#[derive(Parser)]
struct Args {
    /// What to fetch, by http or https
    urls: Vec<String>,

    /// A file with a URL on each line; - is standard input. Empty lines and lines that start with
    /// # are left out
    #[arg(long)]
    file: Option<PathBuf>,

    /// How many are fetched at once
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Seconds that an attempt may take
    #[arg(long, default_value_t = 30.0, value_parser = seconds)]
    timeout: f64,

    /// How often one that failed is tried again, after 100 ms, 200 ms, 400 ms and so on; only
    /// where it may help
    #[arg(long, default_value_t = 2)]
    retries: u32,

    /// Trust the certificates in this file (PEM), and no others
    #[arg(long)]
    cacert: Option<PathBuf>,

    /// The experiment's latency, in milliseconds
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(..=60_000))]
    latency: u64,

    /// The directory of the experiment's plot
    #[arg(long, default_value = ".")]
    plot: PathBuf,

    /// Number of Ps, that is of goroutines that run at once; 0 means one per usable CPU
    #[arg(long, default_value_t = 0)]
    procs: usize,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(s) if s > 0.0 && Duration::try_from_secs_f64(s).is_ok() => Ok(s),
        _ => Err("a number of seconds above 0 is wanted".into()),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    match start(&args).and_then(|rt| {
        if args.urls.is_empty() && args.file.is_none() {
            measure(&rt, &args)
        } else {
            fetch(&rt, &args)
        }
    }) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("fetch: {why}");
            ExitCode::from(2)
        }
    }
}

fn start(args: &Args) -> Result<Runtime, String> {
    runtime::Builder::new()
        .procs(args.procs)
        .stack_size(STACK_SIZE)
        .build()
        .map_err(|e| e.to_string())
}

/// A bar on standard error; nothing at all if that is no terminal.
fn bar(length: usize, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>24} [{wide_bar}] {pos}/{len}, {elapsed}");
    ProgressBar::new(length as u64)
        .with_style(
            style
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> "),
        )
        .with_message(what.to_owned())
}

fn measure(rt: &Runtime, args: &Args) -> Result<ExitCode, String> {
    let client = Client::new(&Settings {
        timeout: Some(Duration::from_secs_f64(args.timeout)),
        ..Settings::default()
    });
    let server = Server::start(rt).map_err(|e| format!("cannot start a server: {e}"))?;
    let url = server.url(Duration::from_millis(args.latency));
    let ways = Way::all();
    let names = ways.map(Way::name);
    println!("{}", table::header(&names));
    let mut rows = Vec::new();
    for urls in ROWS {
        let mut times = Vec::new();
        for way in ways {
            let bar = bar(urls, &way.name());
            let time = experiment::run(rt, way, &client, &url, urls, &|| bar.inc(1));
            bar.finish_and_clear();
            times.push(time.map_err(|e| format!("{urls} URLs by {}: {e}", way.name()))?);
        }
        println!("{}", table::row(urls, &times));
        rows.push((urls, times));
    }
    server.stop();
    let title = format!("URLs with a latency of {} ms", args.latency);
    let [svg, png] = plot::draw(&args.plot, &title, &names, &rows)?;
    println!("plots: {} and {}", svg.display(), png.display());
    Ok(ExitCode::SUCCESS)
}

fn fetch(rt: &Runtime, args: &Args) -> Result<ExitCode, String> {
    let mut urls = args.urls.clone();
    if let Some(file) = &args.file {
        urls.extend(read_urls(file)?);
    }
    let client = Client::new(&Settings {
        timeout: Some(Duration::from_secs_f64(args.timeout)),
        roots: args.cacert.as_deref().map(read_certificates).transpose()?,
        proxies: true,
    });
    let bar = bar(urls.len(), "fetching");
    let begin = Instant::now();
    let outcomes = rt.run(|| {
        many::fetch_all(&client, &urls, args.limit as usize, args.retries, &|| {
            bar.inc(1)
        })
    });
    let time = begin.elapsed();
    bar.finish_and_clear();
    let fetched = outcomes.iter().filter_map(|o| o.result.as_ref().ok());
    let (n, bytes) = fetched.fold((0, 0), |(n, sum), bytes| (n + 1, sum + bytes));
    let all = outcomes.len();
    println!(
        "{n} of {all} fetched, {bytes} bytes in {:.3} s",
        time.as_secs_f64()
    );
    eprint!("{}", table::failures(&outcomes));
    Ok(ExitCode::from(u8::from(n < all)))
}

fn read_urls(file: &Path) -> Result<Vec<String>, String> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    let text = text.map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    let lines = text.lines().map(str::trim);
    Ok(lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect())
}

fn read_certificates(file: &Path) -> Result<Vec<ureq::tls::Certificate<'static>>, String> {
    let bad = |e: &dyn std::fmt::Display| format!("cannot read {}: {e}", file.display());
    let pem = fs::read(file).map_err(|e| bad(&e))?;
    let mut all = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(one) = item.map_err(|e| bad(&e))? {
            all.push(one);
        }
    }
    if all.is_empty() {
        return Err(bad(&"there is no certificate in it"));
    }
    Ok(all)
}
