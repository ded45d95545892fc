"""Tables as spreadsheets and frames hold them: what is read, and what is refused in a sentence."""

import datetime
import json

import numpy as np
import pandas as pd
import pytest

from keras_sda.datasets import Columns, load, read_rows
from keras_sda.datasets.frames import read_frame, read_values

# Files ---------------------------------------------------------------------------------------


def read(tmp_path, content, target=None):
    (tmp_path / "rows.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_rows(tmp_path / "rows.csv", target)


def test_semicolons_and_decimal_commas(tmp_path):
    rows = 'name;price;share;when\n"a;b";1.234,5;0,5;2026-01-31\nc;-12;,5;2026-02-01\nd;;1,25;\n'
    frame = read(tmp_path, rows.replace(";,5;", ";0,75;")).x
    assert frame["name"].tolist() == ["a;b", "c", "d"]
    assert frame["price"].tolist()[:2] == [1234.5, -12]
    assert frame["price"].isna().tolist() == [False, False, True]
    assert frame["share"].tolist() == [0.5, 0.75, 1.25]
    # Of one column alone nothing is a number but what all values are.
    frame = read(tmp_path, "a;b\n1,5;one, two\n2;1,5\n").x
    assert frame["a"].tolist() == [1.5, 2.0]
    assert frame["b"].tolist() == ["one, two", "1,5"]
    x, y = read(tmp_path, "a;b\n1,5;2,5\n2;3\n", target="b")
    assert (x.tolist(), y.tolist()) == ([[1.5], [2.0]], [2.5, 3.0])


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1,234.5", "12", "-1,000,000", ""], [1234.5, 12, -1e6, np.nan]),
        (["$5", "$1,200.25", "-$3", "(7)"], [5, 1200.25, -3, -7]),
        (["5 \u20ac", "\u20ac6", "7"], [5, 6, 7]),
        (["12.5%", "3 %", "-1%"], [12.5, 3, -1]),
    ],
)
def test_numbers_as_people_write_them(tmp_path, texts, numbers):
    frame = pd.DataFrame({"a": texts, "b": "x"})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    np.testing.assert_array_equal(read_rows(tmp_path / "rows.csv").x["a"], numbers)
    # Where a comma is before the fraction, other signs are between the values.
    swapped = [text.translate(str.maketrans(",.", ".,")) for text in texts]
    frame.assign(a=swapped).to_csv(tmp_path / "rows.csv", index=False, sep=";")
    np.testing.assert_array_equal(read_rows(tmp_path / "rows.csv").x["a"], numbers)


@pytest.mark.parametrize(
    "texts",
    [
        ["1,23", "12"],  # a comma before a fraction, or an error
        ["1,2345", "1,234"],
        ["12%", "0.5"],  # a half, or half a per cent
        ["$5", "\u20ac5"],
        ["$5$", "$6"],
        ["(-5)", "$6"],
        ["(5", "$6"],
        ["1,234", "about 5"],
        ["$", "$5"],
        ["10.200.300", "10.200.301"],
    ],
)
def test_text_that_only_resembles_numbers(tmp_path, texts):
    pd.DataFrame({"a": texts, "b": "x"}).to_csv(tmp_path / "rows.csv", index=False)
    assert read_rows(tmp_path / "rows.csv").x["a"].tolist() == texts


def test_codes_keep_the_zeros_that_they_begin_with(tmp_path):
    rows = "zip,size,time,part\n00501,01.5,0,00\n10001,2,10,1\n,3,,\n"
    frame = read(tmp_path, rows).x
    assert frame["zip"].tolist()[:2] == ["00501", "10001"]
    assert frame["zip"].isna().tolist() == [False, False, True]
    assert frame["size"].tolist() == [1.5, 2, 3]
    assert frame["time"].tolist()[:2] == [0, 10]
    assert frame["part"].tolist()[:2] == ["00", "1"]
    frame = read(tmp_path, 'x;"zip"\n1;"00501"\n2;"94103"\n').x
    assert frame["zip"].tolist() == ["00501", "94103"]
    # New rows without such a code are of the same categories.
    columns = Columns.fit({"zip": ["00501", "10001", "94103"] * 10})
    expected = columns({"zip": ["94103", "10001"]})
    np.testing.assert_array_equal(columns(read(tmp_path, "zip,a\n94103,x\n10001,y\n").x), expected)


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("gap", ["?", "-", "Unknown", " . "])
def test_what_stands_for_a_gap_among_numbers(tmp_path, separator, gap):
    rows = f"a,b,c,d\n1.5,x,7%,007\n{gap},{gap},{gap},{gap}\n-2e3,y,8%,010\n"
    frame = read(tmp_path, rows.replace(",", separator)).x
    np.testing.assert_array_equal(frame["a"], [1.5, np.nan, -2000])
    np.testing.assert_array_equal(frame["c"], [7, np.nan, 8])
    assert frame["b"].str.strip().tolist() == ["x", gap.strip(), "y"]
    assert frame["d"].tolist()[::2] == ["007", "010"]


