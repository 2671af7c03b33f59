"""Reads the CSV files of this folder with Python's csv and with LibreOffice, and compares the names with expected.json."""

import csv
import json
import os
import subprocess

import openpyxl

EXPECTED = json.load(open("expected.json", encoding="utf-8"))


def check(parser, rows):
    names = [(row[0], row[2]) for row in rows]
    for (first, last), expected in zip(names, EXPECTED, strict=True):
        assert first == last == expected, (parser, first[:80], expected[:80])


for delimiter in (44, 59, 9, 124):
    with open(f"{delimiter}.csv", encoding="utf-8-sig", newline="") as file:
        check("python", list(csv.reader(file, delimiter=chr(delimiter)))[1:])
    # Field separator, text delimiter, UTF-8, first line, and each column as text.
    given = f"CSV:{delimiter},34,76,1,1/2/2/2/3/2"
    command = ["soffice", f"-env:UserInstallation=file://{os.getcwd()}/profile", "--headless", f"--infilter={given}"]
    subprocess.run([*command, "--convert-to", "xlsx", f"{delimiter}.csv"], check=True, capture_output=True, timeout=120)
    sheet = openpyxl.load_workbook(f"{delimiter}.xlsx").worksheets[0]
    rows = [list(row) for row in sheet.iter_rows(min_row=2)]
    assert all(cell.data_type != "f" for row in rows for cell in row), delimiter
    # The file format writes an underscore that could begin an escape as one.
    check("libreoffice", [[str(cell.value).replace("_x005F_", "_") for cell in row] for row in rows])
print("all as expected")
