# SPDX-License-Identifier: Apache-2.0
"""Random C functions with loops, for comparing two ways to compile them."""

from __future__ import annotations

import random
from collections.abc import Callable

ARRAYS = "\n#include <stdint.h>\nuint32_t X[4096], Y[4096], Z[4096];\n"
_TYPES = ("float", "int32_t", "uint32_t", "int16_t", "uint16_t", "int8_t", "uint8_t")
_INDEX = "(int32_t)i"  # an unsigned one would be a place far away below 0
_HEAD = """#pragma clang diagnostic ignored "-Weverything"
#include <stdint.h>
#include <string.h>
typedef struct { float u, v, w; } trio;
"""


def functions(seed: int, count: int) -> tuple[str, list[str]]:
    """C of functions `uint32_t f(x, y, z, n, m, s)`, with their names.

    The three pointers are to the middle of ARRAYS. 0 <= n <= 12 is the number of
    turns of most loops, 0 <= m <= 5 the same of inner ones, 1 <= s <= 6 a stride.
    """
    rng = random.Random(seed)
    names = [f"f{i}" for i in range(count)]
    makers: tuple[Callable[[random.Random], str], ...] = (
        _reduce, _reduce, _map, _map, _stencil, _nest, _triangle, _early_exit, _index, _left,
        _pressure, _strided, _walk, _trios, _calls, _select, _until, _count_down,
    )  # fmt: skip
    text = [_HEAD]
    for i, name in enumerate(names):
        head = f"uint32_t {name}(void *x0, void *y0, void *z0, int32_t n, int32_t m, int32_t s)"
        body = makers[i % len(makers)](rng)
        used = "(void)x0; (void)y0; (void)z0; (void)n; (void)m; (void)s;"
        text.append(f"{head};\n{head} {{\n{used}\n{body}\n}}\n")
    return "\n".join(text), names


def _arrays(rng: random.Random, kind: str | None = None, alias: bool | None = None) -> str:
    """Declarations of x, y and z with elements of a type T."""
    kind = kind or rng.choice(_TYPES)
    alias = rng.random() < 0.5 if alias is None else alias
    restrict = "" if alias else "restrict "
    lines = [f"typedef {kind} T;"]
    lines += [f"T *{restrict}{name} = (T *){name}0;" for name in "xyz"]
    return " ".join([*lines, "(void)x; (void)y; (void)z;"])


def _loop(rng: random.Random, limit: str = "n", i: str = "i") -> tuple[str, str]:
    """A loop header over 0 <= i < limit in some way, and the type of i."""
    kind = rng.choice(("int32_t", "int32_t", "uint32_t"))
    top = f"({kind})({limit})"
    forms = [
        f"for ({kind} {i} = 0; {i} < {top}; {i}++)",
        f"for ({kind} {i} = 0; {i} != {top}; ++{i})",
        f"for ({kind} {i} = {top}; {i}-- > 0;)",
    ]
    step = rng.choice((2, 3, 4, 5, 7, 8, 12, 16, 64, 100))
    forms.append(f"for ({kind} {i} = 0; {i} < {top} * {step}; {i} += {step})")
    if kind == "int32_t":
        forms.append(f"for (int32_t {i} = {top} - 1; {i} >= 0; {i}--)")
        forms.append(f"for (int32_t {i} = 1; {i} <= {top}; {i} += {rng.choice((1, 2, 3))})")
        forms.append(f"for (int32_t {i} = -{step}; {i} < {top}; {i} += {rng.choice((1, 4, 6))})")
    return rng.choice(forms), kind


def _value(rng: random.Random, places: list[str], depth: int = 2) -> str:
    """An expression of type T."""
    if not depth or rng.random() < 0.2:
        return rng.choice([*places, *places, "(T)3", "(T)0.5f"])
    a, b = (_value(rng, places, depth - 1) for _ in range(2))
    return f"(T)({a} {rng.choice('+-*')} {b})"


def _reduce(rng: random.Random) -> str:
    head, _ = _loop(rng)
    factor, offset = rng.choice((1, 1, 2, 3)), rng.randrange(-3, 4)
    value = _value(rng, [f"x[{_INDEX} * {factor} + {offset}]", f"y[i * {rng.choice((1, 2))}]"])
    return f"""{_arrays(rng)}
T sum = 0;
{head} sum = (T)(sum + {value});
z[0] = sum;
return (uint32_t)n;"""


