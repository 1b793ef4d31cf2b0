# SPDX-License-Identifier: MIT
"""docs/settings.md and docs/credentials.md name every variable and every option there is."""

import re

from conftest import ROOT

PAGES = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("settings.md", "credentials.md")]


def literals(pattern, *files):
    found = set()
    for file in files:
        found |= set(re.findall(pattern, file.read_text(encoding="utf-8")))
    assert found
    return sorted(found)


def missing(names):
    return [name for name in names if not any(re.search(rf"\b{name}\b", page) for page in PAGES)]


def test_every_variable_the_core_reads_is_on_a_page():
    assert missing(literals(r'"(AWS_[A-Z0-9_]+)"', *ROOT.glob("core/*.c"), *ROOT.glob("core/creds/*.c"))) == []


def test_every_option_of_a_client_is_on_the_page():
    tables = [ROOT / "python" / "src" / "client.c", ROOT / "lua" / "src" / "client.c"]
    assert missing(literals(r'OPTION\("([a-z0-9_]+)"', *tables)) == []


def test_every_setting_of_a_profile_is_on_the_page():
    names = literals(r'"[a-z_]+", \{[^}]*\}, "([a-z_]+)"', ROOT / "core" / "settings.c")
    assert missing(names) == []
