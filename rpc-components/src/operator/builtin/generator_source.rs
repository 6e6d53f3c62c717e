//! `generator-source`: lines of made-up words.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use crate::job_graph::OperatorSpecError;
use crate::operator::{Collector, OperatorContext, OperatorError, Options, Record, Source, Step};

/// Hands on lines of random words, of which few are frequent and many are rare, as in a language.
///
/// A line depends on its number and the seed alone: however many subtasks share the work, the same
/// lines come out. Without a count there is no end of them.
#[derive(Debug)]
pub(super) struct GeneratorSource {
    count: u64,
    rate: Option<f64>,
    seed: u64,
    vocabulary: u32,
    words: u64,
    /// The number of this subtask's next line.
    next: u64,
    /// How many subtasks share the lines.
    stride: u64,
    /// When the first line was made, and how many since then.
    started: Option<(Instant, u64)>,
    line: String,
}

impl GeneratorSource {
    pub(super) fn from_options(options: &mut Options<'_>) -> Result<Self, OperatorSpecError> {
        let rate: Option<f64> = options.optional("rate")?;
        if rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
            return Err(options.refuse("rate", "is not a positive number of lines a second"));
        }
        let vocabulary: u64 = options
            .optional("vocabulary")?
            .unwrap_or(VOCABULARY_DEFAULT);
        let vocabulary = u32::try_from(vocabulary).ok().filter(|size| *size > 0);
        let words = options.optional("words")?.unwrap_or(WORDS_DEFAULT);
        if words > WORDS_MAX {
            return Err(options.refuse("words", "is more than 1048576 words a line"));
        }
        Ok(Self {
            count: options.optional("count")?.unwrap_or(u64::MAX),
            rate,
            seed: options.optional("seed")?.unwrap_or(0),
            vocabulary: vocabulary
                .ok_or_else(|| options.refuse("vocabulary", "is not from 1 to 4294967295"))?,
            words,
            next: 0,
            stride: 1,
            started: None,
            line: String::new(),
        })
    }

    /// Makes the line of that number.
    fn make_line(&mut self, number: u64) {
        let mut random = Rng::with_seed(self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        self.line.clear();
        for place in 0..self.words {
            if place > 0 {
                self.line.push(' ');
            }
            let rank = rank(random.f64(), self.vocabulary);
            push_word(rank, &mut self.line);
        }
    }

    /// Returns how long to wait for the next line, if the rate demands it.
    fn wait(&mut self) -> Option<Duration> {
        let rate = self.rate?;
        let (start, made) = *self.started.get_or_insert_with(|| (Instant::now(), 0));
        #[expect(
            clippy::cast_precision_loss,
            reason = "2^53 lines take longer than anyone waits"
        )]
        let due = Duration::try_from_secs_f64((made * self.stride) as f64 / rate);
        let wait = due.unwrap_or(Duration::MAX).saturating_sub(start.elapsed());
        if !wait.is_zero() {
            return Some(wait);
        }
        self.started = Some((start, made + 1));
        None
    }
}

impl Source for GeneratorSource {
    fn open(&mut self, context: &OperatorContext) -> Result<(), OperatorError> {
        self.next = context.attempt.subtask.into();
        self.stride = context.parallelism.max(1).into();
        Ok(())
    }

    fn step(&mut self, out: &mut dyn Collector) -> Result<Step, OperatorError> {
        for _ in 0..LINES_PER_STEP {
            if self.next >= self.count {
                return Ok(Step::End);
            }
            if let Some(wait) = self.wait() {
                return Ok(Step::Wait(wait));
            }
            self.make_line(self.next);
            self.next = self.next.saturating_add(self.stride);
            out.emit(Record::text(&self.line))?;
        }
        Ok(Step::More)
    }
}

/// Returns which word of the vocabulary a random number from 0 to 1 stands for: the n-th word is
/// about 1/n as frequent as the first.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the float is not negative and not larger than the vocabulary"
)]
fn rank(random: f64, vocabulary: u32) -> u32 {
    let rank = (f64::from(vocabulary) + 1.0).powf(random) as u32;
    rank.clamp(1, vocabulary) - 1
}

/// Appends the word of a rank, which has the more syllables the rarer it is.
fn push_word(rank: u32, line: &mut String) {
    let mut rest = rank;
    loop {
        let syllable = usize::from(rest.to_le_bytes()[0]);
        line.push(char::from(CONSONANTS[syllable % 16]));
        line.push(char::from(VOWELS[syllable / 16 % 4]));
        rest >>= 6;
        if rest == 0 {
            return;
        }
        // As with the columns of a spreadsheet, each length begins anew: `ba`, .., `vo`, `baba`.
        rest -= 1;
    }
}

const CONSONANTS: &[u8; 16] = b"bcdfghjklmnprstv";
const VOWELS: &[u8; 4] = b"aeio";
const LINES_PER_STEP: usize = 64;
const VOCABULARY_DEFAULT: u64 = 20_000;
const WORDS_DEFAULT: u64 = 10;
/// A line is made at once, in memory.
const WORDS_MAX: u64 = 1 << 20;