def _map(rng: random.Random) -> str:
    head, _ = _loop(rng)
    offsets = [rng.randrange(-2, 3) for _ in range(3)]
    places = [f"{name}[{_INDEX} + {d}]" for name, d in zip("xyz", offsets, strict=True)]
    value = _value(rng, places, 3)
    target = rng.choice("xyz")
    twice = f"y[i + 1] = {_value(rng, ['x[i]', 'y[i]'])};" if rng.random() < 0.3 else ""
    return f"{_arrays(rng)}\n{head} {{ {target}[i] = {value}; {twice} }}\nreturn 1;"


def _stencil(rng: random.Random) -> str:
    reach = rng.choice((1, 2, 5, 500))
    places = [f"x[i + {d}]" for d in (-reach, -1, 0, 1, reach)]
    return f"""{_arrays(rng, alias=False)}
for (int32_t i = 1; i < n - 1; i++) y[i] = {_value(rng, places, 3)};
return 2;"""


def _nest(rng: random.Random) -> str:
    rows, _ = _loop(rng)
    columns, _ = _loop(rng, "m", "j")
    depth, _ = _loop(rng, rng.choice(("m", "n", "s")), "k")
    return f"""{_arrays(rng, rng.choice(("float", "int32_t")))}
{rows} {{
    {columns} {{
        T sum = 0;
        {depth}
            sum = (T)(sum + x[(int32_t)i % 9 * 7 + (int32_t)k] * y[(int32_t)k * s + (int32_t)j]);
        z[(int32_t)i % 11 * 8 + (int32_t)j] = sum;
    }}
    {rng.choice(("", "y[i] = (T)(y[i] + 1);", "x[0] = z[i];"))}
}}
return (uint32_t)(n * m);"""


def _triangle(rng: random.Random) -> str:
    return f"""{_arrays(rng)}
for (int32_t i = 0; i < n; i++) {{
    T sum = 1;
    for (int32_t j = {rng.choice(("0", "i", "i - 3"))}; j < {rng.choice(("i", "n", "n - i"))}; j++)
        sum = (T)(sum + {_value(rng, ["x[i]", "y[j]", "x[j]"])});
    z[i] = sum;
}}
return 3;"""


def _early_exit(rng: random.Random) -> str:
    head, _ = _loop(rng)
    return f"""{_arrays(rng)}
uint32_t found = 77;
{head} {{
    if (x[i] {rng.choice("<>")} {rng.choice(("(T)1", "y[i]"))}) {{ found = (uint32_t)i; break; }}
    y[i] = {_value(rng, ["x[i]", "y[i]"])};
}}
return found;"""


def _index(rng: random.Random) -> str:
    head, _ = _loop(rng)
    return f"""{_arrays(rng, rng.choice(("int32_t", "float")))}
uint32_t hash = 0;
{head} {{ y[i] = (T)i; hash = hash * 31u + (uint32_t)i; }}
return hash;"""


def _left(rng: random.Random) -> str:
    """What is left in counters and pointers counts."""
    step = rng.choice((1, 2, 3, 4, 6))
    go = rng.choice(
        (f"i < n * {step}", f"i != n * {step}", f"i <= n * {step}", "i < n", "i + 1 <= n")
    )
    return f"""{_arrays(rng)}
int32_t i = 0;
T *p = x, *q = y;
while ({go}) {{ *p = (T)(*p + *q); p += {rng.choice((1, 2, -1))}; q++; i += {step}; }}
z[3] = *p;
return (uint32_t)(i + (int32_t)(p - x) * 1000 + (int32_t)(q - y) * 100000);"""


def _pressure(rng: random.Random) -> str:
    """More values than there are free registers."""
    count = rng.choice((4, 6, 8, 10, 14))
    stride = rng.choice(("s", "7", "33"))
    sums = ", ".join(f"a{i} = (T){i}" for i in range(count))
    turn = " ".join(f"a{i} = (T)(a{i} + v * y[{i} * {stride} + i]);" for i in range(count))
    out = " ".join(f"z[{i}] = a{i};" for i in range(count))
    head, _ = _loop(rng)
    return f"""{_arrays(rng, rng.choice(("float", "int32_t", "int16_t")))}
T {sums};
for (int32_t j = 0; j < m; j++) {{
    {head} {{ const T v = x[i]; {turn} }}
}}
{out}
return 4;"""


