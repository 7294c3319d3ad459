"""Who may report and who may read, as a job and a reader meet it."""

import re
import time

import httpx
import pytest
from serving import NO_SELF_METRICS

from primus_lens.store import tokens


def bearer(token):
    """The header of a request that shows a token."""
    return {"Authorization": f"Bearer {token}"}


def token_id(token):
    """The part of a token that may be told."""
    return token.split("_")[1]


def spoilt(token):
    """A token with another last character."""
    return token[:-1] + ("0" if token[-1] != "0" else "1")


@pytest.fixture
def report(guarded_server, workload):
    """Report a point with a token, or without one."""

    def send(token=None):
        body = {"workload_uid": workload, "metrics": [{"name": "loss", "value": 0.5, "step": 1}]}
        return guarded_server.post("/wandb/metrics", body, **(bearer(token) if token else {}))

    return send


@pytest.fixture
def read(guarded_server):
    """Read the list of workloads with a token, or without one."""

    def get(token=None):
        headers = bearer(token) if token else {}
        return httpx.get(f"{guarded_server.url}/api/v1/workloads", headers=headers)

    return get


@pytest.fixture
def revoke(guarded_server):
    """Revoke a token."""

    def end(token):
        done = guarded_server.at_database(
            lambda database: tokens.revoke(database, token_id(token), now=time.time())
        )
        assert done

    return end


def test_request_without_token_is_401(report, read):
    """Reporters and readers without a token are told to send one, and which scope it needs."""
    for answer, scope in [(report(), "ingest"), (read(), "read")]:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["code"] == "token_refused"
        assert "Authorization: Bearer" in answer.json()["error"]
        assert f"scope {scope}" in answer.json()["error"]


@pytest.mark.parametrize(
    "path", ["/api", "/api/v1/", "/openapi.json", "/no/such/path", "/api/v1/workloads/x"]
)
def test_every_path_is_closed(guarded_server, path):
    """Without a token nothing is told, not even which paths there are."""
    assert httpx.get(guarded_server.url + path).status_code == 401


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/", "/docs", "/workloads/any", "/static/app.css"]
)
def test_probes_and_page_files_are_open(guarded_server, path):
    """What holds no data needs no token: probes, and the page that asks for the token."""
    assert httpx.get(guarded_server.url + path).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs", "/workloads/any"])
def test_open_page_is_open_for_reading_alone(guarded_server, path):
    """A page that anyone may read is no way to send something."""
    assert httpx.post(guarded_server.url + path, json={}).status_code == 401


@pytest.mark.parametrize(
    "scope, reporting_and_reading",
    [("ingest", (200, 403)), ("read", (403, 200)), ("admin", (200, 200))],
)
def test_scope_says_what_a_token_is_for(make_token, report, read, scope, reporting_and_reading):
    """A token reports with ingest, reads with read, does both with admin; else it is 403."""
    token = make_token(scope)
    assert (report(token).status_code, read(token).status_code) == reporting_and_reading


def test_missing_scope_is_named(make_token, report):
    """403 says which scope the token has and which it lacks, in words and in the header."""
    answer = report(make_token("read"))
    assert answer.json()["code"] == "scope_missing"
    assert answer.json()["error"].endswith("has the scope read; this needs the scope ingest")
    assert 'scope="ingest"' in answer.headers["www-authenticate"]


def test_change_without_a_scope_of_its_own_needs_admin(make_token, guarded_server):
    """A change that nobody thought of is closed to reporters and readers."""
    token = make_token("ingest", "read")
    deleted = httpx.delete(f"{guarded_server.url}/api/v1/workloads/x", headers=bearer(token))
    assert deleted.status_code == 403


@pytest.mark.parametrize(
    "spoil",
    [
        spoilt,
        str.upper,
        lambda token: token[:-1],
        lambda token: token + "0",
        lambda token: token.rpartition("_")[2],
        lambda _: f"lens_{'a' * 10}_{'0' * 64}",
        lambda _: "nonsense",
    ],
)
def test_spoilt_token_is_refused(make_token, read, spoil):
    """A token with one wrong character is none, and the answer does not say how near it was."""
    answer = read(spoil(make_token("read")))
    assert answer.status_code == 401
    assert answer.json()["error"] == "this server knows no such token"


