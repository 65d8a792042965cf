"""Reading uploads: CSV as people and Excel write it, JSON contact by contact, and every mistake with its line."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.calls.campaigns import CsvContacts, JsonContacts
from bot.calls.campaigns.contacts import MAX_ROW_BYTES, RawRow
from bot.errors import RequestError

A, B = "+12025550123", "+442071838750"


def csv_rows(data: str | bytes) -> list[RawRow]:
    return list(CsvContacts(io.BytesIO(data.encode() if isinstance(data, str) else data)))


def good(data: str | bytes) -> list[tuple[int, Any, dict[str, Any]]]:
    rows = csv_rows(data)
    assert [row.problem for row in rows] == [None] * len(rows)
    return [(row.line, row.phone_number, dict(row.variables)) for row in rows]


@pytest.mark.parametrize(
    "data",
    [
        f"phone_number,name\n{A},Zoë\n".encode(),
        f"\ufeffphone_number,name\r\n{A},Zoë\r\n".encode(),
        f"phone_number;name\n{A};Zoë".encode(),
        f"\ufeffphone_number;name\r\n{A};Zoë\r\n".encode(),
        f"\ufeffphone_number\tname\r\n{A}\tZoë\r\n".encode("utf-16-le"),
        f'"Phone Number"," NAME "\n"{A}"," Zoë "\n'.encode(),
        f'phone-number,name\r"{A}",Zoë\r'.encode(),
        f'phone_number;name;;\r\n="{A}";Zoë;;\r\n;;;\r\n'.encode(),
        f'phone_number,name\n"=""{A}""",Zoë\n\n\n'.encode(),
        f"name,phone_number\nZoë,{A}".encode(),
    ],
    ids=["plain", "mark", "semicolon", "excel", "utf-16", "quoted", "old-mac", "trailing", "formula", "order"],
)
def test_a_table_is_read_however_it_was_saved(data: bytes) -> None:
    assert good(data) == [(2, A, {"name": "Zoë"})]


def test_excels_separator_line_counts_as_a_line() -> None:
    assert good(f"sep=;\r\nphone_number;name\r\n{A};Ann, B.\r\n") == [(3, A, {"name": "Ann, B."})]


def test_a_header_with_the_other_separator_in_quotes() -> None:
    assert good(f'phone_number;"a, b, c, d"\n{A};x') == [(2, A, {"a,_b,_c,_d": "x"})]


def test_quotes_hold_separators_quotes_and_lines_and_the_line_is_where_the_row_begins() -> None:
    data = f'phone_number,note\n{A},"one, ""two""\nthree"\n{B},x\n'
    assert good(data) == [(2, A, {"note": 'one, "two"\nthree'}), (4, B, {"note": "x"})]


def test_a_quote_within_a_cell_is_text() -> None:
    assert good(f'phone_number,note\n{A},5" pipe\n{B},y') == [(2, A, {"note": '5" pipe'}), (3, B, {"note": "y"})]


def test_short_rows_are_filled_up_with_nothing() -> None:
    assert good(f"phone_number,a,b\n{A}\n{B},1\n") == [(2, A, {}), (3, B, {"a": "1"})]


@pytest.mark.parametrize("behind", [3, 250])
def test_a_quote_that_is_never_closed_costs_its_own_row_only(behind: int) -> None:
    rest = "".join(f"+1202555{number:04},n{number}\n" for number in range(behind))
    rows = csv_rows(f'phone_number,name\n{A},"John\n{rest}')
    assert [(row.line, row.problem and row.problem[0]) for row in rows[:2]] == [(2, "broken_row"), (3, None)]
    assert rows[0].text == f'{A},"John'
    assert [row.line for row in rows] == list(range(2, behind + 3)), "no row is lost"


def test_a_quote_closed_by_the_next_rows_quote_is_a_broken_row() -> None:
    rows = csv_rows(f'phone_number,name\n{A},"John\n{B},"Ann"\n')
    assert [(row.line, row.problem and row.problem[0]) for row in rows] == [(2, "broken_row"), (3, None)]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (f"{A},x,too much", "too_many_cells"),
        (f'{A},"x" y', "broken_row"),
        (f"{A}," + "x" * (MAX_ROW_BYTES + 10), "broken_row"),
    ],
)
def test_a_bad_row_is_told_of_and_the_next_one_read(row: str | bytes, code: str) -> None:
    raw = row if isinstance(row, bytes) else row.encode()
    rows = csv_rows(b"phone_number,name\n" + raw + f"\n{B},Ann\n".encode())
    assert [(found.line, found.problem and found.problem[0]) for found in rows] == [(2, code), (3, None)]
    assert rows[0].text.encode().startswith(A.encode()[:1]) or code == "broken_row"
    assert rows[1].variables == {"name": "Ann"}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "no_header"),
        (b"\n\n", "no_header"),
        (b"\xef\xbb\xbf", "no_header"),
        (b"who,name\n", "no_phone_number_column"),
        (b"phone_number,name,Name\n", "bad_header"),
        (b'phone_number,"name\n', "no_header"),
        (b"PK\x03\x04\x14\x00\x06\x00", "no_header"),
    ],
)
def test_a_header_that_cannot_be_used_is_the_callers_to_mend(data: bytes, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        CsvContacts(io.BytesIO(data))
    assert caught.value.code == code


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=30), st.sampled_from(",;\t")
)
def test_no_line_is_ever_lost(cells: list[str], delimiter: str) -> None:
    """Whatever stands in the file, its lines are rows, bad rows, parts of quoted cells, or blank."""
    text = f"phone_number{delimiter}x\n" + "\n".join(cells)
    rows = csv_rows(text)
    lines = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8").read().split("\n")[1:]
    told = {row.line for row in rows}
    for number, line in enumerate(lines, 2):
        words = line.replace(delimiter, "").strip()
        if words and not any(character in text for character in '"\r') and not words.startswith("="):
            assert number in told


