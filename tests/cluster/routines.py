# SPDX-License-Identifier: Apache-2.0
"""Random loops in assembly, stranger than a compiler's, for comparing code before and after."""

from __future__ import annotations

import random

_DATA = ("a4", "a5", "a6", "t0", "t1", "s0", "s1")
_POINTERS = ("a0", "a1", "a2")
_COPIES = ("t4", "t5", "t6")
_STRIDE, _INDEX, _COUNTER, _BOUND, _TURNS, _OUT = "t2", "t3", "a3", "a7", "s4", "s5"
_SAVED = ("s0", "s1", "s2", "s3", "s4", "s5")
_LOADS = (("lw", 4), ("lw", 4), ("lw", 4), ("lh", 2), ("lhu", 2), ("lb", 1), ("lbu", 1))
_STORES = (("sw", 4), ("sw", 4), ("sh", 2), ("sb", 1))


def routines(seed: int, count: int) -> tuple[str, list[str]]:
    """Assembly of functions of three pointers to the middle of arrays, and their names.

    What is left in some of the registers ends up in the third array.
    """
    rng = random.Random(seed)
    names = [f"r{i}" for i in range(count)]
    return "\n".join(_routine(rng, name) for name in names), names


def _routine(rng: random.Random, name: str) -> str:
    lines = [f"mv {_OUT}, a2"]
    for register in _DATA:
        lines.append(f"li {register}, {rng.randrange(-99, 99)}")
    lines += [f"addi {copy}, {rng.choice(_POINTERS)}, {rng.randrange(9) * 4}" for copy in _COPIES]
    lines += [f"li {_STRIDE}, {rng.choice((4, 8, 12, -4))}", f"li {_INDEX}, {rng.randrange(9) * 4}"]
    lines += [
        "li s2, 7",
        "li s3, 9",
        f"li {_COUNTER}, 3",
        f"li {_TURNS}, {rng.choice((1, 1, 2))}",
        f".LBB{name}_0:",
    ]
    before, body = _loop(rng, f".LBB{name}_1")
    lines += [*before, f".LBB{name}_1:", *body]
    lines += [f"addi {_TURNS}, {_TURNS}, -1", f"bnez {_TURNS}, .LBB{name}_0"]
    every = (*_DATA, *_POINTERS, *_COPIES, _STRIDE, _INDEX, _COUNTER, _BOUND, "s2", "s3")
    share = rng.choice((0.2, 0.5, 0.9, 1.0))
    left = [register for register in every if rng.random() < share]
    lines += [f"sw {register}, {4 * i}({_OUT})" for i, register in enumerate(left)]
    frame = 4 * len(_SAVED)
    saves = [f"sw {r}, {4 * i}(sp)" for i, r in enumerate(_SAVED)]
    loads = [f"lw {r}, {4 * i}(sp)" for i, r in enumerate(_SAVED)]
    code = [f"addi sp, sp, -{frame}", *saves, *lines, *loads, f"addi sp, sp, {frame}", "ret"]
    text = "\n".join(f"{line}" if line.endswith(":") else f"\t{line}" for line in code)
    head = f"\t.text\n\t.globl\t{name}\n\t.balign 4\n\t.type\t{name},@function\n{name}:\n"
    return f"{head}{text}\n\t.size\t{name}, .-{name}\n"


