"""The composition root: settings -> backend (api) + front end (ui) + embedded worker; `python app.py` starts it."""

from __future__ import annotations

from workers.startup.ending import end_when_asked

if __name__ == "__main__":
    # What follows takes seconds, in which a signal must not be lost.
    end_when_asked()

import asyncio
import logging
import sys
import warnings
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from gift_core.errors import GiftError
from gift_core.escaping import escaped
from workers.disk import GIGABYTE, check_room
from workers.logs import set_up_logs
from workers.settings import UPLOADS_VARIABLE, Settings, prepare_environment, read_settings, uploads_folder
from workers.startup.data_folder import (
    check_data_folder,
    check_folder,
    clear_uploads,
    keep_files_private,
    only_server_of,
)
from workers.startup.descriptors import raise_limit
from workers.startup.listening import check_listening, own_url, trusted_forwarders
from workers.startup.services import check_services

# An open tab holds a stream for as long as it lives; shutting down does not wait for it.
SHUTDOWN_SECONDS = 1
_MEGABYTE = 2**20
# An event carries the values of a page's inputs.
_MOST_EVENT_BYTES = 8 * _MEGABYTE


def create_app(settings: Settings, *, warm: bool = False) -> FastAPI:
    """The whole studio as one application; `api_url` leaves out the backend and speaks to another one.

    Where it is `warm`, the process that checks starts with it, and not at the first launch.
    """
    prepare_environment(None if settings.api_url else settings.data_dir.absolute())
    if not settings.api_url:
        settings.check_exposure()
    import gradio as gr
    from gradio.utils import get_upload_folder

    from api.limits import BodyLimit
    from ui.app import HEAD, STATIC, UPLOADS_KEPT_SECONDS, build_ui, theme
    from ui.client import StudioClient
    from ui.export import offline_pages
    from ui.gate import Gate
    from ui.no_fetching import NoFetching, refuse_downloads
    from ui.pages.faults import put_faults_in_words
    from ui.pages.not_found import NotFound
    from ui.server.identity import Identities
    from ui.server.stale import StaleStreams, exception_handlers
    from ui.server.uploads import UploadLimit
    from ui.visitor import Visitors

    uploads = Path(get_upload_folder())
    app = _proxy(settings) if settings.api_url else _backend(settings, warm=warm)
    # Gradio has an /assets of its own.
    app.mount("/components", _components(STATIC))
    visitors = Visitors(behind_hub=settings.space_id is not None)
    api_url = settings.api_url or own_url(settings)
    client = StudioClient(api_url, credentials=visitors.current)
    app.include_router(offline_pages(client, visitors), include_in_schema=False)
    refuse_downloads()
    put_faults_in_words()
    # Whether a backend elsewhere has accounts, only it can say.
    has_accounts = settings.has_accounts or settings.api_url is not None
    demo = build_ui(client, account_link=has_accounts)
    # Innermost: behind what stands in front of everything.
    doors = [
        # No other site may read the pages; where there is this, Gradio says nothing about it.
        Middleware(CORSMiddleware, allow_origins=()),
        Middleware(NoFetching),
        # Gradio holds an event in memory as a whole. Files come as streams, and are limited where they are received.
        Middleware(BodyLimit, prefix="", streamed=_streamed(), limit=_MOST_EVENT_BYTES),
        Middleware(NotFound),
        Middleware(
            UploadLimit,
            client=client,
            visitors=visitors,
            folder=uploads,
            check_room=lambda: check_room(uploads, int(settings.disk_floor_gb * GIGABYTE)),
            kept_seconds=UPLOADS_KEPT_SECONDS,
        ),
        Middleware(StaleStreams, demo=demo),
    ]
    if has_accounts:
        is_private = not settings.api_url and not settings.is_public
        doors.insert(0, Middleware(Gate, identities=Identities(api_url), visitors=visitors, is_private=is_private))
    app.user_middleware.extend(doors)
    with warnings.catch_warnings():
        # Said of every application with several pages, whether or not anybody asked for server-side rendering.
        warnings.filterwarnings("ignore", message="SSR mode is not supported")
        return gr.mount_gradio_app(
            app,
            demo,
            path="/",
            app_kwargs={"exception_handlers": exception_handlers()},
            theme=theme(),
            head=HEAD,
            # Behind a proxy that writes a Host of its own, Gradio would send browsers to that.
            root_path=settings.public_url,
            favicon_path=str(STATIC / "favicon.svg"),
            run_history=False,
            footer_links=["settings"],
            # Above the backend's own limit, whose message says more than Gradio's.
            max_file_size=5 * settings.upload_limit_mb * _MEGABYTE,
        )


