#!/usr/bin/env python3
"""A second reader of .retake files, made from docs/format.md alone.

    docs/reader.py FILE

Prints a line of JSON for each exchange: its id, session, sequence, digests, and heads and bodies as text of ISO 8859-1; and
last a line with the bundle's digest. Checks the hashes on the way, and ends with status 1 where one does not hold. Needs
Python 3.9 and the program zstd. It is for files that you trust.
"""

import json
import struct
import subprocess
import sys

MAJOR = 1
MASK = 0xFFFFFFFF
IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
CHUNK_START, CHUNK_END, PARENT, ROOT, KEYED = 1, 2, 4, 8, 16


class Wrong(Exception):
    """The file is not what the description says."""


def check(holds, what):
    if not holds:
        raise Wrong(what)


# BLAKE3 (https://github.com/BLAKE3-team/BLAKE3-specs), hash and keyed hash.


def compress(chaining, block, counter, length, flags):
    state = chaining + IV[:4] + [counter & MASK, counter >> 32, length, flags]

    def mix(a, b, c, d, x, y):
        for word, turn, other in ((x, 16, 12), (y, 8, 7)):
            state[a] = (state[a] + state[b] + word) & MASK
            mixed = state[d] ^ state[a]
            state[d] = (mixed >> turn | mixed << (32 - turn)) & MASK
            state[c] = (state[c] + state[d]) & MASK
            mixed = state[b] ^ state[c]
            state[b] = (mixed >> other | mixed << (32 - other)) & MASK

    words = block
    for turn in range(7):
        for place in range(4):
            mix(place, place + 4, place + 8, place + 12, words[2 * place], words[2 * place + 1])
        for place in range(4):
            others = [4 + (place + 1) % 4, 8 + (place + 2) % 4, 12 + (place + 3) % 4]
            mix(place, *others, words[8 + 2 * place], words[9 + 2 * place])
        words = [words[place] for place in PERMUTATION]
    return [state[place] ^ state[place + 8] for place in range(8)] + [state[place + 8] ^ chaining[place] for place in range(8)]


