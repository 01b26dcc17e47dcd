"""Holds exported tokenizers against transformers and llama.cpp: 500 texts, every kind of SentencePiece model. For
scripts/check-transformers. llama.cpp is checked if the packages xllamacpp and gguf are installed."""
import json
import os
import random
import subprocess
import urllib.request

FIXED = ["", " ", "  ", "\n", "\n\n", " \n ", "\t", "a", "The cat.", " The cat.", "  The cat. ", "The  cat   sat", "\n\n x\n",
         "\ta\r\n", "e\u0301 \u00e9 \uff21 \ufb01", "\u00a0\u3000 \u200b", "\x01\x7f \U0001f642\u2047", "<s></s><unk><0x41>  ",
         "<s>", "</s>", "<unk>", "<pad>", "<0x0A>", "<0x41>x", "<mask>", "[CLS] [SEP]", "<sep>a<cls>", "<|endoftext|>",
         "<|im_start|>user", "\u2581a \u2581", "a\u2581b", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
         "\U0001f1e9\U0001f1ea", "a\u0300\u0301\u0302b", "\u0f40\u0f74", "Straße naïve café", "ﬁﬂ", "①②③", "北京 東京",
         "こんにちは世界", "Привет, мир!", "مرحبا بالعالم", "שלום", "हिन्दी", "ไทย", "한국어", "\ufeffBOM", "x\x00y", "a\u2028b",
         "\u202eabc", "=====", "-----", "0000000", "haha hahah ahaha", "aaaaaaa", "      x", "\n    indented\n\tcode",
         "if (a == b) { return; }\n", "http://example.com/?q=1&b=2", "CamelCaseWord_snake_case", "100,000.50", "\u00a8 x",
         "\u1e9b\u0323", "\u2126\u212b", "\uffff", "\U0010ffff", "Ǆ", "İ", "A\u030a"]
WORDS = ("the of model training tokens gpas data loss rank checkpoint Transformer größer naïve café 北京 мир 🙂 👍🏽 <s> </s> "
         "<0x20> e\u0301 = == ---- ... , . ( ) x1 2048 zzz qqq Ünïcödé \u3042 \ufb01 \u00bd 世界 京都 0000 hahaha").split(" ")
SEPARATORS = [" ", " ", " ", "  ", "\n", "\t", "", "\n\n", "   ", "\u00a0", "\r\n"]
CHARACTERS = "abc xyz ABC 012 .,;:!?<>/=-_\n\t éüñ ñ\u0301 京都 あア 🙂🚀 \u200d\u0301\u0327\u00a0\u3000\x07\x1b"
BLOCKS = [(0x20, 0x250), (0x300, 0x370), (0x370, 0x3000), (0x3000, 0xd800), (0xe000, 0x10000), (0x1f300, 0x1fb00)]


def texts(count=500):
    choose = random.Random(7)
    out = list(FIXED)
    while len(out) < count:
        kind = choose.random()
        if kind < 0.6:
            words = "".join(choose.choice(WORDS) + choose.choice(SEPARATORS) for _ in range(choose.randrange(1, 25)))
            out.append((" " if choose.random() < 0.2 else "") + words)
        elif kind < 0.85:
            out.append("".join(choose.choice(CHARACTERS) for _ in range(choose.randrange(1, 40))))
        else:
            out.append("".join(chr(choose.randrange(*choose.choice(BLOCKS))) for _ in range(choose.randrange(1, 15))))
    return out


def transformers_ids(directory, fast, all_texts):
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(directory, use_fast=fast)
    assert tokenizer.bos_token is None and tokenizer.eos_token == "</s>" and tokenizer.pad_token is None
    return [tokenizer.encode(text) for text in all_texts]