def _streamed() -> frozenset[str]:
    from api.app import PREFIX
    from api.routes.datasets import STREAMED

    return frozenset({"/gradio_api/upload", *(f"{PREFIX}{path}" for path in STREAMED)})


def _backend(settings: Settings, *, warm: bool) -> FastAPI:
    from api.app import create_api
    from workers.checking.checker import Beside
    from workers.studio import Studio

    studio = Studio(settings, Beside.of(settings))
    if settings.recorded_example:
        studio.show_recording()
    worker = studio.worker() if settings.embedded_worker else None
    app = create_api(studio)
    api_lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(inner: FastAPI) -> AsyncIterator[Any]:
        if warm:
            studio.checker.warm()
        if worker:
            worker.start()
        try:
            async with api_lifespan(inner) as state:
                yield state
        finally:
            if worker:
                await asyncio.to_thread(worker.stop)
            studio.close()

    app.router.lifespan_context = lifespan
    return app


def _proxy(settings: Settings) -> FastAPI:
    from api.limits import BodyTime
    from api.middleware.caching import Caching
    from api.middleware.methods import Methods
    from api.middleware.well_formed import WellFormed
    from api.origins import SameOrigin
    from api.security_headers import SecurityHeaders
    from api.serving.streams import StreamLimit
    from ui.proxy import create_proxy
    from ui.visitor import Visitors

    behind_hub = settings.space_id is not None
    app = create_proxy(settings.api_url or "", Visitors(behind_hub=behind_hub))
    app.add_middleware(StreamLimit, settings=settings)
    app.add_middleware(BodyTime, whole=(), streamed=frozenset(), seconds=settings.body_seconds)
    app.add_middleware(Methods)
    app.add_middleware(SameOrigin, base_url=settings.base_url)
    app.add_middleware(WellFormed)
    app.add_middleware(Caching)
    app.add_middleware(SecurityHeaders, framed=behind_hub)
    return app


def _components(static: Path) -> FastAPI:
    components = FastAPI(openapi_url=None)
    plotly = Path(str(files("plotly") / "package_data" / "plotly.min.js"))
    components.add_api_route("/plotly.min.js", lambda: FileResponse(plotly, media_type="text/javascript"))
    components.mount("/", StaticFiles(directory=static))
    return components


def claim_folders(settings: Settings, held: ExitStack) -> None:
    """Have the studio's folders for this process alone, until `held` is closed. Raises `ConfigurationError`."""
    if settings.api_url:
        # Pages alone keep nothing but what a browser has just sent.
        data = Path(held.enter_context(TemporaryDirectory(prefix="gift-pages-")))
    else:
        settings.check_exposure()
        data = check_data_folder(settings.data_dir)
        held.enter_context(only_server_of(data))
        check_services(settings)
        clear_uploads(data)
    prepare_environment(data)
    check_folder(uploads_folder(), UPLOADS_VARIABLE)


class _OpenTabs(logging.Filter):
    """Leaves out what uvicorn logs about the streams of open tabs when it ends them at shutdown: pages of traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        cancelled = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
        return not cancelled and "timeout graceful shutdown exceeded" not in str(record.msg)


def main() -> None:
    """Serve until interrupted; `keys` makes and revokes API keys instead."""
    keep_files_private()
    if sys.argv[1:2] == ["keys"]:
        from workers.key_commands import commands

        commands(sys.argv[2:], prog_name="python app.py keys")
    with ExitStack() as held:
        end_when_asked(held.close)
        try:
            settings = read_settings()
            set_up_logs(settings.log_format, settings.log_level)
            check_listening(settings)
            raise_limit()
            claim_folders(settings, held)
            app = create_app(settings, warm=True)
        except GiftError as error:
            raise SystemExit(f"The studio was not started.\n{escaped(str(error))}") from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            why = escaped(f"{where}{error.strerror or error}. Check who may write there, and the free space.")
            raise SystemExit(f"The studio was not started.\n{why}") from None
        serve(app, settings)


def serve(app: FastAPI, settings: Settings) -> None:
    """Serve until interrupted."""
    from api.serving.server import StudioServer, configuration

    logging.getLogger("uvicorn.error").addFilter(_OpenTabs())
    print(f"GIFT Studio: {own_url(settings)} (Ctrl-C stops it)", flush=True)
    config = configuration(
        app,
        settings,
        trusted_forwarders(settings),
        log_level="warning",
        # Its own handlers would write what ours leave out.
        log_config=None,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    StudioServer(config).run()


if __name__ == "__main__":
    main()
