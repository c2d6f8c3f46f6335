//! What a word is, and the counters, which count them.
//!
//! A word is a maximal run of alphanumeric characters (in Unicode's sense,
//! [`char::is_alphanumeric`]), `_` and `'`, without the apostrophes at its ends, in lower case.
//! So `Don't`, `snake_case`, `x86_64` and `größer` are words, `'quoted'` is the word `quoted`,
//! and `well-known` is two. Only the ASCII apostrophe counts; no normalisation is done.

use std::collections::HashMap;

use channels::{Receiver, Sender};

use super::read::recycle;
use super::{Event, Partial};

/// A counter hands its counts over when it holds this many distinct words: 2^18 buckets of 33
/// bytes, 8.7 MB, and the words themselves. Less saves memory. More saves work in the reducer, for
/// texts with a vocabulary between the two: with half as many, one of 82,000 distinct words took
/// 1.7 times as long on one P; twice as many made no difference to it.
const MOST_HELD: usize = 1 << 17;

/// The words of a text, as they are written there.
///
/// ```
/// use examples::wordcount::words;
/// assert_eq!(words("Don't say 'no', x_1!").collect::<Vec<_>>(), ["Don't", "say", "no", "x_1"]);
/// ```
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '\''))
        .map(|run| run.trim_matches('\''))
        .filter(|word| !word.is_empty())
}

/// How often each word occurs.
#[derive(Debug, Default)]
pub struct Tally {
    counts: HashMap<String, u64>,
    /// The word being counted, in lower case; kept to save an allocation for every word.
    lower: String,
}

impl Tally {
    /// Counts one more of `word`, which may be in any case.
    pub fn add(&mut self, word: &str) {
        self.lower.clear();
        if word.is_ascii() {
            self.lower.push_str(word);
            self.lower.make_ascii_lowercase();
        } else {
            // The whole word at once: a capital sigma at its end becomes another letter.
            self.lower.push_str(&word.to_lowercase());
        }
        match self.counts.get_mut(&self.lower) {
            Some(count) => *count += 1,
            None => {
                self.counts.insert(self.lower.clone(), 1);
            }
        }
    }

    /// The number of distinct words.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether no word has been counted.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The words, in lower case and in no particular order, each with its count.
    pub fn into_counts(self) -> HashMap<String, u64> {
        self.counts
    }
}

/// Counts the words of texts until there are no more, and gives the buffers back.
pub(super) fn count(texts: Receiver<String>, buffers: Sender<Vec<u8>>, events: Sender<Event>) {
    let mut partial = Partial::default();
    for text in texts {
        partial.files += 1;
        partial.bytes += text.len() as u64;
        for word in words(&text) {
            partial.words += 1;
            partial.tally.add(word);
            if partial.tally.len() >= MOST_HELD {
                let full = std::mem::take(&mut partial);
                if events.send(Event::Counted(full)).is_err() {
                    return;
                }
            }
        }
        // Never waits, there is room for all buffers. An error means that the readers are done.
        let _ = buffers.send(recycle(text.into_bytes()));
    }
    // An error means that the reducer is gone, which its join will report.
    let _ = events.send(Event::Counted(partial));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lower(text: &str) -> Vec<String> {
        words(text).map(str::to_lowercase).collect()
    }

    #[test]
    fn words_end_at_anything_but_letters_digits_underscores_and_inner_apostrophes() {
        assert_eq!(
            lower("Hello, world-wide Web 2.0"),
            ["hello", "world", "wide", "web", "2", "0"]
        );
        assert_eq!(
            lower("fn snake_case(__x: &'a str)"),
            ["fn", "snake_case", "__x", "a", "str"]
        );
        assert_eq!(
            lower("don't 'quoted' rock'n'roll ''"),
            ["don't", "quoted", "rock'n'roll"]
        );
        assert_eq!(lower("a''b '' ' '_'"), ["a''b", "_"]);
        assert_eq!(lower(""), [""; 0]);
        assert_eq!(lower(" \n\t.!'"), [""; 0]);
    }

    #[test]
    fn words_are_unicode() {
        assert_eq!(lower("Größe ÉTÉ"), ["größe", "été"]);
        assert_eq!(lower("Привет, мир"), ["привет", "мир"]);
        assert_eq!(lower("東京タワー、高い"), ["東京タワー", "高い"]);
        assert_eq!(lower("٣٤ Ⅷ ½"), ["٣٤", "ⅷ", "½"]);
        // A typographic apostrophe and a zero-width space separate.
        assert_eq!(lower("don\u{2019}t a\u{200b}b"), ["don", "t", "a", "b"]);
    }

    #[test]
    fn a_tally_ignores_case_also_beyond_ascii() {
        let mut tally = Tally::default();
        assert!(tally.is_empty());
        for word in ["The", "THE", "the", "Ärger", "ÄRGER", "ΟΔΟΣ", "οδος"] {
            tally.add(word);
        }
        assert_eq!(tally.len(), 3);
        let counts = tally.into_counts();
        assert_eq!(counts["the"], 3);
        assert_eq!(counts["ärger"], 2);
        assert_eq!(counts["οδος"], 2);
    }
}
