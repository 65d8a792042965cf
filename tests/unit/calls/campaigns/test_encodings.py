"""Encodings of files as spreadsheets save them, told by the words in them."""

from __future__ import annotations

import io

import pytest

from bot.calls.campaigns.encodings import encoding_of

WORDS = [
    ("cp1254", "windows-1254", "müşteri Ayşe Yılmaz, Şükrü Öztürk"),
    ("cp1254", "windows-1254", "İbrahim Çağlar, Gökçe Doğan"),
    ("cp1254", "windows-1254", "Mehmet Işık, Fatma Şahin"),
    ("cp1254", "windows-1254", "Eskişehir, Kadıköy"),
    ("cp1252", "windows-1252", "Guðrún Þórsdóttir, Sigurður Jónsson"),
    ("cp1252", "windows-1252", "Sigurð, Anna"),
    ("cp1252", "windows-1252", "Françoise Lefèvre, Noël"),
    ("cp1252", "windows-1252", "João Conceição, Antônio"),
    ("cp1252", "windows-1252", "Søren Ærø, Åge"),
    ("cp1252", "windows-1252", "Núñez, Ibáñez"),
    ("cp1257", "windows-1257", "Jānis Bērziņš, Šarūnas Žukauskas"),
    ("cp1250", "windows-1250", "Jiří Dvořák, Tomáš Nový"),
    ("cp1250", "windows-1250", "Kovács Győző, Tűzkő"),
    ("cp1250", "windows-1250", "Đorđe Živković, Ćurić"),
    ("cp1251", "windows-1251", "Иван Петров, Мария"),
    ("cp1253", "windows-1253", "Νίκος, Άννα Ψαρά"),
    ("cp1255", "windows-1255", "משה כהן, דוד לוי"),
    ("cp1256", "windows-1256", "محمد علي, فاطمة"),
    ("cp874", "windows-874", "สมชาย ใจดี, สมหญิง"),
    ("koi8_r", "koi8-r", "Иван Петров, Мария"),
    ("cp932", "shift_jis", "山田 太郎, 鈴木 花子"),
    ("cp949", "euc-kr", "김철수, 이영희"),
    ("big5", "big5", "陳大文, 黃小明"),
    ("gb18030", "gb18030", "王小明, 李华"),
    ("mac_roman", "macintosh", "Hélène, José"),
    ("cp850", "ibm850", "Núñez, José"),
]


@pytest.mark.parametrize(("codec", "name", "words"), WORDS)
def test_the_page_that_words_read_best_in(codec: str, name: str, words: str) -> None:
    found = encoding_of(io.BytesIO(f"phone,who\r\n+12025550123,{words}\r\n".encode(codec)))
    assert (found.name, found.codec) == (name, codec)


def test_what_may_be_read_in_two_ways_is_said() -> None:
    found = encoding_of(io.BytesIO("phone,who\n1,Kadıköy".encode("cp1254")))
    assert (found.name, found.other_encodings[:1]) == ("windows-1254", ("windows-1252",))
    assert encoding_of(io.BytesIO("Ayşe Yılmaz, Öztürk".encode("cp1254"))).other_encodings == ()
    assert encoding_of(io.BytesIO("Çağlar".encode())).other_encodings == ()
