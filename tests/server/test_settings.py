"""The configuration file: what it may say, and in what words it is refused."""

import pytest

from primus_lens import settings
from primus_lens.model import errors


@pytest.fixture
def load(tmp_path):
    """Loads a configuration text in an environment of the test's own."""

    def load(text, **environ):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return settings.load(path, environ)

    return load


def test_no_file_means_the_defaults():
    """Without a file everything has its default."""
    assert settings.load(None, {}) == settings.Settings()


def test_empty_file_means_the_defaults(load):
    """A file that says nothing changes nothing."""
    assert load("") == settings.Settings()


def test_the_specifications_file_is_read(load):
    """The configuration of the specification works as written there."""
    read = load(
        """
server:
  port: 8080
database:
  host: postgres
  port: 5432
  database: primus_lens
  user: lens
  password: ${DB_PASSWORD}
wandb:
  enabled: true
  detection_enabled: true
  metrics_enabled: true
metrics:
  prometheus:
    enabled: true
    port: 9090
""",
        DB_PASSWORD="p@ss: #1",  # noqa: S106 - a variable of this test
    )
    assert (read.database.host, read.database.password) == ("postgres", "p@ss: #1")


def test_default_of_a_variable_stands_in(load):
    """`${VAR:-default}` is the default while the variable is unset or empty."""
    text = "api: {cluster: '${CLUSTER:-east}'}"
    assert load(text).api.cluster == "east"
    assert load(text, CLUSTER="").api.cluster == "east"
    assert load(text, CLUSTER="west").api.cluster == "west"


def test_variable_within_a_text_is_filled_in(load):
    """Several variables may stand within one value."""
    read = load("database: {dsn: 'postgresql://${U}:${P}@db/lens'}", U="lens", P="secret")
    assert read.database.dsn == "postgresql://lens:secret@db/lens"


def test_variable_may_stand_where_a_number_is_meant(load):
    """A substituted number is a number."""
    assert load("server: {port: '${PORT}'}", PORT="9000").server.port == 9000


def test_value_of_a_variable_adds_no_yaml(load):
    """What a variable holds stays one value, whatever characters are in it."""
    assert load("database: {password: '${P}'}", P="x\nuser: root").database.user == "lens"


def test_unset_variable_is_named_with_its_place(load):
    """A variable that is missing is told with its name, its place and what to do."""
    with pytest.raises(
        errors.ConfigError, match=r"database\.password needs the environment variable DB_PASSWORD"
    ):
        load("database: {password: '${DB_PASSWORD}'}")


@pytest.mark.parametrize(
    "text, words",
    [
        ("sever: {port: 1}", "unknown field `sever`"),
        ("server: {prot: 1}", "unknown field `prot` - at `server`"),
        ("server: {port: high}", "Expected `int`, got `str` - at `server.port`"),
        ("metrics: {prometheus: {port: []}}", "at `metrics.prometheus.port`"),
        ("server: {port: 99999}", "Expected `int` <= 65535 - at `server.port`"),
        ("limits: {body_bytes: -5}", "Expected `int` >= 1 - at `limits.body_bytes`"),
        ("compaction: {every_s: 0}", "Expected `float` > 0.0 - at `compaction.every_s`"),
        ("database: {pool_size: 0}", "Expected `int` >= 1 - at `database.pool_size`"),
        ("clusters: {east: 1}", "Expected `str`, got `int` - at `clusters[...]`"),
        (
            "workloads: {unknown_pods: drop}",
            "Invalid enum value 'drop' - at `workloads.unknown_pods`; allowed is keep or reject",
        ),
        ("log: {level: loud}", "at `log.level`; allowed is debug or error or info or warn"),
        ("retention: {rows: soon}", 'at `retention.rows`; allowed is a time such as "90d"'),
        ("watch: {webhook_url: mail}", "allowed is an address with http:// or https://"),
        ("server: [", "is not valid YAML"),
        ("- server", "must hold a mapping at its top"),
    ],
)
def test_refusal_names_file_and_place(load, text, words):
    """A wrong file is refused with its name and the place in it."""
    with pytest.raises(errors.ConfigError) as caught:
        load(text)
    assert words in caught.value.message
    assert "config.yaml" in caught.value.message


def test_missing_file_is_named(tmp_path):
    """A file that is not there is told by its path."""
    with pytest.raises(errors.ConfigError, match=r"absent\.yaml cannot be read"):
        settings.load(tmp_path / "absent.yaml", {})


def test_log_level_comes_from_the_environment(load):
    """LOG_LEVEL is the default of log.level, in any case of letters; the file wins."""
    assert settings.load(None, {"LOG_LEVEL": "DEBUG"}).log.level == "debug"
    assert load("server: {port: 1}", LOG_LEVEL="warn").log.level == "warn"
    assert load("log: {level: error}", LOG_LEVEL="debug").log.level == "error"


def test_wrong_log_level_is_refused():
    """A LOG_LEVEL that is no level is refused with those that are."""
    with pytest.raises(errors.ConfigError, match=r"log\.level"):
        settings.load(None, {"LOG_LEVEL": "loud"})