def test_text_with_underscores_is_not_a_number():
    columns = Columns.fit({"a": ["2020_01", "2019_12", "2019_12", "2021_03"]})
    assert columns.columns[0].kind == "categorical"


def test_a_target_without_a_label_is_refused(tmp_path):
    pd.DataFrame({"a": [1.0, 2, 3], "y": None}).to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(ValueError, match=r"Column 'y' of .*rows.csv has no label in any row"):
        load(tmp_path / "rows.csv", target="y")


def test_text_of_training_is_text_in_new_files(tmp_path):
    """Of few rows, codes and truth values alone may remain where training had other text, too."""
    from keras_sda.experiments import run, zoo

    table = pd.DataFrame(
        {
            "code": ["007", "12", "A3", "1.0"] * 15,
            "flag": ["TRUE", "FALSE", "maybe"] * 20,
            "said": [True, False, False] * 20,
            "n": np.arange(60.0) % 7,
        }
    )
    table.to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "few.csv").write_text("n,code,flag,said\n0,007,TRUE,true\n3,1.0,TRUE,TRUE\n")
    quick = {"hidden_units": [4], "pretraining.epochs": 1, "data.name": str(tmp_path / "rows.csv")}
    done = run(zoo.default("sda").but(quick), verbose=0)
    rows = np.asarray(done.rows(str(tmp_path / "few.csv")).x)
    expected = done.columns(table.iloc[[0, 3]])
    np.testing.assert_array_equal(rows, expected)
    # The same of test rows in a file of their own.
    (tmp_path / "test.csv").write_text("code,flag,said,n\n007,TRUE,True,0\n1.0,TRUE,True,3\n")
    data = load(tmp_path / "rows.csv", test=tmp_path / "test.csv")
    np.testing.assert_array_equal(np.asarray(data.test.x), data.columns(table.iloc[[0, 3]]))


def test_amounts_are_a_quantity_to_learn(tmp_path):
    dollars = [f"${1000 + 7.5 * row:,.2f}" for row in range(50)]
    table = pd.DataFrame({"n": np.arange(50) % 9, "price": dollars})
    table.to_csv(tmp_path / "rows.csv", index=False)
    data = load(tmp_path / "rows.csv", target="price")
    labels = np.concatenate([data.train.y, data.valid.y, data.test.y])
    np.testing.assert_array_equal(np.sort(labels), 1000 + 7.5 * np.arange(50))


def test_the_separator_is_what_the_lines_agree_on(tmp_path):
    frame = read(tmp_path, "weight (kg, wet);b\n1.5;x\n2,25;y\n").x
    assert frame.to_dict("list") == {"weight (kg, wet)": ["1.5", "2,25"], "b": ["x", "y"]}


@pytest.mark.parametrize("storage", ["memory", "disk"])
def test_an_index_with_a_name_is_a_column_of_a_parquet_file(tmp_path, storage):
    table = pd.DataFrame({"a": [0.5, 1, 2, 4] * 10, "y": [0, 1] * 20})
    table.index = pd.Index([f"p{n}" for n in range(40)], name="pid")
    table.to_parquet(tmp_path / "rows.parquet")
    data = load(tmp_path / "rows.parquet", target="y", ids=["pid"], storage=storage)
    assert (data.columns.ids, data.columns.input_names) == (("pid",), ("a",))
    assert list(read_rows(tmp_path / "rows.parquet", "y").x.columns) == ["pid", "a"]