def _loop(rng: random.Random, label: str) -> tuple[list[str], list[str]]:
    """What comes before a loop of a few turns, and its body with the branch."""
    body = [_operation(rng) for _ in range(rng.randrange(1, 9))]
    counter = rng.choice((_COUNTER, _COUNTER, _COUNTER, "a1", "s2"))
    for pointer in _POINTERS:
        if pointer != counter and rng.random() < 0.6:
            _insert_move(rng, body, pointer, rng.choice((4, 8, 12, -4, -8, None)))
    step = rng.choice((1, -1, -1, 2, 4, -4, 8, 12, -3, 16)) if counter != "a1" else 4
    turns = rng.randrange(1, 6)
    before = [] if counter == "a1" else [f"li {counter}, {rng.choice((0, 1000))}"]
    compared = _insert_move(rng, body, counter, step, ("s3",))
    slack = rng.randrange(abs(step))
    branch, way = rng.choice(
        (("bne", turns * step), ("bne", turns * step), ("strict", turns * step),
         ("strict", turns * step - (slack if step > 0 else -slack)), ("strict", -step * 3),
         ("strict", 0), ("loose", (turns - 1) * step), ("loose", turns * step), ("loose", -step))
    )  # fmt: skip
    before.append(f"addi {_BOUND}, {counter}, {way}")
    if branch == "bne":
        pair = [compared, _BOUND]
        rng.shuffle(pair)
        return before, [*body, f"bne {pair[0]}, {pair[1]}, {label}"]
    # a < b on the way up is b < a on the way down; >= has the sides of < in the other order
    up = step > 0
    low, high = (compared, _BOUND) if up else (_BOUND, compared)
    sign = rng.choice(("", "u")) if before[0].endswith("1000") or counter == "a1" else ""
    if branch == "strict":
        forms = (f"blt{sign} {low}, {high}, {label}", f"bgt{sign} {high}, {low}, {label}")
    else:
        forms = (f"bge{sign} {high}, {low}, {label}", f"ble{sign} {low}, {high}, {label}")
    return before, [*body, rng.choice(forms)]


def _insert_move(
    rng: random.Random,
    body: list[str],
    name: str,
    step: int | None,
    copies: tuple[str, ...] = _COPIES,
) -> str:
    """Moves a register somewhere in a body, directly or by a copy; what holds it at the end."""
    at = rng.randrange(len(body) + 1)
    if step is None:
        body.insert(at, f"add {name}, {name}, {_STRIDE}")
        return name
    if rng.random() < 0.3:
        copy = rng.choice(copies)
        later = rng.randrange(at, len(body) + 1)
        body.insert(later, f"mv {name}, {copy}")
        body.insert(at, f"addi {copy}, {name}, {step}")
        return rng.choice((name, copy)) if copies != _COPIES else name
    body.insert(at, f"addi {name}, {name}, {step}")
    return name


def _operation(rng: random.Random) -> str:
    """One instruction or two. Copies hold addresses, so they are no data."""
    a, b, c = (rng.choice(_DATA) for _ in range(3))
    pointer = rng.choice((*_POINTERS, *_POINTERS, *_COPIES))
    (load, size), (store, width) = rng.choice(_LOADS), rng.choice(_STORES)
    offset = rng.choice((0, 0, rng.randrange(-8, 9)))
    return rng.choice(
        (
            f"{load} {a}, {offset * size}({pointer})",
            f"{load} {a}, {offset * size}({pointer})",
            f"{store} {a}, {offset * width}({pointer})",
            f"{store} zero, {offset * width}({pointer})",
            f"{store} {rng.choice((*_POINTERS, _COUNTER))}, {offset * width}({pointer})",
            f"{rng.choice(('add', 'sub', 'mul', 'xor'))} {a}, {b}, {c}",
            f"add {a}, {b}, {rng.choice((_COUNTER, _INDEX, 's3'))}",
            f"addi {a}, {b}, {rng.randrange(-9, 9)}",
            f"add {rng.choice(_COPIES)}, {rng.choice(_POINTERS)}, {_INDEX}",
            f"add t4, {rng.choice(_POINTERS)}, {_INDEX}\n\t{load} {a}, 0(t4)",
            f"add t5, {_INDEX}, {rng.choice(_POINTERS)}\n\t{store} {a}, 0(t5)",
            f"addi {rng.choice(_COPIES)}, {pointer}, {rng.randrange(-4, 5) * 4}",
            f"mv {rng.choice(_COPIES)}, {pointer}",
            f"xori {_INDEX}, {_INDEX}, 8",
        )
    )