def blake3(data, key=None):
    start = list(struct.unpack("<8I", key)) if key else IV
    mode = KEYED if key else 0

    def chunk(at):
        """Arguments of the last compression of the chunk that begins at `at`."""
        piece = data[at : at + 1024]
        blocks = [piece[begin : begin + 64] for begin in range(0, len(piece), 64)] or [b""]
        chaining = start
        for number, block in enumerate(blocks):
            flags = mode | (CHUNK_START if number == 0 else 0) | (CHUNK_END if number + 1 == len(blocks) else 0)
            arguments = (chaining, struct.unpack("<16I", block.ljust(64, b"\0")), at // 1024, len(block), flags)
            if number + 1 < len(blocks):
                chaining = compress(*arguments)[:8]
        return arguments

    def tree(begin, end):
        if end - begin <= 1024:
            return chunk(begin)
        left = 1024
        while left * 2 < end - begin:
            left *= 2
        halves = [compress(*tree(*half))[:8] for half in ((begin, begin + left), (begin + left, end))]
        return (start, halves[0] + halves[1], 0, 64, PARENT | mode)

    chaining, block, counter, length, flags = tree(0, len(data))
    return struct.pack("<16I", *compress(chaining, block, counter, length, flags | ROOT))[:32]


class Bytes:
    """Bytes that are taken from the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        check(self.at + count <= len(self.data), "something is cut short")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self):
        number = shift = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    def is_empty(self):
        return self.at == len(self.data)


def unzigzag(number):
    return number >> 1 if number % 2 == 0 else -(number >> 1) - 1


def piece(number, pieces):
    """The bytes that a piece gives."""
    check(number < len(pieces), "a piece is missing")
    form, payload = pieces[number]
    if form == 0:
        return payload
    steps = Bytes(payload)
    control = Bytes(steps.take(steps.varint())) if form == 2 else None
    given, expected = [], number
    while not steps.is_empty():
        head = steps.varint()
        if head % 2 == 0:
            given.append(steps.take(head // 2))
            continue
        expected += unzigzag(head // 8)
        check(expected < number, "a piece refers to one that does not come before it")
        given.append([b"", b",", b", "][head // 2 % 4] + piece(expected, pieces))
        expected += 1
    data = b"".join(given)
    return data if control is None else events(control, Bytes(data))


def events(control, data):
    given = []
    while not control.is_empty():
        count = control.varint()
        if count == 0:
            given.append(data.take(control.varint()))
            continue
        prefix, suffix = data.take(control.varint()), data.take(control.varint())
        given += [prefix + data.take(control.varint()) + suffix for _ in range(count)]
    check(data.is_empty(), "events do not use all of their data")
    return b"".join(given)


class Columns:
    """The columns of a block."""

    def __init__(self, raw):
        self.columns, self.known = {}, {}
        reading = Bytes(raw)
        while not reading.is_empty():
            number = reading.take(1)[0]
            self.columns[number] = Bytes(reading.take(reading.varint()))

    def number(self, column):
        return self.columns[column].varint()

    def take(self, column, count):
        return self.columns[column].take(count) if count else b""

    def plus(self, column, base):
        return (base + unzigzag(self.number(column))) % 2**64

    def split_plus(self, column, base):
        low = self.take(column, 1)[0]
        return (base + unzigzag(self.number(column + 1) << 7 | low)) % 2**64

    def text(self, column):
        return self.take(column, self.number(column)).decode()

    def known_one(self, column, new):
        """What comes again; `new` reads what was not there before."""
        number, known = self.number(column), self.known.setdefault(column, [])
        if number == 1:
            known.append(new())
        return None if number == 0 else known[-1] if number == 1 else known[number - 2]


def derived(key, number):
    return blake3(struct.pack("<Q", number), key)[:16]


def message(columns, first, last_piece, start, unit, pieces):
    """A head's bytes, a body's bytes, how many passed, and chunks."""
    head_len = columns.number(first)
    if head_len == 0:
        return None
    bytes_of_head = columns.take(first + 1, head_len - 1)
    body = b""
    for _ in range(columns.number(first + 2)):
        last_piece[first] = columns.plus(first + 3, last_piece.get(first, 0))
        given = piece(last_piece[first], pieces)
        check(len(given) == columns.number(first + 4), "a piece does not give what a body has of it")
        body += given
    passed = columns.plus(first + 5, len(body))
    chunks, offset, at = [], 0, start // unit
    for _ in range(columns.number(first + 6)):
        offset, at = columns.split_plus(first + 7, offset), columns.split_plus(first + 9, at)
        chunks.append([offset, at * unit])
    return {"head": bytes_of_head.decode("latin-1"), "body": body.decode("latin-1"), "len": passed, "chunks": chunks}


def exchanges(raw, count, pieces):
    columns, sequence, started, last_piece = Columns(raw), 0, 0, {}

    def session():
        name, has_key = columns.take(2, 16), columns.take(2, 1)
        return name, columns.take(2, 32) if has_key == b"\1" else None

    for _ in range(count):
        belongs_to, key = columns.known_one(1, session)
        sequence = columns.plus(3, sequence + 1)
        name = columns.take(10, 16) if columns.number(4) else derived(key, sequence)

        def other():
            back = columns.number(7)
            return None if back == 0 else columns.take(10, 16) if back == 1 else derived(key, sequence - back + 1)

        dependency = columns.known_one(5, lambda: columns.text(6))
        parent = other() if dependency is not None else None
        if parent is not None:
            columns.number(8)
            for _ in range(columns.number(9)):
                other()
        started = columns.plus(11, started)
        fingerprint = columns.known_one(16, lambda: columns.take(17, 32))
        ending = columns.number(15)
        unit = 1 if ending & 32 else 10_000
        request_ended = None if ending & 64 else columns.plus(12, started)
        last = started if request_ended is None else request_ended
        response_started = None if ending & 128 else columns.plus(13, last)
        ended = columns.plus(14, last if response_started is None else response_started)
        request = message(columns, 18, last_piece, started, unit, pieces)
        base = started if response_started is None else response_started
        response = message(columns, 29, last_piece, base, unit, pieces)
        trace, has = columns.number(40), columns.number(41)
        digests = [columns.take(column, 32).hex() if has & bit else None for bit, column in ((1, 42), (2, 43))]
        rest = columns.known_one(44, lambda: columns.text(45))
        yield {
            "id": name.hex(), "session": belongs_to.hex(), "sequence": sequence, "dependency": dependency,
            "parent": parent and parent.hex(), "end": ending & 7, "transport": ending >> 3 & 3,
            "times": [started, request_ended, response_started, ended], "request": request, "response": response,
            "fingerprint": fingerprint and fingerprint.hex(), "trace": trace, "digests": digests,
            "rest": json.loads(rest or "{}"),
        }
    check(all(column.is_empty() for column in columns.columns.values()), "a column has more than its rows need")


def checked(data, at, length, what):
    found = data[at : at + length]
    check(len(found) == length and blake3(found[:-16])[:16] == found[-16:], f"{what} at byte {at} is not what was written")
    return found


def main(path):
    data = open(path, "rb").read()
    opening = checked(data, 0, 40, "the opening")
    check(opening[:16] == struct.pack("<II", 0x184D2A50, 32) + b"RETAKE\0\0", "this is no .retake file")
    major = struct.unpack_from("<H", opening, 16)[0]
    check(major <= MAJOR, f"it has format {major}, which is newer than {MAJOR}")
    content = Bytes(subprocess.run(["zstd", "-dcq", path], check=True, stdout=subprocess.PIPE).stdout)
    at, pieces, digest = 40, [], None
    while data[at : at + 4] == struct.pack("<I", 0x184D2A51):
        header = checked(data, at, 88, "a block's header")
        kind, packed, length, count, first, offset = struct.unpack_from("<B3xIIIIQ", header, 12)
        check(offset == at and blake3(data[at + 88 : at + 88 + packed]) == header[40:72], f"the block at byte {at} was changed")
        raw = content.take(length)
        if kind == 1:
            check(first == len(pieces), "pieces are missing")
            records = Bytes(raw)
            for _ in range(count):
                record, flags, size = struct.unpack("<BBI", records.take(6))
                payload = records.take(size)
                if record == 1:
                    pieces.append((flags, payload))
            check(records.is_empty(), "records do not fill their block")
        elif kind == 4:
            for exchange in exchanges(raw, count, pieces):
                print(json.dumps(exchange))
        elif kind == 3:
            digest = blake3(raw)
        at += 88 + packed
    check(digest is not None, "it is not sealed")
    footer = data[at:]
    check(footer[:16] == struct.pack("<II", 0x184D2A5F, 56) + b"RETAKEND" and footer[32:] == digest, "the footer was changed")
    print(json.dumps({"digest": digest.hex()}))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(sys.argv[1])
    except Wrong as wrong:
        sys.exit(f"{sys.argv[1]}: {wrong}")
