#!/usr/bin/env python3
"""make_goldens.py: writes goldens.json, by hand: small tokenizers of each kind, and the ids that tokenizers and tiktoken give for texts.

Needs the Python packages tokenizers and tiktoken. "partial_alphabet" and "llama2" differ from run to run, because the trainer breaks
ties of the alphabet at random; the ids are always those of the tokenizer in the same file."""
import base64
import json
from pathlib import Path

import tiktoken
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = ["The cat sat on the mat. The café isn't open; we'll go at 12:30, naïve façade. 中文字符 日本語 привет мир مرحبا\n"
          "  def f(x):\n    return x+1\n\n" * 3,
          "The rain never stopped. She walked through the garden, said nothing. " * 20]
TEXTS = ["", "The cat sat on the mat.", " a  b ", "\n\n x\n", "don't we'LL 12345 cat concat  cat", "naïve café cafe\u0301 ﬁ Ａ",
         "中文字符 日本語 привет مرحبا สวัสดี", "👍🏽 x\u200dy \u00a0\u3000z", "<s>The</s> <|endoftext|>", "  <sp>  the <sp><sp> x",
         "<|x|>   y THE Café the café", " " * 50 + "9" * 40 + "a" * 100, "▁Ġ <0x41> ½Ⅷ²١٢٣", "İSTANBUL ß\r\n\tx\x0b\x85y"]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
UNK = {"unk_token": "<unk>"}
ALPHABET = {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet()}


def byte_level(**options):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, **options)


def kinds():
    """Name: normalizer, pre-tokenizer, decoder, options of the model, options of the trainer ("bytes": with byte pieces)."""
    p, n, d = pre_tokenizers, normalizers, decoders
    metaspace_steps = [n.Strip(), n.Replace(Regex(" {2,}"), " "), n.NFD()]
    return {
        "gpt2": (None, byte_level(), d.ByteLevel(), {}, ALPHABET),
        "llama3": (n.NFC(), p.Sequence([p.Split(Regex(LLAMA3), "isolated"), byte_level(use_regex=False)]), d.ByteLevel(),
                   {"ignore_merges": True}, ALPHABET),
        "falcon": (None, p.Sequence([p.Punctuation("contiguous"), byte_level(), p.Digits(False), p.Split(Regex("[0-9][0-9][0-9]"), "isolated")]),
                   d.ByteLevel(), {}, ALPHABET),
        "partial_alphabet": (None, byte_level(), d.ByteLevel(), UNK, {}),
        "llama2": (n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")]), None,
                   d.Sequence([d.Replace("▁", " "), d.ByteFallback(), d.Fuse(), d.Strip(" ", 1, 0)]),
                   {**UNK, "byte_fallback": True, "fuse_unk": True}, "bytes"),
        "metaspace": (n.NFKC(), p.Metaspace(), d.Metaspace(), UNK, {}),
        "metaspace_first": (n.Lowercase(), p.Metaspace(prepend_scheme="first"), d.Metaspace(prepend_scheme="first"),
                            {**UNK, "fuse_unk": True}, {}),
        "metaspace_nosplit": (n.Sequence(metaspace_steps), p.Sequence([p.Metaspace(prepend_scheme="never", split=False),
                              p.Split("▁", "merged_with_next")]), d.Metaspace(prepend_scheme="never"), UNK, {}),
        "whitespace": (n.NFKD(), p.Whitespace(), None, UNK, {}),
        "split_merged_with_previous_0": (None, p.Split(Regex("[aeiou ]"), "merged_with_previous"), None, UNK, {}),
        "split_contiguous_1": (None, p.Split(Regex("[aeiou ]"), "contiguous", invert=True), None, UNK, {}),
        "split_removed_1": (None, p.Split(Regex("[aeiou ]"), "removed", invert=True), None, UNK, {}),
    }


def trainer(options, special):
    if options == "bytes":
        pieces = [f"<0x{byte:02X}>" for byte in range(256)]
        return trainers.BpeTrainer(vocab_size=320, special_tokens=special + pieces, show_progress=False, limit_alphabet=30)
    if options:
        return trainers.BpeTrainer(vocab_size=290, special_tokens=special, show_progress=False, **options)
    return trainers.BpeTrainer(vocab_size=80, special_tokens=special, show_progress=False, limit_alphabet=60)


def trained(name, normalizer, pre_tokenizer, decoder, model, training):
    tokenizer = Tokenizer(models.BPE(**model))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    if decoder:
        tokenizer.decoder = decoder
    has_unk = "unk_token" in model
    tokenizer.train_from_iterator(CORPUS, trainer(training, ["<unk>", "<s>", "</s>"] if has_unk else ["<|endoftext|>"]))
    file = json.loads(tokenizer.to_str())
    file["added_tokens"] = [token for token in file["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(file))
    if name != "gpt2":
        tokenizer.add_tokens([AddedToken("<sp>", lstrip=True, rstrip=True), AddedToken("cat", single_word=True),
                              AddedToken("THE Café", normalized=True)])
        tokenizer.add_special_tokens([AddedToken("<|x|>", rstrip=True)])
    if has_unk:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return Tokenizer.from_str(tokenizer.to_str())


def golden(name, kind):
    tokenizer = trained(name, *kind)
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    has_unk = "unk_token" in kind[3]
    return {"file": json.loads(tokenizer.to_str()), "ids": ids, "decoded": [tokenizer.decode(one) for one in ids],
            "bos": 1 if has_unk else -1, "eos": 2 if has_unk else 0}


def tiktoken_goldens():
    """Of a .tiktoken file, and of a tekken.json with the same tokens after ten special ones."""
    words = [b"th", b"he", b"the", b" t", b" the", b"an", b"ca", b"cat", b"at", b"  ", b"    ", b"99"]
    tokens = [bytes([byte]) for byte in range(256)] + words
    pattern = r"\p{L}+|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    encoding = tiktoken.Encoding("small", pat_str=pattern, mergeable_ranks={token: i for i, token in enumerate(tokens)}, special_tokens={})
    ids = [encoding.encode_ordinary(text) for text in TEXTS]
    encoded = [base64.b64encode(token).decode() for token in tokens]
    config = {"pattern": pattern, "num_vocab_tokens": 268, "default_vocab_size": 278, "default_num_special_tokens": 10, "version": "v3"}
    vocab = [{"rank": i, "token_bytes": token, "token_str": None} for i, token in enumerate(encoded)]
    return ({"file": "".join(f"{token} {i}\n" for i, token in enumerate(encoded)), "pattern": pattern, "ids": ids},
            {"file": {"config": config, "vocab": vocab}, "ids": [[token + 10 for token in one] for one in ids]})


def main():
    of_tiktoken, of_tekken = tiktoken_goldens()
    goldens = {"texts": TEXTS, "tokenizers": {name: golden(name, kind) for name, kind in kinds().items()},
               "tiktoken": of_tiktoken, "tekken": of_tekken}
    text = json.dumps(goldens, ensure_ascii=True, separators=(",", ":"))
    Path(__file__).with_name("goldens.json").write_text(text + "\n")


main()