def _strided(rng: random.Random) -> str:
    steps = [rng.choice(("s", "1", "m", "-s", "3", "520")) for _ in range(3)]
    many = ["q[0]", f"q[{rng.randrange(3)}]"]
    return f"""{_arrays(rng)}
T *p = y, *q = x, *r = z;
for (int32_t i = 0; i < n % 7; i++) {{
    *p = {_value(rng, many)}; {rng.choice(("*r = (T)(*r + q[1]);", ""))}
    p += {steps[0]}; q += {steps[1]}; r += {steps[2]};
}}
return (uint32_t)(p - y) + (uint32_t)(q - x) * 3u;"""


def _walk(rng: random.Random) -> str:
    forms = (
        "while (q < e) *p++ = *q++;",
        "while (q < e) *--p = *q++;",
        "while (q != e) { *p++ = (T)(*q + q[1]); q++; }",
        "while (e > q) *p++ = *--e;",
        "while (e >= q + 1) { --e; *p = (T)(*p + *e); p -= 2; }",
        "if (n) do { *p = *q; p++; } while (++q != e);",
        "if (n) do { *p++ = (T)(*q * 3); q += 1; } while (q < e);",
        "do { *p++ = *q++; } while (q < e);",
        "do { *p++ = *q++; } while (q <= e);",
        "do { *p++ = *--e; } while (e > q);",
    )
    return f"""{_arrays(rng)}
T *p = y, *q = x, *e = x + n;
{rng.choice(forms)}
return (uint32_t)(p - y);"""


def _trios(rng: random.Random) -> str:
    a, b, c = (rng.choice("uvw") for _ in range(3))
    bound = rng.choice(("p != e", "p < e"))
    return f"""trio *p = (trio *)x0, *e = p + n;
const trio *q = (const trio *)y0 + 1;
float *sum = (float *)z0;
for (; {bound}; p++, q++) {{ p->{a} = p->{b} * q->{c} + q[-1].{a}; *sum += p->v; }}
return 5;"""


def _calls(rng: random.Random) -> str:
    return f"""{_arrays(rng)}
for (int32_t i = 0; i < m; i++) {{
    memcpy(z + i * n, x + i, (size_t)n * sizeof(T) + {rng.choice((0, 1, 3))});
    {_loop(rng, "n", "j")[0]} y[j] = (T)(y[j] + z[j]);
    memset(x + i, i, (size_t)(n + i)); memmove(y + i, y, (size_t)n);
}}
return 6;"""


def _select(rng: random.Random) -> str:
    head, _ = _loop(rng)
    compare, value = rng.choice(("<", ">", "<=")), _value(rng, ["v", "z[i]"])
    return f"""{_arrays(rng)}
{head} {{ const T v = x[i]; y[i] = v {compare} (T)1 ? {value} : z[i]; }}
return 7;"""


def _until(rng: random.Random) -> str:
    """Bounds that are no lengths."""
    low, high = rng.choice((("m", "n"), ("-m", "n - m"), ("n", "m * 3"), ("s", "n + s")))
    kind = rng.choice(("int32_t", "uint32_t"))
    compare = rng.choice(("<", "<="))
    step = rng.choice((1, 2, 3, 4, 8))
    low = low if kind == "int32_t" else low.lstrip("-")
    high = high if kind == "int32_t" else high.replace("n - m", "n")
    return f"""{_arrays(rng)}
{kind} i = ({kind})({low});
do {{ y[i] = {_value(rng, ["x[i]", "y[i]"])}; i += {step}; }} while (i {compare} ({kind})({high}));
return (uint32_t)i;"""


def _count_down(rng: random.Random) -> str:
    kind = rng.choice(("int32_t", "uint32_t"))
    step = rng.choice((1, 1, 2, 3, 12))
    return f"""{_arrays(rng)}
T *p = x; const T *q = y;
for ({kind} left = ({kind})(n * {step}); left > 0; left -= {step}) {{
    *p = (T)(*p - *q); p += {rng.choice((1, 2))}; q += s;
}}
return (uint32_t)(q - y);"""
