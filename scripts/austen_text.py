#!/usr/bin/env python3
"""Turns Debian's r-cran-janeaustenr package into clean text: the six novels of Jane Austen, one document per chapter.

usage: austen_text.py RDATA.RDB OUT.jsonl

RDATA.RDB is usr/lib/R/site-library/janeaustenr/data/Rdata.rdb of the package (`apt-get download r-cran-janeaustenr`,
`dpkg -x`). OUT gets one JSON object per line, {"text", "book", "chapter"}. Paragraphs are joined from the wrapped lines of
the print, with a blank line between them; headings and title pages are left out. The chapters have a fixed order that mixes the
books, so the last few chapters, which a run holds out for validation, are a sample of all books. Needs neither R nor a package.
"""
import hashlib
import json
import os
import re
import struct
import sys
import zlib

BOOKS = {  # first line in the package -> (title, chapters), in order of publication
    "SENSE AND SENSIBILITY": ("Sense and Sensibility", 50),
    "PRIDE AND PREJUDICE": ("Pride and Prejudice", 61),
    "MANSFIELD PARK": ("Mansfield Park", 48),
    "EMMA": ("Emma", 55),
    "NORTHANGER ABBEY": ("Northanger Abbey", 31),
    "Persuasion": ("Persuasion", 24),
}
HEADING = re.compile(r"CHAPTER\s+([0-9]+|[IVXLC]+)\.?\s*$", re.I)
VOLUME = re.compile(r"VOLUME\s+[IVX]+\.?\s*$", re.I)
END = re.compile(r"(THE END|FINIS)\.?\s*$", re.I)
NOTE = re.compile(r"\[?\s*Transcriber|\*?\s*A NOTE ON THE TEXT", re.I)
EMPHASIS = re.compile(r"_([^_]+)_")

STRSXP, CHARSXP = 16, 9  # types of R's serialize format (R Internals, section 1.8)


def records(data):
    """The objects of a lazy-load database: the size of an object (4 bytes, big-endian), then it, as a zlib stream."""
    at = 0
    while at + 4 < len(data):
        size, = struct.unpack_from(">I", data, at)
        stream = zlib.decompressobj()
        try:
            text = stream.decompress(data[at + 4:])
        except zlib.error as error:
            sys.exit(f"byte {at + 4}: no zlib stream ({error}): is it Rdata.rdb of r-cran-janeaustenr?")
        if not stream.eof or len(text) != size:
            sys.exit(f"byte {at + 4}: an object of {len(text)} bytes, expected {size}: the file is cut off or damaged")
        yield text
        at = len(data) - len(stream.unused_data)


def character_vector(serialized):
    """The strings of a serialized STRSXP without attributes, or None for objects of other kinds."""
    if serialized[:2] != b"X\n":
        return None
    version, = struct.unpack_from(">i", serialized, 2)
    at = 14
    if version == 3:  # the native encoding follows
        size, = struct.unpack_from(">i", serialized, at)
        at += 4 + size
    flags, = struct.unpack_from(">I", serialized, at)
    if flags & 0xFF != STRSXP:
        return None
    count, = struct.unpack_from(">i", serialized, at + 4)
    at += 8
    lines = []
    for _ in range(count):
        flags, size = struct.unpack_from(">Ii", serialized, at)
        at += 8
        if flags & 0xFF != CHARSXP or size < -1 or at + size > len(serialized):
            raise ValueError(f"no string at byte {at - 8} of an object")
        lines.append(serialized[at:at + max(size, 0)].decode("utf-8"))
        at += max(size, 0)
    return lines


def paragraphs(lines):
    """Wrapped lines joined at blank ones; runs of spaces become one; _emphasis_ marks and rows of stars go."""
    found, current = [], []
    for line in lines + [""]:
        if line.strip():
            current.append(line)
        elif current:
            text = EMPHASIS.sub(r"\1", " ".join(" ".join(current).split()))
            if text.strip("* "):
                found.append(text)
            current = []
    return found


def chapters(lines):
    """Texts between chapter headings, up to the end of the book."""
    found, current = [], None
    for line in lines:
        bare = line.strip()
        if END.match(bare) or NOTE.match(bare):
            break
        if HEADING.match(bare):
            current = []
            found.append(current)
        elif current is not None and not VOLUME.match(bare):
            current.append(line)
    return ["\n\n".join(paragraphs(chapter)) for chapter in found]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = sys.argv[1:]
    with open(source, "rb") as file:
        data = file.read()
    documents, seen = [], set()
    for record in records(data):
        lines = character_vector(record)
        if not lines or lines[0].strip() not in BOOKS:
            continue
        title, expected = BOOKS[lines[0].strip()]
        texts = chapters(lines)
        if len(texts) != expected or min(map(len, texts)) < 1000:
            sys.exit(f"{source}: {title} has {len(texts)} chapters, expected {expected} of at least 1000 letters: "
                     "another version of the package?")
        seen.add(title)
        documents += [{"text": text, "book": title, "chapter": i + 1} for i, text in enumerate(texts)]
    missing = sorted({title for title, _ in BOOKS.values()} - seen)
    if missing:
        sys.exit(f"{source}: does not hold {', '.join(missing)}: is it Rdata.rdb of r-cran-janeaustenr?")
    documents.sort(key=lambda d: hashlib.sha256(f"{d['book']} {d['chapter']}".encode()).digest())
    partial = target + ".partial"
    with open(partial, "w", encoding="utf-8", newline="\n") as file:
        for document in documents:
            file.write(json.dumps(document, ensure_ascii=False) + "\n")
    os.replace(partial, target)
    size = sum(len(d["text"].encode()) for d in documents)
    print(f"{target}: {len(documents)} chapters, {size:,} bytes of text", file=sys.stderr)


if __name__ == "__main__":
    main()
