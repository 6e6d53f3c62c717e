use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use fastrand::Rng;

/// Writes a text of words, some of them often and most of them rarely, unless it is there. Returns
/// its file.
pub(super) fn file(folder: &Path) -> io::Result<PathBuf> {
    let file = folder.join(format!("bench-words-{}-MiB", BYTES >> 20));
    if !file.exists() {
        // It is whole once it has its name.
        let part = folder.join("bench-words-part");
        write(&part)?;
        fs::rename(part, &file)?;
    }
    Ok(file)
}

fn write(file: &Path) -> io::Result<()> {
    let mut random = Rng::with_seed(SEED);
    let words: Vec<String> = (0..WORDS).map(|_| word(&mut random)).collect();
    let mut output = BufWriter::new(File::create(file)?);
    let mut written = 0;
    while written < BYTES {
        // By this the word of rank n comes once for n times of the first: Zipf's law.
        let rank = (WORDS as f64).powf(random.f64()) as usize - 1;
        let end = match random.u8(..) {
            0..20 => ".\n",
            20..40 => ", ",
            _ => " ",
        };
        output.write_all(words[rank].as_bytes())?;
        output.write_all(end.as_bytes())?;
        written += words[rank].len() + end.len();
    }
    output.flush()
}

/// Makes up a word.
fn word(random: &mut Rng) -> String {
    let length = random.usize(2..=12);
    let letters: Vec<char> = LETTERS.chars().collect();
    let letter = || letters[random.usize(..letters.len())];
    let mut word: String = std::iter::repeat_with(letter).take(length).collect();
    if random.u8(..) < 25 {
        word = word.to_uppercase();
    }
    word
}

/// Not all of one byte.
const LETTERS: &str = "eeeeetttaaaooiinnsshhrrddlcumwfgypbvkjxqzéüß0";
const SEED: u64 = 7;
const WORDS: usize = 50_000;
const BYTES: usize = match cfg!(debug_assertions) {
    true => 2 << 20,
    false => 200 << 20,
};
