"""An independent reading and writing of Megatron's token files, straight from the byte table in docs/data.md.

megatron_format.py dump PREFIX         prints each document as one line of ids
megatron_format.py write PREFIX CODE   writes the documents given on standard input, one line of ids each
"""
import struct
import sys

FORMATS = {1: "B", 2: "b", 3: "h", 4: "i", 5: "q", 8: "H"}


def dump(prefix):
    with open(prefix + ".idx", "rb") as file:
        index = file.read()
    with open(prefix + ".bin", "rb") as file:
        data = file.read()
    assert index[:9] == b"MMIDIDX\x00\x00"
    version, code, sequences, entries = struct.unpack_from("<QBQQ", index, 9)
    assert version == 1
    lengths = struct.unpack_from(f"<{sequences}i", index, 34)
    offsets = struct.unpack_from(f"<{sequences}q", index, 34 + 4 * sequences)
    documents = struct.unpack_from(f"<{entries}q", index, 34 + 12 * sequences)
    assert len(index) == 34 + 12 * sequences + 8 * entries
    for first, end in zip(documents, documents[1:]):
        ids = []
        for i in range(first, end):
            ids += struct.unpack_from(f"<{lengths[i]}{FORMATS[code]}", data, offsets[i])
        print(*ids)


def write(prefix, code):
    lengths, offsets, data = [], [], b""
    for line in sys.stdin:
        ids = [int(word) for word in line.split()]
        offsets.append(len(data))
        lengths.append(len(ids))
        data += struct.pack(f"<{len(ids)}{FORMATS[code]}", *ids)
    with open(prefix + ".bin", "wb") as file:
        file.write(data)
    with open(prefix + ".idx", "wb") as file:
        file.write(b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, code, len(lengths), len(lengths) + 1))
        file.write(struct.pack(f"<{len(lengths)}i{len(offsets)}q", *lengths, *offsets))  # "<": without padding
        file.write(struct.pack(f"<{len(lengths) + 1}q", *range(len(lengths) + 1)))


if sys.argv[1] == "dump":
    dump(sys.argv[2])
else:
    write(sys.argv[2], int(sys.argv[3]))
