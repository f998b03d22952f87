//! A small fuzzer on stable Rust: mutates a corpus for a while and calls a target, which panics where something is wrong.
//!
//! Every target runs for a second with the tests, and as long as `FUZZ_SECONDS` says in `make fuzz`. It has no coverage
//! to go by; a target says which inputs it took further than the first check, and those are mutated on. What made a
//! target panic is written to `fuzz/corpus/TARGET/`, and is replayed from then on.

#![expect(clippy::print_stdout, reason = "how many inputs were tried, and which one failed")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// Longest input.
const LONGEST: usize = 16 * 1024;
/// Inputs that are kept to be mutated on.
const POOL: usize = 2_000;

/// Random numbers (xorshift64*), repeatable by their seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound.max(1)
    }
}

fn directory(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name)
}

/// Runs a target on the seeds, on what the corpus remembers, and on mutations of both. `words` are put in here and there.
/// The target says whether the input went far enough to be worth mutating.
pub(crate) fn run(name: &str, seeds: &[&[u8]], words: &[&[u8]], target: impl Fn(&[u8]) -> bool) {
    let seconds = std::env::var("FUZZ_SECONDS").ok().map_or(1.0, |text| text.parse().unwrap());
    let clock = || u64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap() | 1;
    let seed = std::env::var("FUZZ_SEED").ok().map_or_else(clock, |text| text.parse().unwrap());
    let mut pool: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    if let Ok(entries) = std::fs::read_dir(directory(name)) {
        pool.extend(entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()));
    }
    for input in &pool {
        try_one(name, seed, input, &target);
    }
    let mut random = Random(seed);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let (mut tried, mut far) = (0_u64, 0_u64);
    while Instant::now() < end {
        for _ in 0..20 {
            let input = mutate(&mut random, &pool, words);
            tried += 1;
            if try_one(name, seed, &input, &target) {
                far += 1;
                if pool.len() < POOL {
                    pool.push(input);
                } else {
                    let at = random.below(POOL);
                    pool[at] = input;
                }
            }
        }
    }
    assert!(tried > 0, "{name}: nothing was tried");
    assert!(far > 0, "{name}: of {tried} inputs none went far; the seeds are no good");
    println!("{name}: {tried} inputs, {far} of them went far; seed {seed}");
}

fn try_one(name: &str, seed: u64, input: &[u8], target: &impl Fn(&[u8]) -> bool) -> bool {
    catch_unwind(AssertUnwindSafe(|| target(input))).unwrap_or_else(|panic| {
        let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
        let path = directory(name).join(format!("found-{hash:016x}"));
        std::fs::create_dir_all(directory(name)).unwrap();
        std::fs::write(&path, input).unwrap();
        println!("{name}: seed {seed}; the input is in {}: {:?}", path.display(), String::from_utf8_lossy(input));
        resume_unwind(panic);
    })
}

fn mutate(random: &mut Random, pool: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut input = pool[random.below(pool.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        match random.below(8) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = [0, b' ', b'\t', b'\r', b'\n', b'%', 0x7f, 0xff][random.below(8)],
            2 => input.insert(at, u8::try_from(random.below(256)).unwrap()),
            3 => drop(input.drain(at..(at + random.below(8)).min(input.len()))),
            4 => {
                let part = input[at..(at + random.below(32)).min(input.len())].to_vec();
                input.splice(at..at, part);
            }
            5 => {
                let other = &pool[random.below(pool.len())];
                let from = random.below(other.len() + 1);
                let part = other[from..(from + random.below(64)).min(other.len())].to_vec();
                input.splice(at..at, part);
            }
            6 => input.truncate(at),
            _ if !words.is_empty() => drop(input.splice(at..at, words[random.below(words.len())].iter().copied())),
            _ => {}
        }
    }
    input.truncate(LONGEST);
    input
}
