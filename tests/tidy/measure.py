#!/usr/bin/env python3
"""One ruler for the shape of a tree: python3 tests/tidy/measure.py [TREE]

Prints methods and files per type, circles of files inside each room, operations put back by hand,
bool parameters and bare integers side by side, comments, assertions, sizes, scripts of rooms, and
type names with several meanings. It reads sources as text, so it measures older commits too:

    git archive COMMIT | tar -x -C FOLDER && python3 tests/tidy/measure.py FOLDER

Test code (`#[cfg(test)]` items, files that only such an item names) does not count. A change of this
ruler changes the numbers of every tree: measure both trees again before comparing.
"""

import os
import re
import sys
from collections import defaultdict

INTEGERS = {s + w for s in "ui" for w in ("8", "16", "32", "64", "128", "size")}
LITERAL = re.compile(
    r"""//[^\n]*|/\*.*?\*/|(?<![A-Za-z0-9_])[bc]?r(\#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\[^']+|[^'\\])'""",
    re.S,
)


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def code_of(text):
    """Comments and literals blanked; all lines stay where they are."""
    return LITERAL.sub(lambda m: blank(m.group(0)), text)


def item_end(code, at):
    """The end of the item that begins here: its block or its semicolon."""
    depth = 0
    for place in range(at, len(code)):
        c = code[place]
        if c in "{([":
            depth += 1
        elif c in "})]":
            depth -= 1
            if depth < 0:
                return place
        if depth == 0 and c in "};":
            return place + 1
    return len(code)


def without_tests(code):
    done = 0
    out = []
    for m in re.finditer(r"#\[cfg\(test\)\]", code):
        if m.start() >= done:
            out.append(code[done : m.start()])
            end = item_end(code, m.end())
            out.append(blank(code[m.start() : end]))
            done = end
    return "".join(out) + code[done:]


class File:
    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), encoding="utf-8") as f:
            self.raw = f.read()
        self.code = code_of(self.raw)
        self.live = without_tests(self.code)
        self.module = re.sub(r"(/mod)?\.rs$", "", path).split("/")[1:]
        self.room = self.module[0]
        self.impls = list(impls(self.live))


def rust(root, folder):
    for dir, _, names in sorted(os.walk(os.path.join(root, folder))):
        for name in sorted(names):
            if name.endswith(".rs"):
                yield os.path.relpath(os.path.join(dir, name), root)


def shipped(root, folder):
    files = [File(root, path) for path in rust(root, folder)]
    tests = set()
    for f in files:
        for name in set(re.findall(r"\bmod (\w+);", f.code)) - set(re.findall(r"\bmod (\w+);", f.live)):
            base = f.path[:-3] if not f.path.endswith("/mod.rs") else os.path.dirname(f.path)
            if f.path in (folder + "/lib.rs", folder + "/main.rs"):
                base = folder
            tests.add(base + "/" + name)
    of_test = lambda p: any(p == t + ".rs" or p.startswith(t + "/") for t in tests)
    return [f for f in files if not of_test(f.path)]


def type_name(text):
    path = re.split(r"[<{(]", text)[0].strip()
    return re.split(r"[ &]", path)[-1].split("::")[-1]


def impls(live):
    """Inherent and trait impls: name of the type, whether inherent, its block."""
    for m in re.finditer(r"(?:^|(?<=[};{\]\s]))(?:unsafe )?impl\b", live):
        before = live[: m.start()].rstrip()
        if before and before[-1] not in "};{]":
            continue
        at = m.end()
        if live[at : at + 1] == "<":
            depth = 0
            while True:
                depth += {"<": 1, ">": -1 if live[at - 1] != "-" else 0}.get(live[at], 0)
                at += 1
                if depth == 0:
                    break
        open_ = live.find("{", at)
        head = re.split(r"\bwhere\b", live[at:open_])[0]
        parts = re.split(r"\bfor\b(?!<)", head)
        yield type_name(parts[-1]), len(parts) == 1, open_, item_end(live, open_)


def methods(live, start, end):
    depth = 0
    for m in re.finditer(r"[{}]|\bfn (\w+)", live[start:end]):
        if m.group(0) in "{}":
            depth += 1 if m.group(0) == "{" else -1
        elif depth == 1:
            yield m.group(1)


