#!/usr/bin/env python3
"""test_prepare.py GPAS parquet|"no parquet": gives `gpas prepare` what people give it: pipes, compressed and foreign files, odd JSON lines.

Prints TAP. Token files are read by the few lines of `documents`, and pieces by those of `Pieces`, independently of gpas.
"""
import base64
import bz2
import glob
import gzip
import json
import lzma
import math
import os
import random
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from checks import check, run_checks, scratch_directory  # noqa: E402

GPAS = os.path.abspath(sys.argv[1])
READS_PARQUET = sys.argv[2] == "parquet"  # built with Apache Arrow
PARQUET_FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../io/data/parquet")


def prepare(*arguments, stdin=None, shell=None):
    """`shell`: a command line of bash in which GPAS stands for the program."""
    command = ["bash", "-c", shell.replace("GPAS", GPAS)] if shell else [GPAS, "prepare", *arguments]
    source = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
    return subprocess.run(command, capture_output=True, timeout=120, **source)


def refused(result, code, *words):
    lines = [line for line in result.stderr.decode().splitlines() if "error:" in line]
    assert result.returncode == code and len(lines) == 1, (result.returncode, result.stderr, result.stdout)
    for word in words:
        assert word in lines[0], (word, lines[0])


def succeeds(result, *words):
    assert result.returncode == 0, result.stderr
    for word in words:
        assert word in (result.stdout + result.stderr).decode(), (word, result.stdout, result.stderr)


def write(name, data):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())
    return name


class Pieces:
    """The pieces of a .model file: a protobuf whose field 1 repeats messages with the piece in field 1."""

    def __init__(self, name):
        data, at, self.pieces = open(name, "rb").read(), 0, []
        while at < len(data) and data[at] == 0x0A:
            at += 1
            size = shift = 0
            while True:
                byte = data[at]
                at += 1
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            self.pieces.append(data[at + 2 : at + 2 + data[at + 1]].decode())
            at += size

    def text(self, ids):
        out = b""
        for i in ids:
            piece = self.pieces[i]
            if i > 2:
                out += bytes([int(piece[3:5], 16)]) if i < 259 else piece.replace("\u2581", " ").encode()
        return out.decode()


def documents(prefix):
    """Texts of a dataset of uint16 tokens."""
    index, tokens = open(prefix + ".idx", "rb").read(), open(prefix + ".bin", "rb").read()
    assert index[:9] == b"MMIDIDX\0\0" and index[17] == 8
    (count,) = struct.unpack_from("<Q", index, 18)
    pieces, at, texts = Pieces("t.model"), 0, []
    for length in struct.unpack_from(f"<{count}i", index, 34):
        texts.append(pieces.text(struct.unpack_from(f"<{length}H", tokens, at)))
        at += 2 * length
    return texts


def tokenized(*arguments, **more):
    """Prepares with the small tokenizer and returns the texts and the report."""
    result = prepare(*arguments, "--tokenizer", "t.model", "--output-prefix", "out", **more)
    succeeds(result)
    return documents("out_text_document"), (result.stdout + result.stderr).decode()


@check
def json_lines_need_no_option():
    write("first_empty.jsonl", '{"text": ""}\n{"text": "hello world"}\n{"text": ""}\n{"text": "second"}\n')
    for name in ("first_empty.jsonl", "first_empty.txt"):
        os.path.exists(name) or os.link("first_empty.jsonl", name)
        texts, report = tokenized("--input", name)
        assert texts == ["hello world", "second"] and "JSON lines" in report and "2 empty documents" in report, (texts, report)


