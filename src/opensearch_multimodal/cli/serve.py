"""``osmm serve``: the HTTP service."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import InvalidInput, MissingExtra
from .options import Access, access_options, model_options

if TYPE_CHECKING:
    from ..service import ServiceSettings

__all__ = ["serve"]

_TOKEN_VARIABLE = "OSMM_SERVICE_TOKEN"  # noqa: S105 - a variable's name
_EXTRA = ("prometheus_client", "starlette", "uvicorn")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", default=8686, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 for a free one."
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes; each loads the models and has the limits below for itself.",
)
@click.option(
    "--token-file",
    type=_FILE,
    help=f"File with the token that callers must send, one per line. Or set {_TOKEN_VARIABLE}.",
)
@click.option("--allow-anonymous", is_flag=True, help="Listen for the network without a token.")
@click.option(
    "--require-authorization",
    is_flag=True,
    help="Answer 401 to a search without Authorization for the cluster. Always so with --user.",
)
@click.option("--tls-cert", type=_FILE, help="PEM file with the service's certificate chain.")
@click.option("--tls-key", type=_FILE, help="PEM file with its private key.")
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="Load this model at the start; repeatable."
)
@click.option(
    "--index", "indices", multiple=True, help="Load the models of this index at the start; repeatable."
)
@click.option("--encode-only", is_flag=True, help="Use no cluster: answer /v1/encode only.")
@click.option(
    "--max-body-mb", default=64, show_default=True, type=click.IntRange(1), help="Size of a request, in MiB."
)
@click.option(
    "--max-inputs", default=256, show_default=True, type=click.IntRange(1), help="Inputs of an encode call."
)
@click.option(
    "--max-text-chars",
    default=100_000,
    show_default=True,
    type=click.IntRange(1),
    help="Characters of one input; five times as many in a call.",
)
@click.option(
    "--max-pixels",
    default=50_000_000,
    show_default=True,
    type=click.IntRange(1),
    help="Pixels of an image.",
)
@click.option(
    "--max-k", default=2_000, show_default=True, type=click.IntRange(1, 2_000), help="Results of a search."
)
@click.option(
    "--search-threads",
    default=8,
    show_default=True,
    type=click.IntRange(1, 128),
    help="Searches at a time, per worker.",
)
@click.option(
    "--encode-seconds",
    default=3_600.0,
    show_default=True,
    type=click.FloatRange(1, 3_600),
    help="Longest deadline of an encode call. It is 60 s where the call names none.",
)
@click.option(
    "--queue",
    default=128,
    show_default=True,
    type=click.IntRange(0),
    help="Calls that wait, per worker and kind; more get 429.",
)
@click.option(
    "--drain",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 600),
    help="Seconds after SIGTERM in which calls are still taken while /health/ready says 503.",
)
@click.option(
    "--grace",
    default=30.0,
    show_default=True,
    type=click.FloatRange(1, 600),
    help="Seconds that calls in flight then have to end.",
)
@click.option("--access-log", is_flag=True, help="Write a line per request to stderr, without its content.")
@click.option(
    "--json", "as_json", is_flag=True, help='Print {"url", "pid"} as one line once requests are answered.'
)
@model_options
@access_options
def serve(
    access: Access,
    host: str,
    port: int,
    workers: int,
    token_file: Path | None,
    allow_anonymous: bool,
    require_authorization: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    models: tuple[str, ...],
    indices: tuple[str, ...],
    encode_only: bool,
    max_body_mb: int,
    max_inputs: int,
    max_text_chars: int,
    max_pixels: int,
    max_k: int,
    search_threads: int,
    encode_seconds: float,
    queue: int,
    drain: float,
    grace: float,
    access_log: bool,
    as_json: bool,
    provider: str,
    threads: int | None,
) -> None:
    """Serve encoding and search over HTTP, for the server plugin and for programs.

    The service encodes texts and images (POST /v1/encode), ranks (/v1/rank) and searches (/v1/search).
    /openapi.json describes every call, /health/ready says whether it can take calls, /metrics is for
    Prometheus. It keeps no state: run as many as you need behind a load balancer.

    Searches are sent to the cluster with the caller's own Authorization header, never with --user: that
    one only reads what indices say of themselves. On other addresses than loopback callers need a token,
    in the header X-Multimodal-Token.

    \b
    Examples:
      osmm serve --index manuals                   on this machine, for the running server
      osmm serve --encode-only --model bge-small-en-v1.5 --port 0 --json
      osmm serve --host 0.0.0.0 --token-file token --tls-cert cert.pem --tls-key key.pem --workers 4
    \b
      curl -s localhost:8686/v1/rank -d '{"indices": ["manuals"], "query_text": "reset the pump"}'

    SIGTERM ends it in order: /health/ready says 503, calls in flight are answered, then it stops.
    """
    if any(importlib.util.find_spec(name) is None for name in _EXTRA):
        raise MissingExtra("the service", "service")
    from .. import service

    tokens = service.read_tokens(token_file, os.environ.get(_TOKEN_VARIABLE))
    service.check_exposure(host, tokens, allow_anonymous=allow_anonymous)
    if (tls_cert is None) != (tls_key is None):
        raise InvalidInput("--tls-cert and --tls-key: give both or neither")
    if encode_only and indices:
        raise InvalidInput("--encode-only and --index: without a cluster there is no index")
    cluster = None
    if not encode_only:
        cluster = service.ClusterAccess(
            access.find_url(), access.user, access.password, access.ca_file, access.verify
        )
    settings = service.ServiceSettings(
        cluster=cluster,
        tokens=tokens,
        require_authorization=require_authorization or (cluster is not None and cluster.connect(1).signs_in),
        models=models,
        indices=indices,
        provider=provider,
        threads=threads or (max(1, (os.cpu_count() or 1) // workers) if workers > 1 else None),
        limits=service.ServiceLimits(
            body_bytes=max_body_mb * 1024 * 1024,
            inputs=max_inputs,
            text_chars=max_text_chars,
            call_chars=5 * max_text_chars,
            pixels=max_pixels,
            k=max_k,
            search_threads=search_threads,
            encode_seconds=encode_seconds,
            queue=queue,
        ),
        drain_seconds=drain,
        grace_seconds=grace,
        access_log=access_log,
        certificate=str(tls_cert) if tls_cert else None,
        key=str(tls_key) if tls_key else None,
    )

    def ready(url: str) -> None:
        if as_json:
            click.echo(json.dumps({"url": url, "pid": os.getpid()}))
        else:
            _print_banner(url, settings, workers)

    service.serve(settings, host=host, port=port, workers=workers, ready=ready)


def _print_banner(url: str, settings: ServiceSettings, workers: int) -> None:
    cluster = settings.cluster
    click.echo(f"The service answers at {url} ({workers} worker{'s' if workers > 1 else ''})")
    click.echo(f"  cluster  {cluster.connect(1).url if cluster else 'none: it only encodes'}")
    click.echo(
        f"  token    {'needed, in X-Multimodal-Token' if settings.tokens else 'none: anybody may call'}"
    )
    if cluster:
        needed = "needed for every search" if settings.require_authorization else "passed on where it comes"
        click.echo(f"  caller's Authorization  {needed}")
    if settings.tokens and not settings.certificate:
        click.echo("  warning  without --tls-cert, tokens and passwords travel in the clear")
    click.echo("  stop     Ctrl-C")