def test_token_in_another_scheme_is_none(make_token, guarded_server):
    """Only `Bearer` is understood."""
    headers = {"Authorization": f"Basic {make_token('admin')}"}
    answer = httpx.get(f"{guarded_server.url}/api/v1/workloads", headers=headers)
    assert answer.status_code == 401


def refused_within(limit_s, ask):
    """The first answer that is not 200."""
    deadline = time.monotonic() + limit_s
    while (answer := ask()).status_code == 200:
        assert time.monotonic() < deadline, "still accepted"
        time.sleep(0.2)  # nothing tells of it: a reader notices by being refused
    return answer


def test_revoked_token_is_refused_within_ten_seconds(make_token, revoke, read):
    """A running server that has just accepted a token refuses it soon after it was revoked."""
    token = make_token("read")
    assert read(token).status_code == 200
    revoke(token)
    answer = refused_within(10, lambda: read(token))
    assert answer.status_code == 401
    assert f"the token {token_id(token)} was revoked on" in answer.json()["error"]


def test_expired_token_is_refused(make_token, read):
    """A token stops working when its time is over, however recently it was used."""
    for lives_s in (3, 6, 12, 24):  # a slow machine takes longer to ask
        token = make_token("read", expires_at=time.time() + lives_s)
        worked = read(token).status_code == 200
        if worked:
            break
    assert worked
    answer = refused_within(lives_s + 10, lambda: read(token))
    assert f"the token {token_id(token)} expired on" in answer.json()["error"]


def test_new_token_works_at_once(make_token, read):
    """No server has to be told of a token that was made a moment ago."""
    assert read(make_token("read")).status_code == 200
    assert read(make_token("read")).status_code == 200


def test_use_is_noted_once_a_minute(make_token, guarded_server, read):
    """Many requests with one token write its date once."""
    token = make_token("read")
    written = "SELECT xmin::text, last_used_at FROM api_token WHERE id = $1"
    assert read(token).status_code == 200
    [first] = guarded_server.sql(written, token_id(token))
    for _ in range(20):
        assert read(token).status_code == 200
    assert guarded_server.sql(written, token_id(token)) == [first]
    assert first["last_used_at"] is not None


def test_secret_is_with_its_holder_alone(make_token, guarded_server, report, read):
    """Neither the database nor the server's log holds a token, be it used, misused or refused."""
    token = make_token("read")
    assert read(token).status_code == 200
    assert report(token).status_code == 403
    assert read(spoilt(token)).status_code == 401
    signed_in = httpx.post(f"{guarded_server.url}/session", json={"token": token})
    assert signed_in.status_code == 200
    [stored] = guarded_server.sql(
        "SELECT t::text AS text FROM api_token AS t WHERE id = $1", token_id(token)
    )
    log = guarded_server.log.read_text()
    assert "Primus Lens is serving" in log
    for secret in (token.split("_")[2], spoilt(token).split("_")[2]):
        assert secret not in stored["text"]
        assert secret not in log


def sign_in(server, token, **headers):
    """What the page does with a token that is typed into it."""
    return httpx.post(f"{server.url}/session", json={"token": token}, headers=headers)


def test_sign_in_sets_a_cookie_no_script_can_read(make_token, guarded_server, read):
    """The cookie is closed to scripts and to other sites, and reads."""
    answer = sign_in(guarded_server, make_token("read"))
    assert answer.json() == {"signed_in": True}
    flags = answer.headers["set-cookie"].lower().split("; ")
    assert {"httponly", "samesite=strict", "path=/"} <= set(flags)
    assert "secure" not in flags
    url = f"{guarded_server.url}/api/v1/workloads"
    assert httpx.get(url, cookies=answer.cookies).status_code == 200
    assert read().status_code == 401


def test_cookie_of_a_page_over_tls_is_sent_over_tls_alone(make_token, guarded_server):
    """A proxy may end TLS: the browser says by which scheme it came."""
    answer = sign_in(guarded_server, make_token("read"), Origin="https://lens.example.com")
    assert "secure" in answer.headers["set-cookie"].lower().split("; ")