def signatures(live):
    """Each function: name, parameters as (name, type), lines of the whole item."""
    for m in re.finditer(r"\bfn (\w+)", live):
        at = m.end()
        if live[at : at + 1] == "<":
            depth = 0
            while at < len(live):
                depth += {"<": 1, ">": -1 if live[at - 1] != "-" else 0}.get(live[at], 0)
                at += 1
                if depth == 0:
                    break
        if live[at : at + 1] != "(":
            continue
        depth, part, parts, place = 0, "", [], at
        while place < len(live):
            c = live[place]
            if c in "([{<" or (c == ">" and live[place - 1] != "-") or c in ")]}":
                depth += 1 if c in "([{<" else -1
            if depth == 0:
                break
            if c == "," and depth == 1:
                parts.append(part)
                part = ""
            elif place > at:
                part += c
            place += 1
        parts.append(part)
        pairs = [p.strip().split(":", 1) for p in parts if ":" in p]
        end = item_end(live, place + 1)
        has_body = live[end - 1 : end] == "}"
        lines = live.count("\n", m.start(), end) + 1
        yield m.group(1), [(a.strip(), b.strip()) for a, b in pairs], lines if has_body else 0


def spread(code, at, prefix, out):
    """Reads what follows `prefix::`, braces spread out; returns where it ends."""
    while at < len(code) and code[at].isspace():
        at += 1
    if code[at : at + 1] == "*":
        out.append(prefix + ["*"])
        return at + 1
    if code[at : at + 1] != "{":
        word = re.compile(r"\w+").match(code, at)
        if not word:
            return at
        path, at = prefix + [word.group(0)], word.end()
        if code.startswith("::", at) and not code.startswith("::<", at):
            return spread(code, at + 2, path, out)
        out.append(path)
        return at
    at += 1
    while True:
        at = spread(code, at, prefix, out)
        m = re.compile(r"[,{}]").search(code, at)
        if not m:
            return len(code)
        if m.group(0) != ",":
            return m.end()
        at = m.end()


def import_graph(files):
    modules = {tuple(f.module): f for f in files}
    uses = {}
    for f in files:
        own = tuple(f.module)
        children = {m[-1] for m in modules if m[:-1] == own}
        out = []
        roots = "|".join(["crate", "self", "super", *sorted(children)])
        for m in re.finditer(r"(?<![\w:])(?<!\(in )(%s)::" % roots, f.live):
            spread(f.live, m.end(), [m.group(1)], out)
        uses[f.path] = out

    def resolve(f, path, depth=0):
        at = tuple(f.module)
        for place, name in enumerate(path):
            if name == "crate":
                at = ()
            elif name == "self":
                pass
            elif name == "super":
                at = at[:-1]
            elif at + (name,) in modules:
                at += (name,)
            else:
                here = modules.get(at)
                passed = next((p for p in uses[here.path] if p[-1] == name), None) if here else None
                if passed and depth < 8:
                    return resolve(here, passed, depth + 1) or here
                return here
        return modules.get(at)

    graph = defaultdict(set)
    for f in files:
        for path in uses[f.path]:
            to = resolve(f, path)
            if to and to is not f and to.room == f.room:
                graph[f.path].add(to.path)
    return graph


def method_graphs(files):
    defined = defaultdict(lambda: defaultdict(set))
    for f in files:
        for of, inherent, start, end in f.impls:
            if inherent:
                for name in methods(f.live, start, end):
                    defined[of][name].add(f.path)
    graphs = defaultdict(lambda: defaultdict(set))
    call = re.compile(r"(?P<before>[.:]?)\b(?P<on>\w+)\s*(?:\.|::)(?P<name>\w+)\(")
    for f in files:
        names = set(re.findall(r"(\w+): &?(?:'\w+ )?(?:mut )?(?:\w+::)*(\w+)", f.live))
        for m in call.finditer(f.live):
            on, name = m.group("on"), m.group("name")
            own = next((i[0] for i in f.impls if i[2] <= m.start("on") < i[3]), None)
            for of, known in defined.items():
                if on in ("self", "Self"):
                    right = own == of and not m.group("before")
                else:
                    right = on == of or (on, of) in names
                places = known.get(name, ())
                if right and f.path not in places:
                    graphs[of][f.path].update(places)
    return graphs


def circles(graph):
    """Groups of files that all lead to each other."""
    def reach(start):
        seen, next_ = set(), [start]
        while next_:
            for to in graph.get(next_.pop(), ()):
                if to not in seen:
                    seen.add(to)
                    next_.append(to)
        return seen

    all_ = {f: reach(f) for f in list(graph)}
    groups = {}
    for f, seen in all_.items():
        if f in seen:
            group = tuple(sorted(g for g in seen if f in all_.get(g, ())))
            groups[group] = True
    return sorted(groups, key=lambda g: (-len(g), g))