@pytest.mark.parametrize("storage", ["memory", "disk"])
def test_numbers_as_names_of_columns_of_a_parquet_file(tmp_path, storage):
    pd.DataFrame(np.arange(80.0).reshape(40, 2) % 7).to_parquet(tmp_path / "rows.parquet")
    data = load(tmp_path / "rows.parquet", storage=storage)
    assert data.columns.input_names == ("0", "1")


def test_tabs_and_bars(tmp_path):
    assert read(tmp_path, "a\tb\n1\t2\n").x.tolist() == [[1, 2]]
    assert read(tmp_path, "a|b\n1.5|2\n").x.tolist() == [[1.5, 2]]
    assert list(read(tmp_path, "a\nx;y\n").x.columns) == ["a"]
    # Where there are commas, these it is.
    assert list(read(tmp_path, '"a;b",c\n1,x\n').x.columns) == ["a;b", "c"]


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    for separator in ",;":
        frame = read(tmp_path, f"\ufeffage{separator}town\n31{separator}Rome\n").x
        assert list(frame.columns) == ["age", "town"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_are_refused(tmp_path, encoding):
    for content in ("stra\u00dfe,n\na,1\n", "town,n\nM\u00fcnchen,1\n"):
        with pytest.raises(ValueError, match=r"rows.csv is not in UTF-8, as its byte 0x.*save it"):
            read(tmp_path, content.encode(encoding))


def test_quoted_line_ends_are_part_of_a_value(tmp_path):
    frame = read(tmp_path, '"the\nname",n\n"two\nlines",1\n"a ""quote"", too",2\n').x
    assert list(frame.columns) == ["the\nname", "n"]
    assert frame["the\nname"].tolist() == ["two\nlines", 'a "quote", too']


def test_names_given_twice_are_refused(tmp_path):
    for content in ("a,b,a\n1,2,3\n", "a;b;a\n1;2;3\n"):
        with pytest.raises(ValueError, match=r"rows.csv has two columns of one name: a\. Rename"):
            read(tmp_path, content)
    assert list(read(tmp_path, ",n,\n1,2,3\n").x.shape) == [1, 3]  # without a name, they differ


@pytest.mark.parametrize("separator", [",", ";"])
def test_rows_that_are_longer_than_the_names(tmp_path, separator):
    rows = "a,zip,y\n1,007,0,\n2,100,1,\n".replace(",", separator)
    frame = read(tmp_path, rows).x
    assert frame.to_dict("list") == {"a": [1, 2], "zip": ["007", "100"], "y": [0, 1]}
    for end in ("9", "x"):
        refusal = r"rows.csv has 3 names in its first line and rows of 4 values: name each column"
        with pytest.raises(ValueError, match=refusal):
            read(tmp_path, rows.replace(f"1{separator}\n", f"1{separator}{end}\n"))
    # As R writes the names of rows.
    with pytest.raises(ValueError, match="has 2 names in its first line and rows of 3 values"):
        read(tmp_path, "a,b\nrow1,1,2\nrow2,3,4\n".replace(",", separator))


def test_an_index_without_a_name_is_no_input(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"n": rng.normal(size=60), "c": ["a", "b", "c"] * 20, "y": [0, 1] * 30})
    table.index = rng.permutation(10_000)[:60]  # of a table that was sifted
    table.to_csv(tmp_path / "rows.csv")
    data = load(tmp_path / "rows.csv", target="y")
    assert data.columns.input_names == ("n", "c = a", "c = b", "c = c")
    assert data.columns.columns[0].note == "an index without a name"
    np.testing.assert_array_equal(
        data.columns(table), data.columns(pd.read_csv(tmp_path / "rows.csv"))
    )
    # What only lacks a name is a column.
    table.assign(n=1.5).rename(columns={"c": ""}).to_csv(tmp_path / "rows.csv", index=False)
    assert "Unnamed: 1 = a" in load(tmp_path / "rows.csv", target="y").columns.input_names


