//! Metrics: their names, what they mean, and how Prometheus reads them.

use crate::g::status::WaitReason;
use crate::p::counters::{BUCKETS, Histogram};
use std::fmt::Write as _;
use std::time::Duration;

/// Times, by how long they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    pub(crate) counts: [u64; BUCKETS],
    pub(crate) sum: Duration,
}

impl Times {
    pub(crate) fn new() -> Times {
        Times {
            counts: [0; BUCKETS],
            sum: Duration::ZERO,
        }
    }

    /// How many were measured.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of them all.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// A time that this part of them (0.5: half, 0.99) did not exceed, to within an eighth; `None` if none
    /// was measured.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * part.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        self.buckets()
            .find(|&(_, up_to)| up_to >= wanted)
            .map(|(below, _)| below.unwrap_or(Duration::MAX))
    }

    /// The buckets: the time that all in a bucket are below (none of the last), and how many were below it.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let mut up_to = 0;
        self.counts.iter().enumerate().map(move |(i, n)| {
            up_to += n;
            (Histogram::above(i).map(Duration::from_nanos), up_to)
        })
    }
}

/// What Prometheus calls the type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $kind:ident $field:ident: $t:ty = $name:literal, $help:literal;)*) => {
        /// What a runtime has done and is doing: see [`Runtime::metrics`](crate::Runtime::metrics).
        ///
        /// The numbers are each right, but not all of one moment. What is counted only grows.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct Metrics {
            /// The runtime's name.
            pub runtime: String,
            $($(#[doc = $doc])+ #[doc = ""] #[doc = concat!("In Prometheus: `", $name, "`.")] pub $field: $t,)*
        }

        impl Metrics {
            /// Names, kinds and one line of explanation of all metrics, as Prometheus gets them.
            #[doc(hidden)]
            pub const TABLE: &[(&str, &str, &str)] = &[$(($name, Kind::$kind.as_str(), $help),)*];

            /// In the text format of Prometheus (0.0.4), each with a label `runtime`.
            ///
            /// ```
            /// let rt = runtime::start(1);
            /// rt.run(runtime::yield_now);
            /// let text = rt.metrics().to_prometheus();
            /// assert!(text.contains("weft_goroutines_spawned_total{runtime=\"weft\"} 1\n"));
            /// ```
            pub fn to_prometheus(&self) -> String {
                let mut out = String::new();
                let labels = format!("runtime=\"{}\"", escape(&self.runtime));
                $(
                    // Writing to a String cannot fail.
                    let _ = writeln!(out, "# HELP {} {}\n# TYPE {} {}", $name, $help, $name, Kind::$kind.as_str());
                    self.$field.write($name, &labels, &mut out);
                )*
                out
            }
        }
    };
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

metrics! {
    /// Goroutines that have not finished.
    Gauge goroutines: u64 = "weft_goroutines", "Goroutines that have not finished.";
    /// Goroutines by state; the sum may differ from `goroutines` by those that just change theirs.
    Gauge states: States = "weft_goroutines_by_state", "Goroutines that have not finished, by state.";
    /// Goroutines that were spawned.
    Counter spawned: u64 = "weft_goroutines_spawned_total", "Goroutines that were spawned.";
    /// Goroutines that have finished.
    Counter finished: u64 = "weft_goroutines_finished_total", "Goroutines that have finished.";
    /// How often a P has begun to run a goroutine, or gone on with one.
    Counter switches: u64 = "weft_switches_total", "Switches to a goroutine.";
    /// How often goroutines have parked, by reason; reasons that have not occurred are left out.
    Counter parks: Vec<(WaitReason, u64)> = "weft_parks_total", "Waits of goroutines, by reason.";
    /// How often a P has taken goroutines from another.
    Counter steals: u64 = "weft_steals_total", "Thefts from the queue of another P.";
    /// Goroutines that were taken so.
    Counter stolen: u64 = "weft_stolen_goroutines_total", "Goroutines that moved to another P by theft.";
    /// Ps that the monitor has taken from threads whose goroutines did not come back.
    Counter taken: u64 = "weft_handoffs_taken_total", "Ps taken from threads that blocked or computed.";
    /// Ps that goroutines have given away, by [`blocking`](crate::blocking).
    Counter given_away: u64 = "weft_handoffs_given_total", "Ps given away by goroutines before they blocked.";
    /// Goroutines in the global queue.
    Gauge global_queue: u64 = "weft_global_queue_length", "Goroutines in the global queue.";
    /// Goroutines in the queue of each P.
    Gauge queues: Vec<u64> = "weft_queue_length", "Goroutines in the queue of a P.";
    /// Threads that run goroutines, or could, by state.
    Gauge threads: Threads = "weft_threads", "Threads of the runtime, without its monitor, by state.";
    /// Stacks that goroutines run on, or that Ps keep for them.
    Gauge stacks_in_use: u64 = "weft_stacks_in_use", "Stacks in use, or kept by Ps for the next goroutine.";
    /// Stacks in the runtime's pool.
    Gauge stacks_pooled: u64 = "weft_stacks_pooled", "Idle stacks in the pool.";
    /// Of those in the pool, the ones whose memory was given back to the system.
    Gauge stacks_cold: u64 = "weft_stacks_cold", "Idle stacks whose memory was given back.";
    /// How often the memory of an idle stack was given back.
    Counter stacks_given_back: u64 = "weft_stacks_given_back_total", "Stacks whose memory was given back to the system.";
    /// Timers that have not fired, those included that were stopped and not swept away yet.
    Gauge timers: u64 = "weft_timers", "Timers and deadlines that are pending.";
    /// Timers and deadlines that have fired.
    Counter timers_fired: u64 = "weft_timers_fired_total", "Timers and deadlines that have come.";
    /// Descriptors that the poller watches.
    Gauge descriptors: u64 = "weft_descriptors", "Descriptors that the network poller watches.";
    /// Ps that the network may keep busy: fewer than there are where CPUs are short (see
    /// [`Builder::make_room`](crate::Builder::make_room)).
    Gauge network_procs: u64 = "weft_network_procs", "Ps that the network may keep busy, fewer where CPUs are short.";
    /// Goroutines that went on because a descriptor was ready.
    Counter network_readied: u64 = "weft_network_readied_total", "Goroutines made runnable by the network poller.";
    /// How long goroutines were runnable before they ran, by samples (one switch in 128).
    Histogram latency: Times = "weft_scheduling_latency_seconds", "Time from runnable to running, sampled.";
    /// How long goroutines ran at a stretch, by samples (one switch in 128).
    Histogram hold: Times = "weft_running_seconds", "Time that a goroutine ran at a stretch, sampled.";
}