def test_cookie_does_not_report(make_token, guarded_server, workload):
    """A page of another site gets nothing changed by a browser that is signed in."""
    cookies = sign_in(guarded_server, make_token("admin")).cookies
    body = {"workload_uid": workload, "metrics": []}
    url = f"{guarded_server.url}/api/v1/wandb/metrics"
    assert httpx.post(url, json=body, cookies=cookies).status_code == 401


@pytest.mark.parametrize(
    "body, content_type, status",
    [
        (b'{"token": "nonsense"}', "application/json", 401),
        (b'{"token": 1}', "application/json", 400),
        (b"token=nonsense", "application/json", 400),
        (b'{"token": "nonsense"}', "text/plain", 415),
        (b'{"token": "' + b"x" * 5000 + b'"}', "application/json", 413),
    ],
)
def test_sign_in_with_something_else_is_refused(guarded_server, body, content_type, status):
    """No cookie for what is no token, and none for a form that another site could send."""
    headers = {"Content-Type": content_type}
    answer = httpx.post(f"{guarded_server.url}/session", content=body, headers=headers)
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers


def test_sign_in_needs_the_scope_read(make_token, guarded_server):
    """A token that cannot read shows no pages."""
    answer = sign_in(guarded_server, make_token("ingest"))
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_cookie_lasts_no_longer_than_its_token(make_token, guarded_server):
    """30 days, or until the token expires."""

    def kept_s(token):
        cookie = sign_in(guarded_server, token).headers["set-cookie"]
        return int(re.search(r"Max-Age=(\d+)", cookie)[1])

    assert kept_s(make_token("read")) == 30 * 86_400
    assert 0 < kept_s(make_token("read", expires_at=time.time() + 100)) <= 100


def test_session_says_whether_it_is_one(make_token, guarded_server):
    """The page learns whether it is signed in, and signing out takes the cookie back."""
    url = f"{guarded_server.url}/session"
    token = make_token("read")
    with httpx.Client() as browser:
        assert browser.get(url).json() == {"signed_in": False}
        browser.post(url, json={"token": token})
        assert browser.get(url).json() == {"signed_in": True}
        browser.delete(url)
        assert browser.get(url).json() == {"signed_in": False}


def test_server_without_tokens_has_nobody_signed_in(server):
    """Where nobody is asked for a token nobody can sign in."""
    assert httpx.get(f"{server.url}/session").json() == {"signed_in": False}
    assert httpx.post(f"{server.url}/session", json={"token": "x"}).status_code == 405


def test_server_that_asks_for_tokens_answers_under_any_name(make_token, guarded_server):
    """A proxy may pass on its own name; the token, not the name, keeps strangers out."""
    headers = {"Host": "lens.example.com", **bearer(make_token("read"))}
    url = f"{guarded_server.url}/api/v1/workloads"
    assert httpx.get(url, headers=headers).status_code == 200


def test_description_says_that_a_token_is_needed(make_token, guarded_server, server):
    """Programs made from the OpenAPI document know to send a token where one is asked for."""
    headers = bearer(make_token("read"))
    told = httpx.get(f"{guarded_server.url}/openapi.json", headers=headers).json()
    [scheme] = told["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert told["security"] == [{"token": []}]
    assert "security" not in httpx.get(f"{server.url}/openapi.json").json()


def on(dsn, **more):
    """A configuration on a PostgreSQL that exists."""
    lines = [NO_SELF_METRICS, f"database: {{dsn: '{dsn}'}}"]
    return "\n".join([*lines, *(f"{name}: {value}" for name, value in more.items())])


def test_required_tokens_are_asked_for_however_insecure(make_server, database_dsn):
    """`access.required` in the file outweighs `--insecure` on the command line."""
    made = make_server(on(database_dsn, access="{required: true}"), "--insecure").start()
    assert made.get("/workloads").status_code == 401


def test_processor_asks_for_tokens_too(make_server, database_dsn):
    """A server that only takes reports is as closed as one with pages."""
    text = on(database_dsn, access="{required: true}")
    made = make_server(text, "--role", "processor").start()
    assert made.post("/wandb/metrics", {}).status_code == 401