@check
def what_python_writes_is_read():
    write("bigint.jsonl", '{"text":"x","hash":1%s}\n' % ("0" * 400))
    assert tokenized("--input", "bigint.jsonl")[0] == ["x"]
    write("nan.jsonl", '{"text":"x","score":NaN}\n{"text":"y","score":-Infinity}\n')
    assert tokenized("--input", "nan.jsonl")[0] == ["x", "y"]
    write("surr.jsonl", '{"text":"bad \\ud800 lone"}\n{"text":"ok \\ud83d\\ude00 pair"}\n')
    texts, report = tokenized("--input", "surr.jsonl")
    assert texts == ["bad \ufffd lone", "ok \U0001f600 pair"] and "1 of 19 characters" in report, (texts, report)
    write("bad_utf8.jsonl", b'{"text":"caf\xe9 latin1"}\n{"text":"ok"}\n')
    texts, report = tokenized("--input", "bad_utf8.jsonl")
    assert texts == ["caf\ufffd latin1", "ok"] and "1 of 13 characters" in report, (texts, report)
    write("dup.jsonl", '{"text":"first","text":"second"}\n')
    assert tokenized("--input", "dup.jsonl")[0] == ["second"]


@check
def random_objects_give_what_json_loads_gives():
    draw = random.Random(1)
    characters = "a\"\\/\b\f\n\r\t\0 {}[]:,\u00e9\u2028\u2581\U0001f600\ud800\udc00\ufeff"

    def text():
        return "".join(draw.choice(characters) for _ in range(draw.randrange(8)))

    def value(depth):
        kind = draw.randrange(9 if depth < 4 else 6)
        if kind < 2:
            return draw.choice([math.nan, math.inf, -math.inf, 1e308, 5e-324, -0.0, 0.1])
        if kind < 4:
            return draw.choice([0, -1, 10**draw.randrange(400), True, False, None])
        if kind < 6:
            return text()
        if kind < 7:
            return [value(depth + 1) for _ in range(draw.randrange(4))]
        return {draw.choice(["text", "a", text()]): value(depth + 1) for _ in range(draw.randrange(4))}

    lines, expected = [], []
    for _ in range(2000):
        record = {text(): value(0) for _ in range(draw.randrange(4))}
        record["text"] = "x" + text()
        indent = draw.choice([None, None, (" ,", " :")])
        line = json.dumps(record, ensure_ascii=draw.random() < 0.5, separators=indent)
        lines.append(line.encode("utf-8", "surrogatepass") + draw.choice([b"\n", b"\r\n", b"\n \n"]))
        # As ill-formed UTF-8, a lone surrogate is three ill-formed sequences; as an escape it is one.
        read = json.loads(lines[-1].decode("utf-8", "replace"))["text"]
        expected.append("".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in read))
    write("random.jsonl", b"".join(lines))
    assert tokenized("--input", "random.jsonl")[0] == expected


@check
def bad_lines_are_counted_by_kind():
    write("bad.jsonl", '{"text": "a"}\n{"text": 5}\n[]\n{"text": "cut\n{"txt": "x"}\n{"text": "b"}\n')
    result = prepare("--input", "bad.jsonl", "--tokenizer", "t.model", "--output-prefix", "none")
    refused(result, 3, "bad.jsonl:2", "--skip-bad-lines")
    assert not [name for name in os.listdir(".") if name.startswith("none")], os.listdir(".")
    texts, report = tokenized("--input", "bad.jsonl", "--skip-bad-lines")
    assert texts == ["a", "b"], texts
    assert "bad lines skipped: 4 (1 not JSON, 1 not a JSON object, 1 without the key, 1 value is not a string)" in report, report


@check
def pipes_give_what_files_give():
    write("s.jsonl", "".join(json.dumps({"text": f"line {i} of a text"}) + "\n" for i in range(300)))
    expected, _ = tokenized("--input", "s.jsonl")
    data = open("s.jsonl", "rb").read()
    assert tokenized("--input", "-", stdin=data)[0] == expected
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        assert tokenized("--input", "-", stdin=pack(data))[0] == expected, pack
    assert tokenized("--input", "/dev/stdin", stdin=data)[0] == expected
    common = "--tokenizer t.model --output-prefix out"
    for shell in (f"GPAS prepare --input <(cat s.jsonl) {common}", f"(head -c 1 s.jsonl; sleep 0.2; tail -c +2 s.jsonl) | GPAS prepare --input - {common}",
                  f"mkfifo fifo; gzip -c s.jsonl > fifo & GPAS prepare --input fifo {common}"):
        succeeds(prepare(shell=shell))
        assert documents("out_text_document") == expected, shell
    refused(prepare("--input", "-", "-", "--tokenizer", "t.model", "--output-prefix", "none", stdin=data), 2, "twice")
    refused(prepare("--input", "-", "--tokenizer", "t.model", "--output-prefix", "none", stdin=b""), 3, "standard input", "no text")
    refused(prepare("--input", "-", "--tokenizer", "t.model", "--output-prefix", "none", stdin=lzma.compress(data, lzma.FORMAT_ALONE)), 3,
            "standard input", "`xz --format=lzma -dc | gpas prepare --input - ...`")
    refused(prepare("--input", "-", "--tokenizer", "t.model", "--output-prefix", "none", stdin=gzip.compress(data)[:-9]), 3, "cut off")
    refused(prepare(shell="GPAS prepare --input - --tokenizer t.model --output-prefix none <&-"), 5, "standard input: cannot be opened")


