"""What tests can ask for. The parts live beside this file: server.py, upstream.py, services.py, ..."""

import asyncio
import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import hypothesis
import pytest
from asgiref.sync import async_to_sync, sync_to_async

from tests import real_model as real_models
from tests import services
from tests.environment import REQUIRE_ALL, TEST_DATABASE_URL, TEST_REDIS_URL
from tests.server import Server
from tests.upstream import Upstream

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# A test that asks for one of these carries the mark without saying so.
MARKS = {
    "postgres": "postgres",
    "redis_url": "redis",
    "browser": "browser",
    "real_model": "real_model",
    "strict_model": "real_model",
}
SCREENSHOTS = Path(__file__).resolve().parent.parent / "test-output"


# The same examples in every run: a test that fails has failed because of a change, not by chance.
# `--hypothesis-profile=search` looks for new ones.
hypothesis.settings.register_profile("search", derandomize=False, deadline=None)
hypothesis.settings.register_profile("same", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("same")


# --- How tests run -----------------------------------------------------------------------------------


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # a pytest-xdist worker leaves it to the main process
        services.end_everything()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Choose the workers of `make test`: one more than there are cores, since tests also wait.

    Every worker collects all tests and starts its own servers. For one or two named files, or for the tests
    that failed last, that costs more than it saves.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # xdist reads it
    few = len(config.args) <= 2 and all(".py" in argument for argument in config.args)
    if few or config.getoption("lf", False) or config.getoption("collectonly", False):
        return 0
    return min(available_cores() + 1, 8)


def available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in MARKS:
                item.add_marker(MARKS[fixture])
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[bool, bool]:
    """Put long tests first, so that all workers end at about the same time, and tests with a browser last.

    Playwright keeps an event loop in the main thread, under which Django's ORM and async tests refuse to
    work: from its first test on, there must be none of those.
    """
    return item.get_closest_marker("browser") is not None, item.get_closest_marker("long") is None


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    """Run `async def` tests so that their database work happens in the test's own transaction."""
    test = pyfuncitem.obj
    if handle := getattr(test, "hypothesis", None):
        if inspect.iscoroutinefunction(handle.inner_test):
            handle.inner_test = _synchronous(handle.inner_test)
        return None
    if not inspect.iscoroutinefunction(test):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    _synchronous(test)(**arguments)
    return True


def _synchronous(test: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async_to_sync(test)(*args, **kwargs)

    return run


class TestsThread(Executor):
    """Runs what `in_db` is given on the test's own thread, and so within its transaction."""

    __test__ = False

    def __init__(self) -> None:
        self._running: set[asyncio.Future[None]] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        result: Future[Any] = Future()

        async def work() -> None:
            if not result.set_running_or_notify_cancel():
                return
            try:
                result.set_result(await sync_to_async(fn, thread_sensitive=True)(*args, **kwargs))
            except BaseException as exc:
                result.set_exception(exc)

        task = asyncio.ensure_future(work())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return result


@pytest.fixture(autouse=True)
def _texts_are_english() -> Iterator[None]:
    """Read texts of this process in English, whatever language an earlier test has left behind."""
    from django.utils import translation

    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def _in_db_joins_the_transaction(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep `in_db` inside the transaction that a test rolls back; `transaction=True` leaves it as it is."""
    mark = request.node.get_closest_marker("django_db")
    if mark is not None:
        on_threads = mark.kwargs.get("transaction") or "transactional_db" in request.fixturenames
        if not on_threads and "chatproject.db" in sys.modules:
            monkeypatch.setattr("chatproject.db._units", TestsThread())
            # It takes the open transaction for one that somebody forgot, and ends it.
            monkeypatch.setattr("chatproject.db.close_old_connections", lambda: None)


def unavailable(reason: str) -> NoReturn:
    """Skip, saying why; where everything must be there, fail."""
    if REQUIRE_ALL:
        pytest.fail(f"{reason} (and REQUIRE_ALL or CI is set)", pytrace=False)
    pytest.skip(reason)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything must be there, a skipped test is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if REQUIRE_ALL and reporter is not None and reporter.stats.get("skipped") and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line("")
        reporter.write_line("FAILED: tests were skipped, and REQUIRE_ALL or CI is set.", red=True)


# --- Django in this process --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """Leave the test database to its server, which ends with the run; connections to it may still be open."""
    return not TEST_DATABASE_URL


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, request: pytest.FixtureRequest
) -> None:
    """Start the database server at the last moment: only tests that use a database wait for it."""
    from django.db import connection

    if connection.vendor == "postgresql":
        request.getfixturevalue("postgres")


# --- Services ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres() -> services.PostgresServer:
    """The PostgreSQL server of this run, shared with its other tests."""
    try:
        return services.shared_postgres()
    except services.Unavailable as exc:
        unavailable(f"there is no PostgreSQL: {exc}")


@pytest.fixture
def postgres_url(postgres: services.PostgresServer) -> Iterator[str]:
    """A database of the test's own, without anybody in it."""
    url = postgres.create_migrated_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(scope="session")
def redis_url() -> str:
    """A Redis server, shared with the other tests of this run."""
    if TEST_REDIS_URL:
        return TEST_REDIS_URL
    try:
        return services.shared_redis()
    except services.Unavailable as exc:
        unavailable(f"there is no Redis: {exc}")


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """A provider under the tests' control; `upstream.script(...)` gives a model of the test's own."""
    upstream = Upstream()
    upstream.start()
    yield upstream
    upstream.stop()


@pytest.fixture
def real_model() -> Iterator[real_models.RealModel]:
    """A small real language model, behind OpenAI's and Anthropic's protocols, for this test alone."""
    try:
        model = real_models.shared()
    except services.Unavailable as exc:
        unavailable(f"there is no real model: {exc}")
    with services.locked("real-model-in-use"):
        yield model


@pytest.fixture
def strict_model() -> Iterator[real_models.RealModel]:
    """The same with a chat template that refuses turns that do not alternate, as Gemma's and Mistral's do."""
    try:
        model = real_models.strict()
    except services.Unavailable as exc:
        unavailable(f"there is no real model: {exc}")
    with services.locked("real-model-in-use"):
        yield model


# --- Servers -----------------------------------------------------------------------------------------

_alive: list[Server] = []
_log_sizes: pytest.StashKey[dict[Server, int]] = pytest.StashKey()


def start_server(folder: Path, /, **environ: str | None) -> Server:
    server = Server(folder, from_nothing=False, **environ)
    _alive.append(server)
    return server.start()


def end_server(server: Server) -> None:
    server.kill()
    _alive.remove(server)


@pytest.fixture(scope="session")
def sqlite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service as a newcomer has it: one process, SQLite, no Redis."""
    server = start_server(tmp_path_factory.mktemp("sqlite") / "server")
    yield server
    end_server(server)


@pytest.fixture(scope="session")
def postgres_server(
    postgres: services.PostgresServer, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The service in production: two processes, PostgreSQL, Redis."""
    url = postgres.create_migrated_database()
    folder = tmp_path_factory.mktemp("postgres") / "server"
    server = start_server(folder, DATABASE_URL=url, REDIS_URL=redis_url, WEB_CONCURRENCY="2")
    yield server
    end_server(server)
    postgres.drop_database(url)


@pytest.fixture(
    scope="session",
    params=["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.redis])],
)
def server(request: pytest.FixtureRequest) -> Server:
    """Both, one after the other: most tests of the API run on each."""
    server: Server = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers with settings of the test's own: `make_server(REGISTRATION_OPEN="0")`.

    SQLite unless DATABASE_URL says otherwise (the `postgres_url` fixture gives one). What still runs at the
    end of the test is killed.
    """
    made: list[Server] = []

    def make(**environ: str | None) -> Server:
        server = start_server(tmp_path / f"server-{len(made) + 1}", **environ)
        made.append(server)
        return server

    yield make
    for server in made:
        end_server(server)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_log_sizes] = {server: server.log_path.stat().st_size for server in _alive}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Show what the servers said during a test that failed."""
    report = yield
    if report.failed:
        before = item.stash.get(_log_sizes, {})
        for server in _alive:
            if said := server.tail(since=before.get(server, 0)):
                report.sections.append((f"log of {server.folder.parent.name}/{server.folder.name}", said))
    if report.when == "call":
        item.stash[_failed] = report.failed
    return report


_failed: pytest.StashKey[bool] = pytest.StashKey()


# --- Browser -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """A real Chromium, shared; `tests.browser.new_context(browser)` opens a fresh profile in it."""
    try:
        from tests import browser as browsers
    except ImportError as exc:
        unavailable(f"playwright is not installed: {exc}")
    launching = browsers.launched()
    try:
        browser = launching.__enter__()
    except services.Unavailable as exc:
        unavailable(f"there is no browser: {exc}")
    yield browser
    launching.__exit__(None, None, None)


@pytest.fixture
def page(browser: "Browser", request: pytest.FixtureRequest) -> Iterator["Page"]:
    """A page in a fresh profile. Uncaught exceptions and refusals of the security policy fail the test.

    `@pytest.mark.parametrize("page", [{"locale": "zh-CN"}], indirect=True)` sets the profile's options.
    """
    from tests import browser as browsers

    context = browsers.new_context(browser, **getattr(request, "param", {}))
    page = context.new_page()
    faults = browsers.Faults()
    faults.watch(page)
    yield page
    if request.node.stash.get(_failed, False):
        SCREENSHOTS.mkdir(exist_ok=True)
        name = "".join(c if c.isalnum() or c in "-_" else "-" for c in request.node.name)
        page.screenshot(path=SCREENSHOTS / f"{name[:120]}.png", full_page=True)
    context.close()
    assert not faults, "\n".join(faults)
