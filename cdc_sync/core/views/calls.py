"""SQLite's functions: which of them give the same answer whenever and wherever they are asked."""

from collections.abc import Sequence

from sqlglot import Token, TokenType

from cdc_sync.core.views.definitions import Unfit, at_depth


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NO_CALLS = _words("""
    and as between case cast collate distinct else end escape exists filter from glob in is isnull like not notnull null
    on or over then when where
""")
"""Words that may stand before a parenthesis and call nothing."""

_AGGREGATES = _words("""
    avg count group_concat json_group_array json_group_object median string_agg sum total
""")

_CHANGING = _words("""
    changes current_date current_time current_timestamp last_insert_rowid load_extension random randomblob
    sqlite_compileoption_get sqlite_compileoption_used sqlite_source_id sqlite_version total_changes
""")

_STEADY = _words("""
    abs acos acosh asin asinh atan atan2 atanh ceil ceiling char coalesce concat concat_ws cos cosh degrees exp floor
    format hex if ifnull iif instr json json_array json_array_length json_extract json_insert json_object json_patch
    json_quote json_remove json_replace json_set json_type json_valid length likelihood likely ln log log10 log2 lower
    ltrim max min mod nullif octet_length pi pow power printf quote radians replace round rtrim sign sin sinh sqrt
    substr substring tan tanh trim trunc typeof unhex unicode unlikely upper zeroblob
""")

_TIMES = {"strftime": 2, **dict.fromkeys(("date", "datetime", "julianday", "time", "unixepoch"), 1), "timediff": 2}
"""Functions of time, and how many arguments keep them from asking what time it is."""

_ASKING = ("now", "localtime", "utc")


def check(tokens: Sequence[Token]) -> None:
    """Raise Unfit for a call whose answer is not always the same, as far as that is known."""
    for i, token in enumerate(tokens):
        name = token.text.lower()
        if name in ("regexp", "match") and token.token_type is not TokenType.STRING:
            raise Unfit(f"it has {name}, which is whatever an application makes of it")
        called = i + 1 < len(tokens) and tokens[i + 1].token_type is TokenType.L_PAREN and token.text.isidentifier()
        if not called or name in _NO_CALLS or "as" in (before.text.lower() for before in tokens[max(0, i - 2) : i]):
            continue
        if name in _AGGREGATES:
            raise Unfit("it has an aggregate")
        if name in _CHANGING or (name in _TIMES and _asks(tokens[i + 1 :], _TIMES[name])):
            raise Unfit(f"it has {name}(), whose answer is not always the same")
        if name not in _STEADY and name not in _TIMES:
            raise Unfit(f"it has {name}(), and nothing is known of its answers")


def _asks(tokens: Sequence[Token], least: int) -> bool:
    """Whether a function of time asks what time it is, or where; what it is told beside the time must be literal."""
    arguments: list[list[Token]] = [[]]
    for _, token, depth in at_depth(tokens):
        if depth == 0 and token.token_type is TokenType.R_PAREN:
            break
        if depth == 1 and token.token_type is TokenType.COMMA:
            arguments.append([])
        elif depth > 0:
            arguments[-1].append(token)
    given = [argument for argument in arguments if argument]
    said = [token.text.lower() for argument in given for token in argument if token.token_type is TokenType.STRING]
    told = given[least:]
    return (
        len(given) < least
        or any(word in _ASKING for word in said)
        or any(len(argument) != 1 or argument[0].token_type is not TokenType.STRING for argument in told)
    )
