//! Another process's memory: through `/proc`, or word by word while it is stopped.
//!
//! The file is opened while the process still is as it was made; afterwards it may become another user's, whose files are
//! not for us to open. Of a process that already is, the words can be had.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
};

use crate::system::ptrace;

/// Bytes in a word.
const WORD: usize = 8;

/// How much is read ahead at most, in bytes. A choice: a page.
const PIECE_LEN: usize = 4096;

/// The way to a process's memory.
#[derive(Debug)]
pub(super) enum Memory {
    /// It may run meanwhile.
    File(File),
    /// It has to be stopped.
    Words,
}

impl Memory {
    pub(super) fn of(pid: i32) -> Self {
        let file = OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"));
        file.map_or(Self::Words, Self::File)
    }

    /// Reads up to as many bytes as there is room for, and gives how many there were.
    pub(super) fn read(&self, thread: i32, address: u64, bytes: &mut [u8]) -> io::Result<usize> {
        if let Self::File(file) = self {
            return file.read_at(bytes, address);
        }
        let mut read = 0;
        for piece in bytes.chunks_mut(WORD) {
            match ptrace::peek(thread, place(address, read)?) {
                Ok(word) => piece.copy_from_slice(&word[..piece.len()]),
                Err(error) if read == 0 => return Err(error),
                Err(_) => break,
            }
            read += piece.len();
        }
        Ok(read)
    }

    /// Writes all of the bytes.
    pub(super) fn write(&self, thread: i32, address: u64, bytes: &[u8]) -> io::Result<()> {
        if let Self::File(file) = self {
            return file.write_all_at(bytes, address);
        }
        for (index, piece) in bytes.chunks(WORD).enumerate() {
            let at = place(address, index * WORD)?;
            let mut word = if piece.len() == WORD { [0; WORD] } else { ptrace::peek(thread, at)? };
            word[..piece.len()].copy_from_slice(piece);
            ptrace::poke(thread, at, word)?;
        }
        Ok(())
    }

    /// Reads words one after the other from `address` on.
    pub(super) fn words(&self, thread: i32, address: u64) -> Words<'_> {
        Words { memory: self, thread, next: address, piece: Vec::new(), at: 0 }
    }
}

fn place(address: u64, offset: usize) -> io::Result<usize> {
    let address = usize::try_from(address).map_err(io::Error::other)?;
    address.checked_add(offset).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Words in order.
pub(super) struct Words<'a> {
    memory: &'a Memory,
    thread: i32,
    next: u64,
    piece: Vec<u8>,
    at: usize,
}

impl Words<'_> {
    /// The next word.
    pub(super) fn next(&mut self) -> io::Result<u64> {
        if self.at >= self.piece.len() {
            self.piece.resize(PIECE_LEN, 0);
            let read = self.memory.read(self.thread, self.next, &mut self.piece)?;
            self.piece.truncate(read - read % WORD);
            self.at = 0;
        }
        let word = self.piece[self.at..].first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
        let word = u64::from_le_bytes(*word);
        self.at += WORD;
        self.next += WORD as u64;
        Ok(word)
    }

    /// Where the next word is.
    pub(super) fn address(&self) -> u64 {
        self.next
    }
}
