import csv

import numpy as np
import pytest

from gradcam_cli.files.tables import read_cell, write_table

FORMULAS = [
    '=HYPERLINK("http://localhost","x")',
    "=1+1",
    "+1+1",
    "-1+1",
    "-",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    "'=1",
    "''-x",
    "-٣",
]
TEXT = [
    "",
    "tabby",
    "'tis",
    "'",
    "a=b",
    "1-2",
    " =1",
    "-5",
    "+3.5",
    "-1e-07",
    "-.5",
    "photos/-a.jpg",
]


def cells_of(table):
    return next(csv.reader(table.decode().splitlines(keepends=True)))


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text):
    (cell,) = cells_of(write_table([[text]]))
    assert cell == f"'{text}"
    assert read_cell(cell) == text


@pytest.mark.parametrize("separator", ["\r", "\n", ";", "\t", ",", '"'])
def test_no_part_of_a_cell_becomes_one(separator):
    text = f"a{separator}=1"
    quoted = text.replace('"', '""')
    table = write_table([[text, "x"]])
    assert table == f'"{quoted}",x\n'.encode()
    assert cells_of(table) == [text, "x"]


@pytest.mark.parametrize("text", TEXT)
def test_other_text_stays_as_it_is(text):
    cells = cells_of(write_table([[text, "x"]]))
    assert cells == [text, "x"]
    assert read_cell(text) == text


def test_numbers_stay_numbers():
    numbers = [-0.25, -3, 1e-07, -1.5e22, np.float64(-0.5), np.int64(-7), None]
    assert write_table([numbers]) == b"-0.25,-3,1e-07,-1.5e+22,-0.5,-7,\n"


def test_bytes_of_file_names_stay():
    assert write_table([["=\udcff,"]]) == b'"\'=\xff,"\n'
