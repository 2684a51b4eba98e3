import json
import os
import subprocess
import sys
import time

import click
import pytest
from click.testing import CliRunner

from forecast import cli, errors, registry
from forecast.cli import doctor
from forecast.features.feature_set import FEATURES
from forecast.units import UNITS

HEAVY = {
    "pymc",
    "arviz",
    "statsmodels",
    "sklearn",
    "matplotlib",
    "numpy",
    "pandas",
    "scipy",
    "xarray",
    "duckdb",
    "rich",
    "numba",
}
COMMANDS = list(cli._COMMANDS)


def run(*arguments, cwd=None, **environment):
    """The real command, in a process of its own."""
    env = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-m", "forecast", *arguments], capture_output=True, text=True, cwd=cwd, env=env, check=False
    )


def invoke(*arguments):
    return CliRunner().invoke(cli.forecast, list(arguments), catch_exceptions=False)


def heavy_modules_after(*arguments):
    code = (
        "import sys\nfrom forecast.cli import main\n"
        f"sys.argv = ['forecast', *{list(arguments)!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code or 0\n"
        f"print(sorted(set(sys.modules) & {HEAVY!r}), code, file=sys.stderr)"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr.strip()


# ---------------------------------------------------------------- help and exit codes


@pytest.mark.parametrize("flag", ["--help", "-h", "--version"])
def test_help_answers_at_once_and_imports_nothing_heavy(flag):
    started = time.perf_counter()
    assert heavy_modules_after(flag) == "[] 0"
    seconds = time.perf_counter() - started
    print(f"forecast {flag}: {seconds:.2f} s")  # noqa: T201  shown with pytest -s
    assert seconds < 5  # a loaded machine; the goal is 0.3


def test_help_names_every_command():
    output = invoke("--help").output
    for name, summary in cli._COMMANDS.items():
        assert name in output
        assert summary in output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    for flag in ("--help", "-h"):
        result = invoke(name, flag)
        assert result.exit_code == 0
        assert f"forecast {name}" in result.output or f"{name} [OPTIONS]" in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_imports_nothing_heavy(name):
    assert heavy_modules_after(name, "--help") == "[] 0"


def test_an_unknown_command_or_option_is_a_usage_error():
    for arguments in (["forecst"], ["models", "--yaml"], ["--colour"]):
        result = run(*arguments)
        assert result.returncode == 2
        assert "No such" in result.stderr
        assert "Traceback" not in result.stderr


def all_errors(kind=errors.ForecastError):
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in all_errors(child))]


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_our_errors_become_one_sentence_and_an_exit_code(kind, monkeypatch, capsys):
    def fail():
        raise kind("what is wrong. How to fix it.")

    monkeypatch.setattr(cli._Lazy, "get_command", lambda *_: click.Command("fails", callback=fail))
    monkeypatch.setattr(sys, "argv", ["forecast", "fails"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    expected = {errors.UsageError: 2, errors.DataError: 3, errors.ModelError: 4}
    assert end.value.code == next((code for parent, code in expected.items() if issubclass(kind, parent)), 4)
    shown = capsys.readouterr()
    assert shown.err == f"{kind.__name__}: what is wrong. How to fix it.\n"
    assert shown.out == ""


def test_errors_of_others_are_not_hidden(monkeypatch):
    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr(cli._Lazy, "get_command", lambda *_: click.Command("fails", callback=fail))
    monkeypatch.setattr(sys, "argv", ["forecast", "fails"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


# ---------------------------------------------------------------- models


def listed(*arguments):
    return json.loads(invoke(*arguments, "--json").output)


def test_every_registered_model_and_analysis_is_listed():
    document = listed("models")
    assert [entry["name"] for entry in document["models"]] == list(registry.registered())
    assert [entry["name"] for entry in document["analyses"]] == list(registry.registered(registry.ANALYSES))


def test_a_listed_model_says_what_it_is_and_what_it_can_be_told():
    entries = {entry["name"]: entry for entry in listed("models")["models"]}
    assert all(entry["description"] for entry in entries.values() if not entry["problem"])
    assert entries["drift"]["options"]["weeks"] == registry.create("drift").weeks
    for name, entry in entries.items():
        if not entry["problem"]:
            registry.create(name, entry["options"])  # what is listed can be written into a plan


def test_the_options_of_an_analysis_are_those_of_its_question():
    (entry,) = [entry for entry in listed("models")["analyses"] if entry["name"] == "local_projection"]
    assert entry["options"]["shock"] == "required"
    assert entry["options"]["horizon"] == 26


def test_a_model_without_its_extra_is_shown_with_the_fix(monkeypatch):
    load = registry.model_class

    def without_pymc(name):
        if name == "drift":
            raise errors.MissingExtraError(
                "model 'drift' needs pymc. Install it with: pip install 'reserve-forecast[bayes]'"
            )
        return load(name)

    monkeypatch.setattr(registry, "model_class", without_pymc)
    entries = {entry["name"]: entry for entry in listed("models")["models"]}
    assert "pip install 'reserve-forecast[bayes]'" in entries["drift"]["problem"]
    assert entries["random_walk"]["problem"] == ""
    text = invoke("models").output
    assert "pip install 'reserve-forecast[bayes]'" in text
    assert "random_walk" in text


def test_a_broken_plug_in_does_not_hide_the_others(monkeypatch):
    load = registry.model_class

    def broken(name):
        if name == "drift":
            raise SyntaxError("invalid syntax")
        return load(name)

    monkeypatch.setattr(registry, "model_class", broken)
    entries = {entry["name"]: entry for entry in listed("models")["models"]}
    assert entries["drift"]["problem"] == "SyntaxError: invalid syntax"
    assert entries["climatology"]["description"]


# ---------------------------------------------------------------- features


def test_every_feature_is_listed_with_unit_inputs_and_description():
    entries = listed("features")
    assert [entry["name"] for entry in entries] == sorted(FEATURES)
    assert {"effr_iorb", "reserve_ratio", "yield_10y"} <= set(FEATURES)
    for entry in entries:
        assert entry["unit"] in UNITS
        assert entry["description"]
        assert entry["known_ahead"] == (entry["inputs"] == [])


def test_a_name_is_never_cut_in_a_narrow_terminal():
    output = run("features", COLUMNS="80").stdout
    for name in listed("features"):
        assert name["name"] in output


# ---------------------------------------------------------------- doctor


def test_the_doctor_looks_at_everything_and_its_exit_code_says_the_result(tmp_path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "manifest.jsonl").write_text("{}")
    (tmp_path / "runs" / "one").mkdir(parents=True)
    result = run("doctor", "--json", FORECAST_HOME=str(tmp_path))
    document = json.loads(result.stdout)
    checks = {check["name"]: check for check in document["checks"]}
    assert {"python", "numpy", "scikit-learn", "models package", "forecast.models", "blas threads"} <= set(checks)
    assert checks["pandas"]["status"] == "ok"
    assert checks["home"]["found"] == str(tmp_path)
    assert checks["archive"]["found"].startswith("1 files")
    assert checks["runs"]["found"] == "1"
    assert document["healthy"] == (not any(check["status"] == "fail" for check in document["checks"]))
    assert result.returncode == (0 if document["healthy"] else 4)


def test_a_healthy_and_an_ill_installation_differ_in_the_exit_code(monkeypatch):
    good, bad = (
        doctor.Check("numpy", "ok", "2.5.5"),
        doctor.Check("pandas", "fail", "not installed", "pip install pandas"),
    )
    warned = doctor.Check("pymc (bayes)", "warn", "not installed")
    monkeypatch.setattr(doctor, "examine", lambda: iter([good, warned]))
    assert invoke("doctor").exit_code == 0
    monkeypatch.setattr(doctor, "examine", lambda: iter([good, warned, bad]))
    result = invoke("doctor")
    assert result.exit_code == 4
    assert "-> pip install pandas" in result.output
    assert "1 ok, 1 to know, 1 to fix" in result.output


def test_a_missing_dependency_fails_and_a_missing_extra_warns():
    core, extra = doctor.dependency("no-such-thing", ">=1", ""), doctor.dependency("no-such-thing", ">=1", "bayes")
    assert (core.status, extra.status) == ("fail", "warn")
    assert "reserve-forecast[bayes]" in extra.fix


def test_an_old_version_is_said_with_the_one_that_is_needed():
    got = doctor.dependency("click", ">=999", "")
    assert got.status == "fail"
    assert ">=999 is needed" in got.found


@pytest.mark.parametrize(
    ("version", "bounds", "fits"),
    [
        ("3.1.1", "<4,>=3.0", True),
        ("3", ">=3.0", True),
        ("2.10", ">=2.9", True),
        ("2.9.9", ">=2.10", False),
        ("4.0.0", "<4,>=3", False),
        ("4.0rc1", "<4", False),
        ("2025.1", ">=2025.1", True),
        ("1.0", "", True),
    ],
)
def test_versions_are_compared_as_numbers(version, bounds, fits):
    assert doctor.allowed(version, bounds) is fits


def test_every_declared_dependency_is_looked_at(monkeypatch):
    declared = ["click>=8.1", "pandas<4,>=3.0", "pymc<7,>=6; extra == 'bayes'", 'numba>=1 ; extra == "bayes"']
    monkeypatch.setattr("importlib.metadata.requires", lambda _: declared)
    seen = []
    monkeypatch.setattr(doctor, "dependency", lambda *stated: seen.append(stated))
    list(doctor.dependencies())
    assert [(name, extra) for name, _, extra in seen] == [
        ("click", ""),
        ("pandas", ""),
        ("pymc", "bayes"),
        ("numba", "bayes"),
    ]
    assert [bounds.strip() for _, bounds, _ in seen] == [">=8.1", "<4,>=3.0", "<7,>=6", ">=1"]


def test_a_models_module_of_the_users_own_is_found_out_once(tmp_path):
    (tmp_path / "models.py").write_text("raise RuntimeError('must not be imported')")
    code = "from forecast.cli.doctor import models\nfor check in models(): print(check.status, check.found)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    ).stdout
    assert found.startswith("fail")
    assert "models.py" in found
    assert found.count("\n") == 1


def test_a_home_that_cannot_be_written_to_fails(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "file" / "home"))
    (check,) = doctor.home_folder()
    assert check.status == "fail"
    assert "FORECAST_HOME" in check.fix


def test_looking_at_the_home_does_not_create_it(tmp_path, monkeypatch):
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "new"))
    home, archive, runs = doctor.home_folder()
    assert (home.status, archive.status, runs.found) == ("ok", "warn", "0")
    assert "forecast data import" in archive.fix
    assert not (tmp_path / "new").exists()
