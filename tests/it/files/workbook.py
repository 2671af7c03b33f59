"""Compares report.xlsx of a folder of reports with the CSV files beside it.

openpyxl reads every cell; LibreOffice computes the totals of a copy that has lost its results, and this script adds up the CSV
files on its own. Ends with an assertion, or says that all is as expected.
"""

import csv
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import openpyxl

FOLDER = Path(sys.argv[1])
STARTS = tuple("=+-@＝＋－＠")
RECALCULATE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load"><prop oor:name="OOXMLRecalcMode" oor:op="fuse"><value>0</value></prop></item>
</oor:items>
"""


def rows_of(name):
    with open(FOLDER / f"{name}.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    return rows[0], rows[1:]


def same(cell, text):
    if cell.value is None:
        return text == ""
    if cell.data_type == "n":
        digits = text.lstrip("-").replace(".", "").strip("0")
        return len(digits) <= 15 and Decimal(repr(cell.value)) == Decimal(text)
    plain = text[1:] if text.startswith("'") and text[1:].startswith(STARTS) else text
    # The file format writes an underscore that could begin an escape as one.
    return cell.data_type in "s" and cell.value.replace("_x005F_", "_") == plain


def check_data(book):
    names = sorted(path.stem for path in FOLDER.glob("*.csv"))
    assert sorted(book.sheetnames) == sorted(["cover", "totals", *names]), book.sheetnames
    cells = 0
    for name in names:
        sheet, (header, rows) = book[name], rows_of(name)
        assert [cell.value for cell in sheet[1]] == header, name
        assert sheet.freeze_panes == "A2" and sheet.auto_filter.ref.startswith("A1:"), name
        assert sheet.max_row == max(len(rows) + 1, 1), (name, sheet.max_row, len(rows))
        for row, texts in zip(sheet.iter_rows(min_row=2, max_col=len(header)), rows):
            for cell, text in zip(row, texts, strict=True):
                assert cell.data_type != "f" and cell.hyperlink is None, (name, cell.coordinate, cell.value)
                assert same(cell, text), (name, cell.coordinate, cell.value, text)
                cells += 1
    return cells


def expected(sheet, column, currency, words):
    header, rows = rows_of(sheet)
    total = 0
    for row in (dict(zip(header, row)) for row in rows):
        value = row[column]
        if row["currency"] != currency or not value.lstrip("-").isdigit():
            continue
        if " whose " in words:
            of, _, word = words.split(" whose ")[1].partition(" is ")
            if word.startswith("not "):
                if row[of] == word[4:]:
                    continue
            elif row[of] != word:
                continue
        total += int(value)
    return total


def check_totals(stored, computed):
    lines = 0
    for row, again in zip(stored.iter_rows(min_row=2), computed.iter_rows(min_row=2)):
        _, currency, decimals, sheet, column, minor, amount, words = (cell.value for cell in row)
        wanted = expected(sheet, column, currency, words)
        for which, (sum_of, major) in (("stored", (minor, amount)), ("computed", (again[5].value, again[6].value))):
            if words.startswith("no formula"):
                assert Decimal(sum_of) == wanted, (which, row[0].value, sum_of, wanted)
                continue
            assert Decimal(repr(sum_of)) == wanted, (which, row[0].value, sum_of, wanted)
            scaled = Decimal(repr(major)).scaleb(decimals)
            assert scaled == wanted, (which, row[0].value, major, wanted)
        lines += 1
    return lines


book = openpyxl.load_workbook(FOLDER / "report.xlsx")
stored = openpyxl.load_workbook(FOLDER / "report.xlsx", data_only=True)
cells = check_data(book)
for cell in (cell for name in ("cover", "totals") for row in book[name].iter_rows() for cell in row):
    allowed = ("=totals!", "=SUMIFS(", "=F")
    assert cell.data_type != "f" or cell.value.startswith(allowed), cell.value
assert book["cover"]["C1"].value.endswith("SANDBOX")
# Saved by openpyxl the formulas have no results any more: what LibreOffice says then, it has computed.
book.save("stripped.xlsx")
profile = Path("profile/user")
profile.mkdir(parents=True)
(profile / "registrymodifications.xcu").write_text(RECALCULATE)
command = ["soffice", f"-env:UserInstallation=file://{os.getcwd()}/profile", "--headless", "--convert-to", "xlsx"]
subprocess.run([*command, "--outdir", "out", "stripped.xlsx"], check=True, capture_output=True, timeout=240)
computed = openpyxl.load_workbook("out/stripped.xlsx", data_only=True)
lines = check_totals(stored["totals"], computed["totals"])
assert cells > 100 and lines > 3, (cells, lines)
for row, again in zip(stored["cover"].iter_rows(), computed["cover"].iter_rows()):
    assert [cell.value for cell in row] == [cell.value for cell in again]
print(f"{cells} cells, {lines} totals: all as expected")
