//! What goroutines waited for, on what, and for how long.

use std::collections::{BTreeMap, HashMap};

/// One wait of one goroutine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The goroutine.
    pub g: u64,
    /// What it waited for, for [`Waits::text`].
    pub reason: u16,
    /// The address of what it waited on, 0 if that is not known.
    pub object: u64,
    /// When it began.
    pub begin: u64,
    /// When the goroutine was woken, or the trace ended.
    pub end: u64,
    /// Whether somebody woke it before the trace ended.
    pub over: bool,
    /// Who woke it: `goroutine`, `timer` and so on, for [`Waits::text`].
    pub by: u16,
    /// Which goroutine that was, 0 if none.
    pub waker: u64,
    /// The track to look at.
    pub track: usize,
    known: bool,
    reason_text: Option<Box<str>>,
}

impl Wait {
    pub(super) fn new(g: u64, reason: &str, object: u64, begin: u64, track: usize) -> Wait {
        Wait {
            g,
            reason: 0,
            object,
            begin,
            end: begin,
            over: false,
            by: 0,
            waker: 0,
            track,
            known: true,
            reason_text: Some(reason.into()),
        }
    }

    /// How long it took, in nanoseconds.
    pub fn lasted(&self) -> u64 {
        self.end - self.begin
    }
}

/// All waits of a trace.
#[derive(Debug, Clone, Default)]
pub struct Waits {
    all: Vec<Wait>,
    words: Vec<String>,
    numbers: HashMap<String, u16>,
}

/// Waits for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonWaits {
    /// The reason.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// Nanoseconds, all together.
    pub total: u64,
    /// The longest.
    pub longest: Wait,
}

/// Waits on the same object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectWaits {
    /// Its address.
    pub object: u64,
    /// For what was waited there, and how often.
    pub reasons: Vec<(String, u64)>,
    /// How many waits.
    pub count: u64,
    /// How many goroutines.
    pub goroutines: u64,
    /// Nanoseconds, all together.
    pub total: u64,
    /// The longest.
    pub longest: Wait,
}

impl Waits {
    fn word(&mut self, text: &str) -> u16 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        // There are some dozens of reasons.
        let number = self.words.len().min(usize::from(u16::MAX)) as u16;
        self.words.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    pub(super) fn begin(&mut self, mut wait: Wait) -> usize {
        let reason = wait.reason_text.take().unwrap_or_default();
        wait.reason = self.word(&reason);
        wait.by = self.word("");
        self.all.push(wait);
        self.all.len() - 1
    }

    pub(super) fn woken(&mut self, wait: usize, by: &str, waker: u64) {
        self.all[wait].by = self.word(by);
        self.all[wait].waker = waker;
    }

    pub(super) fn end(&mut self, wait: usize, at: u64, over: bool) {
        let wait = &mut self.all[wait];
        wait.end = at.max(wait.begin);
        wait.over = over;
    }

    /// Its end is missing in the trace.
    pub(super) fn forget(&mut self, wait: usize) {
        self.all[wait].known = false;
    }

    /// All whose end is known, those included that were not over when the trace ended.
    pub fn iter(&self) -> impl Iterator<Item = &Wait> {
        self.all.iter().filter(|wait| wait.known)
    }

    /// A [`Wait::reason`] or [`Wait::by`] as text.
    pub fn text(&self, number: u16) -> &str {
        &self.words[usize::from(number)]
    }

    /// The longest, longest first.
    pub fn longest(&self, most: usize) -> Vec<&Wait> {
        let mut all: Vec<&Wait> = self.iter().collect();
        all.sort_by_key(|wait| (std::cmp::Reverse(wait.lasted()), wait.begin));
        all.truncate(most);
        all
    }

    /// Together by reason; that with the longest single wait first.
    pub fn by_reason(&self) -> Vec<ReasonWaits> {
        let mut reasons: BTreeMap<u16, ReasonWaits> = BTreeMap::new();
        for wait in self.iter() {
            let group = reasons.entry(wait.reason).or_insert_with(|| ReasonWaits {
                reason: self.text(wait.reason).to_owned(),
                count: 0,
                total: 0,
                longest: wait.clone(),
            });
            group.count += 1;
            group.total += wait.lasted();
            if wait.lasted() > group.longest.lasted() {
                group.longest = wait.clone();
            }
        }
        let mut reasons: Vec<ReasonWaits> = reasons.into_values().collect();
        reasons.sort_by_key(|group| std::cmp::Reverse(group.longest.lasted()));
        reasons
    }

    /// Together by object, where that is known; that with the longest single wait first.
    pub fn by_object(&self) -> Vec<ObjectWaits> {
        let mut objects: HashMap<u64, Vec<&Wait>> = HashMap::new();
        for wait in self.iter().filter(|wait| wait.object != 0) {
            objects.entry(wait.object).or_default().push(wait);
        }
        let mut objects: Vec<ObjectWaits> = objects
            .into_iter()
            .map(|(object, waits)| {
                let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
                for wait in &waits {
                    *reasons.entry(self.text(wait.reason)).or_default() += 1;
                }
                let mut gs: Vec<u64> = waits.iter().map(|wait| wait.g).collect();
                gs.sort_unstable();
                gs.dedup();
                let longest = waits.iter().max_by_key(|wait| wait.lasted());
                ObjectWaits {
                    object,
                    reasons: reasons
                        .into_iter()
                        .map(|(r, n)| (r.to_owned(), n))
                        .collect(),
                    count: waits.len() as u64,
                    goroutines: gs.len() as u64,
                    total: waits.iter().map(|wait| wait.lasted()).sum(),
                    longest: (**longest.expect("there is a wait")).clone(),
                }
            })
            .collect();
        objects.sort_by_key(|group| (std::cmp::Reverse(group.longest.lasted()), group.object));
        objects
    }
}
