"""CSV files as users have them: their encodings, marks, titles, and what they call the column of numbers."""

from __future__ import annotations

import io
import time

import pytest

from bot.calls.campaigns import CsvContacts
from bot.errors import RequestError

A, B = "+12025550123", "+442071838750"


def read(data: bytes, country: str | None = None) -> CsvContacts:
    return CsvContacts(io.BytesIO(data), country=country)


@pytest.mark.parametrize(
    ("codec", "said", "names"),
    [
        ("utf-8", "utf-8", ["prénom", "José", "Zoë"]),
        ("utf-8-sig", "utf-8", ["prénom", "José", "Zoë"]),
        ("utf-16", "utf-16-le", ["prénom", "José", "Zoë"]),
        ("utf-16-le", "utf-16-le", ["prénom", "José", "Łukasz"]),
        ("utf-16-be", "utf-16-be", ["prénom", "José", "Łukasz"]),
        ("cp1252", "windows-1252", ["prénom", "José", "Zoë"]),
        ("cp1252", "windows-1252", ["name", "Jürgen Groß", "Müller"]),
        ("cp1252", "windows-1252", ["nombre", "Ibáñez", "Núñez"]),
        ("latin-1", "windows-1252", ["prénom", "Hélène", "François"]),
        ("cp1250", "windows-1250", ["imię", "Łukasz Wiśniewski", "Małgorzata Żółć"]),
        ("cp1251", "windows-1251", ["имя", "Иван Петров", "Мария Сидорова"]),
        ("cp1253", "windows-1253", ["όνομα", "Γιώργος Παπαδόπουλος", "Μαρία Νικολάου"]),
        ("shift_jis", "shift_jis", ["名前", "山田太郎さん", "鈴木花子さん"]),
        ("gb18030", "gb18030", ["姓名", "张伟", "王芳"]),
    ],
)
def test_the_encoding_is_found_and_said(codec: str, said: str, names: list[str]) -> None:
    column, *values = names
    rows = "".join(f"{number},{value}\r\n" for number, value in zip((A, B), values, strict=True))
    contacts = read(f"phone_number,{column}\r\n{rows}".encode(codec))
    assert contacts.form.encoding == said
    assert [(row.problem, dict(row.variables)) for row in contacts] == [(None, {column: v}) for v in values]


@pytest.mark.parametrize(
    "mark",
    [
        "\ufeff\ufeff".encode(),
        b"\xef\xbb\xbf" + "ï»¿".encode(),
        "\ufeff".encode() * 3,
    ],
)
def test_marks_that_were_written_twice_are_no_part_of_the_header(mark: bytes) -> None:
    (row,) = read(mark + f"phone_number,name\n{A},Zoë".encode())
    assert (row.phone_number, row.variables) == (A, {"name": "Zoë"})


def test_what_its_sender_says_goes_before_what_was_found() -> None:
    data = f"phone_number,isim\n{A},Şükrü Yılmaz\n".encode("cp1254")
    contacts = CsvContacts(io.BytesIO(data), encoding="windows-1254")
    assert [row.variables for row in contacts] == [{"isim": "Şükrü Yılmaz"}]
    with pytest.raises(RequestError, match="there is none named"):
        CsvContacts(io.BytesIO(data), encoding="windows-99")


def test_a_broken_row_of_a_file_in_utf8_stays_a_broken_row() -> None:
    data = f"phone_number,name\n{A},Zoë\n".encode() + b"%s,Zo\xeb\n" % B.encode()
    contacts = read(data)
    assert contacts.form.encoding == "utf-8"
    assert [row.problem and row.problem[0] for row in contacts] == [None, "not_utf8"]