def test_a_table_is_read_once_by_a_run(tmp_path, monkeypatch):
    from keras_sda.experiments import finished_run, run, zoo

    table = pd.DataFrame({"n": np.arange(40.0) % 7, "c": ["a", "b"] * 20, "id": range(40)})
    table.to_csv(tmp_path / "rows.csv", index=False)
    quick = {"hidden_units": [4], "pretraining.epochs": 1, "data.ids": ["id"]}
    done = run(zoo.default("sda").but(quick | {"data.name": str(tmp_path / "rows.csv")}), verbose=0)
    reads = []
    real = finished_run.read_frame
    monkeypatch.setattr(
        finished_run, "read_frame", lambda path, *text: reads.append(path) or real(path, *text)
    )
    new = str(tmp_path / "rows.csv")
    for _ in range(2):
        done.rows(new)
        done.remarks(new)
        assert done.ids_of(new)["id"].tolist() == list(range(40))
    assert len(reads) == 1
    table[:10].to_csv(tmp_path / "rows.csv", index=False)
    assert len(done.rows(new).x) == 10, "another content is read again"


# Frames --------------------------------------------------------------------------------------


def held(values):
    (column,) = read_frame(pd.DataFrame({"a": values}), "A test").values()
    return read_values(column, "Column 'a'")


def test_blank_text_is_missing():
    found = held(pd.Series(["x", "", "  ", None, " y "], dtype=object))
    assert found.values.tolist() == ["x", None, None, None, "y"]


def test_columns_of_several_types_are_text():
    found = held(pd.Series([1, "a", 2.5, None, True, 3.0], dtype=object))
    assert found.held == "text"
    assert found.values.tolist() == ["1", "a", "2.5", None, "True", "3"]
    assert held(pd.Series([1, 2.5, None, np.int8(3)], dtype=object)).held == "number"


@pytest.mark.parametrize("dtype", [object, "boolean"])
def test_booleans_with_gaps(dtype):
    found = held(pd.Series([True, None, False, True], dtype=dtype))
    assert found.held == "boolean"
    np.testing.assert_array_equal(found.values, [1, np.nan, 0, 1])


def test_categories_of_pandas():
    kinds = pd.Categorical([3, 1, None, 3], categories=[5, 3, 1], ordered=True)
    found = held(kinds)
    assert (found.held, found.values.tolist()) == ("text", ["3", "1", None, "3"])
    columns = Columns.fit(pd.DataFrame({"a": kinds, "n": [1.0, 2, 4, 8]}))
    assert columns.columns[0].kind == "binary", "the category without a row is none"


def test_whole_numbers_with_gaps():
    found = held(pd.array([1, None, 3], dtype="Int64"))
    assert found.held == "number"
    np.testing.assert_array_equal(found.values, [1, np.nan, 3])


def test_dates_with_time_zones_are_moments():
    berlin = pd.Series(pd.to_datetime(["2026-01-01 01:00", None])).dt.tz_localize("Europe/Berlin")
    np.testing.assert_array_equal(held(berlin).values, [20454.0, np.nan])  # midnight in Greenwich
    mixed = [berlin[0].to_pydatetime(), datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)]
    np.testing.assert_array_equal(held(pd.Series(mixed, dtype=object)).values, [20454, 20454])
    text = pd.Series(["2026-01-01T01:00:00+01:00", "2026-01-02"] * 2)
    columns = Columns.fit(pd.DataFrame({"a": text}))
    assert (columns.columns[0].kind, columns.columns[0].low) == ("date", 20454)


def test_durations_are_days():
    found = held(pd.to_timedelta(["36h", None, "1 days"]))
    assert found.held == "number"
    np.testing.assert_array_equal(found.values, [1.5, np.nan, 1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pd.Series([[1], [2]]), "values of list: one value a cell"),
        (pd.Series([1.0, np.inf]), "infinite"),
        (pd.Series([b"a", b"b"]), "values of bytes: one value a cell"),
        (pd.Series([1 + 2j, 3]), "values of complex: one value a cell"),
    ],
)
def test_what_no_table_holds(values, message):
    with pytest.raises(ValueError, match=message):
        held(values)


def test_frames_with_names_given_twice_are_refused():
    frame = pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"])
    with pytest.raises(ValueError, match=r"Columns.fit needs columns of different names.*: a"):
        Columns.fit(frame)