def write_gguf(directory, path):
    """As llama.cpp's convert_hf_to_gguf.py does it for LlamaForCausalLM, with weights of a tiny model."""
    import gguf
    import numpy
    from sentencepiece import sentencepiece_model_pb2
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(open(f"{directory}/tokenizer.model", "rb").read())
    writer = gguf.GGUFWriter(path, "llama")
    size, width = len(model.pieces), 32
    writer.add_context_length(4096)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(8)
    writer.add_vocab_size(size)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece.piece.encode() for piece in model.pieces])
    writer.add_token_scores([piece.score for piece in model.pieces])
    writer.add_token_types([int(piece.type) for piece in model.pieces])
    gguf.SpecialVocab(directory, n_vocab=size).add_to_gguf(writer)
    writer.add_add_space_prefix(json.load(open(f"{directory}/tokenizer_config.json"))["add_prefix_space"])
    shapes = {"token_embd": (size, width), "output": (size, width), "output_norm": (width,), "blk.0.attn_norm": (width,),
              "blk.0.ffn_norm": (width,), "blk.0.ffn_gate": (64, width), "blk.0.ffn_up": (64, width),
              "blk.0.ffn_down": (width, 64)}
    shapes.update({f"blk.0.attn_{name}": (width, width) for name in ("q", "k", "v", "output")})
    values = numpy.random.default_rng(1)
    for name, shape in shapes.items():
        writer.add_tensor(name + ".weight", values.standard_normal(shape).astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_cpp_ids(directory, all_texts):
    import xllamacpp
    write_gguf(directory, f"{directory}/tiny.gguf")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = f"{directory}/tiny.gguf"
    parameters.n_ctx, parameters.warmup, parameters.n_gpu_layers, parameters.port = 256, False, 0, 0
    server = xllamacpp.Server(parameters)

    def ids(text):
        body = json.dumps({"content": text, "add_special": True, "parse_special": False}).encode()
        request = urllib.request.Request(server.listening_address + "/tokenize", body, {"Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request))["tokens"]
    return [ids(text) for text in all_texts]


def versions():
    from importlib import metadata
    out = {}
    for package in ("transformers", "tokenizers", "xllamacpp"):
        try:
            out[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            pass
    return out


def check(print_tokenizers, place, goldens=None):
    """Prints a table; returns what differs without a note that says so. goldens: a file to write (tests/io/hugging_face/tokenizer_goldens.json)."""
    found = versions()
    all_texts = texts()
    with open(f"{place}/texts.json", "w") as file:
        json.dump(all_texts, file)
    subprocess.run([print_tokenizers, place, f"{place}/texts.json"], check=True)
    failures, golden = [], {}
    print("tokenizers:", ", ".join(f"{name} {version}" for name, version in found.items()))
    print(f"{'kind':<20} {'fast':>9} {'slow':>9} {'llama.cpp':>9}   texts of {len(all_texts)} with training's ids")
    for kind in sorted(name for name in os.listdir(place) if os.path.isdir(f"{place}/{name}")):
        directory = f"{place}/{kind}"
        expected, notes = (json.load(open(f"{directory}/{name}.json")) for name in ("ids", "notes"))
        noted = {reader: any(note.startswith(reader) for note in notes) for reader in ("transformers", "llama.cpp")}
        cells = []
        for fast in (True, False):
            got = transformers_ids(directory, fast, all_texts)
            same = [a == b for a, b in zip(got, expected)]
            cells.append(str(sum(same)))
            if not all(same) and not noted["transformers"]:
                failures.append(f"{kind} in transformers")
            if fast:
                golden[kind] = {"json": json.load(open(f"{directory}/fingerprint.json")), "ids": got[:len(FIXED)],
                                "differ": [i for i in range(len(FIXED)) if not same[i]]}
        if "xllamacpp" not in found:
            cells.append("-")
        elif not os.path.exists(f"{directory}/tokenizer.model"):
            cells.append("refused")
        else:
            got = llama_cpp_ids(directory, all_texts)
            same = [a == b for a, b in zip(got, expected)]
            cells.append(str(sum(same)))
            # The note is about U+2581.
            if not all(ok or (noted["llama.cpp"] and "\u2581" in text) for ok, text in zip(same, all_texts)):
                failures.append(f"{kind} in llama.cpp")
        print(f"{kind:<20} {cells[0]:>9} {cells[1]:>9} {cells[2]:>9}")
    if goldens:
        with open(goldens, "w") as file:
            json.dump({"made_by": found, "texts": FIXED, "kinds": golden}, file, indent=None, separators=(",", ":"))
            file.write("\n")
    return failures
