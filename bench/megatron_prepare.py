#!/usr/bin/env python3
"""megatron_prepare.py INPUT OUTPUT_PREFIX TOKENIZER_JSON WORKERS EOD: the steps of Megatron-LM's tools/preprocess_data.py --append-eod
(process_json_file), which the package megatron-core does not contain: a multiprocessing pool whose workers parse and encode lines,
32 lines at a time, and IndexedDatasetBuilder in the main process. The tokenizer is that of the wheel `tokenizers`. Prints the seconds
without the imports. Started by bench/compare_prepare.py; needs megatron-core, torch and tokenizers."""
import json
import multiprocessing
import sys
import time

from megatron.core.datasets import indexed_dataset
from tokenizers import Tokenizer


class Encoder:
    def __init__(self, tokenizer, eod):
        self.tokenizer_file, self.eod = tokenizer, eod

    def initializer(self):
        Encoder.tokenizer = Tokenizer.from_file(self.tokenizer_file)

    def encode(self, json_line):
        ids = Encoder.tokenizer.encode(json.loads(json_line)["text"], add_special_tokens=False).ids
        lengths = [len(ids)] if ids else []
        if ids:
            ids.append(self.eod)
            lengths[-1] += 1
        return {"text": ids}, {"text": lengths}, len(json_line)


def main():
    source, prefix, tokenizer_file, workers, eod = sys.argv[1:6]
    begin = time.monotonic()
    vocab_size = Tokenizer.from_file(tokenizer_file).get_vocab_size()
    encoder = Encoder(tokenizer_file, int(eod))
    with open(source, encoding="utf-8") as lines:
        pool = multiprocessing.Pool(int(workers), initializer=encoder.initializer)
        builder = indexed_dataset.IndexedDatasetBuilder(prefix + ".bin", dtype=indexed_dataset.DType.optimal_dtype(vocab_size))
        for document, lengths, _ in pool.imap(encoder.encode, lines, 32):
            builder.add_document(document["text"], lengths["text"])
    builder.finalize(prefix + ".idx")
    pool.close()
    pool.join()
    print(f"{time.monotonic() - begin:.3f}")


if __name__ == "__main__":
    main()