# Dates as text -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("2026-02-01", "2026/2/1", "2026.02.01", "1.2.2026", "01.02.2026", "1 Feb 2026"),
        *("1-FEB-2026", "February 1, 2026", "Feb 01, 2026 12:00 AM", "2026-02-01T01:00:00+01:00"),
    ],
)
def test_ways_to_write_a_day(text):
    columns = Columns.fit({"a": [text, "2026-02-03", None]})
    assert (columns.columns[0].kind, columns.columns[0].low) == ("date", 20485)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("1.2.2026 6:00", 0.25),
        ("2026/02/01 18:00:00", 0.75),
        ("1 February 2026 6:00 pm", 0.75),
        ("Feb 1, 2026 12:00 PM", 0.5),
        ("1.2.2026 00:00:43.2", 0.0005),
    ],
)
def test_ways_to_write_a_time(text, share):
    columns = Columns.fit({"a": [text, "2026-02-03"]})
    assert columns.columns[0].low == pytest.approx(20485 + share, abs=1e-9)


def test_days_above_12_show_whether_the_day_comes_first():
    for texts, is_first in ((["1/2/2026", "13/1/2026"], True), (["2/1/2026", "1/13/2026"], False)):
        columns = Columns.fit({"a": [*texts, None]})
        assert columns.columns[0].day_first is is_first
        assert (columns.columns[0].low, columns.columns[0].high) == (20466, 20485)
        # New rows alone would not show it.
        again = Columns.from_dict(json.loads(json.dumps(columns.to_dict())))
        numbers = again.arrays({"a": [texts[0], "2026-02-01", "1 Feb 2026"]})["numbers"]
        assert numbers[:, 0].tolist() == [20485] * 3
        with pytest.raises(ValueError, match="'a' must hold dates. Received: '14/14/2026'"):
            again({"a": [texts[0], "14/14/2026"]})
        wrong = "1/13/2026" if is_first else "13/1/2026"
        with pytest.raises(ValueError, match=f"'a' must hold dates. Received: '{wrong}'"):
            again({"a": [wrong]})


def test_days_and_months_that_cannot_be_told_apart_are_not_guessed():
    texts = ["1/2/2026", "3/4/2026", "5-6-2026", "1/2/2026"] * 3
    column = Columns.fit({"a": texts, "n": range(12)}).columns[0]
    assert (column.kind, column.note) == (
        "ignored",
        "dates, of which the day or the month may come first",
    )
    with pytest.raises(ValueError, match=r"31/1/2026 and 1/31/2026 are dates where a day above 12"):
        Columns.fit({"a": texts}, kinds={"a": "date"})
    # No order makes dates of these.
    mixed = Columns.fit({"a": ["13/1/2026", "1/13/2026"] * 6, "n": range(12)})
    assert mixed.columns[0].kind == "binary"


@pytest.mark.parametrize(
    "text",
    [
        *("2026-13-01", "32.1.2026", "31 Foo 2026", "1.2", "2026/1/31 25:00", "2026.1.31 1:00:75"),
        *("Jan 1, 2026 13:00 PM", "1/2.2026", "0.1.2026", "1.1.0000", "Jann 1, 2026", "1.1.26"),
    ],
)
def test_text_that_only_resembles_dates(text):
    columns = Columns.fit({"a": [text, "2026-01-31", text, "2026-01-30"]})
    assert columns.columns[0].kind == "categorical"


# Categories that nobody has seen ----------------------------------------------------------------


def test_a_category_that_training_did_not_have_is_nothing():
    table = pd.DataFrame({"c": ["a", "b", "c", None] * 10, "d": ["x", "y", "z", "z"] * 10})
    columns = Columns.fit(table)
    assert columns.input_names == (
        *("c = a", "c = b", "c = c", "c = (missing)"),
        *("d = x", "d = y", "d = z"),
    )
    new = pd.DataFrame({"c": ["new", None], "d": ["z", None]})
    assert columns(new).tolist() == [[0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 1, 0, 0, 0]]
    back = columns.inverse(columns(new))
    assert back["c"].fillna("gone").tolist() == ["(other)", "gone"]
    assert back["d"].tolist() == ["z", "(other)"]


def test_columns_written_before_have_their_input_for_others():
    table = pd.DataFrame({"c": ["a", "b", "c", None] * 10})
    config = json.loads(json.dumps(Columns.fit(table).to_dict()))
    del config["columns"][0]["has_other"]
    before = Columns.from_dict(config)
    assert before.input_names == ("c = a", "c = b", "c = c", "c = (other)", "c = (missing)")
    new = pd.DataFrame({"c": ["new", "b", None]})
    assert before(new).tolist() == [[0, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1]]
    assert before.inverse(before(new))["c"].fillna("gone").tolist() == ["(other)", "b", "gone"]
