//! The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B). It is canonical: lengths alone say all codes.

use super::Malformed;

/// Bits of each byte's code, and of EOS.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, //
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, //
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, //
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, //
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, //
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, //
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, //
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, //
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, //
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, //
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, //
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, //
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, //
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, //
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, //
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, //
    30,
];

/// The longest code.
const LONGEST: usize = 30;
/// Codes up to here are looked up in one step.
const SHORT: u32 = 10;

/// Everything that follows from the lengths.
struct Codes {
    /// Code and length of each byte, right-aligned.
    encode: [(u32, u8); 256],
    /// By the next [`SHORT`] bits: a byte, and above it the length of its code; 0 for longer codes.
    short: [u16; 1 << SHORT],
    /// By length: the first code, how many there are, and where their symbols stand in `symbols`.
    first: [u32; LONGEST + 1],
    count: [u32; LONGEST + 1],
    offset: [u32; LONGEST + 1],
    /// In the order of codes; 256 is EOS.
    symbols: [u16; 257],
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse it")]
static CODES: Codes = {
    let mut codes = Codes {
        encode: [(0, 0); 256],
        short: [0; 1 << SHORT],
        first: [0; LONGEST + 1],
        count: [0; LONGEST + 1],
        offset: [0; LONGEST + 1],
        symbols: [0; 257],
    };
    let (mut code, mut placed, mut length) = (0u32, 0u32, 1);
    while length <= LONGEST {
        code <<= 1;
        codes.first[length] = code;
        codes.offset[length] = placed;
        let mut symbol = 0u16;
        while symbol <= 256 {
            if LENGTHS[symbol as usize] as usize == length {
                codes.symbols[placed as usize] = symbol;
                if symbol < 256 {
                    codes.encode[symbol as usize] = (code, length as u8);
                }
                if length <= SHORT as usize {
                    let spare = SHORT - length as u32;
                    let mut low = 0;
                    while low < 1 << spare {
                        codes.short[((code << spare) | low) as usize] = symbol | ((length as u16) << 8);
                        low += 1;
                    }
                }
                codes.count[length] += 1;
                placed += 1;
                code += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    codes
};

/// A symbol and the length of its code, off the top of `bits`.
#[inline]
fn symbol(bits: u64) -> (u16, u32) {
    let index = usize::try_from(bits >> (64 - SHORT)).unwrap_or(0);
    match CODES.short.get(index).copied().unwrap_or(0) {
        0 => long_symbol(bits),
        found => (found & 0xff, u32::from(found >> 8)),
    }
}

#[cold]
fn long_symbol(bits: u64) -> (u16, u32) {
    let rows = CODES.first.iter().zip(&CODES.count).zip(&CODES.offset);
    for (length, ((first, count), offset)) in (0..).zip(rows).skip(SHORT as usize + 1) {
        let code = u32::try_from(bits >> (64 - length)).unwrap_or(u32::MAX);
        let within = code.wrapping_sub(*first);
        if code >= *first && within < *count {
            let at = usize::try_from(offset.wrapping_add(within)).unwrap_or(usize::MAX);
            return (CODES.symbols.get(at).copied().unwrap_or(256), length);
        }
    }
    // The code is complete: every string of 30 bits begins with one of its words.
    (256, 30)
}

/// Appends what `input` says to `out`: at most 8 bytes for each 5 of it.
///
/// # Errors
/// EOS, or padding that is longer than 7 bits or not made of ones (RFC 7541 section 5.2).
pub fn decode(mut input: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    out.reserve(input.len().saturating_mul(8) / 5);
    // What was read and not used yet: `held` bits, from the top on; zeros below them.
    let (mut bits, mut held) = (0_u64, 0_u32);
    loop {
        if let Some((next, rest)) = input.split_first_chunk::<4>() {
            bits |= u64::from(u32::from_be_bytes(*next)) << (32 - held);
            held += 32;
            input = rest;
        } else {
            while let Some((next, rest)) = input.split_first() {
                bits |= u64::from(*next) << (56 - held);
                held += 8;
                input = rest;
            }
            break;
        }
        // So that four more bytes fit; no code is longer than 30 bits, and up to there short ones are taken.
        while held > 30 {
            let (symbol, length) = symbol(bits);
            out.push(u8::try_from(symbol).map_err(|_| Malformed)?);
            bits <<= length;
            held -= length;
        }
    }
    while held > 0 {
        // Whatever is cut short goes on as padding would.
        let padded = bits | (u64::MAX >> held);
        let (symbol, length) = symbol(padded);
        if length > held {
            return if held < 8 && padded == u64::MAX { Ok(()) } else { Err(Malformed) };
        }
        out.push(u8::try_from(symbol).map_err(|_| Malformed)?);
        bits <<= length;
        held -= length;
    }
    Ok(())
}

/// Bytes that `text` takes.
#[must_use]
pub fn encoded_len(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|byte| usize::from(CODES.encode.get(usize::from(*byte)).map_or(0, |code| code.1))).sum();
    bits.div_ceil(8)
}

/// Appends the code words of `text`.
pub fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut held) = (0_u64, 0_u32);
    for byte in text {
        let (code, length) = CODES.encode.get(usize::from(*byte)).copied().unwrap_or_default();
        bits = bits << length | u64::from(code);
        held += u32::from(length);
        while held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 0xff).unwrap_or(0));
        }
    }
    if held > 0 {
        let padding = 8 - held;
        out.push(u8::try_from((bits << padding | ((1 << padding) - 1)) & 0xff).unwrap_or(0));
    }
}
