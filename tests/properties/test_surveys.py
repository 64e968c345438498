"""Surveys: MATLAB files of sources, receivers and what was heard."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import savemat

from nir.data.checks import check_content
from nir.data.surveys import Survey, read_survey, write_survey
from nir.errors import InputError

SOURCES = np.array([[-0.3, -0.35], [0.3, -0.35]])
RECEIVERS = np.array([[0.4, 0.0], [0.0, 0.4], [-0.4, 0.1]])
HEARD = np.array([[1 + 2j, 3 - 1j], [0.5j, -2], [0, 1]])


def arrays(**changes):
    return {"source": SOURCES, "receivers": RECEIVERS, "rec_val": HEARD} | changes


@pytest.mark.parametrize("format", ["4", "5"])
@pytest.mark.parametrize("compressed", [False, True])
def test_the_authors_layout_is_read(tmp_path, format, compressed):
    if format == "4" and compressed:
        pytest.skip("version 4 knows no compression")
    path = tmp_path / "data_cylinder.mat"
    savemat(path, arrays(), format=format, do_compression=compressed)
    survey = read_survey(path)
    np.testing.assert_array_equal(survey.sources, SOURCES)
    np.testing.assert_array_equal(survey.receivers, RECEIVERS)
    np.testing.assert_array_equal(survey.heard, HEARD)


def test_a_written_survey_is_read_back(tmp_path):
    survey = Survey(sources=SOURCES, receivers=RECEIVERS, heard=HEARD)
    write_survey(tmp_path / "survey.mat", survey)
    found = read_survey(tmp_path / "survey.mat")
    np.testing.assert_array_equal(found.heard, HEARD)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rec_val": HEARD.T}, "3 receivers by 2 sources"),
        ({"rec_val": HEARD * np.nan}, "not finite"),
        ({"source": SOURCES.ravel()}, "source is an array"),
        ({"receivers": RECEIVERS * 10}, "outside of the square"),
        ({"source": np.array([["a", "b"]])}, "source is an array"),
    ],
)
def test_what_is_no_survey_says_so(tmp_path, changes, says):
    savemat(tmp_path / "survey.mat", arrays(**changes))
    with pytest.raises(InputError, match=rf"survey\.mat: .*{says}"):
        read_survey(tmp_path / "survey.mat")


def test_a_missing_array_is_named(tmp_path):
    savemat(tmp_path / "survey.mat", {"source": SOURCES, "receivers": RECEIVERS})
    with pytest.raises(InputError, match="rec_val"):
        read_survey(tmp_path / "survey.mat")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "cannot be read|can be read"),
        (b"<html>", "can be read"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(600), "7.3"),
    ],
)
def test_other_files_are_refused(tmp_path, content, says):
    (tmp_path / "survey.mat").write_bytes(content)
    with pytest.raises(InputError, match=rf"survey\.mat.*({says})"):
        read_survey(tmp_path / "survey.mat")


def test_a_cut_file_is_refused(tmp_path):
    savemat(tmp_path / "survey.mat", arrays())
    whole = (tmp_path / "survey.mat").read_bytes()
    (tmp_path / "survey.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="survey"):
        read_survey(tmp_path / "survey.mat")


def test_the_registrys_check_counts_sources_and_receivers(tmp_path):
    savemat(tmp_path / "survey.mat", arrays())
    check_content(tmp_path / "survey.mat", {"survey": [2, 3]})
    with pytest.raises(InputError, match=r"\[2, 3\] sources and receivers, not \[5, 30\]"):
        check_content(tmp_path / "survey.mat", {"survey": [5, 30]})