# -- JSON -------------------------------------------------------------------------------------------------


def read_json(data: str | bytes) -> tuple[dict[str, Any], list[RawRow]]:
    contacts = JsonContacts(io.BytesIO(data.encode() if isinstance(data, str) else data))
    for _ in contacts.check():
        pass
    return contacts.fields, list(contacts)


@pytest.mark.parametrize("first", [True, False])
def test_contacts_are_read_wherever_they_stand(first: bool) -> None:
    body = {"action": "Ask", "retry": {"attempts": 2}, "concurrency": 12}
    contacts = {
        "contacts": [{"phone_number": A, "Due Date": "May", "n": 5}, {"phone_number": B, "variables": {"x": 1}}]
    }
    fields, rows = read_json(json.dumps(contacts | body if first else body | contacts))
    assert fields == body
    assert [(row.line, row.phone_number, row.variables) for row in rows] == [
        (1, A, {"due_date": "May", "n": 5}),
        (2, B, {"x": 1}),
    ]


def test_json_is_decoded_across_the_blocks_it_is_read_in() -> None:
    rows = [{"phone_number": A, "note": "é" * (index % 700)} for index in range(2000)]
    data = "\ufeff" + json.dumps({"contacts": rows, "last": 123456}, ensure_ascii=False, indent=1)
    fields, found = read_json(data)
    assert fields == {"last": 123456}
    assert [row.variables["note"] for row in found] == [row["note"] for row in rows]


@pytest.mark.parametrize(
    ("contact", "code"),
    [
        ('"+12025550123"', "not_an_object"),
        ("null", "not_an_object"),
        ('{"phone_number": "+12025550123", "variables": []}', "bad_variables"),
        ('{"phone_number": "+12025550123", "A b": 1, "a_b": 2}', "bad_variables"),
        (json.dumps({"phone_number": A, "x": "y" * MAX_ROW_BYTES}), "too_large"),
        ('{"phone_number": "+12025550123", "x": 1e400}', "bad_variables"),
        ('{"phone_number": "+12025550123", "phone_number": "+12025550124"}', "bad_variables"),
        ('{"phone_number": "+12025550123", "x": ' + "[" * 255 + "]" * 255 + "}", "bad_variables"),
    ],
)
def test_a_bad_contact_is_told_of_and_the_next_one_read(contact: str, code: str) -> None:
    _, rows = read_json(f'{{"contacts": [{contact}, {{"phone_number": "{B}"}}]}}')
    assert [(row.line, row.problem and row.problem[0]) for row in rows] == [(1, code), (2, None)]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "invalid_json"),
        (b"[]", "invalid_json"),
        (b"{", "invalid_json"),
        (b'{"contacts": [{"phone_number": "+1"}', "invalid_json"),
        (b'{"contacts": [{"phone_number": "+1"} {}]}', "invalid_json"),
        (b'{"contacts": [{"phone_number": +1}]}' + b" " * 2_000_000, "invalid_json"),
        (b'{"contacts": [{"x": NaN}]}', "invalid_json"),
        (b'{"contacts": []} x', "invalid_json"),
        (b'{"contacts": "\xff"}', "invalid_json"),
        (b'{"contacts": {}}', "invalid_field"),
        (b'{"a": 1}', "missing_field"),
        (b'{"a": 1, "a": 2, "contacts": []}', "invalid_json"),
        (b'{"contacts": [], "contacts": []}', "invalid_json"),
        (b'{"contacts": [' + b"[" * 100_000, "invalid_json"),
        (b'{"contacts": [{"x": ' + b"1" * 5000 + b"}]}", "invalid_json"),
        (b'{"contacts": [{"x": "' + b"y" * 3_000_000 + b'"}]}', "invalid_json"),
        (b'{"retry": {"attempts": 1, "attempts": 2}, "contacts": []}', "invalid_json"),
    ],
)
def test_what_is_no_json_is_the_callers_to_mend(data: bytes, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_json(data)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "written",
    [
        r"see you \ud83d",
        r"\udc00",
        r"\ud83d\ud83d\ude00",
        r"\uD83D\u0041",
        r"a\u0000b",
    ],
)
def test_half_a_character_and_nul_are_a_bad_row_wherever_the_blocks_of_the_file_end(written: str) -> None:
    for pad in (0, 16370, 16375, 16379, 16383):
        note = "x" * pad
        _, rows = read_json(
            f'{{"contacts": [{{"phone_number": "{A}", "n": "{note}{written}"}}, {{"phone_number": "{B}"}}]}}'
        )
        assert [row.problem and row.problem[0] for row in rows] == ["bad_variables", None], pad


@pytest.mark.parametrize("written", [r"\ud83d\ude00", r"\\ud83d", r"\\\\ud83d", r"\"\\ud83d\"", "\U0001f600"])
def test_whole_characters_stay_as_they_are(written: str) -> None:
    for pad in (0, 16371, 16375, 16379):
        body = f'{{"contacts": [{{"phone_number": "{A}", "n": "{"x" * pad}{written}"}}]}}'
        _, (row,) = read_json(body)
        assert (row.problem, row.variables) == (None, {"n": json.loads(body)["contacts"][0]["n"]})


@pytest.mark.parametrize("value", ["1e400", "-1e999", "[" * 40 + "]" * 40, "1" * 30])
def test_values_that_cannot_be_given_back_are_a_bad_row(value: str) -> None:
    _, rows = read_json(f'{{"contacts": [{{"phone_number": "{A}", "n": {value}}}, {{"phone_number": "{B}"}}]}}')
    assert [row.problem and row.problem[0] for row in rows] == ["bad_variables", None]