@check
def bzip2_and_xz_files_give_what_plain_files_give():
    data = open("s.jsonl", "rb").read()
    expected, _ = tokenized("--input", "s.jsonl")
    for name, pack in (("s.jsonl.bz2", bz2.compress), ("s.jsonl.xz", lzma.compress), ("packed", lzma.compress)):
        for packed in (pack(data), pack(data[:5000]) + pack(data[5000:])):
            assert tokenized("--input", write(name, packed))[0] == expected, name
    succeeds(prepare("--input", "s.jsonl.xz", "--train-tokenizer", "280", "--output-prefix", "packed"))


@check
def damaged_bzip2_and_xz_files_are_refused_with_the_byte():
    data = open("s.jsonl", "rb").read()
    for name, pack, magic in (("bad.jsonl.bz2", bz2.compress, 10), ("bad.jsonl.xz", lzma.compress, 6)):
        packed = pack(data)
        flipped = bytearray(packed)
        flipped[len(packed) // 2] ^= 1
        cases = [(packed[:size], f"ends at byte {size}, inside its compressed data: it is cut off") for size in
                 (magic, len(packed) // 2, len(packed) - 1)]
        cases += [(bytes(flipped), "damaged"), (packed + b"more than garbage", "damaged")]
        for bad, words in cases:
            write(name, bad)
            refused(prepare("--input", name, "--tokenizer", "t.model", "--output-prefix", "none"), 3, name + ": ", "byte ", words)
            refused(prepare("--input", name, "--train-tokenizer", "280", "--output-prefix", "none"), 3, name + ": ", "byte ", words)
    assert not [name for name in os.listdir(".") if name.startswith("none")], os.listdir(".")


@check
def quoted_patterns_name_shards():
    for shard in (2, 10, 1):
        write(f"shards/part-{shard:02}.jsonl.xz", lzma.compress(b'{"text": "shard %d"}\n' % shard))
    write("shards/notes.txt", "notes\n")
    pattern = "shards/*.jsonl.xz"
    assert tokenized("--input", pattern)[0] == ["shard 1", "shard 2", "shard 10"]
    assert tokenized("--input", "shards/part-1?.*", "shards/part-0[12]*")[0] == ["shard 10", "shard 1", "shard 2"]
    result = prepare("--input", pattern, "--tokenizer", "t.model", "--output-prefix", "shards/out")
    succeeds(result)
    succeeds(prepare("--input", pattern, "--tokenizer", "t.model", "--output-prefix", "shards/out"), "nothing to do")
    write("shards/part-11.jsonl.xz", lzma.compress(b'{"text": "shard 11"}\n'))
    succeeds(prepare("--input", pattern, "--tokenizer", "t.model", "--output-prefix", "shards/out"), "the inputs or the options have changed")
    for none in ("shards/*.zst", "nowhere/*.txt"):
        refused(prepare("--input", none, "--tokenizer", "t.model", "--output-prefix", "none"), 3, none + ": no file or folder matches")


@check
def the_text_may_be_under_several_or_nested_keys():
    write("keys.jsonl", '{"title": "One", "meta": {"text": "first"}}\n{"meta": {"text": "second", "n": 1}, "title": "Two"}\n')
    result = prepare("--input", "keys.jsonl", "--text-key", "title,meta.text", "--tokenizer", "t.model", "--output-prefix", "out")
    succeeds(result, 'the text is under "title,meta.text"')
    assert documents("out_title+meta.text_document") == ["One\nfirst", "Two\nsecond"]
    write("dotted.jsonl", '{"meta.text": "literal", "meta": {"text": "path"}}\n')
    succeeds(prepare("--input", "dotted.jsonl", "--json-key", "meta.text", "--tokenizer", "t.model", "--output-prefix", "out"))
    assert documents("out_meta.text_document") == ["literal"]
    for key, words in (("meta.n", 'keys.jsonl:1: no text under "meta.n": in "meta", the object has no "n" (its keys are "text")'),
                       ("title,meta", 'keys.jsonl:1: "meta" is a JSON object, expected a string'),
                       ("title.x", 'keys.jsonl:1: no text under "title.x": "title" is a JSON string, expected an object')):
        refused(prepare("--input", "keys.jsonl", "--text-key", key, "--tokenizer", "t.model", "--output-prefix", "none"), 3, words)
    for key in ("title,", "a/b"):
        refused(prepare("--input", "keys.jsonl", "--text-key", key, "--tokenizer", "t.model", "--output-prefix", "none"), 2, "--text-key '" + key)


@check
def a_tokenizer_is_trained_on_a_pipe_as_on_a_file():
    data = open("s.jsonl", "rb").read()
    succeeds(prepare("--input", "s.jsonl", "--train-tokenizer", "280", "--output-prefix", "filed"))
    succeeds(prepare("--input", "-", "--train-tokenizer", "280", "--output-prefix", "piped", stdin=gzip.compress(data)))
    for name in (".model", "_text_document.bin", "_text_document.idx"):
        assert open("filed" + name, "rb").read() == open("piped" + name, "rb").read(), name
    assert not [name for name in os.listdir(".") if "partial" in name]


@check
def foreign_files_are_refused_before_anything_is_written():
    text = b'{"text": "a"}\n'
    cases = {"x.parquet": (b"PAR1\x15\x04\x15\x80abcdPAR1", "Parquet"), "c.jsonl.lzma": (lzma.compress(text, lzma.FORMAT_ALONE), "xz --format=lzma -dc c.jsonl.lzma | "),
             "twice.jsonl.gz": (gzip.compress(bz2.compress(text)), "gzip -dc twice.jsonl.gz | bzip2 -dc | "), "utf16.jsonl": ('{"text":"a"}\n'.encode("utf-16"), "iconv -f UTF-16"),
             "pretty.json": (b'{\n  "text": "a"\n}\n', "jq -c . pretty.json"), "array.json": (b'[{"text": "a"}]', "jq -c '.[]'")}
    for name, (data, word) in cases.items():
        write(name, data)
        for documents_ in ((), ("--documents", "jsonl")):
            code = 2 if READS_PARQUET and name == "x.parquet" and documents_ else 3  # 2: the option is wrong
            refused(prepare("--input", name, *documents_, "--tokenizer", "t.model", "--output-prefix", "deep/none"), code, name, word)
    assert not os.path.exists("deep")


@check
def the_conversions_that_are_advised_work():
    text = b'{"text": "one"}\n{"text": "two"}\n'
    write("twice.jsonl.gz", gzip.compress(bz2.compress(text)))
    write("u.txt.bz2", bz2.compress(text.decode().encode("utf-16")))
    write("u.txt", text.decode().encode("utf-16"))
    rest = "--tokenizer t.model --output-prefix out"
    for name in ("twice.jsonl.gz", "u.txt.bz2", "u.txt"):
        message = prepare("--input", name, "--tokenizer", "t.model", "--output-prefix", "none").stderr.decode()
        command = message[message.index("`") + 1 : message.rindex("`")].replace("gpas prepare", "GPAS prepare").replace("...", rest)
        succeeds(prepare(shell=command))
        assert documents("out_text_document") == ["one", "two"], command


@check
def foreign_tokenizers_are_named():
    cases = {"lfs.model": ("version https://git-lfs.github.com/spec/v1\noid sha256:9e\nsize 4\n", "Git LFS"),
             "tokenizer.json": ('{"version":"1.0","model":{"type":"BPE"}}\n', 'model: has no key "vocab"'),
             "empty.model": ("", "is empty"),
             "page.model": ("<!DOCTYPE html>\n<html></html>\n", "HTML page"),
             "tiktoken.model": ("IQ== 0\nIg== 1\n", "tiktoken")}
    for name, (data, word) in cases.items():
        refused(prepare("--input", "s.jsonl", "--tokenizer", write(name, data), "--output-prefix", "none"), 3, name, word)
        assert not glob.glob("none*")


@check
def a_directory_stands_for_the_only_tokenizer_in_it():
    os.makedirs("model/more")
    common = ("--output-prefix", "named", "--tokenizer", "model")
    refused(prepare("--input", "learn.txt", *common), 3, "model: is a directory without a tokenizer")
    shutil.copy("t.model", "model/tokenizer.model")
    succeeds(prepare("--input", "learn.txt", *common), "tokenizer model/tokenizer.model: SentencePiece, 275 pieces")
    shutil.copy("t.model", "model/other.model")
    refused(prepare("--input", "learn.txt", *common), 3, "2 tokenizers (other.model, tokenizer.model)")


@check
def an_unknown_tiktoken_file_needs_a_pattern():
    """The tokenizer.json that is saved with the token files gives the same ids and is a tokenizer like any other."""
    tokens = [bytes([byte]) for byte in range(256)] + [b"ab", b" ab", b"abab"]
    write("u.tiktoken", b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens)))
    write("ab.txt", "ababab ab 12ab")
    common = ("--input", "ab.txt", "--output-prefix", "patterned/out")
    refused(prepare(*common, "--tokenizer", "u.tiktoken"), 3, "u.tiktoken", "`gpas prepare --pattern`")
    refused(prepare(*common, "--tokenizer", "u.tiktoken", "--pattern", "(a"), 3, '--pattern: regular expression "(a"')
    refused(prepare(*common, "--tokenizer", "t.model", "--pattern", "gpt2"), 2, "t.model: --pattern is for tiktoken files", "SentencePiece")
    refused(prepare(*common, "--train-tokenizer", "280", "--pattern", "gpt2"), 2, "--pattern")
    assert not glob.glob("patterned/*")
    words = ("--tokenizer", "u.tiktoken", "--pattern", r"\p{L}{1,3}+|.")
    succeeds(prepare(*common, *words), "tokenizer patterned/out.tokenizer.json: Hugging Face tokenizer.json, 260 pieces")
    by_words = open("patterned/out_text_document.bin", "rb").read()
    # aba bab " " ab " " 1 2 ab, end
    assert struct.unpack("<11H", by_words) == (256, 97, 98, 256, 32, 256, 32, 49, 50, 256, 259), by_words
    succeeds(prepare(*common, *words), "prepared before")
    os.remove("patterned/out.tokenizer.json")
    succeeds(prepare(*common, *words), "prepared before")
    succeeds(prepare("--input", "ab.txt", "--output-prefix", "again", "--tokenizer", "patterned/out.tokenizer.json"))
    assert open("again_text_document.bin", "rb").read() == by_words
    succeeds(prepare(*common, "--tokenizer", "u.tiktoken", "--pattern", "gpt2"), "the inputs or the options have changed")
    # ababab " ab" " 12" ab, end
    assert struct.unpack("<8H", open("patterned/out_text_document.bin", "rb").read()) == (258, 256, 257, 32, 49, 50, 256, 259)


def parquet_rows(keys="text"):
    """The documents of rows_*.parquet."""
    columns = {"text": lambda i: f"Row {i}: café" + " word" * i, "meta.title": lambda i: f"T{i}",
               "colour": lambda i: ("red", "green", "blue")[i % 3]}
    return ["\n".join(columns[key](i) for key in keys.split(",")) for i in range(30)]


def prepare_parquet(*inputs, **options):
    return prepare(*(word for name in inputs for word in ("--input", os.path.join(PARQUET_FILES, name))), "--tokenizer", "t.model",
                   "--output-prefix", "rows", *options.get("more", ()))


@check
def parquet_files_of_every_codec_are_read():
    if not READS_PARQUET:
        return
    for codec in ("none", "snappy", "gzip", "brotli", "zstd", "lz4"):
        succeeds(prepare_parquet(f"rows_{codec}.parquet"), 'Parquet, the text is in the column "text"')
        assert documents("rows_text_document") == parquet_rows(), codec
    succeeds(prepare_parquet("rows_*.parquet", more=("--documents", "parquet", "--threads", "3")))
    assert documents("rows_text_document") == 6 * parquet_rows()
    for keys in ("meta.title,text", "colour"):
        succeeds(prepare_parquet("rows_zstd.parquet", more=("--text-key", keys)))
        assert documents(f"rows_{keys.replace(',', '+')}_document") == parquet_rows(keys)
    succeeds(prepare("--input", os.path.join(PARQUET_FILES, "rows_zstd.parquet"), "--train-tokenizer", "280", "--output-prefix", "learnt"))
    succeeds(prepare_parquet("nulls.parquet", more=("--skip-bad-lines",)), "bad lines skipped: 1")
    assert documents("rows_text_document") == ["one", "three"]


@check
def parquet_files_without_the_text_are_refused():
    if not READS_PARQUET:
        return
    refused(prepare_parquet("nulls.parquet"), 3, "nulls.parquet:2: the text of this row is null")
    for key, words in (("title", 'has no column "title" (its columns of texts are "text", "meta.title", "colour")'),
                       ("id", 'the column "id" does not hold one text per row'),
                       ("meta.tags.list.element", "does not hold one text per row")):
        refused(prepare_parquet("rows_zstd.parquet", more=("--text-key", key)), 3, "rows_zstd.parquet", words)
    with open(os.path.join(PARQUET_FILES, "rows_gzip.parquet"), "rb") as file:
        data = file.read()
    common = ("--tokenizer", "t.model", "--output-prefix", "none")
    damaged = bytearray(data)
    for i in range(200, 260):
        damaged[i] ^= 0x55
    for name, content in (("cut.parquet", data[: len(data) // 2]), ("damaged.parquet", bytes(damaged)), ("short.parquet", b"PAR1\x15\x04")):
        refused(prepare("--input", write(name, content), *common), 3, name, "is a damaged Parquet file")
    refused(prepare("--input", "s.jsonl", "--documents", "parquet", *common), 3, "s.jsonl: is not a Parquet file")
    write("whole.parquet", data)
    refused(prepare("--input", "whole.parquet", "--documents", "jsonl", *common), 2, "whole.parquet: is a Parquet file: leave --documents out")
    refused(prepare("--input", "s.jsonl", "--input", "whole.parquet", *common), 2, "s.jsonl is JSON lines, whole.parquet is Parquet")
    refused(prepare("--input", "-", *common, stdin=data), 3, "standard input: is a Parquet file, which prepare does not read")
    assert not glob.glob("none*")


@check
def parquet_is_refused_with_a_workaround_without_arrow():
    if READS_PARQUET:
        return
    for documents_ in ((), ("--documents", "parquet")):
        refused(prepare_parquet("rows_zstd.parquet", more=documents_), 3, "rows_zstd.parquet", "a Parquet file", "built without Apache Arrow",
                "pandas.read_parquet", "| gpas prepare --input -")


def byte_alphabet():
    """The character that byte-level BPE uses for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def tokenizer_json():
    """A byte-level tokenizer.json with two merges and an end of text."""
    vocabulary = {character: id_ for id_, character in enumerate(byte_alphabet())}
    vocabulary |= {"ex": 256, "ext": 257}
    end = {"id": 258, "content": "<|endoftext|>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
           "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return json.dumps({"version": "1.0", "added_tokens": [end], "normalizer": None, "pre_tokenizer": byte_level,
                       "post_processor": None, "decoder": byte_level,
                       "model": {"type": "BPE", "vocab": vocabulary, "merges": ["e x", "ex t"]}})


@check
def a_tokenizer_json_serves_training_generation_and_conversion():
    def gpas(*arguments):
        result = subprocess.run([GPAS, *arguments], capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
        succeeds(result)
        return (result.stdout + result.stderr).decode()

    os.makedirs("hub")
    write("hub/tokenizer.json", tokenizer_json())
    succeeds(prepare("--input", "learn.txt", "--tokenizer", "hub", "--output-prefix", "hub"),
             "tokenizer hub/tokenizer.json: Hugging Face tokenizer.json, 259 pieces")
    with open("hub_text_document.prepare.json") as file:
        assert json.load(file)["tokenizer_kind"] == "Hugging Face tokenizer.json"
    with open("hub_text_document.bin", "rb") as file:
        ids = struct.unpack("<7H", file.read(14))
    assert ids == (*b"some t", 257), ids  # the id of a byte is its value
    write("hub/tokenizer_config.json", '{"eos_token": "ext"}')  # another EOS than the token files of hub have
    succeeds(prepare("--input", "learn.txt", "--tokenizer", "hub", "--output-prefix", "hub"), "is not the tokenizer of the earlier run")
    with open("hub_text_document.bin", "rb") as file:
        assert file.read()[-2:] == struct.pack("<H", 257)
    write("hub/tokenizer_config.json", '{"eos_token": "nowhere"}')
    refused(prepare("--input", "learn.txt", "--tokenizer", "hub", "--output-prefix", "hub"), 3, 'tokenizer_config.json: eos_token: found "nowhere"')
    os.remove("hub/tokenizer_config.json")
    succeeds(prepare("--input", "learn.txt", "--tokenizer", "hub", "--output-prefix", "hub"))
    write("hub.yaml", "model: {architecture: pre, vocab_size: 259, hidden_size: 16, layers: 1, heads: 2}\n"
          "data: {train: hub_text_document, valid_fraction: 0, sequence_length: 8, tokenizer: hub/tokenizer.json}\n"
          "schedule: {warmup_steps: 0}\nevaluation: {every: 0}\n"
          "training: {steps: 2, global_batch_size: 2, micro_batch_size: 1}\ndirectory: hub_run\n")
    gpas("train", "hub.yaml")
    assert gpas("generate", "hub_run", "--prompt", "some text", "--tokens", "3").startswith("some text")
    gpas("convert", "hub_run", "hub_export", "--no-logits")
    with open("hub_export/tokenizer.json") as copy, open("hub_export/tokenizer_config.json") as config:
        assert copy.read() == tokenizer_json()
        assert json.load(config) == {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": None,
                                     "eos_token": "<|endoftext|>", "unk_token": None, "pad_token": None,
                                     "clean_up_tokenization_spaces": False, "model_max_length": 8}
    assert not os.path.exists("hub_export/tokenizer.model")
    assert "data.tokenizer=hub_back/tokenizer.json" in gpas("convert", "hub_export", "hub_back", "--no-logits")
    with open("hub_back/tokenizer.json") as copy:
        assert copy.read() == tokenizer_json()


@check
def options_without_effect_are_refused():
    write("plain.txt", "some text\n")
    common = ("--output-prefix", "none")
    for options in (("--skip-bad-lines",), ("--json-key", "text"), ("--text-key", "text")):
        refused(prepare("--input", "plain.txt", *options, "--tokenizer", "t.model", *common), 2, options[0])
    refused(prepare("--input", "plain.txt", "--tokenizer-type", "bpe", "--tokenizer", "t.model", *common), 2, "--tokenizer-type")
    refused(prepare("--input", "plain.txt", "--tokenizer", "t.model", "--train-tokenizer", "300", *common), 2, "--tokenizer")
    refused(prepare("--input", "plain.txt", *common), 2, "--tokenizer")


if __name__ == "__main__":
    with scratch_directory("prepare"):
        write("learn.txt", "some text to learn from, some more text to learn more from\n" * 3)
        succeeds(prepare("--input", "learn.txt", "--train-tokenizer", "275", "--output-prefix", "t"))
        sys.exit(run_checks())
