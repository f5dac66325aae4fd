//! Finds the vDSO's functions and the room at its end (vdso(7), elf(5)), and plans what is written into it.
//!
//! The plan is made once, from this process's own vDSO, and used for each program whose vDSO is the same to the byte.

use std::fs;

use super::blob::{BLOB, Function};

/// What is to be written into a vDSO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The vDSO that it is for.
    pub(super) image: Vec<u8>,
    /// Where the blob goes.
    pub(super) room_at: usize,
    /// Symbols' values to be changed: where, and to what.
    pub(super) edits: Vec<(usize, u64)>,
    /// The vDSO's own functions, counted from the blob.
    pub(super) original_clock_gettime: i64,
    pub(super) original_gettimeofday: i64,
}

/// One function of a vDSO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) function: Function,
    /// Where its value is written.
    value_at: usize,
    /// Where it begins, counted from the start of the vDSO.
    pub(super) begins_at: u64,
}

const HEADER_LEN: usize = 64;
const PROGRAM_HEADER_LEN: usize = 56;
const SECTION_HEADER_LEN: usize = 64;
const SYMBOL_LEN: usize = 24;

/// More symbols than any vDSO has. A choice.
const SYMBOLS_MAX: usize = 256;

impl Plan {
    /// What sends the functions that `redirects` to the blob.
    pub(super) fn of(image: &[u8], redirects: impl Fn(Function) -> bool) -> Result<Self, String> {
        let elf = Elf::read(image).ok_or("it is no library that makes sense")?;
        let room_at = elf.room_at().ok_or("it has no room")?;
        let symbols = elf.symbols().ok_or("its symbols make no sense")?;
        let original = |wanted| {
            let symbol = symbols.iter().find(|symbol| symbol.function == wanted);
            symbol.map_or(0, |symbol| symbol.begins_at.cast_signed() - room_at as i64)
        };
        let redirected = symbols.iter().filter(|symbol| redirects(symbol.function));
        let edit = |symbol: &Symbol| (symbol.value_at, elf.load_address + room_at as u64 + symbol.function.offset());
        Ok(Self {
            image: image.to_vec(),
            room_at,
            edits: redirected.map(edit).collect(),
            original_clock_gettime: original(Function::ClockGettime),
            original_gettimeofday: original(Function::Gettimeofday),
        })
    }
}

/// The length of this process's vDSO's mapping, in bytes; every 64-bit process has the same.
pub(super) fn mapping_len(address: usize) -> Option<usize> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let (begin, end) = line.split_once(' ')?.0.split_once('-')?;
        let (begin, end) = (usize::from_str_radix(begin, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        (begin == address).then(|| end - begin)
    })
}

/// The functions of a vDSO that we know.
pub(super) fn symbols(image: &[u8]) -> Vec<Symbol> {
    Elf::read(image).and_then(|elf| elf.symbols()).unwrap_or_default()
}

/// A 64-bit little-endian library, read with every place checked.
struct Elf<'a> {
    image: &'a [u8],
    /// Where it wants to begin, 0 as a rule.
    load_address: u64,
    /// Where the dynamic section is.
    dynamic_at: usize,
    /// Where all that its headers name has ended.
    content_end: usize,
}

impl<'a> Elf<'a> {
    fn read(image: &'a [u8]) -> Option<Self> {
        if image.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let program_headers = (usize::try_from(u64_at(image, 32)?).ok()?, usize::from(u16_at(image, 56)?));
        let section_headers = (usize::try_from(u64_at(image, 40)?).ok()?, usize::from(u16_at(image, 60)?));
        let sections_end = section_headers.0.checked_add(section_headers.1 * SECTION_HEADER_LEN)?;
        let mut elf = Self { image, load_address: 0, dynamic_at: 0, content_end: sections_end.max(HEADER_LEN) };
        for index in 0..program_headers.1 {
            let at = program_headers.0.checked_add(index * PROGRAM_HEADER_LEN)?;
            let (kind, offset) = (u32_at(image, at)?, usize::try_from(u64_at(image, at + 8)?).ok()?);
            let len = usize::try_from(u64_at(image, at + 32)?).ok()?;
            elf.content_end = elf.content_end.max(offset.checked_add(len)?);
            match kind {
                1 => elf.load_address = u64_at(image, at + 16)?,
                2 => elf.dynamic_at = offset,
                _ => {}
            }
        }
        (elf.dynamic_at != 0 && elf.content_end <= image.len()).then_some(elf)
    }