/// Goroutines by state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct States {
    /// In a queue.
    pub runnable: u64,
    /// On a thread, with a P.
    pub running: u64,
    /// On a thread, without a P.
    pub blocked: u64,
    /// Parked.
    pub waiting: u64,
}

/// Threads by state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Threads {
    /// With a P and a goroutine.
    pub running: u64,
    /// With a P, looking for a goroutine.
    pub spinning: u64,
    /// With a goroutine that blocks them, without a P.
    pub blocked: u64,
    /// Asleep.
    pub idle: u64,
}

/// How a metric is written, with its labels.
trait Written {
    fn write(&self, name: &str, labels: &str, out: &mut String);
}

impl Written for u64 {
    fn write(&self, name: &str, labels: &str, out: &mut String) {
        let _ = writeln!(out, "{name}{{{labels}}} {self}");
    }
}

fn write_by<T: std::fmt::Display>(
    label: &str,
    values: impl IntoIterator<Item = (T, u64)>,
    name: &str,
    labels: &str,
    out: &mut String,
) {
    for (value, n) in values {
        let _ = writeln!(out, "{name}{{{labels},{label}=\"{value}\"}} {n}");
    }
}

impl Written for Vec<u64> {
    fn write(&self, name: &str, labels: &str, out: &mut String) {
        write_by("p", self.iter().copied().enumerate(), name, labels, out);
    }
}

impl Written for Vec<(WaitReason, u64)> {
    fn write(&self, name: &str, labels: &str, out: &mut String) {
        let by_name = self.iter().map(|(reason, n)| (reason.as_str(), *n));
        write_by("reason", by_name, name, labels, out);
    }
}

impl Written for States {
    fn write(&self, name: &str, labels: &str, out: &mut String) {
        let by_state = [
            ("runnable", self.runnable),
            ("running", self.running),
            ("blocked", self.blocked),
            ("waiting", self.waiting),
        ];
        write_by("state", by_state, name, labels, out);
    }
}

impl Written for Threads {
    fn write(&self, name: &str, labels: &str, out: &mut String) {
        let by_state = [
            ("running", self.running),
            ("spinning", self.spinning),
            ("blocked", self.blocked),
            ("idle", self.idle),
        ];
        write_by("state", by_state, name, labels, out);
    }
}

impl Written for Times {
    fn write(&self, name: &str, labels: &str, out: &mut String) {
        // A line for each doubling: the finer ones are for quantiles.
        let mut last = 0;
        for (below, up_to) in self.buckets() {
            last = up_to;
            if let Some(below) = below.filter(|b| b.as_nanos().is_power_of_two()) {
                let le = below.as_secs_f64();
                let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{le}\"}} {up_to}");
            }
        }
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {last}");
        let _ = writeln!(out, "{name}_sum{{{labels}}} {}", self.sum.as_secs_f64());
        let _ = writeln!(out, "{name}_count{{{labels}}} {last}");
    }
}

/// The value of a label, with what Prometheus wants escaped.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
