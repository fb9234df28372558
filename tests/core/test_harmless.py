"""What another node says of its views is not run where it may be more than an expression."""

import pytest

from cdc_sync.core.change import View
from cdc_sync.core.views.harmless import odd

PLAIN = [
    '"code"',
    "'infant'",
    '("weight" * 10)',
    "CASE WHEN (\"kind\" = 'x'::text) THEN 1 ELSE 0 END",
    "(\"kind\" = ANY (ARRAY['a'::text, 'b'::text]))",
    "COALESCE(\"note\", ''::text)",
    '(("weight")::numeric(8,2) >= 2.5)',
    '("code" COLLATE "C")',
    "\"note\" like 'it''s; -not- a statement%'",
    "strftime('%Y', \"born\")",
]
ODD = [
    "1); drop table subject; (select 1",
    "1; drop table subject",
    '"a" -- and what follows',
    '"a" /* or not */',
    "(select secret from people limit 1)",
    "(values (1))",
    "pg_read_file('/etc/passwd')",
    "pg_sleep(100)",
    '"public"."mischief"("a")',
    '"mischief"("a")',
    "load_extension('x')",
    "1) as x, (1",
    "E'\\'; drop table subject; --'",
    "$$ drop table subject $$",
    "'unfinished",
    '"unfinished',
    "query_to_xml('delete from subject', true, true, '')",
    "1 from subject; delete from subject where (1=1)",
    "(1))",
    '"a"::"mischief"',
    "`a`",
    "?",
    ":name",
]


def view(text: str) -> View:
    return View(table="subject", expressions=(("code", '"code"'), ("x", text)), condition="")


@pytest.mark.parametrize("text", PLAIN)
def test_an_expression_passes(text: str) -> None:
    assert odd(view(text)) is None
    assert odd(View(table="subject", expressions=(("code", '"code"'),), condition=text)) is None


@pytest.mark.parametrize("text", ODD)
def test_what_may_be_more_than_an_expression_is_found(text: str) -> None:
    assert odd(view(text)) == text
    assert odd(View(table="subject", expressions=(("code", '"code"'),), condition=text)) == text
