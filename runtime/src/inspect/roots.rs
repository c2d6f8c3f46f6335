//! All memory that code of the user's could look at: the writable mappings of the process, and those that were
//! writable once, but for what the caller leaves out, and pages that were never touched.

use super::arena::MapVec;
use super::memory::read;

/// So much is copied at a time.
const CHUNK: usize = 1 << 20;
const WORD: usize = size_of::<usize>();
/// So much address space is looked through at most; beyond it, it would take seconds. (What is left out, the
/// stacks of goroutines, does not count: a million of them are as much.)
const MOST: usize = 256 << 30;
/// In `/proc/self/pagemap`: the page is there, or swapped out.
const THERE: u64 = 3 << 62;

/// Addresses from `start` to below `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

fn span(start: usize, end: usize) -> Span {
    Span { start, end }
}

pub(crate) struct Roots {
    /// The text of `/proc/self/maps`.
    maps: MapVec<u8>,
    pages: MapVec<u64>,
    words: MapVec<usize>,
    pagemap: Option<File>,
    page: usize,
}

impl Roots {
    pub(crate) fn new() -> Option<Roots> {
        let mut words = MapVec::new()?;
        let mut pages = MapVec::new()?;
        let page = crate::stack::page_size();
        while words.len() < CHUNK / WORD {
            words.push(0).then_some(())?;
        }
        while pages.len() < CHUNK / page {
            pages.push(0).then_some(())?;
        }
        Some(Roots {
            maps: MapVec::new()?,
            pagemap: File::open(c"/proc/self/pagemap"),
            pages,
            words,
            page,
        })
    }

    /// The addresses that this occupies itself; they change while it works.
    fn own(&self) -> [Span; 3] {
        [self.maps.span(), self.pages.span(), self.words.span()]
    }

    /// Calls `f` with every word of memory outside of `excluded` (sorted, disjoint). False: it could not
    /// be looked through as a whole.
    ///
    /// Allocates nothing but its own mappings.
    pub(crate) fn scan(&mut self, excluded: &[Span], mut f: impl FnMut(usize)) -> bool {
        let mut total = 0;
        let mut at = 0;
        if !self.read_maps() {
            return false;
        }
        while let Some(mapping) = self.next_mapping(&mut at) {
            let mut from = mapping.start;
            // The parts of it between what is left out.
            let first = excluded.partition_point(|e| e.end <= mapping.start);
            for e in &excluded[first..] {
                if e.start >= mapping.end {
                    break;
                }
                let part = span(from, e.start.max(from));
                total += part.end - part.start;
                if total > MOST {
                    return false;
                }
                self.scan_range(part, &mut f);
                from = e.end.max(from);
            }
            let part = span(from, mapping.end.max(from));
            total += part.end - part.start;
            if total > MOST {
                return false;
            }
            self.scan_range(part, &mut f);
        }
        true
    }

    /// As [`Roots::scan`], of one span that is known to be mapped.
    pub(crate) fn scan_stack(&mut self, stack: Span, mut f: impl FnMut(usize)) {
        self.scan_range(stack, &mut f);
    }

    fn scan_range(&mut self, range: Span, f: &mut impl FnMut(usize)) {
        let page = self.page;
        let mut from = range.start;
        while from < range.end {
            let first = from / page;
            let end = range.end.min((first + self.pages.len()) * page);
            let count = end.div_ceil(page) - first;
            let known = self.pagemap.as_ref().is_some_and(|pagemap| {
                pagemap.read_at(&mut self.pages[..count], first * size_of::<u64>())
            });
            if !known {
                self.scan_present(span(from, end), f);
                from = end;
                continue;
            }
            let mut i = 0;
            while i < count {
                if self.pages[i] & THERE == 0 {
                    i += 1;
                    continue;
                }
                let begin = i;
                while i < count && self.pages[i] & THERE != 0 {
                    i += 1;
                }
                let start = from.max((first + begin) * page);
                let present = span(start, end.min((first + i) * page));
                self.scan_present(present, f);
            }
            from = end;
        }
    }

    fn scan_present(&mut self, range: Span, f: &mut impl FnMut(usize)) {
        let own = self.own();
        let mut at = range.start.next_multiple_of(WORD);
        while at + WORD <= range.end {
            let bytes = (range.end - at).min(CHUNK) / WORD * WORD;
            if let Some(own) = own.iter().find(|o| o.start <= at && at < o.end) {
                at = own.end;
                continue;
            }
            let next_own = own.iter().map(|o| o.start).filter(|&s| s > at).min();
            let bytes = next_own.map_or(bytes, |s| bytes.min(s - at));
            let words = &mut self.words[..bytes / WORD];
            if read(at, words) {
                words.iter().for_each(|&w| f(w));
                at += bytes;
                continue;
            }
            // A page of it cannot be read: page by page.
            let next = (at + 1).next_multiple_of(self.page).min(at + bytes);
            let words = &mut self.words[..(next - at) / WORD];
            if read(at, words) {
                words.iter().for_each(|&w| f(w));
            }
            at = next;
        }
    }

    fn read_maps(&mut self) -> bool {
        self.maps.clear();
        let Some(file) = File::open(c"/proc/self/maps") else {
            return false;
        };
        let mut buffer = [0u8; 4096];
        loop {
            // SAFETY: our own descriptor and buffer.
            let n = unsafe { libc::read(file.0, buffer.as_mut_ptr().cast(), buffer.len()) };
            match n {
                0 => return true,
                n if n < 0 => return false,
                n => {
                    for &b in &buffer[..n as usize] {
                        if !self.maps.push(b) {
                            return false;
                        }
                    }
                }
            }
        }
    }

    /// The next mapping that is readable and writable; or only readable, and not of a file: it was writable
    /// when somebody wrote to it.
    fn next_mapping(&self, at: &mut usize) -> Option<Span> {
        loop {
            let rest = &self.maps[*at..];
            let end = rest.iter().position(|&b| b == b'\n')?;
            let line = &rest[..end];
            *at += end + 1;
            // 7f0000000000-7f0000021000 rw-p 00000000 00:00 0   [heap]
            let (start, line) = hex(line)?;
            let (end, line) = hex(line.strip_prefix(b"-")?)?;
            let mode = line.strip_prefix(b" ")?;
            let special = [&b"[vvar]"[..], b"[vvar_vclock]", b"[vsyscall]", b"[vdso]"];
            if special.iter().any(|s| line.ends_with(s)) {
                continue;
            }
            // The last but one: the number of the file, followed by its name or nothing.
            let anonymous = || mode.split(|&b| b == b' ').nth(3) == Some(b"0");
            if mode.starts_with(b"rw") || mode.starts_with(b"r") && anonymous() {
                return Some(span(start, end));
            }
        }
    }
}

fn hex(text: &[u8]) -> Option<(usize, &[u8])> {
    let digits = text.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let number = std::str::from_utf8(&text[..digits]).ok()?;
    Some((usize::from_str_radix(number, 16).ok()?, &text[digits..]))
}

struct File(libc::c_int);

impl File {
    fn open(path: &std::ffi::CStr) -> Option<File> {
        // SAFETY: a string that ends.
        let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
        (fd >= 0).then_some(File(fd))
    }

    fn read_at(&self, into: &mut [u64], offset: usize) -> bool {
        let bytes = size_of_val(into);
        // SAFETY: our own descriptor and buffer.
        let n = unsafe {
            libc::pread(
                self.0,
                into.as_mut_ptr().cast(),
                bytes,
                offset as libc::off_t,
            )
        };
        n == bytes as isize
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: our own descriptor.
        unsafe { libc::close(self.0) };
    }
}
