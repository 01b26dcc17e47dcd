"""Phrases that CONTRIBUTING.md (Plain English) retires: in pages, help strings and comments. retired_phrases.txt lists them."""
import re

# The strings in these files are texts for users too.
WITH_STRINGS = re.compile(r"io/config/schema_\w+\.cpp")
COMMENT = {".cpp": r"//.*", ".hpp": r"//.*", ".cu": r"//.*", ".cuh": r"//.*", ".py": r"(?:^|\s)#.*", ".yaml": r"(?:^|\s)#.*",
           ".sh": r"(?:^|\s)#.*", ".sbatch": r"(?:^|\s)#.*"}
# The pages that show retired phrases as examples.
EXAMPLES = ("CONTRIBUTING.md",)


def patterns(root):
    found = []
    for line in (root / "scripts/checks/retired_phrases.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            pattern, _, instead = line.partition(" => ")
            found.append((re.compile(pattern.strip(), re.IGNORECASE), instead.strip()))
    return found


def violations(root, files):
    retired, found = patterns(root), []
    for name in files:
        suffix = "." + name.rsplit(".", 1)[-1]
        page = suffix == ".md"
        if name in EXAMPLES or name.startswith(("tests/checks/", "scripts/checks/")) or not (page or suffix in COMMENT):
            continue
        whole = page or WITH_STRINGS.fullmatch(name)
        for number, line in enumerate((root / name).read_text().splitlines(), 1):
            text = line
            if not whole:
                comment = re.search(COMMENT[suffix], line)
                if not comment:
                    continue
                text = comment[0]
            for pattern, instead in retired:
                match = pattern.search(text)
                if match:
                    found.append(f"{name}:{number}: retired phrase '{match[0].strip()}'; write: {instead}")
    return found