    /// Zero bytes behind all content, of the blob's length, on a cache line's start.
    fn room_at(&self) -> Option<usize> {
        let used = self.image.iter().rposition(|byte| *byte != 0)? + 1;
        let room_at = used.max(self.content_end).next_multiple_of(64);
        (self.image.len().checked_sub(room_at)? >= BLOB.len()).then_some(room_at)
    }

    fn symbols(&self) -> Option<Vec<Symbol>> {
        let (mut names_at, mut symbols_at, mut hash_at) = (None, None, None);
        let mut at = self.dynamic_at;
        loop {
            let (tag, value) = (u64_at(self.image, at)?, u64_at(self.image, at + 8)?);
            let place = value.checked_sub(self.load_address).and_then(|place| usize::try_from(place).ok());
            match tag {
                0 => break,
                4 => hash_at = place,
                5 => names_at = place,
                6 => symbols_at = place,
                _ => {}
            }
            at += 16;
        }
        let (names_at, symbols_at) = (names_at?, symbols_at?);
        let count = match hash_at {
            Some(at) => usize::try_from(u32_at(self.image, at.checked_add(4)?)?).ok()?,
            // Without a table that counts them: names come right behind.
            None => names_at.checked_sub(symbols_at)? / SYMBOL_LEN,
        };
        let mut symbols = Vec::new();
        for index in 0..count.min(SYMBOLS_MAX) {
            let at = symbols_at.checked_add(index * SYMBOL_LEN)?;
            let name_at = names_at.checked_add(usize::try_from(u32_at(self.image, at)?).ok()?)?;
            let name = self.image.get(name_at..)?.split(|byte| *byte == 0).next()?;
            let (section, value) = (u16_at(self.image, at + 6)?, u64_at(self.image, at + 8)?);
            if let Some(function) = Function::named(name).filter(|_| section != 0) {
                let begins_at = value.checked_sub(self.load_address)?;
                symbols.push(Symbol { function, value_at: at + 8, begins_at });
            }
        }
        Some(symbols)
    }
}

fn u16_at(image: &[u8], at: usize) -> Option<u16> {
    image.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(image: &[u8], at: usize) -> Option<u32> {
    image.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(image: &[u8], at: usize) -> Option<u64> {
    image.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::own;

    fn own_image() -> Option<&'static [u8]> {
        own::vdso_image(mapping_len(own::vdso_address())?)
    }

    #[test]
    fn this_machines_vdso_has_its_functions_and_a_plan() {
        let Some(image) = own_image() else { return eprintln!("skipped: this machine has no vDSO") };
        let found = symbols(image);
        for function in [Function::ClockGettime, Function::Gettimeofday, Function::Time] {
            assert!(found.iter().any(|symbol| symbol.function == function), "{function:?}");
        }
        let Ok(plan) = Plan::of(image, Function::is_clock) else { return eprintln!("skipped: no room in this vDSO") };
        assert!(image[plan.room_at..].iter().all(|byte| *byte == 0));
        assert!(plan.edits.len() >= 3 && plan.original_clock_gettime < 0);
        let none = Plan::of(image, |_| false).unwrap();
        assert!(none.edits.is_empty());
    }

    #[test]
    fn a_vdso_without_room_and_one_that_is_cut_anywhere_have_no_plan_and_do_no_harm() {
        let Some(image) = own_image() else { return eprintln!("skipped: this machine has no vDSO") };
        let mut full = image.to_vec();
        *full.last_mut().unwrap() = 1;
        assert_eq!(Plan::of(&full, |_| true), Err("it has no room".to_owned()));
        for len in 0..image.len() {
            drop(Plan::of(&image[..len], |_| true));
        }
        for place in 0..image.len() {
            let mut damaged = image.to_vec();
            damaged[place] ^= 0xff;
            drop(Plan::of(&damaged, |_| true));
        }
    }
}
