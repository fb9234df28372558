"""No password is ever told, by no command, in no error, log or traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from cdc_sync import databases
from tests.commands.conftest import PASSWORD, SERVER, SUBJECT, TABLE, closed_port, complaint, everything, made, run
from tests.conftest import Make
from tests.nodes import install, received, write_config

SHAPES_OF_SECRETS = {
    "in-the-url": "postgresql://dba:{password}@127.0.0.1:{port}/clinic",
    "in-the-query": "postgresql://127.0.0.1:{port}/clinic?user=dba&password={password}",
    "by-variable": "postgresql://dba:${{CDC_SYNC_SECRET}}@127.0.0.1:{port}/clinic",
    "url-by-variable": "${{CDC_SYNC_SECRET_URL}}",
    "bad-port": "postgresql://dba:{password}@127.0.0.1:port/clinic",
    "unknown-scheme": "oracle://dba:{password}@127.0.0.1/clinic",
    "no-scheme": "dba:{password}@127.0.0.1/clinic",
    "sqlite-with-a-password": "sqlite://dba:{password}@/gone.db",
    "unknown-option": "postgresql://dba:{password}@127.0.0.1:{port}/clinic?no_such_option=1",
}
SECRET_COMMANDS = (
    "install-triggers",
    "install-triggers --dry-run",
    "uninstall-triggers",
    "replicate --once",
    "replicate",
    "status",
)


@pytest.mark.parametrize("shape", SHAPES_OF_SECRETS)
@pytest.mark.parametrize("command", SECRET_COMMANDS)
def test_a_password_is_never_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, shape: str, command: str
) -> None:
    url = SHAPES_OF_SECRETS[shape].format(password=PASSWORD, port=closed_port())
    monkeypatch.setenv("CDC_SYNC_SECRET", PASSWORD)
    monkeypatch.setenv("CDC_SYNC_SECRET_URL", f"postgresql://dba:{PASSWORD}@127.0.0.1:{closed_port()}/clinic")
    result = run(command, _file(tmp_path, url))
    assert PASSWORD not in everything(result) + caplog.text
    complaint(result)


@pytest.mark.parametrize("secret", ["slash/{}", "at@{}", "colon:{}", "hash#{}", "percent%41{}", "question?{}", "[{}]"])
def test_a_password_with_special_characters_given_by_variable_is_never_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("CDC_SYNC_SECRET", secret.format(PASSWORD))
    result = run("status", _file(tmp_path, f"postgresql://dba:${{CDC_SYNC_SECRET}}@127.0.0.1:{closed_port()}/clinic"))
    complaint(result)


def _file(folder: Path, url: str) -> Path:
    path = folder / "cdc-sync.toml"
    path.write_text(f'[node]\nname = "laptop"\ndatabase = "{url}"\n' + TABLE + SERVER)
    return path


def test_a_database_and_a_configuration_do_not_show_their_password_when_printed(
    make_side: Make, tmp_path: Path
) -> None:
    source, target = (made(make_side, "postgresql", name, SUBJECT) for name in ("source", "target"))
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    with databases.connect(config.node.database, config.folder) as database:
        assert PASSWORD not in f"{config!r} {config} {database} {database!r}"


def test_the_log_of_a_replication_tells_no_password(
    make_side: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = (made(make_side, "postgresql", name, SUBJECT) for name in ("source", "target"))
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code) values ('s1')")
    caplog.set_level("DEBUG")
    result = run("replicate --once", config)
    assert result.exit_code == 0, everything(result)
    assert PASSWORD not in everything(result) + caplog.text
    assert received(config, target).applied == 1


# --- the command as its own process


@pytest.mark.parametrize(
    "arguments", [("status",), ("replicate",), ("replicate", "--once"), ("install-triggers", "--dry-run")], ids=" ".join
)
def test_the_command_ends_with_exit_code_2_and_no_traceback(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    path = _file(tmp_path, f"postgresql://dba:{PASSWORD}@127.0.0.1:{closed_port()}/clinic")
    command = [sys.executable, "-m", "cdc_sync", *arguments, "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
    assert PASSWORD not in done.stderr