def sizes(values):
    values = sorted(values)
    if not values:
        return "none"
    rank = lambda part: values[min(len(values) - 1, int(len(values) * part))]
    return f"{len(values)}: max {values[-1]}, p90 {rank(0.9)}, median {rank(0.5)}"


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    src, cmd = shipped(root, "src"), shipped(root, "cmd")
    if not src:
        sys.exit(f"{root}: no src/*.rs; name the top of a tree")
    show = lambda label, value: print(f"{label:<46}{value}")

    per_type = defaultdict(lambda: [0, set()])
    for f in src:
        for of, inherent, start, end in f.impls:
            if inherent:
                found = list(methods(f.live, start, end))
                per_type[f.room, of][0] += len(found)
                per_type[f.room, of][1].add(f.path)
    print("== methods and files of one type (inherent impls; the ten with most methods)")
    for (room, of), (count, where) in sorted(per_type.items(), key=lambda x: -x[1][0])[:10]:
        show(f"{room}::{of}", f"{count} methods, {len(where)} files")
    most = max(per_type.items(), key=lambda x: len(x[1][1]))
    show("most files", f"{'::'.join(most[0])}, {len(most[1][1])} files")

    by_room = defaultdict(list)
    for f in src:
        by_room[f.room].append(f)
    print("\n== circles inside a room, by imports")
    found = circles(import_graph(src))
    for group in found:
        show(group[0].split("/")[1].removesuffix(".rs"), f"{len(group)} files: {' '.join(group)}")
    show("circles, files on one", f"{len(found)}, {sum(map(len, found))}")
    print("\n== circles inside a room, by the method calls of one type")
    number = on = 0
    for room, files in sorted(by_room.items()):
        for of, graph in sorted(method_graphs(files).items()):
            for group in circles(graph):
                number, on = number + 1, on + len(group)
                show(f"{room}::{of}", f"{len(group)} files: {' '.join(group)}")
    show("circles, files on one", f"{number}, {on}")

    print("\n== signatures of src")
    again = sum(len(re.findall(r"\b(?:tasks|ops|operations)\s*\.insert\(", f.live)) for f in src)
    show("operations put (back) into a table by hand", again)
    bools = beside = 0
    lengths, long_ones = [], []
    for f in src + cmd:
        for name, parameters, lines in signatures(f.live):
            if lines:
                lengths.append(lines)
                long_ones.append((lines, f"{f.path} {name}"))
            if f in src:
                bools += sum(of == "bool" for _, of in parameters)
                kinds = [of in INTEGERS for _, of in parameters]
                beside += any(a and b for a, b in zip(kinds, kinds[1:]))
    show("bool parameters", bools)
    show("functions with two bare integers side by side", beside)
    types = defaultdict(set)
    for f in src:
        for m in re.finditer(r"(?m)^(?:pub(?:\([^)]*\))? )?(?:struct|enum|trait|type|union) (\w+)", f.live):
            types[m.group(1)].add(f.path)
    several = {name: where for name, where in types.items() if len(where) > 1}
    show("type names with more than one definition", len(several))
    for name, where in sorted(several.items()):
        show(f"  {name}", " ".join(sorted(where)))

    print("\n== comments and assertions (src and cmd, without tests)")
    code_lines = comments = assertions = 0
    for f in src + cmd:
        for raw, live, code in zip(f.raw.split("\n"), f.live.split("\n"), f.code.split("\n")):
            code_lines += bool(live.strip())
            text = raw.strip()
            # a comment alone on its line, or behind code; not a head and not documentation
            ordinary = re.match(r"//(?![/!])", text) and not code.strip()
            behind = code.strip() and re.search(r"(?<![:/])//(?![/!])", raw[len(code.rstrip()) :])
            comments += bool(ordinary or behind)
        assertions += len(re.findall(r"\b(?:debug_)?assert(?:_eq|_ne)?!", f.live))
    show("code lines", code_lines)
    show("ordinary comments", f"{comments}, {100 * comments / code_lines:.1f} % of code lines")
    show("assertions", f"{assertions}, {1000 * assertions / code_lines:.1f} per 1,000 lines")

    print("\n== sizes (lines, without tests)")
    live_lines = lambda f: sum(bool(line.strip()) for line in f.live.split("\n"))
    show("functions", sizes(lengths))
    show("functions over 70 lines", sum(n > 70 for n in lengths))
    show("longest function", "{1}: {0}".format(*max(long_ones)))
    show("files, code lines", sizes([live_lines(f) for f in src + cmd]))
    longest = max(src + cmd, key=live_lines)
    show("longest file", longest.path)
    for room in sorted(by_room, key=lambda r: -sum(map(live_lines, by_room[r])))[:5]:
        files = by_room[room]
        show(f"room {room}", f"{sum(map(live_lines, files))} code lines, {len(files)} files")
    push = by_room.get("push", [])
    show("push, all lines", sum(f.raw.count("\n") for f in push))
    show("push, code lines", sum(map(live_lines, push)))

    print("\n== golden scripts of rooms")
    for room in ("quorum", "node", "repair", "push-plan"):
        folder = os.path.join(root, "testdata", room)
        show(f"testdata/{room}", sum(len(names) for _, _, names in os.walk(folder)))


main()