@pytest.mark.parametrize(
    "column",
    ["Phone", "Mobile", "phone", "Telefon", "Téléphone", "TELEFONO", "Teléfono móvil", "Tel.-Nr.", "Handynummer",
     "Cell Phone", "numero di telefono", "Номер телефона", "電話番号", "手机号码", "전화번호"],
)  # fmt: skip
def test_the_column_of_numbers_is_found_by_its_name(column: str) -> None:
    contacts = read(f"Name,{column}\nZoë,{A}\n".encode())
    assert [(row.phone_number, dict(row.variables)) for row in contacts] == [(A, {"name": "Zoë"})]
    assert contacts.form.phone_number_column == column.lower().replace(" ", "_").replace("-", "_")


def test_the_column_of_numbers_is_found_by_its_content_where_one_fits() -> None:
    contacts = read(f"Name,Nummer,Termin\nZoë,{A},14:30\nAnn,{B},2026-03-02\n".encode())
    assert (contacts.form.phone_number_column, contacts.columns) == ("nummer", ("name", "termin"))
    national = read(b"Name,Nummer\nZoe,030 123456\n", country="DE")
    assert national.form.phone_number_column == "nummer"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (f"Phone,Mobile\n{A},{B}\n", "no_phone_number_column", "phone and mobile seem to be"),
        (f"a,b\n{A},{B}\n", "no_phone_number_column", "a and b seem to be"),
        ("a,b\n1,2\n", "no_phone_number_column", "here they are: a, b"),
        (f"{A},Zoë\n{B},Ann\n", "no_header", "seems to be no header"),
        ("030 123456;Zoë\n", "no_header", "seems to be no header"),
        (f"Reminders of March\nphone_number,name\n{A},Zoë\n", "title_above_header", "'phone_number,name'"),
        (f"Reminders of March,,\n\nName,Telefon\nZoë,{A}\n", "title_above_header", "'Name,Telefon'"),
        (f"Liste\nName;Nummer\nZoë;{A}\n", "title_above_header", "'Name;Nummer'"),
    ],
)
def test_what_is_not_certain_is_refused_with_what_it_seems_to_be(text: str, code: str, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(text.encode())
    assert (caught.value.code, words in caught.value.message) == (code, True), caught.value.message


def test_two_columns_by_name_of_which_one_has_numbers() -> None:
    assert read(f"Phone,Mobile\n,{A}\n,{B}\n".encode()).form.phone_number_column == "mobile"


def test_a_large_file_is_looked_through_quickly() -> None:
    data = f"phone_number,name\n{A},Ann\n".encode() + b"+12025550124,x\n" * 200_000
    begun = time.perf_counter()
    assert read(data + b"%s,Zo\xeb\n" % B.encode()).form.encoding == "windows-1252"
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize(
    ("header", "row", "column"),
    [
        ("Home Phone,Name", f"{A},Zoe", "home_phone"),
        ("Phone 1,Phone Type", f"{A},mobile", "phone_1"),
        ("Home Phone,Mobile", f",{B}", "mobile"),
        ("Mobile,Phone notes", f"{A},call late", "mobile"),
        ("phone_number|name", f"{A}|Zoe", "phone_number"),
    ],
)
def test_a_column_that_is_nearly_called_so_is_one_where_it_holds_numbers(
    header: str, row: str, column: str
) -> None:
    assert read(f"{header}\n{row}\n".encode()).form.phone_number_column == column


def test_two_columns_of_numbers_are_told_of() -> None:
    with pytest.raises(RequestError, match="home_phone and mobile seem to be") as raised:
        read(f"Home Phone,Mobile\n{A},{B}\n".encode())
    assert raised.value.code == "no_phone_number_column"


def test_utf_32_is_decoded() -> None:
    (row,) = read(f"phone_number,name\n{A},Zoë".encode("utf-32"))
    assert row.variables == {"name": "Zoë"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\x03\x04\x14", "Excel"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel"),
        (b"%PDF-1.7", "PDF"),
        (b"\x1f\x8b\x08\x00", "packed"),
        (b"<html><table>", "HTML"),
        (b'{"contacts": []}', "application/json"),
        (b' [{"phone": "+12025550123"}]', "application/json"),
    ],
)
def test_a_file_of_another_kind_is_called_by_its_name(data: bytes, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        read(data)
