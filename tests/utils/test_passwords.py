"""No message shows a password of a URL."""

import pytest

from arl_tf import main
from arl_tf.config.settings import Config
from arl_tf.utils import passwords, run_lock

SECRET = "s3cret"


@pytest.mark.parametrize(
    "text",
    [
        f"--storage=postgresql://ann:{SECRET}@host/db: what",
        f"s3://key:{SECRET}@bucket/run is not supported",
        f"postgresql://ann:{SECRET}/{SECRET}@host/db",
        f"postgresql://ann:{SECRET}@{SECRET}@host/db",
        f"x postgresql://host/db?user=ann&sslpassword={SECRET}&x=1",
        f"gs://bucket?access_token={SECRET}",
    ],
)
def test_passwords_are_hidden_and_the_rest_stays(text):
    shown = passwords.hidden(text)
    assert SECRET not in shown and "***" in shown
    assert shown.split("***")[0] == text.split(SECRET)[0]
    assert shown.split("***")[-1] == text.split(SECRET)[-1]


@pytest.mark.parametrize("text", ["http://host:8501/v1", "ann@host", "postgresql://ann@host/db"])
def test_texts_without_passwords_stay(text):
    assert passwords.hidden(text) == text


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ann:12/{SECRET}@host/db",
        f"postgresql://ann:12#{SECRET}@host/db",
        f"postgresql://ann:12?{SECRET}@host/db",
        f"postgresql://host/db?sslpassword={SECRET}",
        "postgresql://host/db?password=",
        f"postgresql://ann:[{SECRET}]@host/db",
        f"postgresql://[{SECRET}/db",
    ],
)
def test_a_storage_with_a_password_in_any_place_is_refused_without_it(url):
    with pytest.raises(ValueError, match="--storage") as refused:
        Config(storage=url)
    assert SECRET not in str(refused.value)


def test_what_ends_the_command_and_what_others_read_of_it_hold_no_password(monkeypatch, capsys):
    text = f"--workdir=s3://key:{SECRET}@bucket"
    with pytest.raises(SystemExit):
        main.refuse(text)
    assert SECRET not in capsys.readouterr().err
    monkeypatch.setattr(run_lock.sys, "argv", ["main.py", text])
    assert SECRET not in run_lock.owner()["command"]
