"""Links of the Markdown pages: the file exists, and so does the heading behind #. Pages that sources name exist too."""
import re

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
PAGE = re.compile(r"(?<![\w/.-])docs/(?:results/)?[\w-]+\.md")
SOURCES = (".cpp", ".hpp", ".cu", ".cuh", ".py", ".sh", ".sbatch", ".yaml", ".build", ".txt")


def without_code(text):
    """The lines, with those of code blocks and the contents of `code` blanked."""
    lines, fenced = [], False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
            line = ""
        lines.append("" if fenced or line.startswith("    ") else re.sub(r"`[^`]*`", lambda code: " " * len(code[0]), line))
    return lines


def anchors(text):
    """Of the headings, as GitHub makes them."""
    found, fenced = set(), False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        heading = re.match(r"#{1,6}\s+(.*?)\s*#*$", line)
        if fenced or not heading:
            continue
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
        slug = re.sub(r"[^\w\- ]", "", title).replace(" ", "-")
        number, unique = 0, slug
        while unique in found:
            number += 1
            unique = f"{slug}-{number}"
        found.add(unique)
    return found


def violations(root, files):
    found, known = [], {}
    for name in files:
        if name.endswith(".md"):
            for number, line in enumerate(without_code((root / name).read_text()), 1):
                for target in LINK.findall(line):
                    if re.match(r"[a-z]+:", target):
                        continue
                    path, _, anchor = target.partition("#")
                    file = (root / name).parent / path if path else root / name
                    if not file.exists():
                        found.append(f"{name}:{number}: dead link: {target}: there is no such file")
                    elif anchor:
                        if file not in known:
                            known[file] = anchors(file.read_text()) if file.suffix == ".md" else set()
                        if anchor not in known[file]:
                            found.append(f"{name}:{number}: dead link: {target}: the page has no such heading")
        elif name.endswith(SOURCES) and not name.startswith("tests/checks/"):
            for number, line in enumerate((root / name).read_text(errors="replace").splitlines(), 1):
                for page in PAGE.findall(line):
                    if not (root / page).exists():
                        found.append(f"{name}:{number}: names {page}, which does not exist")
    return found
