"""Numbers as people read them to each other: Crockford's base 32, in groups, with a symbol that finds slips.

There is no I, L, O or U; whoever types one of the first three is understood. Crockford's own check symbol needs signs
that a shell takes for its own, so this one comes from the same alphabet: the sum over the field of 32 elements in which
every place has another weight. It finds every wrong symbol and every two neighbours that changed places.
"""

from cdc_sync.errors import ConfigError

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ALIKE = str.maketrans("ILO", "110", "- \t\r\n")
_MODULUS = 0b100101


def write(value: int, symbols: int, group: int) -> str:
    """So many symbols for a number below 32 to that power, in groups joined by dashes."""
    text = "".join(ALPHABET[value >> 5 * i & 31] for i in reversed(range(symbols)))
    return "-".join(text[i : i + group] for i in range(0, symbols, group))


def read(text: str, symbols: int) -> int:
    """What ``write`` wrote, however it was typed. Raises ConfigError for anything else."""
    plain = text.upper().translate(_ALIKE)
    if len(plain) != symbols or any(symbol not in ALPHABET for symbol in plain):
        raise ConfigError(
            "that is no such code", hint=f"it has {symbols} digits and letters, but no I, L, O or U; type all of it"
        )
    value = 0
    for symbol in plain:
        value = value << 5 | ALPHABET.index(symbol)
    return value


def with_check(value: int) -> int:
    """The number with a check symbol behind it."""
    return value << 5 | _sum(value)


def without_check(value: int) -> int:
    """The number before the check symbol. Raises ConfigError where that does not fit."""
    if _sum(value >> 5) != value & 31:
        raise ConfigError("that code has a slip in it", hint="compare it letter by letter, and type it again")
    return value >> 5


def _sum(value: int) -> int:
    found, weight = 0, 1
    while value:
        weight = _times(weight, 2)
        found ^= _times(weight, value & 31)
        value >>= 5
    return found


def _times(one: int, other: int) -> int:
    found = 0
    for bit in range(5):
        if other >> bit & 1:
            found ^= one << bit
    for bit in reversed(range(5, 9)):
        if found >> bit & 1:
            found ^= _MODULUS << bit - 5
    return found
